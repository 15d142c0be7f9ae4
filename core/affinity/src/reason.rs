//! Why a request went where it went, in one word and in one sentence.

use core::fmt;

/// Why a request went where it went.
///
/// The word ([`Reason::as_str`]) stands in the access log, in a metric label and in the debug header;
/// the sentence ([`Reason::explain`]) on the page and in `abide explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The sticky cookie names this server.
    Sticky,
    /// The session id falls into a slot that this server owns.
    Owner,
    /// The session id ends in this server's name.
    Route,
    /// The visitor's address falls into a slot that this server owns.
    Address,
    /// Nothing in the request pointed anywhere.
    New,
    /// The session's server is down.
    MovedDown,
    /// The session's server is in maintenance.
    MovedMaintenance,
    /// The session's server was drained and its deadline has passed.
    MovedDrained,
    /// The session's server is no longer configured.
    MovedGone,
    /// The chosen server could not be reached, or broke off before it answered.
    MovedFailed,
    /// There was a sticky cookie, but none that this pool's keys open; nothing else pointed anywhere.
    Forged,
    /// The sticky cookie was too old, or from the future; nothing else pointed anywhere.
    Expired,
    /// The session's server can not answer, and the pool does not let sessions move.
    Strict,
    /// No server can take the request.
    None,
}

impl Reason {
    /// All reasons, for a closed set of metric labels.
    pub const ALL: [Self; 14] = [
        Self::Sticky,
        Self::Owner,
        Self::Route,
        Self::Address,
        Self::New,
        Self::MovedDown,
        Self::MovedMaintenance,
        Self::MovedDrained,
        Self::MovedGone,
        Self::MovedFailed,
        Self::Forged,
        Self::Expired,
        Self::Strict,
        Self::None,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sticky => "sticky",
            Self::Owner => "owner",
            Self::Route => "route",
            Self::Address => "address",
            Self::New => "new",
            Self::MovedDown => "moved:down",
            Self::MovedMaintenance => "moved:maintenance",
            Self::MovedDrained => "moved:drained",
            Self::MovedGone => "moved:gone",
            Self::MovedFailed => "moved:failed",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::Strict => "strict",
            Self::None => "none",
        }
    }

    /// The same in a sentence of plain words, to stand after "This server answered because" or
    /// alone.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Sticky => "Your cookie names this server, so you stay with it.",
            Self::Owner => "Your session id belongs to this server.",
            Self::Route => "Your session id ends in this server's name.",
            Self::Address => "Visitors from your address belong to this server.",
            Self::New => "You came without a session, so the next server in turn took you.",
            Self::MovedDown => "Your server is down, so the next in line took over.",
            Self::MovedMaintenance => {
                "Your server is in maintenance, so the next in line took over."
            }
            Self::MovedDrained => {
                "Your server is being emptied and its time is up, so you moved on."
            }
            Self::MovedGone => "Your server is no longer part of this site, so you moved on.",
            Self::MovedFailed => "The chosen server did not answer, so the next in line took over.",
            Self::Forged => "Your cookie was not made by this site, so you were treated as new.",
            Self::Expired => "Your cookie was out of date, so you were treated as new.",
            Self::Strict => "Your server does not answer, and sessions here must not move.",
            Self::None => "No server can take this request.",
        }
    }

    /// Whether the request went elsewhere than its session's server.
    pub const fn is_move(self) -> bool {
        matches!(
            self,
            Self::MovedDown
                | Self::MovedMaintenance
                | Self::MovedDrained
                | Self::MovedGone
                | Self::MovedFailed
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once_and_has_its_own_word_and_sentence() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            let later = Reason::ALL.into_iter().skip(place + 1);
            for other in later {
                assert_ne!(reason.as_str(), other.as_str());
                assert_ne!(reason.explain(), other.explain());
            }
        }
    }
}
