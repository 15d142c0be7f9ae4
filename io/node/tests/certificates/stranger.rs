//! Clients and servers that are no nodes, and show whatever they have.

use std::sync::Arc;
use std::time::Duration;

use abide_replica::Birth;
use abide_replica::wire::{First, Greeting, VERSION};
use abide_servers::Port;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::authority::{Authority, Issued};
use crate::PATIENCE;

/// What a node lets somebody know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// The handshake failed, or it was hung up on.
    Nothing,
    /// It was told why not.
    Refusal(String),
    /// It was taken for a node.
    Everything,
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes());
    (chain.map(Result::unwrap).collect(), key.unwrap())
}

fn connector(authorities: &[&Authority], shown: Option<&Issued>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from_pem_slice(authority.root().as_bytes()).unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown.map(read) {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
        None => config.with_no_client_auth(),
    };
    TlsConnector::from(Arc::new(config))
}

/// Whether what the node of this name shows leads to this authority, and is valid.
pub(crate) async fn shows_one_of(port: &Port, name: &str, authority: &Authority) -> bool {
    let stream = TcpStream::connect(port.address()).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector(&[authority], None).connect(name, stream).await.is_ok()
}

/// Somebody who greets the node of this name, by a name of his own.
pub(crate) struct Caller<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) shown: Option<&'a Issued>,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
}

impl Caller<'_> {
    /// What it learns.
    pub(crate) async fn call(&self, port: &Port) -> Learned {
        let called = tokio::time::timeout(PATIENCE, self.try_call(port)).await;
        match called.expect("an answer or an end") {
            Some(First::Greeting(_)) => Learned::Everything,
            Some(First::Refusal(why)) => Learned::Refusal(why),
            None => Learned::Nothing,
        }
    }

    async fn try_call(&self, port: &Port) -> Option<First> {
        let stream = TcpStream::connect(port.address()).await.unwrap();
        let name = ServerName::try_from(self.to.to_owned()).unwrap();
        let connector = connector(&[self.authority], self.shown);
        let mut stream = connector.connect(name, stream).await.ok()?;
        let greeting = First::Greeting(Greeting {
            version: VERSION,
            copies: 2,
            birth: Birth(1),
            from: self.from.to_owned(),
            to: self.to.to_owned(),
            address: "127.0.0.1:1".to_owned(),
        });
        let bytes = greeting.write();
        let length = u32::try_from(bytes.len()).unwrap();
        stream.write_all(&[&length.to_le_bytes()[..], &bytes].concat()).await.ok()?;
        let length = stream.read_u32_le().await.ok()?;
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut bytes).await.ok()?;
        First::read(&bytes)
    }
}

/// Takes connections at this port as somebody who shows this, until so many have come; returns the first that
/// was said to him.
pub(crate) async fn impersonate(port: &Port, shown: &Issued, connections: usize) -> Vec<u8> {
    let (chain, key) = read(shown);
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(port.address()).await.unwrap();
    let mut said = Vec::new();
    for _ in 0..connections {
        let (stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            assert_eq!(
                stream.get_ref().1.server_name(),
                None,
                "no name goes over the wire in the clear"
            );
            let mut bytes = [0; 64];
            let read = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut bytes)).await;
            said.extend_from_slice(&bytes[..read.map_or(0, |read| read.unwrap_or(0))]);
        }
    }
    said
}
