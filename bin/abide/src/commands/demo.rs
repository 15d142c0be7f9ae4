//! `abide demo`: its arguments.

use super::FlagReader;
use crate::arguments::Demo;
use crate::configuration::surroundings::Surroundings;
use crate::configuration::{Fault, Problems, value};
use crate::demo::{self, Plan};
use crate::failure::Failure;
use crate::keep::{self, KEEP_VARIABLE, Keep};
use crate::process::{self, LogFormat};

/// Runs until it is asked to stop.
pub(crate) fn demo(arguments: &Demo) -> Result<(), Failure> {
    let flags = [
        ("listen", Some(arguments.listen.clone())),
        ("servers", Some(arguments.servers.clone())),
        ("keep", arguments.keep.clone()),
    ];
    let mut reader = FlagReader::with_environment(flags, &[("keep", KEEP_VARIABLE)]);
    let listen = reader.read("listen", value::address);
    let servers = reader.read("servers", servers);
    let surroundings = Surroundings::real(false)?;
    // Without a word the servers keep the sessions themselves, as nodes that the demo finds places for.
    let are_nodes = !reader.has("keep") || reader.is("keep", keep::NODES);
    let choice = if are_nodes { None } else { reader.choice(&surroundings) };
    Problems::check(reader.into_problems())?;
    let (Some(listen), Some(servers)) = (listen, servers) else { return Err(Failure::Told) };
    process::start_log(LogFormat::Text);
    keep::warn_of_passwords(&[&arguments.keep]);
    let keep = match &choice {
        Some(choice) => choice.keep.clone(),
        None => Keep::Nodes(demo::find_nodes(servers)?),
    };
    let plan = Plan { listen, servers, keep };
    process::runtime()?.block_on(demo::run(plan, choice, surroundings.keys))
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
