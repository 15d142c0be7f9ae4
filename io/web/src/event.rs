//! What happens to sessions, for an application that wants to know.

use std::fmt;
use std::sync::Arc;

use abide_session::Subject;

use crate::SessionHandle;

/// Something that happened to a session.
///
/// An application is told by the function it gave to
/// [`SessionLayer::on_event`](crate::SessionLayer::on_event), after the fact and once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To which session. None if to all of the subject.
    pub session: Option<SessionHandle>,
    /// Whom it belongs to, or belonged to before it ended; none if to nobody, or if that is not
    /// known, as of one that has expired.
    pub subject: Option<Subject>,
}

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It was made.
    Created,
    /// It has a new id, because a request asked for one or somebody signed in or out.
    Renewed,
    /// It was ended, by a request of its own or by way of [`Sessions`](crate::Sessions).
    Ended,
    /// A request came with it after it had expired, and before the store had forgotten it. One that
    /// nobody comes back to expires without an event.
    Expired,
    /// A request that it had ended under wanted to change it, and was refused.
    Refused,
}

/// Who is told.
#[derive(Clone)]
pub(crate) struct Listener(pub(crate) Arc<dyn Fn(&Event) + Send + Sync>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener(..)")
    }
}
