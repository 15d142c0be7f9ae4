//! Which server has which hash slots.
//!
//! A single server has them all. So has the primary that sentinels name. In a cluster each primary
//! has some. Whenever a server turns out not to be the one, the way is asked for anew: by one call
//! for all that wait.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::{Address, Place, address_of};
use crate::dial::{Dial, shown, unsuitable};
use crate::error::ConnectError;
use crate::link::late;

/// How long one sentinel or node is asked for the way before the next one is.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long an answer about the way is good for others who ask, too.
const FRESH: Duration = Duration::from_millis(20);

/// Nodes of a cluster: the most that its specification thinks of.
pub(crate) const MAX_NODES: usize = 1000;

/// Who has which slots, as it was when it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The last slot of each range, and who has it; by slot.
    ranges: Vec<(u16, u16, Address)>,
}

impl Table {
    fn of_one(address: Address) -> Self {
        Self { ranges: vec![(0, u16::MAX, address)] }
    }

    /// The server that has this slot.
    pub(crate) fn server(&self, slot: u16) -> Option<&Address> {
        let place = self.ranges.partition_point(|(_, last, _)| *last < slot);
        self.ranges.get(place).filter(|(first, ..)| *first <= slot).map(|(.., address)| address)
    }

    /// All servers that have slots, each once, in order.
    pub(crate) fn servers(&self) -> Vec<Address> {
        let mut servers: Vec<Address> =
            self.ranges.iter().map(|(.., address)| address.clone()).collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }

    /// From the reply to `CLUSTER SLOTS`, asked of this node.
    fn parse(reply: Value, asked: &Address) -> Option<Self> {
        let Value::Array(rows) = reply else { return None };
        let mut ranges = Vec::new();
        for row in rows {
            let Value::Array(row) = row else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &row[..] else {
                return None;
            };
            let [host, Value::Int(port), ..] = &primary[..] else { return None };
            let host = match host {
                // A node that has not been told its own name leaves it out.
                Value::Nil => &*asked.host,
                Value::BulkString(bytes) => match std::str::from_utf8(bytes).ok()? {
                    "" | "?" => &*asked.host,
                    host => host,
                },
                _ => return None,
            };
            let address = Address::new(host, u16::try_from(*port).ok()?);
            ranges.push((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, address));
        }
        ranges.sort_unstable();
        let table = Self { ranges };
        (table.servers().len() <= MAX_NODES).then_some(table)
    }
}

#[derive(Debug)]
pub(crate) struct Routes {
    place: Place,
    table: RwLock<Arc<Table>>,
    /// When the way was asked for last.
    asking: Mutex<Option<Instant>>,
    /// Something did not answer: ask for the way before the next call.
    stale: AtomicBool,
    /// Whom to ask first: who answered last, unless that led nowhere.
    turn: AtomicUsize,
    begun: Instant,
    /// Until when the sentinels are asked again and again, in milliseconds from the beginning; 0 if
    /// they are not.
    watched_until_ms: AtomicU64,
    /// When they are asked next.
    next_look_ms: AtomicU64,
}

/// How long the sentinels are asked again and again after something went wrong. A primary that was
/// stopped and goes on takes itself for one until they demote it, and what it says it keeps is lost:
/// some eight seconds, as was seen.
const WATCH: Duration = Duration::from_secs(15);
/// How often they are asked then.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Routes {
    pub(crate) fn new(place: Place) -> Self {
        let table = match &place {
            Place::Single(address) => Table::of_one(address.clone()),
            Place::Sentinel { .. } | Place::Cluster(_) => Table::default(),
        };
        Self {
            place,
            table: RwLock::new(Arc::new(table)),
            asking: Mutex::new(None),
            stale: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            begun: Instant::now(),
            watched_until_ms: AtomicU64::new(0),
            next_look_ms: AtomicU64::new(0),
        }
    }

    pub(crate) const fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster(_))
    }

    pub(crate) const fn is_single(&self) -> bool {
        matches!(self.place, Place::Single(_))
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The way may have changed.
    pub(crate) fn suspect(&self) {
        self.stale.store(true, Ordering::Relaxed);
        if matches!(self.place, Place::Sentinel { .. }) {
            self.watched_until_ms.store(self.elapsed_ms() + millis(WATCH), Ordering::Relaxed);
        }
    }

    /// Who answered last may be wrong, as one who is cut off from the others: ask another one first.
    pub(crate) fn doubt(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it may have, since this was asked last.
    pub(crate) fn take_suspicion(&self) -> bool {
        self.stale.load(Ordering::Relaxed) && self.stale.swap(false, Ordering::Relaxed)
            || self.watched_until_ms.load(Ordering::Relaxed) > 0 && self.is_time_to_look()
    }

    /// Whether this call is the one that looks whether there is another primary by now.
    fn is_time_to_look(&self) -> bool {
        let now = self.elapsed_ms();
        if now > self.watched_until_ms.load(Ordering::Relaxed) {
            self.watched_until_ms.store(0, Ordering::Relaxed);
            return false;
        }
        let due = self.next_look_ms.load(Ordering::Relaxed);
        let next = now + millis(LOOK_EVERY);
        let look =
            || self.next_look_ms.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        due <= now && look().is_ok()
    }

    fn elapsed_ms(&self) -> u64 {
        millis(self.begun.elapsed())
    }

    /// Asks for the way. An error leaves it as it was.
    pub(crate) async fn refresh(&self, dial: &Dial, deadline: Instant) -> Result<(), ConnectError> {
        let (first, several) = match &self.place {
            Place::Single(_) => return Ok(()),
            Place::Sentinel { sentinels, .. } => (sentinels.first(), sentinels.clone()),
            Place::Cluster(seeds) => {
                // The nodes that were there last time, then those that were configured.
                let mut nodes = self.table().servers();
                nodes.extend(
                    seeds.iter().filter(|seed| !nodes.contains(seed)).cloned().collect::<Vec<_>>(),
                );
                (seeds.first(), nodes)
            }
        };
        let nobody = || first.map_or_else(|| late(&Address::new("", 0)), late);
        let Ok(mut asked) = timeout_at(deadline, self.asking.lock()).await else {
            return Err(nobody());
        };
        if asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return Ok(());
        }
        let mut failure = nobody();
        for _ in 0..several.len() {
            let turn = self.turn.load(Ordering::Relaxed).checked_rem(several.len());
            let Some(address) = several.get(turn.unwrap_or_default()) else { break };
            let limit = deadline.min(Instant::now() + PATIENCE);
            let answer = timeout_at(limit, self.ask(dial, address)).await;
            match answer.unwrap_or_else(|_elapsed| Err(late(address))) {
                Ok(table) => {
                    *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
                    *asked = Some(Instant::now());
                    return Ok(());
                }
                Err(error) => failure = error,
            }
            self.turn.fetch_add(1, Ordering::Relaxed);
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(failure)
    }

    async fn ask(&self, dial: &Dial, address: &Address) -> Result<Table, ConnectError> {
        let mut command = Cmd::new();
        let connection = if let Place::Sentinel { primary, .. } = &self.place {
            command.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
            dial.sentinel(address).await?
        } else {
            command.arg("CLUSTER").arg("SLOTS");
            dial.server(address).await?
        };
        let reply = timeout(PATIENCE, connection.exchange(&[command])).await;
        let Ok(Ok(mut replies)) = reply else { return Err(late(address)) };
        let reply = match replies.pop().unwrap_or_default() {
            Value::ServerError(error) if error.code() == "ERR" && self.is_cluster() => {
                let reason = format!("it is in no cluster ({}); write redis://", shown(&error));
                return Err(unsuitable(address, &reason));
            }
            Value::ServerError(error) => {
                let (address, reason) = (address.to_string(), shown(&error));
                return Err(ConnectError::Refused { address, reason });
            }
            reply => reply,
        };
        if let Place::Sentinel { primary, .. } = &self.place {
            let primary = primary_of(&reply).ok_or_else(|| {
                unsuitable(address, &format!("this sentinel knows no primary {primary:?}"))
            })?;
            return Ok(Table::of_one(primary));
        }
        let table = Table::parse(reply, address);
        let table = table.filter(|table| !table.ranges.is_empty());
        table.ok_or_else(|| unsuitable(address, "its cluster has no slots that anybody serves"))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// From a sentinel's reply: a host and a port.
fn primary_of(reply: &Value) -> Option<Address> {
    let Value::Array(parts) = reply else { return None };
    let [Value::BulkString(host), Value::BulkString(port)] = &parts[..] else { return None };
    let (host, port) = (std::str::from_utf8(host).ok()?, std::str::from_utf8(port).ok()?);
    Some(Address::new(host, port.parse().ok()?))
}

/// Where `MOVED` or `ASK` point to, by a server at this address.
pub(crate) fn redirect(details: &str, from: &Address) -> Option<Address> {
    let place = details.split_ascii_whitespace().nth(1)?;
    match place.strip_prefix(':') {
        // No host: the one that answered.
        Some(port) if !port.contains(':') => Some(Address::new(&from.host, port.parse().ok()?)),
        _ => {
            // The host may be IPv6 without brackets.
            let (host, port) = place.rsplit_once(':')?;
            address_of(&format!("[{}]:{port}", host.trim_matches(['[', ']'])), 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = Value::Array(vec![host, Value::Int(port), Value::Nil]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    #[test]
    fn a_cluster_is_read_from_what_a_node_says() {
        let asked = Address::new("here", 1);
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let rows = vec![
            row(8000, 16383, text("b"), 7),
            row(0, 5000, text(""), 6),
            row(5002, 7999, Value::Nil, 6),
        ];
        let table = Table::parse(Value::Array(rows), &asked).unwrap();
        let server = |slot| table.server(slot).map(ToString::to_string);
        assert_eq!(server(0).as_deref(), Some("here:6"));
        assert_eq!(server(5000).as_deref(), Some("here:6"));
        assert_eq!(server(5001), None, "nobody's");
        assert_eq!(server(5002).as_deref(), Some("here:6"));
        assert_eq!(server(16383).as_deref(), Some("b:7"));
        assert_eq!(table.servers().len(), 2);
        assert!(Table::parse(Value::Okay, &asked).is_none());
        assert!(Table::parse(Value::Array(vec![Value::Int(1)]), &asked).is_none());
        let nodes = i64::try_from(MAX_NODES).unwrap();
        let many = (0..=nodes).map(|port| row(port, port, text("c"), port + 1)).collect();
        assert!(Table::parse(Value::Array(many), &asked).is_none(), "more nodes than any has");
    }

    #[test]
    fn a_redirection_names_a_server() {
        let from = Address::new("here", 1);
        let to = |details| redirect(details, &from).map(|address| address.to_string());
        assert_eq!(to("3999 127.0.0.1:6381").as_deref(), Some("127.0.0.1:6381"));
        assert_eq!(to("3999 ::1:6381").as_deref(), Some("[::1]:6381"));
        assert_eq!(to("3999 :6381").as_deref(), Some("here:6381"));
        assert_eq!(to("3999"), None);
        assert_eq!(to("3999 nowhere"), None);
    }
}
