//! What happened: a number that is the same for the same run, and lines for who wants to read.

use abide_replica::{Answer, Event, Kept, Note, Reply};

use crate::network::Real;

/// What happened, as a number, and if wanted as text.
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) hash: u64,
    pub(crate) lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    pub(crate) fn line(&mut self, at: Real, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let text = text();
            if !text.is_empty() {
                lines.push(format!("{:>10.3} ms  {text}", at as f64 / 1000.0));
            }
        }
    }
}

/// Whether somebody is told what a session is, and that this is the last there is.
pub(crate) const fn is_sure_read(answer: &Answer) -> bool {
    matches!((&answer.reply, answer.kept), (Reply::Load(_), Kept::Full))
}

pub(crate) const fn kind(event: &Event) -> u64 {
    match event {
        Event::Call(number, _) => 1 << 40 | *number,
        Event::Connected(peer) => 2 << 40 | peer.0 as u64,
        Event::Broken(peer) => 3 << 40 | peer.0 as u64,
        Event::Refused(peer) => 4 << 40 | peer.0 as u64,
        Event::Unreachable(peer) => 5 << 40 | peer.0 as u64,
        Event::Received(peer, _) => 6 << 40 | peer.0 as u64,
        Event::Woken => 7 << 40,
        Event::Survey(number, _) => 8 << 40 | *number,
        Event::Leave => 9 << 40,
        Event::Met(contact) => 10 << 40 | contact.node.0 as u64,
        Event::Lost(peer) => 11 << 40 | peer.0 as u64,
    }
}

pub(crate) const fn name(note: &Note) -> &'static str {
    match note {
        Note::Leads { is_whole: true, .. } => "claims",
        Note::Leads { .. } => "claims as sole",
        Note::SteppedDown(_) => "steps down",
        Note::Filled(..) => "fills",
        Note::Merged(..) => "merges",
        Note::Released(..) => "releases",
        Note::HandedOver(..) => "hand-overs",
        Note::Forgot(_) => "copies forgotten",
        Note::Silent(_) => "silences",
        Note::Dead(_) => "deaths",
        Note::Reborn(_) => "new births",
        Note::Admitted(_) => "admissions",
        Note::Clash(_) => "clashes",
        Note::SentAgain => "calls sent again",
        Note::WaitedForGrant(_) => "reads waited for a grant",
        Note::WaitedForWrite(_) => "reads waited for a write",
    }
}
