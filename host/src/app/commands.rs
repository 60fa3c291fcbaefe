//! Owns how an assignment in flight becomes the command that the device's heartbeat is answered with.

use std::sync::Arc;

use kernex_model::assignment::Assignment;
use kernex_model::bundle::{Bundle, DeviceConfig};
use kernex_model::report::{Command, CommandBundle, CommandConfig, CommandKind};

use super::{App, AppError};

/// What a command carries: the content that its assignment is about.
#[derive(Debug)]
pub(super) enum Content {
    /// A bundle.
    Bundle(Arc<Bundle>),
    /// A config.
    Config(Arc<DeviceConfig>),
}

/// The command for an assignment in flight.
pub(super) fn command(assignment: &Assignment, content: &Content) -> Command {
    let back = assignment.state.going_back();
    let (bundle, config) = match content {
        Content::Bundle(bundle) => (
            Some(CommandBundle {
                id: bundle.id,
                name: bundle.name.clone(),
                version: bundle.version.clone(),
                size: bundle.size,
                sha256: bundle.sha256,
                signature: bundle.signature.clone(),
                download_path: format!("/api/v1/device/bundles/{}/content", bundle.id),
            }),
            None,
        ),
        Content::Config(config) => (
            None,
            Some(CommandConfig { version: config.version, document: config.document.clone(), sha256: config.digest }),
        ),
    };
    Command {
        kind: match (back, &bundle) {
            (true, _) => CommandKind::Rollback,
            (false, Some(_)) => CommandKind::Install,
            (false, None) => CommandKind::Configure,
        },
        assignment_id: assignment.id,
        attempt: assignment.attempt,
        deployment_id: assignment.deployment_id,
        bundle,
        config,
    }
}

impl App {
    /// Publishes the command of every assignment in flight: what memory held before a restart.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn restore_commands(&self) -> Result<usize, AppError> {
        let mut restored = 0;
        for deployment in self.store.unsettled_deployments().await? {
            for assignment in self.store.in_flight_assignments(deployment.id).await? {
                if let Some(content) = self.content(&assignment).await? {
                    self.fleet.publish(command(&assignment, &content));
                    restored += 1;
                }
            }
        }
        Ok(restored)
    }

    /// What an offered assignment is about, in its present direction.
    async fn content(&self, assignment: &Assignment) -> Result<Option<Content>, AppError> {
        let bundle = if assignment.state.going_back() { assignment.previous_bundle_id } else { assignment.bundle_id };
        if let Some(id) = bundle {
            return Ok(self.store.bundle(id).await?.map(|bundle| Content::Bundle(Arc::new(bundle))));
        }
        let Some(version) = assignment.config_version else { return Ok(None) };
        Ok(self.store.config(assignment.device_id, version).await?.map(|config| Content::Config(Arc::new(config))))
    }
}
