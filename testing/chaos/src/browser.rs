//! A browser: cookies by name, connections that are kept, and patience that ends.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// When it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// More than any answer of the shop's API.
const ANSWER_BYTES: usize = 64 * 1024;

/// Cookies, by their names. Ports do not keep them apart, so all servers of a host get all of them.
pub(crate) type Cookies = BTreeMap<String, String>;

/// One visitor's browser.
#[derive(Debug, Default)]
pub(crate) struct Browser {
    connections: HashMap<SocketAddr, SendRequest<Empty<Bytes>>>,
}

/// An answer, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    set_cookies: Vec<String>,
}

/// Why there is no answer: what was asked for may have been done or not.
pub(crate) type NoAnswer = &'static str;

const REFUSED: NoAnswer = "connection refused";
const UNREACHABLE: NoAnswer = "can not connect";
const BROKEN: NoAnswer = "connection broken";
const GAVE_UP: NoAnswer = "gave up after 5 s";

impl Browser {
    /// Asks, and waits for as long as patience lasts.
    pub(crate) async fn ask(
        &mut self,
        address: SocketAddr,
        method: Method,
        target: &str,
        cookies: &Cookies,
    ) -> Result<Answer, NoAnswer> {
        let asking = async {
            let kept = self.connections.contains_key(&address);
            match self.exchange(address, &method, target, cookies).await {
                // The server may have closed a kept connection at the same moment. Browsers ask again
                // if that can do no harm.
                Err(BROKEN) if kept && method == Method::GET => {
                    self.exchange(address, &method, target, cookies).await
                }
                other => other,
            }
        };
        timeout(PATIENCE, asking).await.unwrap_or(Err(GAVE_UP))
    }

    async fn exchange(
        &mut self,
        address: SocketAddr,
        method: &Method,
        target: &str,
        cookies: &Cookies,
    ) -> Result<Answer, NoAnswer> {
        // Taken out: a connection whose exchange is given up, or fails, is not used again.
        let mut connection = match self.connections.remove(&address) {
            Some(kept) if !kept.is_closed() => kept,
            _ => connect(address).await?,
        };
        if connection.ready().await.is_err() {
            connection = connect(address).await?;
        }
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.parse().map_err(|_malformed| "a target that is none")?;
        let fields = request.headers_mut();
        fields.insert(HOST, value(&address.to_string())?);
        if !cookies.is_empty() {
            let pairs = cookies.iter().map(|(name, value)| format!("{name}={value}"));
            fields.insert(COOKIE, value(&pairs.collect::<Vec<_>>().join("; "))?);
        }
        let answer = connection.send_request(request).await.map_err(|_cause| BROKEN)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await.map_err(|_cause| BROKEN)?;
        self.connections.insert(address, connection);
        let set_cookies = head.headers.get_all(SET_COOKIE).iter();
        let set_cookies = set_cookies.map(|set| String::from_utf8_lossy(set.as_bytes()).into());
        Ok(Answer {
            status: head.status.as_u16(),
            body: body.to_bytes(),
            set_cookies: set_cookies.collect(),
        })
    }
}

impl Answer {
    /// A value of its JSON; null if there is none.
    pub(crate) fn json(&self, key: &str) -> Value {
        let mut json = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        json.get_mut(key).map_or(Value::Null, Value::take)
    }

    /// A text of its JSON.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.json(key).as_str().map(str::to_owned)
    }

    /// Takes its cookies, and drops those that it takes back.
    pub(crate) fn give_cookies(&self, cookies: &mut Cookies) {
        for set in &self.set_cookies {
            let mut parts = set.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

fn value(text: &str) -> Result<http::HeaderValue, NoAnswer> {
    text.parse().map_err(|_malformed| "a field that is none")
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, NoAnswer> {
    let stream = TcpStream::connect(address).await.map_err(|cause| match cause.kind() {
        ErrorKind::ConnectionRefused => REFUSED,
        _ => UNREACHABLE,
    })?;
    _ = stream.set_nodelay(true);
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|_cause| UNREACHABLE)?;
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_replaces_the_one_of_its_name_and_age_zero_takes_it_back() {
        let mut cookies = Cookies::new();
        for (set, kept) in [("s=1; Path=/", "1"), ("s=2; Max-Age=9", "2"), ("t=; Max-Age=0", "2")] {
            let answer =
                Answer { status: 200, body: Bytes::new(), set_cookies: vec![set.to_owned()] };
            answer.give_cookies(&mut cookies);
            assert_eq!(cookies.get("s").map(String::as_str), Some(kept), "{set}");
        }
        let set_cookies = vec!["s=; Max-Age=0".to_owned()];
        Answer { status: 200, body: Bytes::new(), set_cookies }.give_cookies(&mut cookies);
        assert!(cookies.is_empty(), "{cookies:?}");
    }
}
