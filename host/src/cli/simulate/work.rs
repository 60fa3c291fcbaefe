//! Owns what a simulated device does when it is told to: download, check, install or fail, and report each step.

use std::sync::atomic::Ordering;

use kernex_client::types::{Command, CommandBundle, CommandConfig, CommandKind, Report, ReportState, ReportedError};
use kernex_model::digest::Digest;
use reqwest::StatusCode;

use super::device::Device;
use super::outcome;
use super::protocol::Session;
use super::roster::Running;
use super::tally::Phase;
use crate::cli::ApiError;

/// How doing something ended.
enum End {
    /// It is done.
    Done,
    /// It did not work.
    Failed(ReportedError),
    /// The server has taken the command back; whatever it wants now comes with the next heartbeat.
    Withdrawn,
}

/// Does what the command asks for, once. Asked again for the same attempt it only says again how that
/// ended. Gives whether anything changed.
pub(crate) async fn obey(device: &mut Device<'_>, session: &Session, command: &Command) -> Result<bool, ApiError> {
    let memory = device.world.roster.recall(device.number);
    if let Some(last) = memory.ended(&command.assignment_id, command.attempt) {
        return tell(device, session, last).await.map(|_| false);
    }
    let end = match (&command.bundle, &command.config) {
        (Some(bundle), _) => install(device, session, command, bundle).await?,
        (None, Some(config)) => configure(device, session, command, config).await?,
        (None, None) => failure("empty-command", "the command names neither a bundle nor a config"),
    };
    let tally = &device.world.tally;
    let (state, error, counter) = match (end, command.kind) {
        (End::Withdrawn, _) => return Ok(false),
        (End::Failed(error), _) => (ReportState::Failed, Some(error), &tally.failed),
        (End::Done, CommandKind::Install) => (ReportState::Installed, None, &tally.installed),
        (End::Done, CommandKind::Rollback) => (ReportState::Installed, None, &tally.rolled_back),
        (End::Done, CommandKind::Configure) => (ReportState::Installed, None, &tally.configured),
    };
    counter.fetch_add(1, Ordering::Relaxed);
    let last = Report { error, ..step(command, state) };
    // First remembered, then told: a device that is cut off in between must not install twice.
    device.world.roster.remember(device.number, |memory| memory.last = Some(last.clone()));
    tell(device, session, &last).await.map(|_| true)
}

async fn install(
    device: &mut Device<'_>,
    session: &Session,
    command: &Command,
    bundle: &CommandBundle,
) -> Result<End, ApiError> {
    device.enter(Phase::Downloading);
    if !tell(device, session, &step(command, ReportState::Downloading)).await? {
        return Ok(End::Withdrawn);
    }
    let (size, digest) = match session.download(device.world, bundle).await {
        Ok(found) => found,
        // Only the bundle of the present command may be had.
        Err(error) if error.is(StatusCode::FORBIDDEN) => return Ok(End::Withdrawn),
        Err(error) => return Err(error),
    };
    if (size, digest.to_string()) != (bundle.size, bundle.sha256.clone()) {
        let found = format!("{size} bytes with SHA-256 {digest} instead of {} with {}", bundle.size, bundle.sha256);
        return Ok(failure("digest-mismatch", &found));
    }
    device.world.tally.bytes.fetch_add(size, Ordering::Relaxed);
    device.enter(Phase::Installing);
    if !tell(device, session, &step(command, ReportState::Installing)).await? {
        return Ok(End::Withdrawn);
    }
    tokio::time::sleep(super::about(device.world.options.install)).await;
    if outcome::fails(&device.world.options, device.number, command) {
        return Ok(failure("boot-failed", "simulated: the new version did not come up, the old one is back"));
    }
    let running = Running { id: bundle.id.clone(), version: bundle.version.clone() };
    device.world.roster.remember(device.number, |memory| {
        let before = memory.running.as_ref().map_or("nothing", |before| before.version.as_str());
        device.world.tally.runs(Some(before), Some(running.version.as_str()));
        memory.running = Some(running.clone());
    });
    Ok(End::Done)
}

async fn configure(
    device: &mut Device<'_>,
    session: &Session,
    command: &Command,
    config: &CommandConfig,
) -> Result<End, ApiError> {
    device.enter(Phase::Installing);
    if Digest::of(sorted(&config.document).to_string().as_bytes()).to_string() != config.sha256 {
        return Ok(failure("digest-mismatch", "the document does not have the digest that came with it"));
    }
    if !tell(device, session, &step(command, ReportState::Installing)).await? {
        return Ok(End::Withdrawn);
    }
    device.world.roster.remember(device.number, |memory| memory.config_version = Some(config.version));
    Ok(End::Done)
}

/// The same JSON with the keys of every object in order, as digests are taken of it.
fn sorted(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.into_iter().collect::<serde_json::Map<_, _>>().into()
        }
        serde_json::Value::Array(items) => items.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

fn step(command: &Command, state: ReportState) -> Report {
    Report {
        assignment_id: command.assignment_id.clone(),
        attempt: command.attempt,
        state,
        progress: None,
        error: None,
    }
}

fn failure(code: &str, message: &str) -> End {
    End::Failed(ReportedError { code: code.to_owned(), message: message.to_owned() })
}

/// Reports. `false` where the attempt has ended meanwhile (409): that is the server's to know.
async fn tell(device: &Device<'_>, session: &Session, report: &Report) -> Result<bool, ApiError> {
    match session.report(device.world, report).await {
        Ok(()) => Ok(true),
        Err(error) if error.is(StatusCode::CONFLICT) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one: serde_json::Value = serde_json::from_str(r#"{"b":[{"y":1,"x":2}],"a":null}"#).expect("JSON");
        assert_eq!(sorted(&one).to_string(), r#"{"a":null,"b":[{"x":2,"y":1}]}"#);
    }
}
