//! `abide balance`: the balancer as a process.

use abide_balancer::config::AccessLog;
use abide_balancer::{Balancer, BalancerError};
use serde_json::json;

use crate::arguments::Balance;
use crate::configuration::balance;
use crate::configuration::surroundings::KEYS_VARIABLE;
use crate::failure::Failure;
use crate::process;

/// Runs until it is asked to stop.
pub(crate) fn balance(arguments: &Balance) -> Result<(), Failure> {
    let settings = balance::read(&arguments.source, arguments.keys_from_stdin)?;
    process::start_log(settings.log_format);
    process::raise_open_files();
    if settings.keys_are_new {
        tracing::warn!(
            "no keys were given, so a restart spreads visitors anew; set --keys-file or \
             {KEYS_VARIABLE} to what `abide keygen` prints"
        );
    }
    let access_log = settings.balancer.access_log.clone();
    let bound = Balancer::bind(settings.balancer).map_err(|error| match (error, access_log) {
        (BalancerError::AccessLog(error), AccessLog::File(path)) => Failure::Other(format!(
            "can not open the access log `{}`: {error}; create its folder, or choose another file",
            path.display()
        )),
        (error, _) => failure(error),
    })?;
    process::ready("balancer", bound.listen(), &json!({ "admin": bound.admin() }))?;
    let exit_with_stdin = arguments.exit_with_stdin;
    let stop = async move {
        match process::stop_asked(exit_with_stdin) {
            Ok(stop) => stop.await,
            Err(failure) => tracing::error!("{failure}"),
        }
    };
    bound.run(stop).map_err(failure)
}

fn failure(error: BalancerError) -> Failure {
    match error {
        BalancerError::Listen(address, error) => Failure::Listen { address, error },
        other => Failure::Other(other.to_string()),
    }
}
