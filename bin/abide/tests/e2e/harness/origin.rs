//! Servers that nobody here wrote, and shops that we did.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Client, Process, eventually};

/// So many shops, named a, b, c and so on.
pub(crate) fn shops(count: usize) -> Vec<Process> {
    ('a'..='z').take(count).map(|name| shop(&name.to_string())).collect()
}

/// One shop.
pub(crate) fn shop(name: &str) -> Process {
    Process::start(&format!("app --listen 127.0.0.1:0 --keep memory --name {name}"))
}

/// The flags that name these shops to a balancer, in this order.
pub(crate) fn flags<'a>(shops: impl IntoIterator<Item = &'a Process>) -> String {
    let flag = |shop: &Process| {
        format!(" --server {}={}", shop.ready()["name"].as_str().unwrap(), shop.listen())
    };
    shops.into_iter().map(flag).collect()
}

/// A balancer before these shops, with the verdict in its answers and the admin listener on.
pub(crate) fn balancer(flags: &str, keys: Option<&str>) -> Process {
    let arguments =
        format!("balance --listen 127.0.0.1:0 --admin 127.0.0.1:0 --verdict-header {flags}");
    let keys: Vec<(&str, &str)> = keys.map(|keys| ("ABIDE_KEYS", keys)).into_iter().collect();
    Process::start_with(&arguments, &keys)
}

/// New keys, as `abide keygen` prints them.
pub(crate) fn keygen() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_abide")).arg("keygen").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The sum of a counter over all lines that contain this text.
pub(crate) fn metric(balancer: &Process, text: &str) -> u64 {
    let answer = Client::new(balancer.address("admin")).get("/metrics");
    let all = String::from_utf8(answer.body).unwrap();
    let lines: Vec<&str> =
        all.lines().filter(|line| !line.starts_with('#') && line.contains(text)).collect();
    assert!(!lines.is_empty(), "no metric `{text}` in\n{all}");
    lines.iter().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// A program of the machine that serves, killed when dropped.
#[derive(Debug)]
pub(crate) struct Foreign {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Foreign {
    /// Starts a program that listens on this address, and waits until it does.
    pub(crate) fn start(command: &mut Command, address: SocketAddr) -> Self {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("this test needs `{program}`: {error}"));
        let foreign = Self { child, address };
        eventually(&format!("{program} to listen on {address}"), || {
            std::net::TcpStream::connect(address).ok()
        });
        foreign
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A free port: for programs that can not say which one they took. It was free a moment ago; a
/// program that does not get it fails to start, and the test with it.
pub(crate) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Python's file server, for a folder.
pub(crate) fn python_file_server(folder: &Path) -> Foreign {
    let address = free_address();
    let mut command = Command::new("python3");
    command.args(["-m", "http.server", "--protocol", "HTTP/1.1", "--bind", "127.0.0.1"]);
    Foreign::start(command.arg(address.port().to_string()).current_dir(folder), address)
}

/// A Python server that notes every request in a file before it answers, 30 ms later.
pub(crate) fn recorder(name: &str, record: &Path) -> Foreign {
    let address = free_address();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/harness/recorder.py");
    let mut command = Command::new("python3");
    Foreign::start(
        command.arg(script).arg(address.port().to_string()).arg(name).arg(record),
        address,
    )
}

/// nginx, serving a folder.
pub(crate) fn nginx(folder: &Path) -> Foreign {
    let address = free_address();
    let root = folder.display();
    let configuration = format!(
        "daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/nginx.log;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n\
           types {{ text/html html; text/css css; image/svg+xml svg; }}\n\
           access_log off; client_body_temp_path {root}/t1; proxy_temp_path {root}/t2;\n\
           fastcgi_temp_path {root}/t3; uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;\n\
           server {{ listen {address}; location / {{ root {root}; }} }}\n\
         }}\n"
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, configuration).unwrap();
    let mut command = Command::new("nginx");
    // Debian has it where only root looks.
    let search = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Foreign::start(command.env("PATH", search).arg("-c").arg(&path).arg("-p").arg(folder), address)
}
