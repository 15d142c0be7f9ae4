//! Redis or Valkey, one server.

use std::path::Path;

use crate::certificates::Certificates;
use crate::ports::{Port, free_port};
use crate::process::{Process, new_folder};
use crate::programs;
use crate::resp;
use crate::valkey;
use crate::waiting::until;

/// A server of Redis or Valkey. It keeps nothing on disk unless told to.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: Port,
    tls: Option<(Port, Certificates)>,
    login: Option<(String, String)>,
}

/// What a server is to be.
#[derive(Clone, Debug, Default)]
pub struct RedisSetup {
    /// Valkey in place of Redis.
    pub valkey: bool,
    /// More arguments, as in `["--maxmemory", "10mb"]`. A `--requirepass` is used by everything here.
    pub arguments: Vec<String>,
    /// Lines of an ACL file, such as `user app on >secret ~abide:* +@all`. The default user keeps all
    /// its rights and needs no password, unless a line says something else.
    pub acl: Vec<String>,
    /// Listens for TLS at a second port, with a certificate for `localhost` and `127.0.0.1`.
    pub tls: bool,
}

impl RedisSetup {
    /// The default with these arguments.
    pub fn with(arguments: &[&str]) -> Self {
        Self { arguments: owned(arguments), ..Self::default() }
    }

    /// Starts it.
    pub fn start(self) -> Redis {
        let folder = new_folder(None);
        let port = free_port();
        let program = if self.valkey { valkey::program() } else { programs::find("redis-server") };
        let mut command = vec![program.display().to_string()];
        command.extend(owned(&["--bind", "127.0.0.1", "--port", &port.number().to_string()]));
        command.extend(owned(&["--dir", &folder.display().to_string()]));
        command.extend(owned(&["--save", "", "--appendonly", "no", "--databases", "16"]));
        command.extend(owned(&["--repl-diskless-sync-delay", "0"]));
        if !self.acl.is_empty() {
            let file = folder.join("users.acl");
            let lines = format!("user default on nopass ~* &* +@all\n{}\n", self.acl.join("\n"));
            std::fs::write(&file, lines).unwrap();
            command.extend(owned(&["--aclfile", &file.display().to_string()]));
        }
        let tls = self.tls.then(|| (free_port(), Certificates::make(&folder)));
        if let Some((port, certificates)) = &tls {
            command.extend(owned(&["--tls-port", &port.number().to_string()]));
            let file = |path: &Path| path.display().to_string();
            command.extend(owned(&["--tls-cert-file", &file(&certificates.certificate)]));
            command.extend(owned(&["--tls-key-file", &file(&certificates.key)]));
            command.extend(owned(&["--tls-ca-cert-file", &file(&certificates.authority)]));
            command.extend(owned(&["--tls-auth-clients", "no"]));
        }
        let password = self.arguments.iter().position(|argument| argument == "--requirepass");
        let login = password.map(|place| ("default".to_owned(), self.arguments[place + 1].clone()));
        command.extend(self.arguments);
        let ready = ready(port.address(), login.clone());
        let process = Process::start(command, folder, "KILL", ready);
        Redis { process, port, tls, login }
    }
}

impl Redis {
    /// Redis, with defaults.
    pub fn start() -> Self {
        RedisSetup::default().start()
    }

    /// Redis with more arguments, as in `["--maxmemory", "10mb"]`.
    pub fn with(arguments: &[&str]) -> Self {
        RedisSetup::with(arguments).start()
    }

    /// Valkey, with defaults.
    pub fn valkey() -> Self {
        RedisSetup { valkey: true, ..RedisSetup::default() }.start()
    }

    /// Redis that writes each change to disk before it answers (`appendfsync always`).
    pub fn durable() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Redis that listens for TLS, too.
    pub fn tls() -> Self {
        RedisSetup { tls: true, ..RedisSetup::default() }.start()
    }

    /// A replica of another, which refuses writes; waits until it has a copy.
    pub fn replica_of(primary: &Self) -> Self {
        let port = primary.port.number().to_string();
        let mut arguments = owned(&["--replicaof", "127.0.0.1", &port]);
        if let Some((_, password)) = &primary.login {
            arguments.extend(owned(&["--masterauth", password]));
        }
        let replica = RedisSetup { arguments, ..RedisSetup::default() }.start();
        // Something to be followed. Then the primary is asked, not the replica: a link can be up at the one
        // and nothing confirmed yet at the other, and WAIT goes by what was confirmed.
        primary.cli(&["PUBLISH", "abide:started", "replica"]);
        let name = format!("port={},", replica.port.number());
        let follows = until(crate::waiting::PATIENCE, || {
            let known = primary.cli(&["INFO", "replication"]);
            let offset =
                known.lines().find_map(|line| line.trim().strip_prefix("master_repl_offset:"))?;
            let confirmed = format!(",offset={offset},");
            let is_it = |line: &&str| line.contains(&name) && line.contains("state=online");
            known.lines().find(is_it)?.contains(&confirmed).then_some(())
        });
        assert!(follows.is_some(), "it does not follow its primary:\n{}", replica.log());
        replica
    }

    /// `redis://…`, with the password if there is one.
    pub fn url(&self) -> String {
        match &self.login {
            Some((_, password)) => format!("redis://:{password}@{}", self.address()),
            None => format!("redis://{}", self.address()),
        }
    }

    /// `redis://user:password@…`.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@{}", self.address())
    }

    /// `rediss://…`, of a server with TLS.
    pub fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.tls.as_ref().expect("a server with TLS").0.number())
    }

    /// The certificates of a server with TLS.
    pub fn certificates(&self) -> &Certificates {
        &self.tls.as_ref().expect("a server with TLS").1
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port.number()
    }

    /// Whether it was started and not killed.
    pub const fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// The number of its process.
    pub fn process(&self) -> i32 {
        self.process.number()
    }

    /// Its folder, which goes with it.
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Kills it (-9).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after a kill, at the same port with the same folder.
    pub fn restart(&mut self) {
        self.process.restart(ready(self.port.address(), self.login.clone()));
    }

    /// Lets it hang: connections stay, and nothing is answered.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets it go on.
    pub fn cont(&self) {
        self.process.cont();
    }

    /// Sends a command and gives the reply as text; the elements of an array are lines. Panics if
    /// the server answers an error.
    pub fn cli(&self, command: &[&str]) -> String {
        self.try_cli(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Sends a command; the error is the server's, or why there was no answer.
    pub fn try_cli(&self, command: &[&str]) -> Result<String, String> {
        let login = self.login.as_ref().map(|(user, password)| (&**user, &**password));
        resp::ask(&self.address(), login, command).unwrap_or_else(|error| Err(error.to_string()))
    }

    /// One value of `INFO`, such as `used_memory`.
    pub fn info(&self, name: &str) -> String {
        let info = self.cli(&["INFO", "everything"]);
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("INFO has no {name}")).trim().to_owned()
    }
}

/// Whether it answers; one that still reads its file does not.
fn ready(address: String, login: Option<(String, String)>) -> impl FnMut() -> bool {
    move || {
        let login = login.as_ref().map(|(user, password)| (&**user, &**password));
        matches!(resp::ask(&address, login, &["PING"]), Ok(Ok(pong)) if pong == "PONG")
    }
}

pub(crate) fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
