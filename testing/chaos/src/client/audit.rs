//! Looking for what was acknowledged.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use http::Method;

use super::{Client, Ended, number_in};
use crate::browser::Answer;
use crate::known::{Session, Verdict};

/// How often an audit asks again, when all is well and no answer should fail.
const TRIES: usize = 3;

impl Client {
    /// Looks for everything that was acknowledged, when all servers say that all is well.
    pub(crate) async fn audit(&mut self) {
        let sessions: Vec<Session> = self.session.iter().chain(&self.suspects).cloned().collect();
        for session in sessions {
            let Some(user) = self.look_for(&session, "/api/me").await else { continue };
            if user.text("user").as_deref() != Some(session.user.as_str()) {
                self.forget(&session);
                let (name, whence) = (&session.user, user.text("server").unwrap_or_default());
                let what = format!("audit: the session of {name} is lost, says {whence}");
                self.wrong(|counts| &mut counts.sessions_lost, &what);
            }
            for (place, known) in session.fields.iter().enumerate() {
                let target = format!("/api/get?k={}", Session::name(place));
                let Some(answer) = self.look_for(&session, &target).await else { continue };
                let (number, user) = (number_in(&answer), &session.user);
                if known.clone().see(number, "in an audit") == Verdict::Old {
                    self.forget(&session);
                    let what = format!("audit: n{place} of {user} is {number}, known is {known}");
                    self.wrong(|counts| &mut counts.lost, &what);
                }
            }
        }
        self.suspects.clear();
        if let Some(last) = self.ended.last().cloned() {
            self.look_for_ended(&last).await;
        }
    }

    /// At the end: no ended session shows its user, at no server.
    pub(crate) async fn audit_the_ended(&mut self) {
        for ended in self.ended.clone() {
            self.look_for_ended(&ended).await;
        }
    }

    async fn look_for_ended(&mut self, ended: &Ended) {
        for address in self.open_places() {
            match self.is_ended(ended, address).await {
                Some(true) => {}
                // It is counted once.
                Some(false) => return,
                None => {
                    let what = format!("audit: the end of {} is not answered", ended.session.user);
                    self.wrong(|counts| &mut counts.unaudited, &what);
                }
            }
        }
    }

    async fn look_for(&mut self, session: &Session, target: &str) -> Option<Answer> {
        for _ in 0..TRIES {
            // Directly: the balancer may not have heard yet that all is well.
            let open = self.open_places();
            let Some(address) = open.get(self.random.below(open.len())).copied() else { break };
            let asked = self.ask_as(&session.cookies(), address, Method::GET, target).await;
            if let Ok(answer) = asked {
                return Some(answer);
            }
        }
        let what = format!("audit: {target} of {} is not answered", session.user);
        self.wrong(|counts| &mut counts.unaudited, &what);
        None
    }

    /// What is lost is counted once.
    fn forget(&mut self, session: &Session) {
        if self.session.as_ref().is_some_and(|current| current.id == session.id) {
            self.session = None;
        }
    }

    /// Whether a server says that a session has ended; none if it says nothing.
    pub(super) async fn is_ended(&mut self, ended: &Ended, address: SocketAddr) -> Option<bool> {
        let Ended { session, at, whence: ended_whence } = ended;
        let asked = self.ask_as(&session.cookies(), address, Method::GET, "/api/me").await;
        let answer = asked.ok()?;
        if answer.text("user").is_none() {
            return Some(true);
        }
        if self.places.is_cut.load(Ordering::Relaxed) {
            self.tally.count(|counts| counts.revived_cut += 1);
            return Some(false);
        }
        let (user, ms) = (&session.user, at.elapsed().as_millis());
        let whence = self.whence(address, &answer);
        let what = format!("{user} is signed in {whence}, {ms} ms after its end {ended_whence}");
        self.wrong(|counts| &mut counts.revived, &what);
        self.ended.retain(|other| other.session.id != session.id);
        Some(false)
    }
}
