//! A walk over all sessions.
//!
//! It goes from server to server, and on each by `SCAN`. A cursor holds good only where it was
//! given: for this set of servers, none of them started anew. If that changes, the walk begins
//! again, which shows some sessions twice and misses none. What it can not see is a slot that moves
//! between servers that stay: a session that goes from one still to be walked to one that was is
//! missed.

use abide_session::{IdHash, Scanned, StoreError};
use abide_time::Time;
use bytes::Bytes;
use redis::{Cmd, Value};

use crate::format::{META, bytes_of, corrupt, deadline_of, unexpected};
use crate::store::RedisStore;

/// Keys that the server looks at for one page.
const PAGE: u32 = 500;

impl RedisStore {
    pub(crate) async fn scan_now(
        &self,
        cursor: Option<Bytes>,
        now: Time,
    ) -> Result<Option<Scanned>, StoreError> {
        let cursor = match cursor {
            Some(bytes) => {
                Some(Cursor::parse(&bytes).ok_or_else(|| corrupt("no cursor of this store"))?)
            }
            None => None,
        };
        // A connection may have broken since the last page.
        match self.page_at(cursor.clone(), now).await {
            Err(StoreError::Unavailable(_)) => self.page_at(cursor, now).await.map(Some),
            page => page.map(Some),
        }
    }

    async fn page_at(&self, cursor: Option<Cursor>, now: Time) -> Result<Scanned, StoreError> {
        let servers = self.client.servers().await?;
        let names = servers
            .iter()
            .map(|(address, connection)| format!("{address} {}", connection.server.run_id));
        let set = IdHash::of_secret("servers", names.collect::<Vec<_>>().join("\n").as_bytes());
        let set = set.to_string();
        let Cursor { server, place, .. } = cursor
            .filter(|cursor| cursor.set == set)
            .unwrap_or(Cursor { set: String::new(), server: 0, place: 0 });
        let Some((address, connection)) = servers.get(server) else {
            return Ok(Scanned::new(Vec::new(), None));
        };
        let mut scan = Cmd::new();
        scan.arg("SCAN").arg(place).arg("MATCH").arg(self.keys.pattern());
        scan.arg("COUNT").arg(PAGE).arg("TYPE").arg("hash");
        let reply = self.client.ask_server(address, connection, &[scan]).await?.into_iter().next();
        let (place, ids) = self.page(reply.unwrap_or_default())?;
        let next = match (place, server + 1) {
            (0, next) if next >= servers.len() => None,
            (0, next) => Some(Cursor { set, server: next, place: 0 }),
            (place, _) => Some(Cursor { set, server, place }),
        };
        let commands: Vec<Cmd> = ids
            .iter()
            .map(|id| {
                let mut command = Cmd::new();
                command.arg("HGET").arg(&self.keys.session(*id).name[..]).arg(META);
                command
            })
            .collect();
        let metas = if commands.is_empty() {
            Vec::new()
        } else {
            self.client.ask_server(address, connection, &commands).await?
        };
        let is_live = |meta: &Value| match meta {
            Value::BulkString(meta) => deadline_of(meta).is_some_and(|deadline| deadline > now),
            _ => false,
        };
        let live = ids.into_iter().zip(&metas).filter(|(_, meta)| is_live(meta));
        let ids = live.map(|(id, _)| id).collect();
        Ok(Scanned::new(ids, next.map(|cursor| cursor.bytes())))
    }

    /// The ids of a page, and where the next one begins.
    fn page(&self, reply: Value) -> Result<(u64, Vec<IdHash>), StoreError> {
        let Value::Array(parts) = reply else { return Err(unexpected()) };
        let [place, Value::Array(names)] =
            <[Value; 2]>::try_from(parts).map_err(|_parts| unexpected())?
        else {
            return Err(unexpected());
        };
        let place = String::from_utf8(bytes_of(place)?).ok().and_then(|place| place.parse().ok());
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            ids.extend(self.keys.id_of(&bytes_of(name)?));
        }
        Ok((place.ok_or_else(unexpected)?, ids))
    }
}

#[derive(Clone)]
struct Cursor {
    /// Which servers, in which order.
    set: String,
    server: usize,
    place: u64,
}

impl Cursor {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(bytes).ok()?.split(' ');
        let set = parts.next().filter(|set| IdHash::parse(set.as_bytes()).is_some())?.to_owned();
        let cursor =
            Self { set, server: parts.next()?.parse().ok()?, place: parts.next()?.parse().ok()? };
        parts.next().is_none().then_some(cursor)
    }

    fn bytes(&self) -> Bytes {
        format!("{} {} {}", self.set, self.server, self.place).into()
    }
}
