//! What goes over the wire between a client and a server: a proxy that counts.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// More than any answer here, so that one is read as a whole.
const BUFFER_BYTES: usize = 64 * 1024;

/// A proxy in front of a server that counts bytes and round trips of each connection.
#[derive(Debug)]
pub struct WireCount {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    connections: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    count: ConnectionCount,
    /// Whether the last bytes went to the server.
    asked: bool,
}

/// What went over one connection, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCount {
    /// Bytes from the client to the server.
    pub bytes_to_server: u64,
    /// Bytes from the server to the client.
    pub bytes_to_client: u64,
    /// How often the client sent something after the server had, or first: how often somebody waits
    /// for the wire.
    pub round_trips: u64,
}

impl ConnectionCount {
    /// What came on top of an earlier count.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            bytes_to_server: self.bytes_to_server - earlier.bytes_to_server,
            bytes_to_client: self.bytes_to_client - earlier.bytes_to_client,
            round_trips: self.round_trips - earlier.round_trips,
        }
    }
}

impl WireCount {
    /// Listens at a port of its own for the server at this address.
    pub fn in_front_of(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared::default());
        let (server, ours) = (server.to_owned(), Arc::clone(&shared));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ours.over.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(upstream) = TcpStream::connect(&server) {
                    ours.carry(client, upstream);
                }
            }
        });
        Self { address, shared }
    }

    /// Where clients connect: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The counts of all connections so far, also closed ones, in the order in which they came.
    pub fn snapshot(&self) -> Vec<ConnectionCount> {
        self.shared.connections().iter().map(|connection| connection.count).collect()
    }

    /// All connections together.
    pub fn total(&self) -> ConnectionCount {
        self.snapshot().iter().fold(ConnectionCount::default(), |sum, one| ConnectionCount {
            bytes_to_server: sum.bytes_to_server + one.bytes_to_server,
            bytes_to_client: sum.bytes_to_client + one.bytes_to_client,
            round_trips: sum.round_trips + one.round_trips,
        })
    }

    /// Cuts all connections; new ones are accepted.
    pub fn cut(&self) {
        for connection in self.shared.connections().iter() {
            let _ = connection.client.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for WireCount {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the listener.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries bytes both ways, on two threads that end with the connection.
    fn carry(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        // Delays would be counted as somebody's latency.
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let place = {
            let mut connections = self.connections();
            let client = client.try_clone().unwrap();
            let count = ConnectionCount::default();
            connections.push(Connection { client, count, asked: false });
            connections.len() - 1
        };
        let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        for (from, to, asks) in [(client, to_server, true), (server, to_client, false)] {
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.carry_one_way(from, to, place, asks));
        }
    }

    fn carry_one_way(&self, mut from: TcpStream, mut to: TcpStream, place: usize, asks: bool) {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if let Some(connection) = self.connections().get_mut(place) {
                let bytes = u64::try_from(length).unwrap_or(u64::MAX);
                let count = &mut connection.count;
                let side =
                    if asks { &mut count.bytes_to_server } else { &mut count.bytes_to_client };
                *side += bytes;
                count.round_trips += u64::from(asks && !connection.asked);
                connection.asked = asks;
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
