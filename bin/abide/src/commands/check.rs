//! `abide check`: is this configuration right?

use serde_json::json;

use crate::arguments::{Check, Flags, Source};
use crate::configuration::balance;
use crate::failure::Failure;
use crate::process;

/// Prints what was found. Starts nothing.
pub(crate) fn check(arguments: &Check) -> Result<(), Failure> {
    let source = Source { config: Some(arguments.file.clone()), flags: Flags::default() };
    let file = arguments.file.display().to_string();
    let settings = match balance::read(&source, false) {
        Ok(settings) => settings,
        Err(problems) if arguments.json => {
            process::print_json(
                &json!({ "file": file, "ok": false, "errors": problems.as_slice() }),
            )?;
            return Err(Failure::Told);
        }
        Err(problems) => return Err(problems.into()),
    };
    let config = settings.balancer;
    let names: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
    if arguments.json {
        let data = json!({
            "file": file, "ok": true, "listen": config.listen.to_string(), "servers": names,
        });
        return process::print_json(&data);
    }
    let servers = if names.len() == 1 { "server" } else { "servers" };
    process::print(&format!(
        "{file} is right: it listens on {}, for {} {servers} ({})\n",
        config.listen,
        names.len(),
        names.join(", "),
    ))
}
