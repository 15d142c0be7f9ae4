//! Where a server's program is, or which package brings it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Programs and Debian's packages.
const PACKAGES: &[(&str, &str)] = &[
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("postgres", "postgresql"),
    ("initdb", "postgresql"),
    ("mariadbd", "mariadb-server"),
    ("mariadb-install-db", "mariadb-server"),
    ("memcached", "memcached"),
    ("nginx", "nginx-light"),
    ("haproxy", "haproxy"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("psql", "postgresql-client"),
    ("pg_basebackup", "postgresql-client"),
    ("mariadb", "mariadb-client"),
];

/// The path of a program, looked for where Debian puts servers, too.
pub(crate) fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from));
    folders.extend(postgres_folders());
    let found = folders.into_iter().map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        let package = PACKAGES.iter().find(|row| row.0 == program).map_or(program, |row| row.1);
        panic!("no {program} here: install Debian's package {package}")
    })
}

/// Debian keeps the versions of PostgreSQL apart; the newest comes first.
fn postgres_folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// A user of the system with its group, by number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemUser {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl SystemUser {
    /// Whom a database server runs as: this user if we are root, as it refuses to be root; else us.
    pub(crate) fn unprivileged(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
        let line = accounts.lines().find(|line| line.split(':').next() == Some(name));
        let fields: Vec<&str> = line
            .unwrap_or_else(|| {
                panic!("no user {name} here: Debian's package of the server makes it")
            })
            .split(':')
            .collect();
        Some(Self { user: fields[2].parse().unwrap(), group: fields[3].parse().unwrap() })
    }

    /// The beginning of a command that runs the rest as this user.
    pub(crate) fn prefix(self) -> Vec<String> {
        vec![
            find("setpriv").display().to_string(),
            format!("--reuid={}", self.user),
            format!("--regid={}", self.group),
            "--clear-groups".to_owned(),
        ]
    }

    /// Makes a folder or file this user's.
    pub(crate) fn owns(self, path: &Path) {
        std::os::unix::fs::chown(path, Some(self.user), Some(self.group)).unwrap();
    }
}

/// Runs a command to its end; its output if it succeeds, else a panic with all it said.
pub(crate) fn run(command: &[String]) -> String {
    let (program, arguments) = command.split_first().unwrap();
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} failed:\n{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// A command that runs a program with a file system of this size at the folder, which is empty, seen
/// by that process alone, and gone when it ends. Arguments may be added. Needs root.
pub fn on_small_disk(mebibytes: u32, folder: &Path, program: &Path) -> Command {
    let words = on_disk_of(mebibytes, folder);
    let (unshare, arguments) = words.split_first().unwrap();
    let mut command = Command::new(unshare);
    command.args(arguments).arg(program);
    command
}

/// The beginning of such a command.
pub(crate) fn on_disk_of(mebibytes: u32, folder: &Path) -> Vec<String> {
    let script = r#"size=$1 folder=$2
shift 2
mount -t tmpfs -o "size=$size" tmpfs "$folder" && exec "$@""#;
    let unshare = find("unshare").display().to_string();
    let size = format!("{mebibytes}m");
    let folder = folder.display().to_string();
    [&*unshare, "--mount", "--propagation", "private", "/bin/sh", "-c", script, "disk"]
        .into_iter()
        .map(str::to_owned)
        .chain([size, folder])
        .collect()
}
