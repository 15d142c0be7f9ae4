//! The demo's keys: 1 to 9 stop and start servers, q ends it.
//!
//! Only if standard input is a terminal. Keys are read one by one, so the terminal's line editing is
//! switched off meanwhile, and restored however the demo ends, short of being killed.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use super::Plan;
use super::fleet::Order;
use crate::keep::Keep;

/// Keys that may wait to be acted on; nobody types faster.
const KEYS_MAX: usize = 16;

/// Tells people what they can do, on standard error. Standard output is for programs.
pub(super) fn greet(page: &str, plan: &Plan) -> Keys {
    let keys = Keys::start();
    let end = match keys.restore {
        Some(_) => format!("keys    1 to {} stop or start a server, q ends the demo", plan.servers),
        None => "end     Ctrl-C".to_owned(),
    };
    let kept = match &plan.keep {
        Keep::Memory => {
            "in the memory of one server each, and lost with it (try --keep sqlite://sessions.db)"
                .to_owned()
        }
        Keep::Nodes(_) => {
            "in the memory of two servers each: stop any one, and nothing is lost".to_owned()
        }
        Keep::Cookie => {
            "in the browsers, sealed: no server holds any, so none loses any".to_owned()
        }
        Keep::Store(address) => {
            format!("in {address}, which all servers share: none of them can lose any")
        }
    };
    // If nobody reads standard error, the ready line still tells.
    _ = writeln!(io::stderr(), "\n  abide demo\n\n  open    {page}\n  kept    {kept}\n  {end}\n");
    keys
}

/// The keys of the terminal, one at a time, if there is a terminal.
#[derive(Debug)]
pub(super) struct Keys {
    typed: Option<mpsc::Receiver<u8>>,
    /// How the terminal was before.
    restore: Option<Termios>,
}

impl Keys {
    fn start() -> Self {
        let none = Self { typed: None, restore: None };
        if !io::stdin().is_terminal() {
            return none;
        }
        let Ok(before) = tcgetattr(io::stdin()) else { return none };
        let mut single = before.clone();
        single.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        if tcsetattr(io::stdin(), OptionalActions::Now, &single).is_err() {
            return none;
        }
        let (send, typed) = mpsc::channel(KEYS_MAX);
        // A thread of its own: a blocking read can not be given up, and must not hold up the end.
        let reading = std::thread::Builder::new().name("keys".into()).spawn(move || {
            let mut key = [0; 1];
            while matches!(io::stdin().lock().read(&mut key), Ok(1)) {
                if send.blocking_send(key[0]).is_err() {
                    break;
                }
            }
        });
        Self { typed: reading.is_ok().then_some(typed), restore: Some(before) }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.restore {
            // A terminal that is gone needs no restoring.
            _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Turns keys into orders. Ends when somebody wants the demo to end; without a terminal, never.
pub(super) async fn watch(mut keys: Keys, orders: mpsc::Sender<Order>) {
    let Some(typed) = &mut keys.typed else {
        return std::future::pending().await;
    };
    while let Some(key) = typed.recv().await {
        match key {
            b'q' | b'Q' => return,
            b'1'..=b'9' if orders.send(Order::Toggle(usize::from(key - b'1'))).await.is_err() => {
                return;
            }
            _ => {}
        }
    }
    // The terminal is gone; the demo goes on until it gets a signal.
    std::future::pending::<()>().await;
}
