//! `abide app`: one shop server.

use serde_json::json;

use super::FlagReader;
use crate::arguments::App;
use crate::configuration::surroundings::{KEYS_VARIABLE, Surroundings};
use crate::configuration::{Problems, value};
use crate::failure::Failure;
use crate::keep::{self, Choice};
use crate::process::{self, LogFormat};
use crate::shop::Shop;

/// Runs until it is asked to stop.
pub(crate) fn app(arguments: &App) -> Result<(), Failure> {
    let flags = [
        ("listen", Some(arguments.listen.clone())),
        ("name", Some(arguments.name.clone())),
        ("keep", arguments.keep.clone()),
        ("keep-from", arguments.keep_from.clone()),
        ("keep-next", arguments.keep_next.clone()),
        ("data", arguments.data.clone()),
        ("keys-file", arguments.keys_file.clone()),
        ("demo-control", arguments.demo_control.clone()),
    ];
    let mut reader = FlagReader::with_environment(
        flags.into_iter().chain(arguments.certificate.flags()),
        &Choice::VARIABLES,
    );
    let listen = reader.read("listen", value::address);
    let name = reader.read("name", value::server_name);
    let demo = reader.read("demo-control", value::address);
    let surroundings = Surroundings::real(arguments.keys_from_stdin)?;
    let choice = reader.choice(&surroundings);
    Problems::check(reader.into_problems())?;
    let (Some(listen), Some(name), Some(choice)) = (listen, name, choice) else {
        return Err(Failure::Told);
    };

    process::start_log(LogFormat::Text);
    if choice.keys_are_new {
        tracing::warn!(
            "no keys were given, so all sessions end with this process and no other server opens \
             them; set --keys-file or {KEYS_VARIABLE} to what `abide keygen` prints"
        );
    }
    keep::warn_of_passwords(&[&arguments.keep, &arguments.keep_from, &arguments.keep_next]);
    process::runtime()?.block_on(async {
        let more = json!({ "name": name.as_str(), "keep": choice.keep.to_string() });
        // Before anybody can connect: a server that has no store has nothing to say.
        let kept = keep::open(choice, name.as_str()).await?;
        let (listener, real) = process::listen(listen).await?;
        let shop = Shop::new(name.to_string(), kept, demo);
        let stop = process::stop_asked(arguments.exit_with_stdin)?;
        process::ready("app", real, &more)?;
        shop.serve(listener, stop)
            .await
            .map_err(|error| Failure::Other(format!("the server stopped: {error}")))
    })
}
