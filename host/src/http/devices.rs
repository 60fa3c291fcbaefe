//! Owns the device operations of operators on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use kernex_model::attribute::{LabelKey, LabelValue};
use kernex_model::bundle::BundleHistoryEntry;
use kernex_model::device::{Device, DeviceStatus};
use kernex_model::id::DeviceId;
use kernex_model::name::DeviceName;
use kernex_model::report::TimelineEntry;
use kernex_model::selector::Selector;
use kernex_model::time::Timestamp;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{Object, OpenApi};

use super::body::Json;
use super::caller::{Anyone, Bearer};
use super::enrolment::{EnrolmentRequest, Welcome};
use super::link::Linked;
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::problem::Problem;
use super::revision::{IfMatch, Tagged, tagged};
use super::tag::Tag;
use crate::app::App;
use crate::app::devices::{DeviceEdit, DeviceQuery, Edit};
use crate::app::timelines::Explanation;

/// The device operations of operators.
pub struct DeviceApi {
    app: Arc<App>,
}

impl DeviceApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// What to change of a device: a merge patch (RFC 7396). What is left out stays.
#[derive(Debug, Object)]
#[oai(rename = "DevicePatch", deny_unknown_fields)]
struct DevicePatchBody {
    /// A new name; null takes it away.
    name: MaybeUndefined<DeviceName>,
    /// Labels to set; a label that is null is taken away, those that are not named stay. Null takes away all.
    // As many as a device can have may go, and as many may come.
    #[oai(validator(max_properties = 128))]
    labels: MaybeUndefined<BTreeMap<LabelKey, Option<LabelValue>>>,
}

impl From<DevicePatchBody> for DeviceEdit {
    fn from(body: DevicePatchBody) -> Self {
        Self { name: edit(body.name), labels: edit(body.labels) }
    }
}

fn edit<T>(value: MaybeUndefined<T>) -> Edit<T> {
    match value {
        MaybeUndefined::Undefined => Edit::Keep,
        MaybeUndefined::Null => Edit::Clear,
        MaybeUndefined::Value(value) => Edit::Set(value),
    }
}

/// A page of a device's timeline, and what explains where the device stands.
#[derive(Debug, Object)]
struct DeviceTimeline {
    /// Where the device stands in every deployment that is going on, and why.
    explanations: Vec<Explanation>,
    /// What happened, newest first.
    items: Vec<TimelineEntry>,
    /// The `cursor` of the next page; absent after the last.
    next: Option<String>,
}

fn tagged_device(device: Device) -> Tagged<Device> {
    let revision = device.revision;
    tagged(device, revision)
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Devices")]
impl DeviceApi {
    /// Enrol a device
    ///
    /// The same key again is the same device (200). Whether it waits for an operator is the setting `admission`.
    #[oai(path = "/devices", method = "post", operation_id = "enrol_device")]
    async fn enrol_device(&self, caller: Anyone, body: Json<EnrolmentRequest>) -> Result<Welcome, Problem> {
        Ok(self.app.enrol_device(&caller.0, body.0.into()).await?.into())
    }

    /// List devices, in the order in which they enrolled
    ///
    /// Only those that the authorization policy lets the caller see. A page may be short and have a next one.
    #[oai(path = "/devices", method = "get", operation_id = "list_devices")]
    async fn list_devices(
        &self,
        caller: Bearer,
        /// Such as `channel=stable,site in (berlin,paris),!legacy,fact.os=linux`.
        selector: Query<Option<Selector>>,
        /// Those of this standing.
        status: Query<Option<DeviceStatus>>,
        /// Those that sent no heartbeat since then, or never any.
        seen_before: Query<Option<Timestamp>>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Result<Paged<Device>, Problem> {
        let page = page(limit, cursor)?;
        let query = DeviceQuery { selector: selector.0, status: status.0, seen_before: seen_before.0 };
        Ok(self.app.list_devices(&caller.0, &query, page).await?.into())
    }

    /// Get a device
    ///
    /// What operators set and what it said of itself, with the ETag that an edit has to name.
    #[oai(path = "/devices/:id", method = "get", operation_id = "get_device")]
    async fn get_device(&self, caller: Bearer, id: Path<DeviceId>) -> Result<Tagged<Device>, Problem> {
        Ok(tagged_device(self.app.get_device(&caller.0, id.0).await?))
    }

    /// Change a device's labels or name
    ///
    /// `If-Match` must name the ETag that was read.
    #[oai(path = "/devices/:id", method = "patch", operation_id = "update_device")]
    async fn update_device(
        &self,
        caller: Bearer,
        id: Path<DeviceId>,
        #[oai(name = "If-Match")] if_match: IfMatch,
        body: Json<DevicePatchBody>,
    ) -> Result<Tagged<Device>, Problem> {
        let revision = if_match.0.map(|etag| etag.0);
        Ok(tagged_device(self.app.update_device(&caller.0, id.0, revision, body.0.into()).await?))
    }

    /// List what a device ran, newest first
    ///
    /// When each bundle was installed, verified and gone back to, and by which assignment.
    #[oai(path = "/devices/:id/bundles", method = "get", operation_id = "list_device_bundles")]
    async fn list_device_bundles(
        &self,
        caller: Bearer,
        id: Path<DeviceId>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Result<Paged<BundleHistoryEntry>, Problem> {
        let page = page(limit, cursor)?;
        Ok(self.app.list_device_bundles(&caller.0, id.0, &page).await?.into())
    }

    /// Explain a device
    ///
    /// What happened to it, newest first, and where it stands in every deployment that is going on, and why.
    #[oai(path = "/devices/:id/timeline", method = "get", operation_id = "get_device_timeline")]
    async fn get_device_timeline(
        &self,
        caller: Bearer,
        id: Path<DeviceId>,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Result<Linked<DeviceTimeline>, Problem> {
        let page = page(limit, cursor)?;
        let (explanations, listed) = self.app.get_device_timeline(&caller.0, id.0, &page).await?;
        let next = listed.next.map(|cursor| cursor.to_string());
        Ok(Linked::new(DeviceTimeline { explanations, items: listed.items, next: next.clone() }, next))
    }
}
