//! Owns what the span of a device's step (heartbeat, download, report) says: whose step it is and what it is about, so
//! that all of a deployment's or a device's steps are found by one identifier.

use kernex_model::id::{AssignmentId, BundleId, DeviceId};
use tracing::Span;
use tracing::field::display;

/// Says it on the current span, which declares the fields; where the request is not traced, nothing is written.
pub(super) fn note(device: DeviceId, assignment: Option<AssignmentId>, bundle: Option<BundleId>) {
    let span = Span::current();
    span.record("device.id", display(device));
    if let Some(assignment) = assignment {
        span.record("assignment.id", display(assignment)).record("deployment.id", display(assignment.deployment));
    }
    if let Some(bundle) = bundle {
        span.record("bundle.id", display(bundle));
    }
}
