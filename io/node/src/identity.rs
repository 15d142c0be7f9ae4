//! How nodes prove to each other that they belong together: they know one secret, or each has a certificate.
//!
//! Of a secret follows an Ed25519 key, the same on all nodes: each shows the public half as a raw
//! public key (RFC 7250) in the handshake of TLS 1.3, proves that it has the other half, and takes
//! nobody who shows another. There are no certificates, so none expires. Whoever knows the secret may go by any name.
//!
//! A certificate ([`Certificates`](crate::Certificates)) proves a name too: who is dialed has to have the name that was meant, before
//! anything is said to it, and a greeting may say no name that the certificate has not.

use std::io;
use std::sync::Arc;

use abide_keys::{Key, KeyRing};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme, version,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::error::JoinError;
use crate::pair::{Pair, names, server_name};
use crate::renewal::Renewal;

/// By what a node is known to others, and knows them.
#[derive(Clone)]
pub(crate) enum Identity {
    /// All know one secret.
    Secret(Tls),
    /// Each has a certificate, which may be another one some time.
    Certificate(Arc<Renewal>),
}

/// What is shown and asked for, as either end of a connection.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) connector: TlsConnector,
    pub(crate) acceptor: TlsAcceptor,
}

/// What is known of the other end after a handshake.
#[derive(Debug)]
pub(crate) enum Proof {
    /// It may go by any name.
    Member,
    /// It may go by these.
    Names(Vec<String>),
}

/// The public halves that are taken.
#[derive(Debug)]
struct Known {
    public: Vec<Vec<u8>>,
    algorithms: WebPkiSupportedAlgorithms,
}

const PURPOSE: &[u8] = b"identity of a node, version 1";
/// An Ed25519 key as PKCS #8 (RFC 8410 section 7) up to the 32 bytes that it is made of.
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

impl Identity {
    /// Of a secret.
    pub(crate) fn of(keys: &KeyRing) -> Result<Self, JoinError> {
        Tls::of(keys).map(Self::Secret).map_err(|error| {
            JoinError::Config(format!("TLS can not be used with this secret: {error}"))
        })
    }

    /// A handshake with the node of this name, to which nothing has been said before.
    pub(crate) async fn dial(
        &self,
        name: &str,
        stream: TcpStream,
    ) -> io::Result<(client::TlsStream<TcpStream>, Proof)> {
        match self {
            Self::Secret(tls) => {
                Ok((tls.connector.connect(any_name(), stream).await?, Proof::Member))
            }
            Self::Certificate(renewal) => {
                let wrong_name = || Error::from(CertificateError::NotValidForName);
                let expected = server_name(name).ok_or_else(|| io::Error::other(wrong_name()))?;
                let secured = renewal.pair().tls.connector.connect(expected, stream).await?;
                let proof = Proof::of(secured.get_ref().1.peer_certificates())?;
                if !proof.is_of(name) {
                    return Err(io::Error::other(wrong_name()));
                }
                Ok((secured, proof))
            }
        }
    }

    /// A handshake with whoever has connected.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(server::TlsStream<TcpStream>, Proof)> {
        match self {
            Self::Secret(tls) => Ok((tls.acceptor.accept(stream).await?, Proof::Member)),
            Self::Certificate(renewal) => {
                let secured = renewal.pair().tls.acceptor.accept(stream).await?;
                let proof = Proof::of(secured.get_ref().1.peer_certificates())?;
                Ok((secured, proof))
            }
        }
    }

    /// What has to be looked at while the node runs.
    pub(crate) fn renewal(&self) -> Option<&Arc<Renewal>> {
        match self {
            Self::Secret(_) => None,
            Self::Certificate(renewal) => Some(renewal),
        }
    }

    /// The certificate that is shown now.
    pub(crate) fn pair(&self) -> Option<Arc<Pair>> {
        self.renewal().map(|renewal| renewal.pair())
    }
}

impl Proof {
    fn of(shown: Option<&[CertificateDer<'_>]>) -> io::Result<Self> {
        let own = shown.and_then(<[_]>::first).ok_or(Error::NoCertificatesPresented);
        own.and_then(names).map(Self::Names).map_err(io::Error::other)
    }

    /// Whether it may go by this name.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        match self {
            Self::Member => true,
            Self::Names(names) => names.iter().any(|known| known == name),
        }
    }
}

/// Why a handshake came to nothing, in words that are the same each time; none if it was not the handshake.
pub(crate) fn told(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let text = match error {
        Error::InvalidCertificate(fault) => match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: is a clock wrong?"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate does not have the name that was asked for"
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "its certificate is not for both serverAuth and clientAuth"
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "it has another secret, or a certificate of another authority"
            }
            other => return Some(format!("its certificate can not be used: {other:?}")),
        },
        Error::NoCertificatesPresented => "it shows no certificate",
        Error::AlertReceived(alert) => {
            return Some(format!("it does not take this node: {alert:?} ({OTHER_IDENTITY})"));
        }
        other => return Some(format!("{other} ({OTHER_IDENTITY})")),
    };
    Some(text.to_owned())
}

/// What to think of when a handshake fails.
pub(crate) const OTHER_IDENTITY: &str = "does it have another secret or authority, or none?";

impl Tls {
    fn of(keys: &KeyRing) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let public: Result<_, Error> = keys.iter().map(|key| public_of(&*pair_of(key)?)).collect();
        let algorithms = provider.signature_verification_algorithms;
        let known = Arc::new(Known { public: public?, algorithms });
        let pair = pair_of(keys.first())?;
        let shown = Arc::new(CertifiedKey::new(vec![public_of(&*pair)?.into()], pair));
        let client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&known) as _)
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
                Arc::clone(&shown),
            )));
        let server = server_config(provider, known, shown)?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
        })
    }
}

fn server_config(
    provider: Arc<CryptoProvider>,
    known: Arc<Known>,
    shown: Arc<CertifiedKey>,
) -> Result<rustls::ServerConfig, Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(known)
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(shown)));
    // Connections between nodes last: nothing is gained by resuming one.
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The name of a server means nothing to a secret: the greeting has it.
fn any_name() -> ServerName<'static> {
    ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into())
}

fn pair_of(key: &Key) -> Result<Arc<dyn SigningKey>, Error> {
    let mut der = PKCS8_HEAD.to_vec();
    der.extend_from_slice(&*key.derive(PURPOSE));
    rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der))
}

fn public_of(pair: &dyn SigningKey) -> Result<Vec<u8>, Error> {
    let public = pair.public_key().map(|public| public.as_ref().to_vec());
    public.ok_or_else(|| Error::General("the key has no public half".to_owned()))
}

impl Known {
    fn check(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        // What is public may be compared in any time.
        if self.public.iter().any(|known| known.as_slice() == shown.as_ref()) {
            return Ok(());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    fn check_proof(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        proof: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let public = SubjectPublicKeyInfoDer::from(shown.as_ref());
        verify_tls13_signature_with_raw_key(message, &public, proof, &self.algorithms)
    }
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(shown).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _proof: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        proof: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_proof(message, shown, proof)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Known {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(shown).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _proof: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        proof: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_proof(message, shown, proof)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}
