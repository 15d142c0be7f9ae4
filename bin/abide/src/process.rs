//! What every long-running command does the same way: its log, its ready line, its end.

use std::io::{self, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::time::SystemTime;

use abide_time::Time;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// How the log on standard error is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Starts the log. `RUST_LOG` chooses what is in it; without that, what an operator acts on.
pub(crate) fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A second start can only come from a test in this process; the first one's log stays.
    _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

/// The runtime of a command that is no balancer: that one has its own, a runtime for each core.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("can not start threads: {error}")))
}

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "the one clock of the commands that serve nothing")]
pub(crate) fn wall_clock() -> Time {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::EPOCH.after(since_epoch)
}

/// Lets this process have as many files open as the system allows it. Each visitor is one, and the soft
/// limit that most systems begin with is 1024.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
}

/// Prints the ready line: one object on one line of standard output, when the process accepts.
///
/// `more` are the keys that only this role has.
pub(crate) fn ready(role: &str, listen: SocketAddr, more: &Value) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Ready<'a> {
        event: &'a str,
        role: &'a str,
        listen: SocketAddr,
        pid: u32,
        #[serde(flatten)]
        more: &'a Value,
    }
    print_json(&Ready { event: "ready", role, listen, pid: std::process::id(), more })
}

/// Prints data as one line of JSON on standard output.
pub(crate) fn print_json(data: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(data)
        .map_err(|error| Failure::Other(format!("can not write JSON: {error}")))?;
    print(&format!("{text}\n"))
}

/// Prints data on standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        // Whoever read as much as was wanted (`| head`) is content.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::Other(format!("can not print: {error}"))),
    }
}

/// Listens on an address and says on which one it became.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error| Failure::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let real = listener.local_addr().map_err(failed)?;
    Ok((listener, real))
}

/// A future that ends when the process is asked to stop: SIGTERM, Ctrl-C, or, if it has a parent to
/// follow, the end of standard input, which the system brings about however the parent dies.
///
/// From this call on the signals do nothing else, so call it before saying "ready".
pub(crate) fn stop_asked(
    exit_with_stdin: bool,
) -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let failed = |error| Failure::Other(format!("can not wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let parent_gone = async move {
        if exit_with_stdin { stdin_ended().await } else { std::future::pending().await }
    };
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone => {}
        }
    })
}

/// Waits on a thread of its own: a blocking read can not be given up, and must not hold up the end of
/// the runtime.
async fn stdin_ended() {
    let (ended, wait) = oneshot::channel();
    let reading = std::thread::Builder::new().name("stdin".into()).spawn(move || {
        let mut ignored = [0; 256];
        while matches!(io::stdin().lock().read(&mut ignored), Ok(1..)) {}
        _ = ended.send(());
    });
    if reading.is_err() || wait.await.is_err() {
        tracing::warn!("can not watch standard input, so this process may outlive its parent");
        std::future::pending::<()>().await;
    }
}
