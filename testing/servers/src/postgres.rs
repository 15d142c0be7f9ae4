//! PostgreSQL.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cache::made_once;
use crate::ports::{Port, free_port};
use crate::process::{Process, accepts, new_folder};
use crate::programs::{self, SystemUser, find, run};

/// The user that applications are, who owns the database `abide` and may make others.
const USER: &str = "abide";
/// That user's password.
const PASSWORD: &str = "secret";

/// A server of PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: Port,
}

impl Postgres {
    /// With the defaults of the program: what was committed is on the disk.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Without waiting for the disk, for tests that do not cut the power: what was committed is safe
    /// from `kill -9`.
    pub fn fast() -> Self {
        Self::with(&["-c", "fsync=off", "-c", "full_page_writes=off"])
    }

    /// With more arguments, as in `["-c", "default_transaction_read_only=on"]`.
    pub fn with(arguments: &[&str]) -> Self {
        let folder = new_folder(owner());
        let copy = format!("cp -a '{}/.' data", template().display());
        Self::run(folder, &copy, None, arguments)
    }

    /// On a disk of this size, of which a new server needs about 45. Its log (`pg_wal`) stands
    /// elsewhere, because without room for that the server stops. Needs root.
    pub fn on_disk_of(mebibytes: u32) -> Self {
        let folder = new_folder(owner());
        let copy = format!(
            "cp -a '{}/.' data && mv data/pg_wal wal && ln -s ../wal data/pg_wal",
            template().display()
        );
        Self::run(folder, &copy, Some(mebibytes), &["-c", "fsync=off"])
    }

    /// A hot standby of another, which refuses writes.
    pub fn standby_of(primary: &Self) -> Self {
        let folder = new_folder(owner());
        let copy = format!(
            "'{}' -h '{}' -p {} -U postgres -D data -R -X stream -c fast --no-sync",
            find("pg_basebackup").display(),
            primary.process.folder().display(),
            primary.port.number(),
        );
        Self::run(folder, &copy, None, &["-c", "fsync=off"])
    }

    fn run(folder: PathBuf, copy: &str, disk: Option<u32>, arguments: &[&str]) -> Self {
        let port = free_port();
        let place = folder.display().to_string();
        let data = folder.join("data").display().to_string();
        std::fs::create_dir(&data).unwrap();
        if let Some(owner) = owner() {
            owner.owns(data.as_ref());
        }
        let number = port.number().to_string();
        let mut command =
            disk.map_or_else(Vec::new, |size| programs::on_disk_of(size, data.as_ref()));
        // A disk of its own is empty and root's; the copy is made at the first start only.
        let script = "[ -e data/PG_VERSION ] || { chmod 700 data && eval \"$1\"; } || exit; shift; exec \"$@\"";
        if disk.is_some()
            && let Some(owner) = owner()
        {
            let chown = format!("chown {}:{} \"$0\"", owner.user, owner.group);
            let then = format!("{chown}; exec \"$@\"");
            command.extend(["/bin/sh".to_owned(), "-c".to_owned(), then, data.clone()]);
        }
        command.extend(owner().map(SystemUser::prefix).unwrap_or_default());
        command.extend(["/bin/sh", "-c", script, "postgres", copy].map(str::to_owned));
        let postgres = find("postgres").display().to_string();
        command.extend([&*postgres, "-D", &data, "-p", &number, "-k", &place].map(str::to_owned));
        command.extend(["-c", "listen_addresses=127.0.0.1"].map(str::to_owned));
        command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let process = Process::start(command, folder, "QUIT", ready(place, port.number()));
        Self { process, port }
    }

    /// `postgres://abide:secret@…/abide`.
    pub fn url(&self) -> String {
        self.url_of("abide")
    }

    /// The same for another database, which need not exist.
    pub fn url_of(&self, database: &str) -> String {
        self.url_as(USER, PASSWORD, database)
    }

    /// The same as somebody else.
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@{}/{database}", self.address())
    }

    /// Makes an empty database and gives its URL.
    pub fn new_database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\" OWNER {USER}"));
        self.url_of(name)
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// The number of its first process.
    pub fn process(&self) -> i32 {
        self.process.number()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Runs SQL in a database as the superuser; rows are lines, columns are parted by `|`.
    pub fn sql(&self, database: &str, text: &str) -> String {
        self.try_sql(database, text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Runs SQL; the error is what the server says.
    pub fn try_sql(&self, database: &str, text: &str) -> Result<String, String> {
        let place = self.process.folder().display().to_string();
        psql(&place, self.port.number(), database, text)
    }

    /// Kills all its processes (-9).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after a kill, at the same port with the same data.
    pub fn restart(&mut self) {
        let place = self.process.folder().display().to_string();
        self.process.restart(ready(place, self.port.number()));
    }

    /// Lets all its processes hang.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets them go on.
    pub fn cont(&self) {
        self.process.cont();
    }
}

/// Whether it takes connections and statements: one that recovers refuses them.
fn ready(folder: String, port: u16) -> impl FnMut() -> bool {
    move || accepts(&format!("127.0.0.1:{port}")) && psql(&folder, port, "postgres", "").is_ok()
}

fn psql(folder: &str, port: u16, database: &str, text: &str) -> Result<String, String> {
    let output = Command::new(find("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres"])
        .args(["-h", folder, "-p", &port.to_string(), "-d", database, "-c", text])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A folder as initdb makes it, with the user and the database.
fn template() -> PathBuf {
    made_once("postgres-data", |folder| {
        if let Some(owner) = owner() {
            owner.owns(folder);
        }
        let place = folder.display().to_string();
        let as_owner = || owner().map(SystemUser::prefix).unwrap_or_default();
        let initdb = find("initdb").display().to_string();
        let words = [
            "-D",
            &place,
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
        ];
        let mut command = as_owner();
        command.push(initdb);
        command.extend(words.map(str::to_owned));
        run(&command);
        let postgres = find("postgres").display().to_string();
        let sql = format!(
            "CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{PASSWORD}'\n\
             CREATE DATABASE abide OWNER {USER}\n"
        );
        let script = format!("printf '%s' \"$1\" | '{postgres}' --single -F -D '{place}' postgres");
        let mut command = as_owner();
        command.extend(["/bin/sh", "-c", &script, "sql", &sql].map(str::to_owned));
        run(&command);
    })
}

fn owner() -> Option<SystemUser> {
    SystemUser::unprivileged("postgres")
}
