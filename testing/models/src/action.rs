//! What can happen next.

use std::fmt;

use crate::client::Request;

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// What was sent first on a way, and has not arrived, does.
    Arrives(usize, usize),
    /// It shows what becomes of a wish for a connection.
    Dialed(usize, usize),
    /// A machine is woken that is late.
    Woken(usize),
    /// Time goes on, to when the next machine is to be woken.
    Passes,
    /// Somebody asks a machine for something.
    Asks(Request, usize),
    /// A path is cut.
    CutOne(usize, usize),
    /// Both paths of a pair are.
    CutBoth(usize, usize),
    /// All paths to and from a machine are.
    Isolate(usize),
    /// All paths are whole again.
    Heal,
    /// A connection breaks.
    Break(usize, usize),
    /// A process is killed.
    Kill(usize),
    /// Another starts where one was killed, and holds nothing.
    Start(usize),
    /// A process is stopped.
    Pause(usize),
    /// It goes on.
    Resume(usize),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrives(from, to) => write!(f, "n{to} hears from n{from}"),
            Self::Dialed(from, to) => write!(f, "n{from} has dialed n{to}"),
            Self::Woken(machine) => write!(f, "n{machine} is woken"),
            Self::Passes => write!(f, "time passes"),
            Self::Asks(request, machine) => write!(f, "a client asks n{machine}: {request:?}"),
            Self::CutOne(from, to) => write!(f, "what n{from} sends to n{to} is held up"),
            Self::CutBoth(a, b) => write!(f, "n{a} and n{b} are cut off from each other"),
            Self::Isolate(machine) => write!(f, "n{machine} is cut off"),
            Self::Heal => write!(f, "all paths are whole again"),
            Self::Break(a, b) => write!(f, "the connection of n{a} and n{b} breaks"),
            Self::Kill(machine) => write!(f, "n{machine} is killed"),
            Self::Start(machine) => write!(f, "n{machine} starts"),
            Self::Pause(machine) => write!(f, "n{machine} is stopped"),
            Self::Resume(machine) => write!(f, "n{machine} goes on"),
        }
    }
}
