//! `abide demo`: its arguments.

use super::FlagReader;
use crate::arguments::Demo;
use crate::configuration::{Fault, Problems, value};
use crate::demo::{self, Plan};
use crate::failure::Failure;
use crate::process::{self, LogFormat};
use crate::shop::Keep;

/// Runs until it is asked to stop.
pub(crate) fn demo(arguments: &Demo) -> Result<(), Failure> {
    let mut reader = FlagReader::new([
        ("listen", arguments.listen.clone()),
        ("servers", arguments.servers.clone()),
        ("keep", arguments.keep.clone()),
    ]);
    let listen = reader.read("listen", value::address);
    let servers = reader.read("servers", servers);
    let keep = reader.read("keep", Keep::parse);
    Problems::check(reader.into_problems())?;
    let (Some(listen), Some(servers), Some(keep)) = (listen, servers, keep) else {
        return Err(Failure::Told);
    };
    process::start_log(LogFormat::Text);
    process::runtime()?.block_on(demo::run(Plan { listen, servers, keep }))
}

fn servers(text: &str) -> Result<usize, Fault> {
    let servers = text.parse().ok().filter(|number| (2..=demo::SERVERS_MAX).contains(number));
    let remedy = "write a whole number from 2 to 9";
    servers.ok_or_else(|| Fault::new(format!("`{text}` is out of range"), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_servers_or_more_and_each_has_a_key_of_the_terminal() {
        assert_eq!(servers("2"), Ok(2));
        assert_eq!(servers(&demo::SERVERS_MAX.to_string()), Ok(9));
        for wrong in ["0", "1", "10", "three", ""] {
            assert!(servers(wrong).is_err(), "{wrong}");
        }
    }
}
