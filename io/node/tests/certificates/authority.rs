//! An authority that signs certificates for nodes, by the program openssl.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use abide_node::Certificates;
use tempfile::TempDir;

/// An authority, in a folder that is gone with it.
pub(crate) struct Authority {
    folder: TempDir,
}

/// What stands in a certificate.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) names: &'a [&'a str],
    /// The extended key usage.
    pub(crate) usage: &'a str,
    /// From when, and until when, in seconds from now.
    pub(crate) valid: (i64, i64),
    /// Openssl's words for the kind of key.
    pub(crate) key: &'a str,
}

pub(crate) const DAY: i64 = 24 * 60 * 60;
const BOTH: &str = "serverAuth,clientAuth";

impl<'a> Wanted<'a> {
    /// A good one.
    pub(crate) const fn of(names: &'a [&'a str]) -> Self {
        let key = "ec -pkeyopt ec_paramgen_curve:P-256";
        Self { names, usage: BOTH, valid: (-DAY, 90 * DAY), key }
    }
}

/// A certificate with those behind it, and its key, in PEM form.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// How `openssl ca` is told what it needs. It takes both ends of a certificate's time, which other commands do not.
const SETTINGS: &str = "[ca]\ndefault_ca=all\n[all]\ndatabase=index\nnew_certs_dir=.\ndefault_md=sha256\n\
                        rand_serial=yes\nunique_subject=no\npolicy=any\n[any]\ncommonName=supplied\n";

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Self { folder };
        authority.write("settings", SETTINGS);
        authority.write("index", "");
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=nodes \
             -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem",
        );
        authority
    }

    /// One that this one stands behind.
    pub(crate) fn below(&self) -> Self {
        let below = Self::new();
        let Issued { chain, key } =
            self.sign(&Wanted::of(&[]), "basicConstraints=critical,CA:TRUE\n");
        below.write("ca.pem", &chain);
        below.write("ca.key", &key);
        below
    }

    /// The authority's own certificate.
    pub(crate) fn root(&self) -> String {
        fs::read_to_string(self.path("ca.pem")).unwrap()
    }

    pub(crate) fn root_key(&self) -> String {
        fs::read_to_string(self.path("ca.key")).unwrap()
    }

    pub(crate) fn issue(&self, wanted: &Wanted<'_>) -> Issued {
        let names: Vec<String> = wanted.names.iter().map(|name| format!("DNS:{name}")).collect();
        let mut extensions =
            format!("basicConstraints=CA:FALSE\nextendedKeyUsage={}\n", wanted.usage);
        if !names.is_empty() {
            extensions = format!("{extensions}subjectAltName={}\n", names.join(","));
        }
        self.sign(wanted, &extensions)
    }

    fn sign(&self, wanted: &Wanted<'_>, extensions: &str) -> Issued {
        self.write("extensions", extensions);
        let key = wanted.key;
        self.openssl(&format!(
            "req -new -newkey {key} -nodes -subj /CN=node -keyout new.key -out new.csr"
        ));
        let (begin, end) = wanted.valid;
        self.openssl(&format!(
            "ca -batch -notext -config settings -cert ca.pem -keyfile ca.key -extfile extensions -startdate {} \
             -enddate {} -in new.csr -out new.pem",
            date(begin),
            date(end)
        ));
        let read = |name| fs::read_to_string(self.path(name)).unwrap();
        Issued { chain: read("new.pem"), key: read("new.key") }
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(&self.folder);
        let output = command.output().expect("openssl, which Debian has in its package openssl");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {told}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }
}

impl Issued {
    /// What a node is told that shows this and trusts these.
    pub(crate) fn trusting(&self, roots: &[&Authority]) -> Certificates {
        Certificates::pem(self.chain.as_str(), self.key.as_str(), all(roots))
    }

    /// With those of an authority behind it.
    pub(crate) fn behind(mut self, authority: &Authority) -> Self {
        self.chain.push_str(&authority.root());
        self
    }
}

/// The certificates of these authorities.
pub(crate) fn all(authorities: &[&Authority]) -> String {
    authorities.iter().map(|authority| authority.root()).collect()
}

/// So many seconds from now, as openssl wants it: `YYYYMMDDHHMMSSZ`.
fn date(seconds: i64) -> String {
    let now = i64::try_from(super::super::now().as_millis() / 1000).unwrap();
    let (days, second) = ((now + seconds).div_euclid(DAY), (now + seconds).rem_euclid(DAY));
    // Days since the first of March of the year 0, in eras of 400 years.
    let (era, day) = ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!(
        "{:04}{month:02}{day:02}{hour:02}{minute:02}{:02}Z",
        era * 400 + year + next,
        second % 60
    )
}
