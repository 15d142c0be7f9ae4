//! One attempt of a call, and what comes after it.

use abide_session::StoreError;
use redis::{Cmd, ServerError, Value};
use tokio::time::{Instant, timeout_at};

use super::{Client, Request};
use crate::address::Address;
use crate::counters::count;
use crate::dial::{Connection, shown};
use crate::error::ConnectError;
use crate::format::corrupt;
use crate::routes::redirect;

/// Where to send a call, and how.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) address: Address,
    /// The server has the key for this once only.
    pub(super) asking: bool,
    /// The server does not know the script.
    pub(super) whole: bool,
}

/// What an attempt leads to.
pub(super) enum Next {
    /// The replies.
    Done(Vec<Value>),
    /// There is no use in another attempt, or it would be wrong.
    Give(StoreError),
    /// The server does not know the script.
    Whole,
    /// Another server has the key; true if it has it only for this once.
    GoTo(Address, bool),
    /// It was not carried out, or may be carried out twice: later, perhaps elsewhere.
    Wait(Failure, String),
}

/// Why something has to be sent again.
#[derive(Clone, Copy)]
pub(super) enum Failure {
    NotReady,
    ReadOnly,
    /// There was no connection, so it was not sent.
    Disconnected,
    /// It was sent, and its answer lost.
    Unanswered,
}

impl Client {
    pub(super) async fn attempt(&self, way: &Way, request: Request<'_>, deadline: Instant) -> Next {
        let Way { address, asking, whole } = way;
        let connected = self.link(address).connection(&self.dial, &self.tally, deadline).await;
        let connection = match connected {
            Ok(connection) => connection,
            Err(error) => {
                self.routes.suspect();
                return match &*error {
                    ConnectError::Refused { .. } => Next::Give(unavailable(&error.to_string())),
                    _ => Next::Wait(Failure::Disconnected, error.to_string()),
                };
            }
        };
        if !self.is_right(&connection) {
            connection.suspect();
            self.routes.suspect();
            return Next::Wait(Failure::ReadOnly, format!("{address} is a replica"));
        }
        let mut commands = request.commands(*whole);
        if *asking {
            // It is good for the one command that follows.
            commands = commands.into_iter().flat_map(|next| [one(&["ASKING"]), next]).collect();
        }
        if let Some(replicas) = self.settings.replicas.filter(|_| request.is_write()) {
            let (number, time) = (replicas.replicas, replicas.timeout.as_millis().max(1));
            // Nought would be for ever.
            commands.push(one(&["WAIT", &number.to_string(), &time.to_string()]));
        }
        match timeout_at(deadline, connection.exchange(&commands)).await {
            Ok(Ok(replies)) => self.judge(replies, way, request, &connection),
            Ok(Err(error)) => self.lost(request, &connection, format!("{address}: {error}")),
            Err(_) => {
                let time = self.settings.timeout;
                self.lost(request, &connection, format!("{address} did not answer within {time:?}"))
            }
        }
    }

    /// A replica of a cluster sends elsewhere by itself; any other one would answer with what was.
    fn is_right(&self, connection: &Connection) -> bool {
        connection.server.is_primary || self.routes.is_cluster()
    }

    fn lost(&self, request: Request<'_>, connection: &Connection, why: String) -> Next {
        connection.suspect();
        self.routes.suspect();
        count(&self.tally.unanswered);
        if request.may_repeat() {
            Next::Wait(Failure::Unanswered, why)
        } else {
            Next::Give(unavailable(&why))
        }
    }

    fn judge(
        &self,
        mut replies: Vec<Value>,
        way: &Way,
        request: Request<'_>,
        connection: &Connection,
    ) -> Next {
        let confirmed = match self.settings.replicas.filter(|_| request.is_write()) {
            Some(_) => replies.pop(),
            None => None,
        };
        if way.asking {
            replies = replies.into_iter().skip(1).step_by(2).collect();
        }
        let mut refusals = replies.iter().filter_map(|reply| match reply {
            Value::ServerError(error) => Some(error),
            _ => None,
        });
        if let Some(error) = refusals.next() {
            return self.refused(error, &way.address, connection);
        }
        if let (Some(wanted), Some(confirmed)) = (self.settings.replicas, confirmed) {
            let confirmed = match confirmed {
                Value::Int(number) => number,
                Value::ServerError(error) => return Next::Give(unavailable(&shown(&error))),
                _ => 0,
            };
            if confirmed < i64::from(wanted.replicas) {
                count(&self.tally.too_few_replicas);
                let wanted = wanted.replicas;
                return Next::Give(unavailable(&format!(
                    "{confirmed} of {wanted} replicas confirmed the write in time"
                )));
            }
        }
        Next::Done(replies)
    }

    /// What follows from an error of the server, which has carried out nothing.
    fn refused(&self, error: &ServerError, address: &Address, connection: &Connection) -> Next {
        let details = error.details().unwrap_or_default();
        let why = || format!("{address}: {}", shown(error));
        match error.code() {
            "NOSCRIPT" => Next::Whole,
            code @ ("MOVED" | "ASK") => match redirect(details, address) {
                Some(to) => Next::GoTo(to, code == "ASK"),
                None => Next::Wait(Failure::NotReady, why()),
            },
            "READONLY" => {
                connection.suspect();
                self.routes.suspect();
                Next::Wait(Failure::ReadOnly, why())
            }
            "LOADING" | "CLUSTERDOWN" | "TRYAGAIN" | "MASTERDOWN" | "BUSY" | "NOREPLICAS" => {
                self.routes.suspect();
                Next::Wait(Failure::NotReady, why())
            }
            "OOM" => {
                count(&self.tally.full);
                Next::Give(StoreError::Full)
            }
            _ if details.contains("No space left on device") => {
                count(&self.tally.full);
                Next::Give(StoreError::Full)
            }
            "WRONGTYPE" => Next::Give(corrupt("something else has its key")),
            _ => Next::Give(unavailable(&why())),
        }
    }
}

pub(crate) fn one(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    command
}

pub(crate) fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned().into())
}
