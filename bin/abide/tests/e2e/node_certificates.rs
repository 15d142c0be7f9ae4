//! Servers that keep the sessions themselves, and know each other by certificates, as processes.

use std::process::Command;

use abide_servers::{Port, free_port};
use serde_json::{Value, json};

use crate::harness::origin::keygen;
use crate::harness::{Client, Folder, Process, bulk, eventually};

/// The page that tells how certificates are made.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate/nodes.md");

/// Makes an authority, and certificates for nodes a and b, by the commands of that page.
fn make_certificates(folder: &Folder) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let mut blocks = page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let commands = blocks.find(|block| block.contains("openssl req -x509")).unwrap();
    let shell = Command::new("sh").args(["-euc", commands]).current_dir(folder.path()).output();
    let output = shell.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Places for nodes a and b.
struct Places([Port; 2]);

impl Places {
    fn list(&self) -> String {
        format!("nodes://a={},b={}", self.0[0].address(), self.0[1].address())
    }

    /// What makes a process the node of this name, by the certificate that is in this folder.
    fn flags(&self, name: &str, folder: &Folder) -> String {
        format!("--name {name} --keep {} {}", self.list(), shown(name, folder))
    }
}

fn shown(name: &str, folder: &Folder) -> String {
    let at = folder.path().display();
    format!("--node-cert {at}/{name}.pem --node-key {at}/{name}.key --node-ca {at}/ca.pem")
}

fn ready(server: &Process) {
    for path in ["/ready", "/cluster/safe-to-stop"] {
        let mut client = Client::new(server.listen());
        eventually(path, || (client.get(path).status == 200).then_some(()));
    }
}

#[test]
fn servers_with_certificates_made_as_the_manual_says_keep_sessions_and_no_stranger_joins_them() {
    let [folder, other] = [Folder::new("certificates"), Folder::new("other-certificates")];
    [&folder, &other].into_iter().for_each(make_certificates);
    let places = Places([free_port(), free_port()]);
    let start = |flags: String| Process::start(&format!("app --listen 127.0.0.1:0 {flags}"));
    let mut a = start(places.flags("a", &folder));
    let mut visitor = Client::new(a.listen());
    visitor.post("/api/login?user=ada");
    // Neither a certificate of another authority nor a secret opens anything.
    let keys = folder.write("keys", &keygen());
    for flags in
        [places.flags("b", &other), format!("--name b --keep {} --keys-file {keys}", places.list())]
    {
        let stranger = start(flags);
        let mut there = Client::new(stranger.listen());
        there.cookies = visitor.cookies.clone();
        // It does not know either that there is no such session: a may have it, and does not talk to it.
        assert_eq!(there.get("/api/me").status, 503);
        assert_eq!(Client::new(a.listen()).get("/cluster/safe-to-stop").status, 503);
    }
    let b = start(places.flags("b", &folder));
    [&a, &b].into_iter().for_each(ready);
    let metrics = String::from_utf8(Client::new(b.listen()).get("/metrics").body).unwrap();
    let expiry = metrics.lines().find(|line| line.starts_with("abide_node_certificate_expiry_sec"));
    assert!(expiry.is_some_and(|line| line.split(' ').count() == 2), "{metrics}");
    a.kill();
    let mut there = Client::new(b.listen());
    there.cookies = visitor.cookies.clone();
    assert_eq!(there.get("/api/me").json()["user"], json!("ada"));
}

#[test]
fn a_command_that_is_a_node_for_a_while_shows_its_certificate() {
    const SESSIONS: u32 = 20;
    let folder = Folder::new("move-certificates");
    make_certificates(&folder);
    let file = format!("sqlite://{}/sessions.db", folder.path().display());
    bulk::fill(&file, SESSIONS);
    let places = Places([free_port(), free_port()]);
    let node = Process::start(&format!("node --admin 127.0.0.1:0 {}", places.flags("a", &folder)));
    let flags = format!("--name b --from {file} --to {} {}", places.list(), shown("b", &folder));
    let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
    command.args(["sessions", "move", "--json"]).args(flags.split(' ')).env("RUST_LOG", "warn");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["moved"], &report["remaining"]), (&json!(SESSIONS), &json!(0)), "{report}");
    let held = Client::new(node.listen()).get("/cluster").json();
    assert_eq!(held["sessions"], SESSIONS);
}
