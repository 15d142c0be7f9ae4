//! One request and its answer, from the end of the request's fields to the last byte of the answer.
//!
//! Whatever way it ends (answered, refused, given up by the client, cut off), it ends in one place:
//! [`Exchange`]'s drop counts it, logs it, gives the server its place back and the connection to the
//! pool if all of the answer has been read.

use crate::access_log::Entry;
use crate::body::Upload;
use crate::connection::Connection;
use crate::pool::Lease;
use abide_affinity::{Reason, View};
use http::{Method, Uri};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Status logged for a client that left before it was answered (nginx's number for it).
const CLIENT_LEFT: u16 = 499;

/// A request under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) connection: Rc<Connection>,
    view: Arc<View>,
    method: Method,
    uri: Uri,
    began: Duration,
    reason: Reason,
    server: Option<usize>,
    status: u16,
    sent_bytes: u64,
    lease: Option<Lease>,
    /// How much of the request has gone to the server.
    pub(crate) upload: Arc<Upload>,
}

impl Exchange {
    pub(crate) fn begin(
        connection: Rc<Connection>,
        view: Arc<View>,
        method: Method,
        uri: Uri,
    ) -> Self {
        connection.client.begin_request();
        let began = connection.worker.fleet.clock.since_epoch();
        Self {
            connection,
            view,
            method,
            uri,
            began,
            reason: Reason::None,
            server: None,
            status: CLIENT_LEFT,
            sent_bytes: 0,
            lease: None,
            upload: Arc::default(),
        }
    }

    pub(crate) fn began(&self) -> Duration {
        self.began
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// The server that is at work on it.
    pub(crate) fn place(&self) -> Option<usize> {
        self.server
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        Some(self.view.server(self.server?)?.name.as_str())
    }

    /// The request is tried at this server, and no longer at the one before.
    pub(crate) fn occupy(&mut self, server: usize, reason: Reason) {
        self.release();
        self.connection.worker.fleet.occupy(server);
        self.server = Some(server);
        self.reason = reason;
    }

    /// No server is at work on it.
    pub(crate) fn release(&mut self) {
        if let Some(server) = self.server.take() {
            self.connection.worker.fleet.release(server);
        }
    }

    /// Why no server answers.
    pub(crate) fn refuse(&mut self, reason: Reason) {
        self.release();
        self.reason = reason;
    }

    /// An answer begins.
    pub(crate) fn status(&mut self, status: u16) {
        self.status = status;
    }

    /// The connection that brings the answer.
    pub(crate) fn hold(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    pub(crate) fn count_bytes(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    /// All of the answer has been read: the connection to the server can be used again, provided that
    /// it has also taken all of the request.
    pub(crate) fn answered(&mut self) {
        if let (Some(server), Some(lease)) = (self.server, self.lease.take())
            && self.upload.is_sent()
        {
            self.connection.worker.pool.put(server, lease);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.upload.is_sent() {
            self.upload.cancel();
            self.connection.client.leave_content();
        }
        let worker = &self.connection.worker;
        let ended = worker.fleet.clock.since_epoch();
        let took = ended.saturating_sub(self.began);
        worker.counters.request(self.reason, self.server, self.status, took);
        worker.counters.sent_bytes.add(self.sent_bytes);
        if let Some(log) = &worker.log {
            let entry = Entry {
                client: self.connection.peer.text(),
                method: self.method.as_str(),
                path: self.uri.path(),
                status: self.status,
                bytes: self.sent_bytes,
                took,
                server: self.server_name().unwrap_or("-"),
                verdict: self.reason.as_str(),
            };
            log.add(&entry, ended);
        }
        if let Some(server) = self.server {
            worker.fleet.release(server);
        }
        self.connection.client.end_request();
    }
}
