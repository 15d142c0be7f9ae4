//! MariaDB, which stands for MySQL, too.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cache::made_once;
use crate::ports::{Port, free_port};
use crate::process::{Process, accepts, new_folder};
use crate::programs::{self, SystemUser, find, run};

/// The user that applications are, who may do anything.
const USER: &str = "abide";
/// That user's password.
const PASSWORD: &str = "secret";

/// A server of MariaDB.
#[derive(Debug)]
pub struct MariaDb {
    process: Process,
    port: Port,
}

impl MariaDb {
    /// With the defaults of the program: what was committed is on the disk.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Without waiting for the disk, for tests that do not cut the power: what was committed is safe
    /// from `kill -9`.
    pub fn fast() -> Self {
        Self::with(&["--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=OFF"])
    }

    /// With more arguments, as in `["--read-only"]`.
    pub fn with(arguments: &[&str]) -> Self {
        Self::run(None, arguments)
    }

    /// On a disk of this size, of which a new server needs about 50. Needs root.
    pub fn on_disk_of(mebibytes: u32) -> Self {
        let arguments = ["--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=OFF"];
        Self::run(Some(mebibytes), &arguments)
    }

    fn run(disk: Option<u32>, arguments: &[&str]) -> Self {
        let folder = new_folder(owner());
        let port = free_port();
        let place = folder.display().to_string();
        let data = folder.join("data").display().to_string();
        std::fs::create_dir(&data).unwrap();
        let init = folder.join("init.sql");
        let sql = format!(
            "CREATE DATABASE IF NOT EXISTS abide;\n\
             CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL ON *.* TO {USER}@'127.0.0.1';\n\
             REVOKE READ_ONLY ADMIN, SUPER ON *.* FROM {USER}@'127.0.0.1';\n"
        );
        std::fs::write(&init, sql).unwrap();
        let mut command =
            disk.map_or_else(Vec::new, |size| programs::on_disk_of(size, data.as_ref()));
        if let Some(owner) = owner() {
            let chown = format!("chown {}:{} \"$0\"; exec \"$@\"", owner.user, owner.group);
            command.extend(["/bin/sh".to_owned(), "-c".to_owned(), chown, data.clone()]);
        }
        command.extend(owner().map(SystemUser::prefix).unwrap_or_default());
        let copy = format!("cp -a '{}/.' data", template().display());
        let script = "[ -e data/ibdata1 ] || eval \"$1\" || exit; shift; exec \"$@\"";
        command.extend(["/bin/sh", "-c", script, "mariadb", &copy].map(str::to_owned));
        let number = port.number();
        command.extend([
            find("mariadbd").display().to_string(),
            "--no-defaults".to_owned(),
            format!("--datadir={data}"),
            format!("--socket={place}/socket"),
            format!("--pid-file={place}/pid"),
            format!("--init-file={}", init.display()),
            format!("--port={number}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--skip-name-resolve".to_owned(),
            "--innodb-log-file-size=16M".to_owned(),
        ]);
        command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Self { process: Process::start(command, folder, "TERM", ready(place, number)), port }
    }

    /// `mysql://abide:secret@…/abide`.
    pub fn url(&self) -> String {
        self.url_of("abide")
    }

    /// The same for another database, which need not exist.
    pub fn url_of(&self, database: &str) -> String {
        self.url_as(USER, PASSWORD, database)
    }

    /// The same as somebody else.
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        format!("mysql://{user}:{password}@{}/{database}", self.address())
    }

    /// Makes an empty database and gives its URL.
    pub fn new_database(&self, name: &str) -> String {
        self.sql("", &format!("CREATE DATABASE `{name}`"));
        self.url_of(name)
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// The number of its process.
    pub fn process(&self) -> i32 {
        self.process.number()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Runs SQL in a database as root; rows are lines, columns are parted by tabs.
    pub fn sql(&self, database: &str, text: &str) -> String {
        self.try_sql(database, text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Runs SQL; the error is what the server says.
    pub fn try_sql(&self, database: &str, text: &str) -> Result<String, String> {
        let place = self.process.folder().display().to_string();
        client(&place, database, text)
    }

    /// Kills it (-9).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after a kill, at the same port with the same data.
    pub fn restart(&mut self) {
        let place = self.process.folder().display().to_string();
        self.process.restart(ready(place, self.port.number()));
    }

    /// Lets it hang.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets it go on.
    pub fn cont(&self) {
        self.process.cont();
    }
}

/// Whether it takes connections and has the user.
fn ready(folder: String, port: u16) -> impl FnMut() -> bool {
    let sql = format!("SHOW GRANTS FOR {USER}@'127.0.0.1'");
    move || accepts(&format!("127.0.0.1:{port}")) && client(&folder, "", &sql).is_ok()
}

fn client(folder: &str, database: &str, text: &str) -> Result<String, String> {
    let output = Command::new(find("mariadb"))
        .args(["--no-defaults", "--batch", "--skip-column-names", "--user=root"])
        .args([&format!("--socket={folder}/socket"), &format!("--database={database}")])
        .args(["--execute", text])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A folder as the installation makes it.
fn template() -> PathBuf {
    made_once("mariadb-data", |folder| {
        let mut command = Vec::new();
        if let Some(owner) = owner() {
            owner.owns(folder);
            command.extend(owner.prefix());
        }
        command.extend([
            find("mariadb-install-db").display().to_string(),
            "--no-defaults".to_owned(),
            format!("--datadir={}", folder.display()),
            "--auth-root-authentication-method=normal".to_owned(),
            "--skip-test-db".to_owned(),
            "--innodb-log-file-size=16M".to_owned(),
        ]);
        run(&command);
    })
}

fn owner() -> Option<SystemUser> {
    SystemUser::unprivileged("mysql")
}
