//! Giving a session a new id.

use http::Method;
use tokio::time::Instant;

use super::Client;
use crate::known::{SESSION_COOKIE, Session};

impl Client {
    /// Asks for a new id, as an app does when somebody proves once more who he is. The old one goes on to lead
    /// to the session for a while.
    pub(super) async fn renew(&mut self, mut session: Session) {
        let (asked, pass) = (Instant::now(), session.pass());
        let answered = self.ask_by(&pass, Method::POST, "/api/renew").await;
        let Some((answer, whence)) = answered else {
            session.doubt_renewal(asked);
            return self.session = Some(session);
        };
        let is_user = answer.text("user").as_deref() == Some(session.user.as_str());
        match self.cookies.get(SESSION_COOKIE).filter(|id| **id != pass.id) {
            Some(id) if is_user => {
                session.rename(id.clone(), asked, whence);
                self.acknowledged();
                self.tally.count(|counts| counts.renewed += 1);
                self.session = Some(session);
            }
            _ if is_user => {
                let what = format!("{} asked for a new id {whence} and got none", session.user);
                self.wrong(|counts| &mut counts.invented, &what);
            }
            _ => self.miss(session, &whence, "a renewal found no user"),
        }
    }
}
