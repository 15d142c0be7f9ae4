//! Debian's Chromium, driven by the scripts in `tests/browser`.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use crate::harness::origin::{balancer, nginx, python_file_server};
use crate::harness::{Folder, Process};

#[test]
fn a_person_signs_in_fills_a_cart_loses_the_server_and_is_told_so() {
    let demo = Process::start("demo --listen 127.0.0.1:0 --keep memory");
    let told = drive("demo.mjs", &demo, "memory");
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[test]
fn a_person_whose_session_is_in_the_servers_themselves_loses_one_and_nothing_else() {
    let demo = Process::start("demo --listen 127.0.0.1:0");
    let told = drive("kept.mjs", &demo, "nodes");
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[test]
fn a_person_whose_session_is_in_a_sealed_cookie_loses_the_server_and_nothing_else() {
    let demo = Process::start("demo --listen 127.0.0.1:0 --keep cookie");
    let told = drive("kept.mjs", &demo, "cookie");
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[test]
fn a_person_whose_session_is_in_a_shared_store_loses_the_server_and_nothing_else() {
    let folder = Folder::new("browser-sqlite");
    let keep = format!("sqlite://{}/sessions.db", folder.path().display());
    let demo = Process::start(&format!("demo --listen 127.0.0.1:0 --keep {keep}"));
    let told = drive("kept.mjs", &demo, "sqlite");
    assert_eq!(told.lines().count(), 4, "{told}");
}

#[test]
fn a_browser_gets_a_whole_page_from_one_of_two_foreign_servers() {
    let folder = Folder::new("browser-files");
    let images = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
    let mut page = "<!doctype html><link rel=stylesheet href=look.css><body>".to_owned();
    for name in images {
        page.push_str("<img src=");
        page.push_str(name);
        page.push_str(".svg>");
    }
    folder.write("index.html", &page);
    folder.write("look.css", "body { color: rgb(1, 2, 3) }");
    for name in images {
        let image = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>";
        folder.write(&format!("{name}.svg"), image);
    }
    // Chromium asks for it by itself; a missing one would be a 404.
    folder.write("favicon.ico", "");
    let (nginx, python) = (nginx(folder.path()), python_file_server(folder.path()));
    let flags = format!("--threads 1 --server n={} --server p={}", nginx.address, python.address);
    drive("files.mjs", &balancer(&flags, None), "");
}

/// Runs a script against what listens there and keeps its sessions so, and returns what it printed.
fn drive(script: &str, process: &Process, kept: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    need("node", "--version", "nodejs");
    need(&chromium(), "--version", "chromium");
    install(&folder);
    let mut node = Command::new("node");
    node.env("KEPT", kept);
    node.arg(script).arg(format!("http://{}/", process.listen())).current_dir(&folder);
    // To look at the page: SCREENSHOTS=/some/folder
    node.args(std::env::var_os("SCREENSHOTS"));
    let output = node.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    told
}

/// The driver's library, once.
fn install(folder: &Path) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock();
    if folder.join("node_modules/playwright-core").exists() {
        return;
    }
    need("npm", "--version", "npm");
    let output = Command::new("npm").args(["ci", "--prefer-offline"]).current_dir(folder).output();
    let output = output.unwrap();
    assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
}

fn chromium() -> String {
    std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned())
}

fn need(program: &str, argument: &str, package: &str) {
    let works = Command::new(program).arg(argument).output().is_ok_and(|out| out.status.success());
    assert!(works, "this test needs `{program}`: apt-get install {package}");
}
