//! The demo: shop servers and a balancer, each a process of its own, so that stopping one is a crash
//! and not a pretence.
//!
//! One task owns the processes ([`fleet`]). Orders come from the page, by way of a shop and a
//! listener on loopback ([`control`]), and from the terminal ([`terminal`]). No child outlives this
//! process: each ends when its standard input does, and the system closes that pipe however this
//! process ends.
//!
//! Keys are drawn when the demo starts and live as long as it does; those of a store that outlives it
//! are given. Children get keys by standard input: they stand in no command line, no environment and
//! no file. The URL of a store they get by their environment, which only this user can read.

mod child;
mod control;
mod fleet;
mod terminal;

use std::net::{SocketAddr, TcpListener};

use serde_json::json;

use crate::commands::new_key;
use crate::failure::Failure;
use crate::keep::{self, Choice, Keep, NodeList};
use crate::process;

use child::Child;
use fleet::{Fleet, Order, Sessions};

/// The most shop servers: each has a key of the terminal, 1 to 9.
pub(crate) const SERVERS_MAX: usize = 9;

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Where browsers connect.
    pub(crate) listen: SocketAddr,
    /// How many shops.
    pub(crate) servers: usize,
    /// Where the shops keep their sessions.
    pub(crate) keep: Keep,
}

/// Finds a place for each server to talk to the others at: ports that are free now, and stay the same over
/// restarts.
pub(crate) fn find_nodes(servers: usize) -> Result<NodeList, Failure> {
    let find = |_| TcpListener::bind(("127.0.0.1", 0));
    // All of them are held until all are found, or one would be found twice.
    let held: std::io::Result<Vec<TcpListener>> = (0..servers).map(find).collect();
    let address = |listener: &TcpListener| listener.local_addr().map(|at| at.to_string());
    let addresses: std::io::Result<Vec<String>> =
        held.and_then(|held| held.iter().map(address).collect());
    let addresses = addresses.map_err(|error| {
        Failure::Other(format!(
            "there are no free ports for the servers to talk to each other: {error}"
        ))
    })?;
    Ok(NodeList::of(names().zip(addresses).collect()))
}

/// What the servers are called: a, b, c and so on.
fn names() -> impl Iterator<Item = String> {
    ('a'..='i').map(String::from)
}

/// Starts everything and runs until it is asked to stop. On an error nothing is left running. `keys`
/// are what was given to seal sessions with, as text. Without a choice the place is ready: the servers
/// themselves.
pub(crate) async fn run(
    plan: Plan,
    choice: Option<Choice>,
    keys: Option<String>,
) -> Result<(), Failure> {
    // If the port is taken or the store can not be used, say so once, before anything is started.
    drop(process::listen(plan.listen).await?);
    if let Some(choice) = choice {
        drop(keep::open(choice, "demo").await?);
    }
    let stop = process::stop_asked(false)?;
    let (control, control_address) = process::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let sessions = Sessions::new(plan.keep.clone(), keys)?;
    let fleet = Fleet::start(plan.servers, sessions, control_address).await?;
    let mut balancer = start_balancer(plan.listen, &fleet).await?;

    let listen = balancer.address("listen")?;
    let more = json!({
        "admin": balancer.address("admin")?, "keep": plan.keep.to_string(),
        "balancer_pid": balancer.pid(), "servers": fleet.processes(),
    });
    process::ready("demo", listen, &more)?;
    let page = format!("http://{listen}/");
    let keys = terminal::greet(&page, &plan);

    let (orders, inbox) = fleet::channel();
    let mut owner = tokio::spawn(fleet.run(inbox));
    let mut serving = tokio::spawn(control::serve(control, orders.clone()));
    let mut terminal = tokio::spawn(terminal::watch(keys, orders.clone()));
    let ended = tokio::select! {
        () = stop => Ok(()),
        _ = &mut terminal => Ok(()),
        () = balancer.ended() => Err("the balancer ended by itself; see its log above"),
        _ = &mut serving => Err("the control listener ended"),
        _ = &mut owner => Err("the demo's servers can no longer be watched"),
    };
    terminal.abort();
    serving.abort();
    balancer.stop().await;
    if !owner.is_finished() && orders.send(Order::End).await.is_ok() {
        _ = owner.await;
    }
    ended.map_err(|text| Failure::Other(text.to_owned()))
}

/// The balancer in front of the shops. Its key is its own: it has no business in the sessions.
async fn start_balancer(listen: SocketAddr, fleet: &Fleet) -> Result<Child, Failure> {
    let mut arguments: Vec<String> =
        ["balance", "--exit-with-stdin", "--verdict-header"].map(str::to_owned).into();
    arguments.push(format!("--listen={listen}"));
    arguments.push("--admin=127.0.0.1:0".to_owned());
    // Shops on loopback start in milliseconds, so one that is back is seen at once.
    arguments.extend(["--check-path=/health", "--check-interval-ms=250"].map(str::to_owned));
    arguments.push("--stop-timeout-ms=1000".to_owned());
    arguments.extend(fleet.addresses().map(|(name, address)| format!("--server={name}={address}")));
    Child::start(&arguments, &[], Some(&new_key()?)).await
}
