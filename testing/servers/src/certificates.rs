//! Certificates for a server on this machine, of an authority made for it.

use std::path::{Path, PathBuf};

use crate::programs::{find, run};

/// Files in PEM form, in the folder of the server that they are for.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate: what clients are told to trust.
    pub authority: PathBuf,
    /// The server's, for `localhost` and `127.0.0.1`.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes them in this folder.
    pub fn make(folder: &Path) -> Self {
        let place = |name: &str| folder.join(name);
        let authority_key = place("authority.key").display().to_string();
        let made = Self {
            authority: place("authority.pem"),
            certificate: place("server.pem"),
            key: place("server.key"),
        };
        let [authority, certificate, key] =
            [&made.authority, &made.certificate, &made.key].map(|path| path.display().to_string());
        let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        let extensions = "-addext basicConstraints=critical,CA:TRUE -subj /CN=authority";
        openssl(&format!("{new} {extensions} -keyout {authority_key} -out {authority}"));
        let names = "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -subj /CN=localhost";
        let extensions = "-addext basicConstraints=critical,CA:FALSE";
        let signed = format!("-CA {authority} -CAkey {authority_key}");
        openssl(&format!("{new} {extensions} {names} {signed} -keyout {key} -out {certificate}"));
        made
    }
}

fn openssl(arguments: &str) {
    let mut command = vec![find("openssl").display().to_string()];
    command.extend(arguments.split(' ').map(str::to_owned));
    run(&command);
}
