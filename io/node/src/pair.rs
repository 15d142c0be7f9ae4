//! A certificate with its key and authorities, checked as other nodes are going to check it.
//!
//! Invariant: a pair is right at the moment that it is made: the key is the certificate's, the certificate leads to one of
//! the authorities, is valid now, for a server and for a client, and has the node's name. rustls' own verifiers
//! say so, the same that are asked about others. They are asked for TLS 1.3 alone.
//!
//! A name counts if it stands in the certificate as it is. A pattern (`*.example`) would be the name of any node, of those
//! too that the authority has never heard of.

use std::sync::Arc;
use std::time::Duration;

use abide_time::Time;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, Error, InconsistentKeys, OtherError, RootCertStore, version};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificates::{Certificates, Pem};
use crate::identity::Tls;

/// A certificate that can be shown, and what to check others by.
pub(crate) struct Pair {
    /// What it was made of.
    pub(crate) pem: Pem,
    pub(crate) tls: Tls,
    /// Until when the certificate and those behind it are valid; none: for ever.
    pub(crate) expires: Option<Time>,
}

/// The last moment that a certificate can name, which means that it has no end (RFC 5280 section 4.1.2.5).
const LAST: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(253_402_300_799));
/// Certificates that lead from one to an authority: more are not followed.
const MAX_CHAIN: usize = 8;

impl Pair {
    /// What was read, for the node of this name, if it is right at this time; or what is wrong, with what to do.
    pub(crate) fn of(
        pem: Pem,
        certificates: &Certificates,
        name: &str,
        now: UnixTime,
    ) -> Result<Self, String> {
        let [chain_name, key_name] = [certificates.chain_name(), certificates.key_name()];
        let roots_name = certificates.roots_name();
        let no_certificate = |at: &str| format!("{at}: there is no certificate in PEM form");
        let chain = pem.chain().ok_or_else(|| no_certificate(&chain_name))?;
        let key = pem.key().ok_or_else(|| {
            format!("{key_name}: there is no key in PEM form, or it is encrypted")
        })?;
        let roots = pem.roots().ok_or_else(|| no_certificate(&roots_name))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let shown = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "the key in {key_name} is not that of the first certificate in {chain_name}: name the key \
                 that it was made for, and put the certificate of the node first"
            ),
            error => format!(
                "{chain_name} and {key_name} can not be used ({error}): RSA from 2048 bits, ECDSA with \
                 P-256 or P-384, and Ed25519 can"
            ),
        })?;
        let checks = Checks::of(roots, Arc::clone(&provider))
            .map_err(|error| format!("{roots_name} can not be used: {error}"))?;
        let expires = checks.own(&shown.cert, name, now).map_err(|fault| {
            format!("the certificate in {chain_name} {}", fault.told(name, &roots_name))
        })?;
        let tls = checks.tls(shown, provider).map_err(|error| format!("{chain_name}: {error}"))?;
        Ok(Self { pem, tls, expires })
    }
}

/// Why a certificate is not right, as whose it is has to know.
enum Unfit {
    /// It has other names.
    Names(Vec<String>),
    /// It may not be used by the one or the other.
    Purpose(&'static str),
    Other(Error),
}

impl Unfit {
    fn told(self, name: &str, roots_name: &str) -> String {
        let error = match self {
            Self::Names(names) => {
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return format!(
                    "does not name this node: it needs the dNSName {name} in subjectAltName, and has {names}"
                );
            }
            Self::Purpose(missing) => {
                return format!(
                    "lacks {missing} in its extended key usage: each node is a server and a client, so \
                     it needs serverAuth and clientAuth"
                );
            }
            Self::Other(Error::InvalidCertificate(error)) => error,
            Self::Other(error) => return format!("can not be used: {error}"),
        };
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "has expired, or one behind it: have it renewed".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet, or one behind it: is the clock of this machine right?".to_owned()
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "does not lead to an authority that is trusted ({roots_name}): put those between behind \
                 it, or add its authority"
            ),
            CertificateError::Other(OtherError(cause)) if is_of_authority(&*cause) => {
                "is that of an authority: give the node one of its own, with basicConstraints CA:FALSE"
                    .to_owned()
            }
            error => format!("can not be used: {error}"),
        }
    }
}

fn is_of_authority(cause: &(dyn std::error::Error + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// The verifiers of one set of authorities.
struct Checks {
    server: Arc<WebPkiServerVerifier>,
    client: Arc<dyn ClientCertVerifier>,
}

impl Checks {
    fn of(
        certificates: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let roots = Arc::new(roots);
        let server =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .build()
                .map_err(|error| error.to_string())?;
        // Who connects is not told whom this node trusts.
        let client = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .clear_root_hint_subjects()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { server, client })
    }

    /// Until when a node of this name can show this chain.
    fn own(
        &self,
        chain: &[CertificateDer<'_>],
        name: &str,
        now: UnixTime,
    ) -> Result<Option<Time>, Unfit> {
        let Some((own, between)) = chain.split_first() else {
            return Err(Unfit::Other(Error::NoCertificatesPresented));
        };
        let unfit = |lacking: &'static str| {
            move |error| match error {
                Error::InvalidCertificate(
                    CertificateError::InvalidPurpose
                    | CertificateError::InvalidPurposeContext { .. },
                ) => Unfit::Purpose(lacking),
                error => Unfit::Other(error),
            }
        };
        self.client.verify_client_cert(own, between, now).map_err(unfit("clientAuth"))?;
        let names = names(own).map_err(Unfit::Other)?;
        if !names.iter().any(|known| known == name) {
            return Err(Unfit::Names(names));
        }
        let server_name = server_name(name).ok_or(Unfit::Names(names))?;
        let checked = self.server.verify_server_cert(own, between, &server_name, &[], now);
        checked.map_err(unfit("serverAuth"))?;
        Ok(self.expiry(own, between))
    }

    /// Until when a chain is valid: the verifier says what is over at the end of all time, and then what is
    /// over before that.
    fn expiry(&self, own: &CertificateDer<'_>, between: &[CertificateDer<'_>]) -> Option<Time> {
        let mut last = LAST;
        for _ in 0..MAX_CHAIN {
            match self.client.verify_client_cert(own, between, last) {
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                    not_after,
                    ..
                })) if not_after < last => last = not_after,
                _ => break,
            }
        }
        (last < LAST).then(|| Time::from_secs(last.as_secs()))
    }

    fn tls(self, shown: CertifiedKey, provider: Arc<CryptoProvider>) -> Result<Tls, Error> {
        let shown = Arc::new(SingleCertAndKey::from(shown));
        let mut client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13])?
            .with_webpki_verifier(self.server)
            .with_client_cert_resolver(Arc::clone(&shown) as _);
        // It would go over the wire in the clear, and who listens has one node.
        client.enable_sni = false;
        // Connections between nodes last, and each is to be checked by what is true when it is made.
        client.resumption = Resumption::disabled();
        let mut server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])?
            .with_client_cert_verifier(self.client)
            .with_cert_resolver(shown);
        server.send_tls13_tickets = 0;
        Ok(Tls {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
        })
    }
}

/// The name of a node as that of a server, if a certificate can have it. Names of nodes differ by their case and
/// by a dot at the end, those in certificates do not: so only those without either can be proved.
pub(crate) fn server_name(name: &str) -> Option<ServerName<'static>> {
    let is_one_of_a_kind =
        !name.ends_with('.') && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    match ServerName::try_from(name) {
        Ok(found @ ServerName::DnsName(_)) if is_one_of_a_kind => Some(found.to_owned()),
        _ => None,
    }
}

/// The nodes that a certificate names.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let parsed = webpki::EndEntityCert::try_from(certificate)
        .map_err(|_fault| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let names = parsed.valid_dns_names().map(str::to_ascii_lowercase);
    Ok(names.filter(|name| server_name(name).is_some()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_can_be_proved_is_a_dns_name_in_small_letters() {
        for name in ["a", "node-1", "node_1", "a.nodes.example", "1a"] {
            assert!(server_name(name).is_some(), "{name}");
        }
        for name in [
            "A", "a.", "10.0.0.1", "::1", "1", "0x1f", "-a", "a-", "a..b", "", "*.a", "\u{e4}",
            "a b",
        ] {
            assert!(server_name(name).is_none(), "{name}");
        }
    }
}
