//! Where operators look, and the token that they show: a secret wherever another machine can connect.

use std::net::SocketAddr;
use std::path::Path;

use abide_balancer::config::{Admin, Token};

use super::surroundings::Surroundings;
use super::value::{address, unreadable};
use super::{Fault, Reader};

/// The shortest and longest admin token, in characters: too short can be guessed, too long is some
/// other file.
const TOKEN_CHARACTERS: std::ops::RangeInclusive<usize> = 16..=256;

/// The listener for operators, if there is to be one: another place than the one where clients connect.
pub(crate) fn admin(
    reader: &mut Reader,
    surroundings: &Surroundings<'_>,
    clients: Option<SocketAddr>,
) -> Option<Admin> {
    let token = reader.optional("admin-token-file", |path| {
        let text =
            (surroundings.read)(Path::new(path)).map_err(|error| unreadable(path, &error))?;
        let token = text.lines().next().unwrap_or_default().trim();
        let is_good = token.bytes().all(|byte| byte.is_ascii_graphic())
            && TOKEN_CHARACTERS.contains(&token.len());
        is_good.then(|| Token(token.to_owned())).ok_or_else(|| {
            let remedy = "put 16 to 256 visible ASCII characters on its first line";
            Fault::new(format!("`{path}` holds no token"), remedy)
        })
    });
    let has_token = reader.has("admin-token-file");
    let address = reader.optional("admin", |text| {
        let address = address(text)?;
        if Some(address) == clients && address.port() != 0 {
            let fault = format!("{address} is where clients connect already");
            return Err(Fault::new(fault, "give the admin listener a port of its own"));
        }
        if !address.ip().is_loopback() && !has_token {
            let fault = format!("{address} can be reached from other machines without a token");
            return Err(Fault::new(fault, "set admin-token-file, or listen on 127.0.0.1"));
        }
        Ok(address)
    });
    address.map(|listen| Admin { listen, token })
}
