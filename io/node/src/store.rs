//! A node as a store.

use std::sync::Arc;
use std::time::Duration;
use std::{error, fmt};

use abide_replica::limits::{MAX_PAGE, SKEW};
use abide_replica::{
    Answer, Call, Fault, Found, Kept, Node, NodeId, Operation, Reply, Sought, Survey,
};
use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Scanned, Slot, Store, StoreError,
    StoreFuture, Subject,
};
use abide_time::Time;
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::counters::{Counters, Counts};
use crate::cursor;
use crate::home::Home;
use crate::identity::Identity;
use crate::nodes::Nodes;
use crate::shell::Input;

/// Longer than a node takes to answer a call, whatever happens to other nodes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often [`Store::end_all`] looks whether a session has escaped it by a new id.
const MAX_ENDINGS: usize = 8;
/// Slots that one page of a walk looks at.
const SLOTS_PER_PAGE: usize = 64;
/// So many of them are looked at at once, as most of the time of a look is the way to another node and back.
const SLOTS_AT_ONCE: usize = 16;

/// A node of a cluster, as a store. Clones are the same node; it stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct NodeStore {
    shared: Arc<Shared>,
    is_certain: bool,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) stop: Arc<Notify>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) home: Arc<Home>,
    pub(crate) name: String,
    pub(crate) nodes: Nodes,
    pub(crate) identity: Option<Identity>,
    pub(crate) bytes_max: usize,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

/// What a node holds and leads at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Sessions that it holds: its own and copies of others'.
    pub sessions: usize,
    /// Sessions and marks that it holds.
    pub entries: usize,
    /// What these take in memory, in bytes.
    pub bytes: usize,
    /// Above so many bytes it refuses new sessions.
    pub bytes_max: usize,
    /// Slots that it leads, of 4096.
    pub led: usize,
    /// Slots that it knows no leader of.
    pub leaderless: usize,
    /// Nodes that may hold more than this one found on its disk, and are not back yet: until they are, or are
    /// [lost](NodeStore::lose), what depends on them is answered as [`Kept::Sole`] or not at all.
    pub missed: usize,
}

/// Why a node can not be said to be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoseError {
    /// No other node has this name.
    Unknown,
    /// It can be talked to.
    Here,
    /// The node that was told has stopped.
    Stopped,
}

impl fmt::Display for LoseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "no other node has this name",
            Self::Here => "that node is here and can be talked to",
            Self::Stopped => "this node has stopped",
        })
    }
}

impl error::Error for LoseError {}

/// Who leads the slots.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaders {
    /// The names of all nodes that are known, in their order.
    pub nodes: Vec<String>,
    /// For each of the 4096 slots a place among them; none if it is not known who leads it.
    pub of_slots: Vec<Option<usize>>,
}

impl NodeStore {
    pub(crate) fn of(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), is_certain: false }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The names of all nodes that it knows by now, in their order: those of its list, those that have joined since,
    /// and for an hour those that are gone.
    pub fn names(&self) -> Vec<String> {
        self.shared.nodes.names()
    }

    /// For each of the 4096 slots who leads it, as far as this node knows. None if it has stopped.
    pub async fn leaders(&self) -> Option<Leaders> {
        self.look(|node| {
            let roster = node.roster().iter();
            let mut nodes: Vec<String> = roster.map(|contact| contact.name.clone()).collect();
            nodes.sort();
            let place = |slot| {
                let name = node.roster().name(node.reign(slot)?.leader);
                nodes.binary_search_by(|other| other.as_str().cmp(name)).ok()
            };
            let of_slots = Slot::all().map(place).collect();
            Leaders { nodes, of_slots }
        })
        .await
    }

    /// Whether this node may be killed now and nothing is lost.
    pub async fn is_safe_to_stop(&self) -> bool {
        self.look(Node::is_safe_to_stop).await.unwrap_or(false)
    }

    /// Whether it holds everything that it should, and knows who has the rest: then it may be sent
    /// traffic, and another node may be stopped.
    pub async fn is_ready(&self) -> bool {
        self.look(Node::is_ready).await.unwrap_or(false)
    }

    /// Waits until it is, or has stopped.
    pub async fn ready(&self) {
        let mut pace = tokio::time::interval(LOOK_EVERY);
        while !self.look(Node::is_ready).await.unwrap_or(true) {
            pace.tick().await;
        }
    }

    /// Gives away what it leads and holds, so that it may be stopped: that takes a moment with others
    /// there, and none if there is nobody to give it to. It goes on to take calls, and passes them on.
    ///
    /// False if that was not done within this time; it goes on.
    pub async fn leave(&self, patience: Duration) -> bool {
        let (say, told) = oneshot::channel();
        let leaving = async {
            self.shared.inputs.send(Input::Leave(say)).await.ok()?;
            told.await.ok()
        };
        matches!(tokio::time::timeout(patience, leaving).await, Ok(Some(())))
    }

    /// What it holds and leads; none if it has stopped.
    pub async fn status(&self) -> Option<Status> {
        let bytes_max = self.shared.bytes_max;
        self.look(move |node| {
            let leaders = || Slot::all().map(|slot| node.reign(slot));
            Status {
                sessions: node.table().sessions(),
                entries: node.table().len(),
                bytes: node.table().bytes(),
                bytes_max,
                led: Slot::all().filter(|slot| node.in_sync(*slot).is_some()).count(),
                leaderless: leaders().filter(Option::is_none).count(),
                missed: node.missed().count(),
            }
        })
        .await
    }

    /// The same node, as a store that answers only what no other node can know better. What is answered as
    /// [`Kept::Sole`] otherwise, mostly in a cut network, is `Unavailable`; a write may have been done all the
    /// same. For who passes on for good what he reads: a move to another store (`abide::Moving`) in a cut would
    /// take along what has ended or was changed beyond it.
    #[must_use]
    pub fn certain(&self) -> Self {
        Self { is_certain: true, ..self.clone() }
    }

    /// Whether it answers, and knows who leads each slot.
    ///
    /// # Errors
    /// `Unavailable` if not.
    pub async fn health(&self) -> Result<(), StoreError> {
        match self.status().await {
            Some(Status { leaderless: 0, .. }) => Ok(()),
            Some(Status { leaderless, .. }) => Err(StoreError::Unavailable(
                format!("of {leaderless} of 4096 slots it is not known who leads them").into(),
            )),
            None => Err(StoreError::Unavailable("this node has stopped".into())),
        }
    }

    /// What it has done since it started.
    pub fn counters(&self) -> Counters {
        self.shared.counts.snapshot()
    }

    /// When the certificate that it shows, or one behind it, expires; none if it shows none, or one that never
    /// does. It is another time when the files have been renewed.
    pub fn certificate_expiry(&self) -> Option<Time> {
        self.shared.identity.as_ref()?.pair()?.expires
    }

    /// The names of those that are [missed](Status::missed).
    pub async fn missed(&self) -> Vec<String> {
        let look = |node: &mut Node| {
            node.missed().map(|missed| node.roster().name(missed).to_owned()).collect()
        };
        self.look(look).await.unwrap_or_default()
    }

    /// Says that nothing comes back of another node, neither its process nor what it had on a disk: nobody
    /// waits for it any longer. All nodes are told. If it does come back, what it has is merged.
    ///
    /// # Errors
    /// [`LoseError`]: nothing changed.
    pub async fn lose(&self, name: &str) -> Result<(), LoseError> {
        let is_known = name != self.shared.name && self.names().iter().any(|known| known == name);
        let node = is_known.then(|| NodeId::of(name)).ok_or(LoseError::Unknown)?;
        let (say, told) = oneshot::channel();
        let asked = self.shared.inputs.send(Input::Lost(node, say)).await;
        asked.map_err(|_stopped| LoseError::Stopped)?;
        match told.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LoseError::Here),
            Err(_stopped) => Err(LoseError::Stopped),
        }
    }

    /// Stops it at once, as a crash would. After [`leave`](NodeStore::leave) nobody misses it.
    pub async fn stop(&self) {
        self.shared.stop.notify_one();
        self.shared.inputs.closed().await;
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Node) -> T + Send + 'static,
    ) -> Option<T> {
        let (say, told) = oneshot::channel();
        let look = Box::new(move |node: &mut Node| drop(say.send(look(node))));
        self.shared.inputs.send(Input::Look(look)).await.ok()?;
        told.await.ok()
    }

    async fn call(&self, operation: Operation, now: Time) -> Result<Reply, StoreError> {
        let (say, told) = oneshot::channel();
        let input = Input::Call(Call { operation, now }, say);
        let Answer { reply, kept } = self.ask(input, told).await?;
        self.check(kept)?;
        match reply {
            Reply::Fault(Fault::Unavailable) => {
                Err(StoreError::Unavailable("no node could do it in time".into()))
            }
            Reply::Fault(Fault::Full) => Err(StoreError::Full),
            Reply::Fault(Fault::TooLarge(limit)) => Err(StoreError::TooLarge(limit)),
            Reply::Fault(Fault::Incompatible(field)) => Err(StoreError::Incompatible(field)),
            reply => Ok(reply),
        }
    }

    async fn survey(&self, sought: Sought, now: Time) -> Result<Found, StoreError> {
        let (say, told) = oneshot::channel();
        let found = self.ask(Input::Survey(Survey { sought, now }, say), told).await?;
        let found = found.ok_or_else(|| {
            StoreError::Unavailable("of some slots no node could tell in time".into())
        })?;
        self.check(found.kept)?;
        Ok(found)
    }

    /// Refuses what another node may know better, where that is asked for.
    fn check(&self, kept: Kept) -> Result<(), StoreError> {
        if self.is_certain && kept == Kept::Sole {
            return Err(StoreError::Unavailable(
                "the network is cut: a node beyond it may know better".into(),
            ));
        }
        Ok(())
    }

    async fn ask<T>(&self, input: Input, told: oneshot::Receiver<T>) -> Result<T, StoreError> {
        let asking = async {
            self.shared.inputs.send(input).await.ok()?;
            told.await.ok()
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, asking).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(StoreError::Unavailable("this node has stopped".into())),
            Err(_elapsed) => Err(StoreError::Unavailable("this node does not answer".into())),
        }
    }
}

impl Store for NodeStore {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        Box::pin(async move {
            match self.call(Operation::Create(id, changes), now).await? {
                Reply::Create(create) => Ok(create),
                _ => Err(another_answer()),
            }
        })
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        Box::pin(async move {
            match self.call(Operation::Load(id), now).await? {
                Reply::Load(loaded) => Ok(loaded),
                _ => Err(another_answer()),
            }
        })
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(async move {
            match self.call(Operation::Commit(id, changes), now).await? {
                Reply::Commit(commit) => Ok(commit),
                _ => Err(another_answer()),
            }
        })
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        Box::pin(async move {
            match self.call(Operation::End(id), now).await? {
                Reply::End(end) => Ok(end),
                _ => Err(another_answer()),
            }
        })
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(async move {
            match self.call(Operation::Rename(id, rename), now).await? {
                Reply::Commit(commit) => Ok(commit),
                _ => Err(another_answer()),
            }
        })
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        Box::pin(async move {
            let found = self.survey(Sought::OfSubject(subject.clone()), now).await?;
            let listed = found.sessions.into_iter();
            Ok(listed.filter_map(|(id, record)| Some(Listed::new(id, Arc::new(record?)))).collect())
        })
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        Box::pin(self.end_each(subject, except, now))
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        Box::pin(async move { self.page(cursor, now).await.map(Some) })
    }

    /// One of the slots that this node leads: whoever has it in one of them needs no other node to read
    /// it here.
    fn home(&self, random: u16) -> Option<Slot> {
        self.shared.home.draw(random)
    }
}

impl NodeStore {
    /// Ends the sessions of a subject that there were when this was called: what is found, again and
    /// again, until a look finds none of them, as a renewal between the look and the end gives a session
    /// another id.
    async fn end_each(
        &self,
        subject: &Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> Result<(), StoreError> {
        // Made by a node whose clock is ahead, it may bear a later time than it was made at.
        let last = now.after(SKEW);
        for _ in 0..MAX_ENDINGS {
            let found = self.survey(Sought::OfSubject(subject.clone()), now).await?;
            // After the look: whatever id the excepted session was found under leads from one of its
            // own to another.
            let excepted = match except {
                Some(id) => self.survey(Sought::Trail(id), now).await?.sessions,
                None => Vec::new(),
            };
            let is_excepted = |id: &IdHash| excepted.iter().any(|(of, _)| of == id);
            let ended = found.sessions.into_iter().filter(|(id, record)| {
                let is_later = record.as_ref().is_none_or(|record| record.created > last);
                !is_excepted(id) && !is_later
            });
            let ended: Vec<IdHash> = ended.map(|(id, _)| id).collect();
            for id in &ended {
                self.call(Operation::End(*id), now).await?;
            }
            if found.kept == Kept::Sole {
                return Err(StoreError::Unavailable(
                    "the network is cut: sessions beyond it may live on".into(),
                ));
            }
            if ended.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("its sessions are renewed faster than they end".into()))
    }

    /// A page of a walk: of some slots after the others, until there is enough to show or it was enough to look
    /// at.
    async fn page(&self, cursor: Option<Bytes>, now: Time) -> Result<Scanned, StoreError> {
        let place = match &cursor {
            None => Slot::new(0).map(|slot| (slot, None)),
            Some(cursor) => cursor::read(cursor),
        };
        let (first, mut after) =
            place.ok_or_else(|| StoreError::Corrupt("no cursor of this store".into()))?;
        let mut slots = Slot::all().skip(usize::from(first.number())).take(SLOTS_PER_PAGE);
        let mut ids = Vec::new();
        let mut last = first;
        while ids.len() < MAX_PAGE {
            let asked: Vec<Slot> = slots.by_ref().take(SLOTS_AT_ONCE).collect();
            let Some(end) = asked.last() else { break };
            last = *end;
            let surveys = asked.iter().map(|slot| {
                let after = after.take();
                async move { (*slot, self.survey(Sought::Page(*slot, after), now).await) }
            });
            for (slot, found) in join_all(surveys).await {
                let found = found?;
                let is_all = found.sessions.len() < MAX_PAGE;
                ids.extend(found.sessions.into_iter().map(|(id, _)| id));
                if !is_all {
                    // What was found in later slots is found again.
                    let next = cursor::write(slot, ids.last().copied());
                    return Ok(Scanned::new(ids, Some(next)));
                }
            }
        }
        let next = last.number().checked_add(1).and_then(Slot::new);
        Ok(Scanned::new(ids, next.map(|slot| cursor::write(slot, None))))
    }
}

fn another_answer() -> StoreError {
    StoreError::Unavailable("another node gave the answer to another question".into())
}

#[cfg(test)]
mod tests {
    use abide_servers::free_port;

    use super::*;
    use crate::shell::MAX_INPUTS;
    use crate::{Config, join};

    #[tokio::test]
    async fn what_waits_for_a_node_that_is_held_up_is_bounded_and_done_later() {
        let port = free_port();
        let node = join(Config::new("a", [("a", port.address())])).await.unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (say, has_begun) = oneshot::channel();
        let hold = Box::new(move |_: &mut Node| {
            let _ = say.send(());
            let _ = held.recv();
        });
        node.shared.inputs.send(Input::Look(hold)).await.unwrap();
        has_begun.await.unwrap();
        let mut waiting = 0;
        while node.shared.inputs.try_send(Input::Look(Box::new(|_| {}))).is_ok() {
            waiting += 1;
        }
        assert_eq!(waiting, MAX_INPUTS);
        let refused = node.load(IdHash::of_secret("test", b"1"), Time::EPOCH).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        drop(release);
        let answered = node.load(IdHash::of_secret("test", b"1"), Time::EPOCH).await;
        assert!(matches!(answered, Ok(Loaded::Unknown)), "{answered:?}");
    }
}
