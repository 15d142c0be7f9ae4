//! Making connections to other nodes, and taking theirs.
//!
//! Both ends prove that they belong together, then greet. Whoever is not of this cluster is told why, if
//! it has proved that much, and otherwise nothing. All of it has to be done within a time-out, and so many
//! connections are greeted at once and not more: who comes then takes the place of the one that has taken
//! longest, so that strangers who connect and say nothing hold up nobody.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abide_replica::wire::{First, Greeting, MAX_GREETING_BYTES, VERSION};
use abide_replica::{Birth, Contact, NodeId};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::config::is_loopback;
use crate::counters::Counts;
use crate::identity::{Identity, OTHER_IDENTITY, Proof, told};
use crate::link::{Fresh, Halves, Met};
use crate::nodes::Nodes;
use crate::shell::Input;

/// A connection that is not there by then counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Handshake and greetings have to be done by then.
const GREET_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that are greeted at once.
const MAX_GREETED_AT_ONCE: usize = 64;
/// After an error of the listener, which most often is that there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) nodes: Nodes,
    pub(crate) identity: Option<Identity>,
    /// Whether others may join.
    pub(crate) is_open: bool,
    /// Of this process, as it may begin again.
    pub(crate) birth: Arc<AtomicU64>,
    pub(crate) node: mpsc::Sender<Input>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) last_number: AtomicU64,
}

/// A process that is killed resets what has just connected to it, and a moment later nobody listens
/// there. So who was reset asks again at once, a few times: the answer may be the proof of death that others
/// wait for.
const RESET_PAUSE: Duration = Duration::from_millis(5);
const MAX_RESETS: usize = 4;

/// Why a connection came to nothing.
enum Failed {
    /// Nobody listens there.
    Refused,
    /// It was there and broke.
    Reset(String),
    Other(String),
}

impl From<String> for Failed {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let reason = told(&error).unwrap_or_else(|| format!("{error} ({OTHER_IDENTITY})"));
        match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => Self::Reset(reason),
            _ => Self::Other(reason),
        }
    }
}

impl Failed {
    fn into_reason(self) -> String {
        match self {
            Self::Refused => "nobody listens there".to_owned(),
            Self::Reset(reason) | Self::Other(reason) => reason,
        }
    }
}

impl Connector {
    /// Makes a connection, and tells the node what came of it.
    pub(crate) async fn dial(self: Arc<Self>, peer: NodeId) {
        let mut outcome = self.try_dial(peer).await;
        for _ in 0..MAX_RESETS {
            if !matches!(outcome, Err(Failed::Reset(_))) {
                break;
            }
            tokio::time::sleep(RESET_PAUSE).await;
            outcome = self.try_dial(peer).await;
        }
        let input = match outcome {
            Ok(fresh) => Input::Up(fresh),
            Err(Failed::Refused) => Input::Refused(peer),
            Err(failed) => {
                let reason = failed.into_reason();
                let name = self.nodes.name(peer);
                self.counts.warn_once(&name, &reason, || {
                    tracing::warn!(node = name, %reason, "no connection to another node");
                });
                Input::Unreachable(peer)
            }
        };
        let _ = self.node.send(input).await;
    }

    async fn try_dial(&self, peer: NodeId) -> Result<Fresh, Failed> {
        let address = self.nodes.address(peer).unwrap_or_default();
        if self.identity.is_none() && !is_loopback(&address) {
            return Err(format!(
                "{address} is not of the loopback interface, and there is no secret"
            )
            .into());
        }
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connect(&address)).await;
        let no_answer = |_elapsed| Err(Failed::Other(format!("{address} does not answer")));
        let stream = stream.unwrap_or_else(no_answer)?;
        let greeted = tokio::time::timeout(GREET_TIMEOUT, self.greet(stream, peer)).await;
        let no_greeting = |_elapsed| Err(Failed::Other("it does not greet".to_owned()));
        greeted.unwrap_or_else(no_greeting).map_err(|failed| match failed {
            Failed::Refused => Failed::Refused,
            Failed::Reset(reason) => Failed::Reset(format!("{address}: {reason}")),
            Failed::Other(reason) => Failed::Other(format!("{address}: {reason}")),
        })
    }

    /// Takes connections for ever.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener) {
        let mut greeted: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "can not take connections of other nodes");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            greeted.retain(|task| !task.is_finished());
            if greeted.len() >= MAX_GREETED_AT_ONCE
                && let Some(longest) = greeted.pop_front()
            {
                longest.abort();
            }
            let connector = Arc::clone(&self);
            let task = tokio::spawn(async move {
                match tokio::time::timeout(GREET_TIMEOUT, connector.welcome(stream)).await {
                    Ok(Ok(fresh)) => drop(connector.node.send(Input::Up(fresh)).await),
                    Ok(Err(failed)) => {
                        let reason = failed.into_reason();
                        connector.counts.warn_once("", &reason, || {
                            tracing::warn!(%reason, "a connection was not taken");
                        });
                    }
                    Err(_elapsed) => {}
                }
            });
            greeted.push_back(task.abort_handle());
        }
    }

    async fn greet(&self, stream: TcpStream, peer: NodeId) -> Result<Fresh, Failed> {
        prepare(&stream);
        match &self.identity {
            Some(identity) => {
                let (secured, proof) = identity.dial(&self.nodes.name(peer), stream).await?;
                self.speak_first(Halves::of(tokio::io::split(secured)), peer, &proof).await
            }
            None => self.speak_first(Halves::of(stream.into_split()), peer, &Proof::Member).await,
        }
    }

    async fn speak_first(
        &self,
        mut halves: Halves,
        peer: NodeId,
        proof: &Proof,
    ) -> Result<Fresh, Failed> {
        let ours = self.nodes.greeting(self.birth(), peer);
        say(&mut halves.write, &First::Greeting(ours)).await?;
        match hear(&mut halves.read).await? {
            First::Greeting(theirs) => {
                check(proof, &theirs)?;
                let contact = self.nodes.meet(&theirs)?;
                if contact.node != peer {
                    return Err(format!("{:?} answers there", theirs.from).into());
                }
                Ok(self.met(&theirs, contact, true, halves))
            }
            First::Refusal(reason) => Err(reason.into()),
        }
    }

    async fn welcome(&self, stream: TcpStream) -> Result<Fresh, Failed> {
        prepare(&stream);
        match &self.identity {
            Some(identity) => {
                let (secured, proof) = identity.accept(stream).await?;
                self.speak_second(Halves::of(tokio::io::split(secured)), &proof).await
            }
            None => self.speak_second(Halves::of(stream.into_split()), &Proof::Member).await,
        }
    }

    async fn speak_second(&self, mut halves: Halves, proof: &Proof) -> Result<Fresh, Failed> {
        let First::Greeting(theirs) = hear(&mut halves.read).await? else {
            return Err("it begins with a refusal".to_owned().into());
        };
        let met = if self.is_open {
            check(proof, &theirs).and_then(|()| self.nodes.meet(&theirs))
        } else {
            Err("this node was started alone and without a secret: nobody can join it".to_owned())
        };
        let contact = match met {
            Ok(contact) => contact,
            Err(reason) => {
                let _ = say(&mut halves.write, &First::Refusal(reason.clone())).await;
                return Err(reason.into());
            }
        };
        // Its name may be new to us.
        let ours = self.nodes.greeting(self.birth(), contact.node);
        let ours = Greeting { to: theirs.from.clone(), ..ours };
        say(&mut halves.write, &First::Greeting(ours)).await?;
        Ok(self.met(&theirs, contact, false, halves))
    }

    fn met(&self, theirs: &Greeting, contact: Contact, is_dialed: bool, halves: Halves) -> Fresh {
        let peer = contact.node;
        if theirs.version != VERSION {
            let (theirs, ours) = (theirs.version, VERSION);
            tracing::info!(node = contact.name, theirs, ours, "another version");
        }
        let number = self.last_number.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let met = Met { peer, birth: theirs.birth, number, is_dialed };
        Fresh { met, contact, halves }
    }

    fn birth(&self) -> Birth {
        Birth(self.birth.load(Ordering::Relaxed))
    }
}

/// Whether who greets has proved the name that it gives. Nothing else of this node is told to who has not.
fn check(proof: &Proof, theirs: &Greeting) -> Result<(), String> {
    if proof.is_of(&theirs.from) {
        return Ok(());
    }
    Err(format!("the certificate of the node that calls itself {:?} has other names", theirs.from))
}

/// A connection to a host and port. Refused is only what all addresses of the host refuse: at one of them the
/// node may not listen, and be alive.
async fn connect(address: &str) -> Result<TcpStream, Failed> {
    let failed = |error: io::Error| Failed::Other(format!("{address}: {error}"));
    let mut outcome = Err(Failed::Other(format!("{address} is no address of anything")));
    let mut are_refused = true;
    for found in tokio::net::lookup_host(address).await.map_err(failed)? {
        match TcpStream::connect(found).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && are_refused => {
                outcome = Err(Failed::Refused);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => (outcome, are_refused) = (Err(failed(error)), false),
        }
    }
    outcome
}

fn prepare(stream: &TcpStream) {
    // What is written is meant to go out.
    let _ = stream.set_nodelay(true);
}

async fn say(write: &mut (impl AsyncWrite + Unpin), first: &First) -> io::Result<()> {
    let bytes = first.write();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    write.write_all(&[&length.to_le_bytes()[..], &bytes].concat()).await?;
    write.flush().await
}

async fn hear(read: &mut (impl AsyncRead + Unpin)) -> Result<First, Failed> {
    let length = read.read_u32_le().await?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let no_node = || Failed::Other("who speaks there is no node of abide of this kind".to_owned());
    if length > MAX_GREETING_BYTES {
        return Err(no_node());
    }
    let mut bytes = vec![0; length];
    read.read_exact(&mut bytes).await?;
    First::read(&bytes).ok_or_else(no_node)
}
