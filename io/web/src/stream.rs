//! Sessions of what goes on after the response: `WebSocket`s, server-sent events, long downloads.

use std::time::Duration;

use abide_session::Presented;

use crate::{Error, Session};

/// For handlers that keep a clone of their session after they have answered.
impl Session {
    /// Loads the session again, so that what is read next is what it is now. What was recorded and
    /// not yet saved stays.
    ///
    /// A sealed session is as this request knows it; the only news there can be is that it has
    /// ended.
    ///
    /// # Errors
    /// [`Error::Gone`] if it has ended or expired, or if its id was renewed and the grace is over;
    /// [`Error::Store`] if that can not be found out, and nothing is forgotten then.
    pub async fn reload(&self) -> Result<(), Error> {
        let _alone = self.0.gate.lock().await;
        if self.state().gone || self.state().ended {
            return Err(Error::Gone);
        }
        if matches!(self.state().loaded, Presented::Nothing) {
            return Ok(());
        }
        self.look_up().await?;
        match self.live() {
            Some((_, record, standing)) => self.recompute(record, standing),
            None => Err(self.found_ended()),
        }
    }

    /// Counts the session as used, if a touch is due, and loads it again: what a stream calls from
    /// time to time while its visitor is there. Of a sealed session nothing can be written once the
    /// response has begun, so its idle time goes on.
    ///
    /// # Errors
    /// As [`Session::reload`] and [`Session::save`].
    pub async fn keep_alive(&self) -> Result<(), Error> {
        self.reload().await?;
        self.save().await
    }

    /// Comes back when the session has ended or expired, or at once if there is none. It asks the
    /// store as often as said, does not count as use, and waits through outages.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use abide::Session;
    /// # async fn next_message() -> Option<String> { None }
    /// # async fn socket(session: Session) {
    /// let ended = session.ended(Duration::from_secs(5));
    /// tokio::pin!(ended);
    /// loop {
    ///     tokio::select! {
    ///         () = &mut ended => break, // signed out in another tab: close the socket
    ///         Some(message) = next_message() => {
    ///             if session.keep_alive().await.is_err() { break }
    ///             // ... answer the message
    ///         }
    ///         else => break,
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn ended(&self, ask_every: Duration) {
        loop {
            match self.reload().await {
                Err(Error::Gone) => return,
                Ok(()) if self.live().is_none() => return,
                Ok(()) | Err(_) => tokio::time::sleep(ask_every).await,
            }
        }
    }
}
