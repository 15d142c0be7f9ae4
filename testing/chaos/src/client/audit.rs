//! Looking for what was acknowledged.

use http::Method;

use super::{Client, number_in};
use crate::browser::Answer;
use crate::known::{Pass, Session, Verdict, Whence};

/// How often an audit asks again, when all is well and no answer should fail.
const TRIES: usize = 3;

impl Client {
    /// Looks for everything that was acknowledged, when all servers say that all is well.
    pub(crate) async fn audit(&mut self) {
        let sessions: Vec<Session> = self.session.iter().chain(&self.suspects).cloned().collect();
        for session in sessions {
            for pass in session.passes() {
                let Some(user) = self.look_for(&session, &pass, "/api/me").await else { continue };
                if user.text("user").as_deref() != Some(session.user.as_str()) {
                    self.forget(&session);
                    let (name, whence) = (&session.user, user.text("server").unwrap_or_default());
                    let named = &session.named;
                    let what =
                        format!("audit: the session of {name} is lost, says {whence}; {named}");
                    self.wrong(|counts| &mut counts.sessions_lost, &what);
                    break;
                }
            }
            for (place, known) in session.fields.iter().enumerate() {
                let (target, pass) =
                    (format!("/api/get?k={}", Session::name(place)), session.pass());
                let Some(answer) = self.look_for(&session, &pass, &target).await else { continue };
                let (number, user) = (number_in(&answer), &session.user);
                if known.clone().see(number, Whence::default()) == Verdict::Old {
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

    /// What is there by an id that leads to the session. None if nobody says so while it does.
    async fn look_for(&mut self, session: &Session, pass: &Pass, target: &str) -> Option<Answer> {
        for _ in 0..TRIES {
            if !pass.is_good() {
                return None;
            }
            // Directly: the balancer may not have heard yet that all is well.
            let open = self.open_places();
            let Some(address) = open.get(self.random.below(open.len())).copied() else { break };
            let asked = self.ask_as(&pass.cookies(), address, Method::GET, target).await;
            if let Ok(answer) = asked {
                return Some(answer).filter(|_| pass.is_good());
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
}
