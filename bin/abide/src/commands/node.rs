//! `abide node`: one node that serves no visitors.

use std::sync::Arc;

use abide_balancer::config::Admin;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::FlagReader;
use crate::arguments::Node;
use crate::cluster;
use crate::configuration::surroundings::Surroundings;
use crate::configuration::{Problem, Problems, value};
use crate::failure::Failure;
use crate::keep::{self, KEEP_VARIABLE, Keep};
use crate::process::{self, LogFormat};

/// Runs until it is asked to stop.
pub(crate) fn node(arguments: &Node) -> Result<(), Failure> {
    let flags = [
        ("name", Some(arguments.name.clone())),
        ("keep", arguments.keep.clone()),
        ("data", arguments.data.clone()),
        ("keys-file", arguments.keys_file.clone()),
        ("admin", Some(arguments.admin.clone())),
        ("admin-token-file", arguments.admin_token_file.clone()),
    ];
    let mut reader = FlagReader::with_environment(
        flags.into_iter().chain(arguments.certificate.flags()),
        &[("keep", KEEP_VARIABLE)],
    );
    let name = reader.read("name", value::server_name);
    let surroundings = Surroundings::real(arguments.keys_from_stdin)?;
    let admin = reader.admin(&surroundings);
    let choice = reader.choice(&surroundings);
    Problems::check(reader.into_problems())?;
    let (Some(name), Some(admin), Some(choice)) = (name, admin, choice) else {
        return Err(Failure::Told);
    };
    if !matches!(choice.keep, Keep::Nodes(_)) {
        let fault = "--keep: a node keeps sessions itself, and where the others are is missing";
        let remedy = "write nodes://a=10.0.0.1:7946,b=10.0.0.2:7946";
        return Err(Problems::one(Problem::of_all(fault, remedy)).into());
    }

    process::start_log(LogFormat::Text);
    process::runtime()?.block_on(async {
        let more = json!({ "name": name.as_str(), "keep": choice.keep.to_string() });
        let (listener, real) = process::listen(admin.listen).await?;
        let kept = Arc::new(keep::open(choice, name.as_str()).await?);
        let node = kept.node().cloned().ok_or(Failure::Told)?;
        let stop = process::stop_asked(arguments.exit_with_stdin)?;
        process::ready("node", real, &more)?;
        let leaving = node.clone();
        let asked = node.clone();
        let router = Router::new()
            .route("/health", get(|| async { "ok\n" }))
            .route(
                "/ready",
                get(move || async move {
                    cluster::unready(&asked).await.ok_or("ready\n")
                }),
            )
            .route(
                "/metrics",
                get(async move || {
                    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], kept.metrics().await)
                }),
            )
            .merge(cluster::routes(Some(node.clone())))
            .merge(cluster::orders(node))
            .layer(from_fn_with_state(Arc::new(admin), operators_alone));
        let left = async move {
            stop.await;
            cluster::leave(&leaving).await;
        };
        // Who has left needs no admin listener any more.
        tokio::select! {
            served = async { axum::serve(listener, router).await } => {
                served.map_err(|error| Failure::Other(format!("the admin listener stopped: {error}")))
            }
            () = left => Ok(()),
        }
    })
}

/// Lets pass what may be asked, as the balancer's listener for operators does.
async fn operators_alone(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Response {
    match admin.refusal(&request) {
        Some(refusal) => refusal.map(Body::from),
        None => next.run(request).await,
    }
}
