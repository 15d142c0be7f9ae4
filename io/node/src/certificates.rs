//! What a node shows in place of a secret, as its operator gives it: PEM, in files or in memory.
//!
//! Files are read with a limit, and a key that others could have read as well is not taken. Nothing that
//! stands in a file is ever part of an error.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What a node shows to others, and whom it takes: its certificate and key, and the authorities that sign for
/// nodes of this cluster.
///
/// The certificate has the node's name as a `dNSName` in its `subjectAltName`, and may be used by a server and by
/// a client, as each node is both. Whoever has a certificate of these authorities can be a node of the
/// cluster, under the names that stand in it: so they sign for nothing else.
///
/// Files are looked at again while the node runs, and what is new there is used for new connections.
///
/// ```no_run
/// use abide_node::{Certificates, Config, join};
///
/// # async fn start() -> Result<(), abide_node::JoinError> {
/// let own = Certificates::files("a.pem", "a.key", "ca.pem");
/// let nodes = [("a", "10.0.0.1:7946"), ("b", "10.0.0.2:7946")];
/// let store = join(Config::new("a", nodes).certificates(own)).await?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Certificates {
    chain: Source,
    key: Source,
    roots: Source,
}

/// Where PEM is found.
#[derive(Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

/// The most that is read of one file: a chain takes some thousand bytes.
pub(crate) const MAX_PEM_BYTES: u64 = 1024 * 1024;
/// The bits of a file's mode that let everybody read, write or run it.
const OTHERS: u32 = 0o007;

/// What was read, at one time.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pem {
    chain: Vec<u8>,
    key: Vec<u8>,
    roots: Vec<u8>,
}

impl Certificates {
    /// From files in PEM form: the node's certificate, those between it and the authority behind it; its key; and
    /// one authority or more. The file of the key must not be there for all users of the machine.
    pub fn files(
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        roots: impl Into<PathBuf>,
    ) -> Self {
        let [chain, key, roots] = [chain.into(), key.into(), roots.into()].map(Source::File);
        Self { chain, key, roots }
    }

    /// The same from memory. They stay what they are as long as the node runs.
    pub fn pem(
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
        roots: impl Into<Vec<u8>>,
    ) -> Self {
        let sources = [chain.into(), key.into(), roots.into()];
        let [chain, key, roots] = sources.map(|bytes| Source::Memory(bytes.into()));
        Self { chain, key, roots }
    }

    /// Whether they can be others at another time.
    pub(crate) fn may_change(&self) -> bool {
        [&self.chain, &self.key, &self.roots].iter().any(|at| matches!(at, Source::File(_)))
    }

    /// What is there now, or what is wrong with it and what to do.
    pub(crate) fn read(&self) -> Result<Pem, String> {
        Ok(Pem {
            chain: self.chain.read(false)?,
            key: self.key.read(true)?,
            roots: self.roots.read(false)?,
        })
    }

    /// What to call the certificate and those behind it.
    pub(crate) fn chain_name(&self) -> String {
        self.chain.name("the chain")
    }

    /// What to call the key.
    pub(crate) fn key_name(&self) -> String {
        self.key.name("the key")
    }

    /// What to call the authorities.
    pub(crate) fn roots_name(&self) -> String {
        self.roots.name("the authorities")
    }
}

impl Source {
    fn name(&self, in_memory: &str) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory(_) => in_memory.to_owned(),
        }
    }

    fn read(&self, is_secret: bool) -> Result<Vec<u8>, String> {
        let path = match self {
            Self::File(path) => path,
            Self::Memory(bytes) => return Ok(bytes.to_vec()),
        };
        let shown = path.display();
        let unreadable =
            |error| format!("can not read {shown}: {error}; name a file that this user can read");
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if is_secret && mode & OTHERS != 0 {
            return Err(format!(
                "the key in {shown} is there for every user of this machine: chmod 600 {shown}"
            ));
        }
        let mut bytes = Vec::new();
        file.take(MAX_PEM_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_PEM_BYTES {
            return Err(format!("{shown} has more than 1 MiB: name a file in PEM form"));
        }
        Ok(bytes)
    }
}

impl Pem {
    /// The certificate of the node, and those behind it; none if one can not be read.
    pub(crate) fn chain(&self) -> Option<Vec<CertificateDer<'static>>> {
        certificates(&self.chain)
    }

    /// The authorities; none if one can not be read.
    pub(crate) fn roots(&self) -> Option<Vec<CertificateDer<'static>>> {
        certificates(&self.roots)
    }

    /// The key; none if it can not be read.
    pub(crate) fn key(&self) -> Option<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(&self.key).ok()
    }
}

/// At least one.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok().filter(|certificates| !certificates.is_empty())
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("chain", &self.chain_name())
            .field("key", &self.key_name())
            .field("roots", &self.roots_name())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn read(bytes: &[u8], mode: u32, is_secret: bool) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Source::File(path).read(is_secret)
    }

    #[test]
    fn a_key_that_every_user_can_read_is_refused_and_a_certificate_is_not() {
        for mode in [0o604, 0o602, 0o644, 0o777] {
            let refused = read(b"key", mode, true).unwrap_err();
            assert!(refused.contains("chmod 600"), "{refused}");
            assert_eq!(read(b"certificate", mode | 0o600, false).unwrap(), b"certificate");
        }
        for mode in [0o600, 0o400, 0o640] {
            assert_eq!(read(b"key", mode, true).unwrap(), b"key");
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let limit = usize::try_from(MAX_PEM_BYTES).unwrap();
        assert_eq!(read(&vec![b'#'; limit], 0o600, true).unwrap().len(), limit);
        let refused = read(&vec![b'#'; limit + 1], 0o600, true).unwrap_err();
        assert!(refused.contains("more than 1 MiB"), "{refused}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_what_to_do() {
        let refused = Certificates::files("/none/a.pem", "/none/a.key", "/none/ca.pem").read();
        let refused = refused.map(|_| ()).unwrap_err();
        assert!(refused.contains("can not read /none/a.pem"), "{refused}");
    }

    #[test]
    fn what_is_in_memory_is_not_shown() {
        let certificates = Certificates::pem("cert", "secret words", "ca");
        assert!(!certificates.may_change());
        let shown = format!("{certificates:?}");
        assert!(!shown.contains("secret words") && !shown.contains("115, 101"), "{shown}");
    }
}
