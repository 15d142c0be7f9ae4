//! Redis or Valkey with a replica, and three Sentinels that watch over them.

use crate::ports::{Port, free_port};
use crate::process::{Process, new_folder};
use crate::programs;
use crate::redis::{Redis, RedisSetup, owned};
use crate::resp;
use crate::valkey;
use crate::waiting::{AGREEMENT, until};

/// What the Sentinels call the primary.
const NAME: &str = "main";
/// Two of three agree.
const SENTINELS: usize = 3;

/// A primary, a replica, and Sentinels that take a silent server for dead after a second.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: Vec<Redis>,
    sentinels: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    _process: Process,
    port: Port,
}

impl RedisSentinel {
    /// Redis.
    pub fn start() -> Self {
        Self::with(&RedisSetup::default())
    }

    /// Valkey.
    pub fn valkey() -> Self {
        Self::with(&RedisSetup { valkey: true, ..RedisSetup::default() })
    }

    /// Servers that are both set up like this.
    pub fn with(setup: &RedisSetup) -> Self {
        let mut setup = setup.clone();
        let primary = setup.clone().start();
        let port = primary.port().to_string();
        setup.arguments.extend(owned(&["--replicaof", "127.0.0.1", &port]));
        let replica = setup.clone().start();
        let this = Self { servers: vec![primary, replica], sentinels: Vec::new() };
        this.await_replication();
        let watched = this.servers[0].port();
        let sentinels = (0..SENTINELS).map(|_| Sentinel::start(watched, setup.valkey)).collect();
        let this = Self { sentinels, ..this };
        this.await_agreement();
        this
    }

    /// Waits until one of the servers that run is primary and every other follows it.
    pub fn await_replication(&self) {
        let linked = until(AGREEMENT, || {
            let running = || self.servers.iter().filter(|server| server.is_running());
            let info =
                |server: &Redis| server.try_cli(&["INFO", "replication"]).unwrap_or_default();
            let primaries = running().filter(|server| info(server).contains("role:master")).count();
            let replicas =
                running().filter(|server| info(server).contains("link_status:up")).count();
            (primaries == 1 && primaries + replicas == running().count()).then_some(())
        });
        assert!(linked.is_some(), "the replica does not follow:\n{}", self.servers[1].log());
    }

    /// Waits until all Sentinels know each other and the replica.
    fn await_agreement(&self) {
        let agreed = until(AGREEMENT, || {
            let well = self.sentinels.iter().all(|sentinel| {
                let text = sentinel.ask(&["SENTINEL", "MASTER", NAME]).unwrap_or_default();
                text.contains("num-slaves\n1\n") && text.contains("num-other-sentinels\n2\n")
            });
            well.then_some(())
        });
        assert!(agreed.is_some(), "the Sentinels do not find each other");
    }

    /// `redis+sentinel://…/main` with all Sentinels.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.sentinels.iter().map(|one| one.port.address()).collect();
        format!("redis+sentinel://{}/{NAME}", addresses.join(","))
    }

    /// Both servers, also a killed one.
    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// Both servers, to kill or restart one.
    pub fn servers_mut(&mut self) -> &mut [Redis] {
        &mut self.servers
    }

    /// Which server most Sentinels take for the primary; none while they do not agree.
    pub fn primary(&self) -> Option<usize> {
        let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
        let ports: Vec<String> = self
            .sentinels
            .iter()
            .filter_map(|one| one.ask(&ask)?.lines().nth(1).map(str::to_owned))
            .collect();
        let says = |server: &Redis| {
            let port = server.port().to_string();
            ports.iter().filter(|said| **said == port).count() > SENTINELS / 2
        };
        self.servers.iter().position(says)
    }

    /// Kills the primary (-9); which one it was.
    pub fn kill_primary(&mut self) -> usize {
        let primary = self.primary().expect("Sentinels that agree");
        self.servers[primary].kill();
        primary
    }
}

impl Sentinel {
    fn start(watched: u16, valkey: bool) -> Self {
        let folder = new_folder(None);
        let port = free_port();
        let text = format!(
            "port {}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor {NAME} 127.0.0.1 {watched} 2\n\
             sentinel down-after-milliseconds {NAME} 1000\n\
             sentinel failover-timeout {NAME} 5000\n",
            port.number(),
            folder.display(),
        );
        let file = folder.join("sentinel.conf");
        std::fs::write(&file, text).unwrap();
        let program = if valkey { valkey::program() } else { programs::find("redis-server") };
        let program = program.display().to_string();
        let command = vec![program, file.display().to_string(), "--sentinel".to_owned()];
        let address = port.address();
        let ready = || matches!(resp::ask(&address, None, &["PING"]), Ok(Ok(_)));
        Self { _process: Process::start(command, folder, "KILL", ready), port }
    }

    fn ask(&self, command: &[&str]) -> Option<String> {
        resp::ask(&self.port.address(), None, command).ok()?.ok()
    }
}
