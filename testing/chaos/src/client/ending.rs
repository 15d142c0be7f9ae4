//! Signing out, and looking whether that lasts.

use std::net::SocketAddr;

use http::Method;
use tokio::time::Instant;

use super::Client;
use crate::known::{Pass, Session, Whence};

/// Ended sessions that a client looks for at the end.
const ENDED: usize = 200;

/// A session whose end was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) session: Session,
    pub(super) at: Instant,
    /// By which of its ids.
    by: Pass,
    whence: Whence,
}

impl Client {
    /// Ends the session, by any of its ids: all others end with it.
    pub(super) async fn sign_out(&mut self, session: Session) {
        let by = self.any_pass(&session);
        // If the answer is lost it may have ended or not: nobody looks for it.
        if let Some((_, whence)) = self.ask_by(&by, Method::POST, "/api/logout").await {
            self.acknowledged();
            self.ended.push(Ended { session, at: Instant::now(), by, whence });
            if self.ended.len() > ENDED {
                self.ended.remove(0);
            }
        }
    }

    pub(super) async fn try_an_ended_one(&mut self) {
        let Some(newest) = self.ended.len().checked_sub(1) else { return };
        // The newest one most often: what is revived was most likely ended just now.
        let place = if self.random.below(2) == 0 { newest } else { self.random.below(newest + 1) };
        let ended = self.ended[place].clone();
        let ids = ended.session.ids();
        let id = ids[self.random.below(ids.len())].clone();
        let address = self.any_place();
        self.is_ended(&ended, id, address).await;
    }

    /// At the end: no ended session shows its user, at no server.
    pub(crate) async fn audit_the_ended(&mut self) {
        for ended in self.ended.clone() {
            self.look_for_ended(&ended).await;
        }
    }

    pub(super) async fn look_for_ended(&mut self, ended: &Ended) {
        for address in self.open_places() {
            for id in ended.session.ids() {
                match self.is_ended(ended, id, address).await {
                    Some(true) => {}
                    // It is counted once.
                    Some(false) => return,
                    None => {
                        let what =
                            format!("audit: the end of {} is not answered", ended.session.user);
                        self.wrong(|counts| &mut counts.unaudited, &what);
                    }
                }
            }
        }
    }

    /// Whether a server says that a session has ended, asked by one of its ids; none if it says nothing.
    async fn is_ended(&mut self, ended: &Ended, id: String, address: SocketAddr) -> Option<bool> {
        let Ended { session, at, by, whence: ended_whence } = ended;
        let asked = self.ask_as(&Pass::of(id).cookies(), address, Method::GET, "/api/me").await;
        let answer = asked.ok()?;
        if answer.text("user").is_none() {
            return Some(true);
        }
        let whence = self.whence(address, &answer);
        if ended_whence.is_beyond_the_cut(&whence) {
            self.tally.count(|counts| counts.revived_cut += 1);
            return Some(false);
        }
        self.ended.retain(|other| other.session.id != session.id);
        if session.may_outlive_its_end(by, ended_whence) {
            self.tally.count(|counts| counts.outlived += 1);
            return Some(false);
        }
        let (user, named, ms) = (&session.user, &session.named, at.elapsed().as_millis());
        let what = format!(
            "{user} is signed in {whence}, {ms} ms after its end {ended_whence}; it was {named}"
        );
        self.wrong(|counts| &mut counts.revived, &what);
        Some(false)
    }
}
