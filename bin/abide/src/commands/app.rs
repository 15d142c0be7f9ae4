//! `abide app`: one shop server.

use serde_json::json;

use super::FlagReader;
use crate::arguments::App;
use crate::configuration::{Problems, value};
use crate::failure::Failure;
use crate::process::{self, LogFormat};
use crate::shop::{Keep, Shop};

/// Runs until it is asked to stop.
pub(crate) fn app(arguments: &App) -> Result<(), Failure> {
    let mut reader = FlagReader::new([
        ("listen", arguments.listen.clone()),
        ("name", arguments.name.clone()),
        ("keep", arguments.keep.clone()),
    ]);
    let mut control = FlagReader::new(arguments.demo_control.clone().map(|a| ("demo-control", a)));
    let listen = reader.read("listen", value::address);
    let name = reader.read("name", value::server_name);
    let keep = reader.read("keep", Keep::parse);
    let demo = control.read("demo-control", value::address);
    let problems = reader.into_problems().into_iter().chain(control.into_problems());
    Problems::check(problems.collect())?;
    let (Some(listen), Some(name), Some(keep)) = (listen, name, keep) else {
        return Err(Failure::Told);
    };

    process::start_log(LogFormat::Text);
    process::runtime()?.block_on(async {
        let (listener, real) = process::listen(listen).await?;
        let shop = Shop::new(name.to_string(), keep, demo);
        let exit_with_stdin = arguments.exit_with_stdin;
        let stop = process::stop_asked(exit_with_stdin)?;
        let more = json!({ "name": name.as_str(), "keep": keep.as_str() });
        process::ready("app", real, &more)?;
        shop.serve(listener, stop)
            .await
            .map_err(|error| Failure::Other(format!("the server stopped: {error}")))
    })
}
