//! Calls of local clients: to whoever leads the slot, and the answer back.
//!
//! A call that was passed on and got lost with its leader may have taken effect. It is made once
//! more if that does no harm, and otherwise answered as unavailable.

use core::time::Duration;

use abide_session::{Commit, Create, Slot};

use super::{Node, around::Around};
use crate::limits::{CALL_TIMEOUT, MAX_OPEN_CALLS};
use crate::message::{Action, Answer, Call, Fault, Kept, Message, Note, Reply};
use crate::slot::Asker;
use crate::view::NodeId;

/// A call of a local client that is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    call: Call,
    until: Duration,
    passed_to: Option<NodeId>,
    was_sent_again: bool,
}

impl Around {
    pub(crate) fn open(&mut self, number: u64, call: Call) {
        if self.calls.len() >= MAX_OPEN_CALLS {
            self.actions.push(Action::Answer(number, unavailable()));
            return;
        }
        let until = self.now.passed.saturating_add(CALL_TIMEOUT);
        self.calls.insert(number, Open { call, until, passed_to: None, was_sent_again: false });
        self.homeless.push(number);
    }

    pub(crate) fn answer(&mut self, asker: Asker, answer: Answer) {
        match asker {
            Asker::Local(number) => {
                let Some(open) = self.calls.remove(&number) else { return };
                // That nothing changed is not for who was asked again to say.
                let is_refusal = match &answer.reply {
                    Reply::Commit(commit) => !matches!(commit, Commit::Committed(_)),
                    Reply::Create(create) => !matches!(create, Create::Created(_)),
                    Reply::Fault(_) => true,
                    Reply::Load(_) | Reply::End(_) => false,
                };
                let is_in_doubt = open.was_sent_again && is_refusal;
                let answer = if is_in_doubt { unavailable() } else { answer };
                self.actions.push(Action::Answer(number, answer));
            }
            Asker::Remote(node, birth, number) => {
                if !self.view.is_past(node, birth) {
                    self.send(node, Message::Answered(number, answer));
                }
            }
        }
    }

    pub(crate) fn answered(&mut self, from: NodeId, number: u64, answer: Answer) {
        if self.calls.get(&number).is_some_and(|open| open.passed_to == Some(from)) {
            self.answer(Asker::Local(number), answer);
        }
    }

    /// Who led it leads no longer: the call may have been done or not.
    pub(crate) fn lost(&mut self, asker: Asker) {
        match asker {
            Asker::Local(number) => self.make_again(number),
            Asker::Remote(node, _, number) => self.send(node, Message::Lost(number)),
        }
    }

    pub(crate) fn lost_at(&mut self, from: NodeId, number: u64) {
        if self.calls.get(&number).is_some_and(|open| open.passed_to == Some(from)) {
            self.make_again(number);
        }
    }

    /// It was not done.
    pub(crate) fn not_leader(&mut self, from: NodeId, number: u64) {
        let Some(open) = self.calls.get_mut(&number) else { return };
        if open.passed_to == Some(from) {
            open.passed_to = None;
            // Whom it was passed to is still taken for the leader, perhaps: so not at once.
            let slot = open.call.operation.id().slot();
            self.queued.entry(slot).or_default().push(number);
            self.busy.insert(slot);
        }
    }

    /// What was passed on to this node is lost with it, or with the connection.
    pub(crate) fn pass_again(&mut self, node: NodeId) {
        let passed = self.calls.iter().filter(|(_, open)| open.passed_to == Some(node));
        let numbers: alloc::vec::Vec<u64> = passed.map(|(number, _)| *number).collect();
        for number in numbers {
            self.make_again(number);
        }
    }

    fn make_again(&mut self, number: u64) {
        let Some(open) = self.calls.get_mut(&number) else { return };
        if open.was_sent_again || !open.call.operation.is_repeatable() {
            self.answer(Asker::Local(number), unavailable());
            return;
        }
        open.was_sent_again = true;
        open.passed_to = None;
        self.homeless.push(number);
        self.note(Note::SentAgain);
    }

    /// Calls of which the time is over.
    pub(crate) fn time_out(&mut self) {
        let passed = self.now.passed;
        let late = self.calls.iter().filter(|(_, open)| open.until <= passed);
        let numbers: alloc::vec::Vec<u64> = late.map(|(number, _)| *number).collect();
        for number in numbers {
            self.answer(Asker::Local(number), unavailable());
        }
        let calls = &self.calls;
        self.queued.retain(|_, numbers| {
            numbers.retain(|number| calls.contains_key(number));
            !numbers.is_empty()
        });
    }

    /// Somebody leads the slot.
    pub(crate) fn dispatch_queued(&mut self, slot: Slot) {
        if let Some(numbers) = self.queued.remove(&slot) {
            self.homeless.extend(numbers);
        }
    }
}

impl Node {
    /// Who was asked does not lead: if we know by now who does, calls go there at once.
    pub(crate) fn pass_elsewhere(&mut self, slot: Slot, from: NodeId) {
        let leader = self.seat(slot).and_then(|seat| seat.usable_leader());
        if leader.is_some_and(|leader| leader != from) {
            self.around.dispatch_queued(slot);
        }
    }

    /// Takes a call to the leader of its slot.
    pub(crate) fn dispatch(&mut self, number: u64) {
        let Some(open) = self.around.calls.get(&number) else { return };
        let (call, until) = (open.call.clone(), open.until);
        let slot = call.operation.id().slot();
        let Some(mut seat) = self.seat(slot) else {
            self.around.answer(Asker::Local(number), unavailable());
            return;
        };
        if seat.place.leading().is_some() {
            seat.serve(Asker::Local(number), call, until);
        } else if let Some(leader) = seat.usable_leader() {
            if let Some(open) = self.around.calls.get_mut(&number) {
                open.passed_to = Some(leader);
            }
            self.around.send(leader, Message::Pass(number, call));
        } else {
            self.around.queued.entry(slot).or_default().push(number);
        }
    }
}

pub(crate) const fn unavailable() -> Answer {
    Answer { reply: Reply::Fault(Fault::Unavailable), kept: Kept::Full }
}
