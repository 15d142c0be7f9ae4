//! What a request sends to the store, counted.

use abide_servers::WireCount;
use serde::Serialize;

use crate::app::App;
use crate::contestants::{Contestant, Programs};
use crate::servers::Server;
use crate::visitors::{KINDS, Kind, Visitors};

/// Requests of a kind that are counted, after as many that open connections and prepare statements.
const COUNTED: usize = 40;

/// What one request of a kind sends, on average.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Sent {
    /// How often the app waits for the server. None where there is no server, or nothing can stand
    /// in between.
    pub round_trips: Option<f64>,
    /// To the server, or where there is none to files.
    pub bytes: Option<f64>,
    /// From the server.
    pub bytes_back: Option<f64>,
    /// What the server, or the database in the app, writes to its log.
    pub bytes_logged: Option<f64>,
}

/// Counts what each kind of request sends.
pub fn count(
    contestant: Contestant,
    server: &Server,
    programs: &Programs,
) -> Result<Vec<(Kind, Sent)>, String> {
    let proxy = server.address().map(|address| (WireCount::in_front_of(&address), address));
    let mut url = server.url(contestant.name);
    if let Some((proxy, address)) = &proxy {
        url = url.replace(address, proxy.address());
    }
    let app = App::start(&contestant.command(programs, &url))?;
    let mut visitors = Visitors::new(app, COUNTED)?;
    let kinds = KINDS.into_iter().map(|kind| {
        visitors.come(kind, COUNTED)?;
        let cookies = visitors.cookies_for(kind, COUNTED)?;
        let (wire, files, log) = (
            proxy.as_ref().map(|(proxy, _)| proxy.total()),
            visitors.app().bytes_to_files(),
            server.log_bytes(),
        );
        visitors.send(kind, &cookies)?;
        let each = |bytes: u64| bytes as f64 / COUNTED as f64;
        let mut sent = Sent::default();
        if let (Some((proxy, _)), Some(before)) = (&proxy, wire) {
            let wire = proxy.total().since(before);
            sent.round_trips = Some(each(wire.round_trips));
            sent.bytes = Some(each(wire.bytes_to_server));
            sent.bytes_back = Some(each(wire.bytes_to_client));
        } else if matches!(server, Server::Sqlite(_)) {
            sent.bytes = Some(each(visitors.app().bytes_to_files() - files));
        }
        sent.bytes_logged = log.zip(server.log_bytes()).map(|(before, after)| each(after - before));
        Ok((kind, sent))
    });
    kinds.collect()
}
