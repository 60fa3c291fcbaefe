//! Owns what a device calls on the wire, apart from tokens and downloads: heartbeats and reports.

use std::sync::Arc;

use kernex_model::attribute::Facts;
use kernex_model::device::Health;
use kernex_model::id::BundleId;
use kernex_model::report::{Command, MAX_ERROR_CODE_BYTES, MAX_ERROR_MESSAGE_BYTES, Report};
use poem_openapi::{Object, OpenApi};

use super::body::Json;
use super::caller::Bearer;
use super::problem::{FieldProblem, Problem};
use super::tag::Tag;
use crate::app::App;
use crate::app::fleet::Beat;

/// What devices call.
pub struct DeviceCallApi {
    app: Arc<App>,
}

impl DeviceCallApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// What a device says of itself. Every field may be left out.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct Heartbeat {
    /// All its facts, when they changed; at most 64.
    #[oai(validator(max_properties = 64))]
    facts: Option<Facts>,
    /// The bundle that it runs.
    bundle_id: Option<BundleId>,
    /// The config version that it runs.
    config_version: Option<u64>,
    /// How well it is; `healthy` where absent.
    health: Option<Health>,
}

/// What a device is told.
#[derive(Debug, Object)]
struct HeartbeatReply {
    /// Seconds until the next heartbeat.
    next_poll_s: u32,
    /// What to do, at most one thing at a time. The same command comes with every heartbeat until it was reported on.
    commands: Vec<Command>,
}

/// A report was taken in.
#[derive(Debug, Object)]
struct Acknowledged {
    /// Always true: what was acknowledged survives a crash of the server.
    acknowledged: bool,
}

fn field(pointer: &str, detail: String) -> Problem {
    Problem::invalid("invalid-body", detail.clone(), vec![FieldProblem { pointer: pointer.to_owned(), detail }])
}

#[OpenApi(prefix_path = "/api/v1/device", tag = "Tag::Device")]
impl DeviceCallApi {
    /// Send a heartbeat
    ///
    /// The answer says when to come again and what to do.
    #[oai(path = "/heartbeat", method = "post", operation_id = "heartbeat")]
    async fn heartbeat(&self, caller: Bearer, body: Json<Heartbeat>) -> Result<Json<HeartbeatReply>, Problem> {
        let Heartbeat { facts, bundle_id, config_version, health } = body.0;
        if config_version.is_some_and(|version| i64::try_from(version).is_err()) {
            return Err(field("/config_version", "there is no such version".to_owned()));
        }
        let beat = Beat { facts, bundle: bundle_id, config: config_version, health: health.unwrap_or_default() };
        let answer = self.app.heartbeat(&caller.0, beat).await?;
        let commands = answer.command.into_iter().map(Arc::unwrap_or_clone).collect();
        Ok(Json(HeartbeatReply { next_poll_s: answer.next_poll_s, commands }))
    }

    /// Report on an assignment
    ///
    /// A repeated report is answered like the first one and has no second effect; one for an attempt that
    /// has ended is refused with 409.
    #[oai(path = "/reports", method = "post", operation_id = "report")]
    async fn report(&self, caller: Bearer, body: Json<Report>) -> Result<Json<Acknowledged>, Problem> {
        if let Some(error) = &body.0.error {
            if error.code.is_empty() || error.code.len() > MAX_ERROR_CODE_BYTES {
                return Err(field("/error/code", format!("a code has 1 to {MAX_ERROR_CODE_BYTES} bytes")));
            }
            if error.message.len() > MAX_ERROR_MESSAGE_BYTES {
                return Err(field("/error/message", format!("a message has at most {MAX_ERROR_MESSAGE_BYTES} bytes")));
            }
        }
        self.app.report(&caller.0, body.0).await?;
        Ok(Json(Acknowledged { acknowledged: true }))
    }
}
