//! What a session of five small fields takes where it is kept, and how many a crash loses.

use serde::Serialize;

use crate::app::App;
use crate::contestants::{ABIDE, Contestant, Programs};
use crate::servers::Server;
use crate::visitors::Visitors;

/// Sessions that are made before the first look, so that what there is but once is not counted.
const WARM_UP: usize = 100;

#[derive(Debug, Serialize)]
pub struct Size {
    contestant: &'static str,
    sessions: usize,
    /// In the store: memory, or files on disk; for `memory` what the app grew by, for `sealed` the
    /// cookie.
    bytes_per_session: Option<f64>,
    /// Those that are gone after what holds them was killed, at the moment of the last answer, and
    /// has come back.
    lost_by_kill: Option<usize>,
}

/// Makes so many sessions in a server of its own.
pub fn measure(
    contestant: Contestant,
    store: &str,
    programs: &Programs,
    sessions: usize,
) -> Result<Size, String> {
    let mut server = Server::start(store)?;
    let command = contestant.command(programs, &server.url(contestant.name));
    let mut visitors = Visitors::new(App::start(&command)?, 1)?;
    visitors.make_small(WARM_UP)?;
    let held = |visitors: &Visitors| match server {
        Server::Nowhere("memory") => Some(visitors.app().memory_bytes()),
        _ => server.held_bytes(contestant.name),
    };
    let before = held(&visitors);
    let cookies = visitors.make_small(sessions)?;
    let after = held(&visitors);
    let bytes_per_session = if matches!(server, Server::Nowhere("sealed")) {
        let sum: usize = cookies.iter().flatten().map(String::len).sum();
        Some(sum as f64 / sessions as f64)
    } else {
        let grown = before.zip(after).map(|(before, after)| after.saturating_sub(before));
        grown.map(|bytes| bytes as f64 / sessions as f64)
    };
    // What becomes of the peers' sessions is the server's doing as well; they are not all able to go
    // on with a server that was away.
    let mut lost_by_kill = None;
    if contestant == ABIDE {
        let known = [visitors.make_small(1)?, cookies].concat();
        if !server.crash() {
            drop(visitors);
            visitors = Visitors::new(App::start(&command)?, 1)?;
        }
        lost_by_kill = Some(known.len() - visitors.count_small(&known)?);
    }
    Ok(Size { contestant: contestant.name, sessions, bytes_per_session, lost_by_kill })
}

pub fn print(sizes: &[Size]) {
    let each = sizes
        .iter()
        .filter_map(|size| Some(format!("{} {:.0}", size.contestant, size.bytes_per_session?)));
    let each: Vec<_> = each.collect();
    let sessions = sizes.first().map_or(0, |size| size.sessions);
    println!("bytes for a session of five small fields, of {sessions}: {}", each.join(", "));
    if let Some(lost) = sizes.iter().find_map(|size| size.lost_by_kill) {
        println!("lost by kill -9 of what holds them, with abide: {lost} of {}", sessions + 1);
    }
}
