//! Walking over all sessions.
//!
//! A server lists the names of all its items, in the order of its hash table, and can not begin in the
//! middle. So a page is the smallest ids after the cursor, of a list that is read to its end and not
//! kept: memory is bounded by the page, and a walk costs the server a listing for each page. In that
//! order no item is passed over that is there from the beginning to the end of the listing, unless
//! the server doubles its hash table meanwhile.

use std::collections::BTreeSet;

use abide_session::{IdHash, Scanned, StoreError};
use abide_time::Time;
use bytes::Bytes;

use crate::entry::Entry;
use crate::error::{Trouble, corrupt};
use crate::protocol::Fault;
use crate::server::Server;
use crate::sessions::{Sessions, pause};

/// Ids of a page: a million sessions are walked over in a hundred listings of a second each.
const PAGE: usize = 10_000;

/// How often a server is asked that is busy with another listing, or with looking for what has
/// expired.
const ATTEMPTS: u32 = 100;

/// Pauses while a server is busy are of the longest kind.
const PAUSE: u32 = 10;

impl Sessions {
    pub(crate) async fn scan(
        &self,
        cursor: Option<Bytes>,
        now: Time,
    ) -> Result<Scanned, StoreError> {
        let cursor = cursor.as_ref().map(Cursor::decode).transpose()?;
        let Cursor { server: place, after } = cursor.unwrap_or_default();
        let Some(server) = self.cluster.servers().get(place) else {
            return Err(corrupt("the cursor is of another store"));
        };
        let listed = self.page_after(server, after).await;
        let page = listed.map_err(|trouble| trouble.at(server.address()))?;
        let next = match page.last() {
            Some(last) if page.len() >= PAGE => Some(Cursor { server: place, after: Some(*last) }),
            _ => {
                let server = place.saturating_add(1);
                let is_there = server < self.cluster.servers().len();
                is_there.then_some(Cursor { server, after: None })
            }
        };
        let mut ids = Vec::with_capacity(page.len());
        // An item that this server no longer owns, since the list of servers was changed, is none.
        let owned = page.into_iter().filter(|id| self.cluster.place(id.slot()) == place);
        for (id, seen) in self.look_at(owned).await? {
            if let Ok(Some(item)) = seen
                && let Entry::Live(record) = item.what
                && !record.is_expired(now)
            {
                ids.push(id);
            }
        }
        Ok(Scanned::new(ids, next.map(Cursor::encode)))
    }

    /// The smallest ids after this one for which a server has an item.
    async fn page_after(
        &self,
        server: &Server,
        after: Option<IdHash>,
    ) -> Result<BTreeSet<IdHash>, Trouble> {
        for _ in 0..ATTEMPTS {
            for command in ["lru_crawler metadump hash", "lru_crawler metadump all"] {
                match self.page_by(server, command, after).await {
                    Err(Trouble::Protocol(Fault::Refused(answer))) => {
                        if answer.starts_with("BUSY") {
                            break;
                        }
                        if !answer.starts_with("BADCLASS") {
                            return Err(Fault::Refused(answer).into());
                        }
                    }
                    outcome => return outcome,
                }
            }
            pause(PAUSE).await;
        }
        Err(Fault::Refused("BUSY".to_owned()).into())
    }

    async fn page_by(
        &self,
        server: &Server,
        command: &str,
        after: Option<IdHash>,
    ) -> Result<BTreeSet<IdHash>, Trouble> {
        let mut lease = server.in_time(server.lease()).await?;
        let connection = lease.connection()?;
        connection.send_line(command).await?;
        let mut page = BTreeSet::new();
        loop {
            let line = server.in_time(connection.line()).await?;
            let Some(fields) = line.strip_prefix("key=") else {
                connection.finish();
                return if line == "END" { Ok(page) } else { Err(Fault::Refused(line).into()) };
            };
            let key = fields.split(' ').next().unwrap_or_default();
            if let Some(id) = self.cluster.session_of_key(key)
                && after.is_none_or(|after| id > after)
            {
                page.insert(id);
                if page.len() > PAGE {
                    page.pop_last();
                }
            }
        }
    }
}

/// Where a walk goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    server: usize,
    after: Option<IdHash>,
}

impl Cursor {
    fn encode(self) -> Bytes {
        let after = self.after.map(|id| id.to_string()).unwrap_or_default();
        format!("{}:{after}", self.server).into()
    }

    fn decode(bytes: &Bytes) -> Result<Self, StoreError> {
        let read = || {
            let (server, after) = str::from_utf8(bytes).ok()?.split_once(':')?;
            let after =
                if after.is_empty() { None } else { Some(IdHash::parse(after.as_bytes())?) };
            Some(Self { server: server.parse().ok()?, after })
        };
        read().ok_or_else(|| corrupt("the cursor is of another store"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_nothing_else_is_one() {
        let id = IdHash::of_secret("test", b"1");
        for cursor in [Cursor::default(), Cursor { server: 3, after: Some(id) }] {
            assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        }
        for bytes in ["", "3", "x:", "3:x", "-1:"] {
            let outcome = Cursor::decode(&Bytes::from(bytes));
            assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{bytes:?}");
        }
    }
}
