//! Owns the bundle operations on the wire.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use kernex_model::attribute::{LabelKey, LabelValue, Labels, MAX_LABELS};
use kernex_model::bundle::Bundle;
use kernex_model::codec::InvalidText;
use kernex_model::id::BundleId;
use kernex_model::name::{BundleName, BundleVersion, MediaType};
use kernex_model::text_codec;
use poem::http::{HeaderMap, header};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{ApiResponse, OpenApi};

use super::body::Json;
use super::caller::Bearer;
use super::content::{self, ContentAnswer};
use super::page::{CursorQuery, LimitQuery, Paged, page};
use super::problem::Problem;
use super::revision::{Tagged, tagged};
use super::tag::Tag;
use super::upload::{OCTET_STREAM, Upload};
use crate::app::App;
use crate::app::bundles::{NewBundle, Uploaded};

/// The bundle operations.
pub struct BundleApi {
    app: Arc<App>,
}

impl BundleApi {
    /// On top of the use cases.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// How an upload came out.
#[derive(ApiResponse)]
enum UploadAnswer {
    /// A new bundle.
    #[oai(status = 201)]
    Created(
        Json<Bundle>,
        /// Where it is.
        #[oai(header = "Location")]
        String,
    ),
    /// The same content was there before under the same name and version.
    #[oai(status = 200)]
    Existing(Json<Bundle>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Bundles")]
impl BundleApi {
    /// Upload a bundle
    ///
    /// The body is the content itself, streamed; `Content-Type` is its media type. The same content under
    /// the same name and version again is answered with the bundle that is there.
    #[oai(path = "/bundles", method = "post", operation_id = "upload_bundle")]
    #[expect(clippy::too_many_arguments, reason = "each is one parameter of the operation")]
    async fn upload_bundle(
        &self,
        caller: Bearer,
        /// Name.
        name: Query<BundleName>,
        /// Version; name and version together are unique.
        version: Query<BundleVersion>,
        /// Labels, as `key=value,key=value`; `models` lists the hardware that it fits, joined by `+`.
        labels: Query<Option<LabelList>>,
        /// RFC 9530: `sha-256=:<base64>:`. Other content is refused.
        #[oai(name = "Repr-Digest")]
        repr_digest: Header<Option<String>>,
        /// Detached signature for the device to check, at most 4,096 bytes of printable ASCII.
        #[oai(name = "X-Bundle-Signature")]
        signature: Header<Option<String>>,
        headers: &HeaderMap,
        body: Upload,
    ) -> Result<UploadAnswer, Problem> {
        let new = NewBundle {
            name: name.0,
            version: version.0,
            media_type: media_type(headers)?,
            labels: labels.0.map(|list| list.0).unwrap_or_default(),
            signature: signature.0,
            sha256: repr_digest.0.as_deref().map(content::parse_repr_digest).transpose()?.flatten(),
            size: headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()),
        };
        let uploaded = self.app.upload_bundle(&caller.0, new, body.0.into_bytes_stream()).await?;
        Ok(match uploaded {
            Uploaded::Created(bundle) => {
                let location = format!("/api/v1/bundles/{}", bundle.id);
                UploadAnswer::Created(Json(bundle), location)
            }
            Uploaded::Existing(bundle) => UploadAnswer::Existing(Json(bundle)),
        })
    }

    /// List bundles, newest first
    ///
    /// Also those that are bad or retired.
    #[oai(path = "/bundles", method = "get", operation_id = "list_bundles")]
    async fn list_bundles(
        &self,
        caller: Bearer,
        limit: LimitQuery,
        cursor: CursorQuery,
    ) -> Result<Paged<Bundle>, Problem> {
        let page = page(limit, cursor)?;
        Ok(self.app.list_bundles(&caller.0, &page).await?.into())
    }

    /// Get a bundle
    ///
    /// What is known of it; its content is another operation.
    #[oai(path = "/bundles/:id", method = "get", operation_id = "get_bundle")]
    async fn get_bundle(&self, caller: Bearer, id: Path<BundleId>) -> Result<Tagged<Bundle>, Problem> {
        let bundle = self.app.get_bundle(&caller.0, id.0).await?;
        let revision = bundle.revision;
        Ok(tagged(bundle, revision))
    }

    /// Download a bundle's content
    ///
    /// One range of bytes at a time, `If-Range` and `If-None-Match` are served, and HEAD as well.
    #[oai(path = "/bundles/:id/content", method = "get", operation_id = "download_bundle")]
    async fn download_bundle(
        &self,
        caller: Bearer,
        id: Path<BundleId>,
        headers: &HeaderMap,
    ) -> Result<ContentAnswer, Problem> {
        let content = self.app.download_bundle(&caller.0, id.0).await?;
        content::answer(content, headers).await
    }

    /// Take a bundle out of use
    ///
    /// No new deployment may name it. Devices that run it, or have to go back to it, keep it.
    #[oai(path = "/bundles/:id/retire", method = "post", operation_id = "retire_bundle")]
    async fn retire_bundle(&self, caller: Bearer, id: Path<BundleId>) -> Result<Tagged<Bundle>, Problem> {
        let bundle = self.app.retire_bundle(&caller.0, id.0).await?;
        let revision = bundle.revision;
        Ok(tagged(bundle, revision))
    }
}

fn media_type(headers: &HeaderMap) -> Result<MediaType, Problem> {
    let text = headers.get(header::CONTENT_TYPE).map_or(Ok(OCTET_STREAM), |value| value.to_str());
    text.ok().and_then(|text| text.parse().ok()).ok_or_else(|| Problem::parameter("Content-Type", "not a media type"))
}

/// Labels in a parameter: `key=value,key=value`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct LabelList(Labels);

const LABELS_PATTERN: &str = "^[^=,]+=[^=,]+(,[^=,]+=[^=,]+)*$";
/// Bytes of all labels as text.
const MAX_LABELS_BYTES: usize = 4_096;

impl FromStr for LabelList {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = InvalidText { what: "list of labels", pattern: LABELS_PATTERN, max_length: MAX_LABELS_BYTES };
        let label = |text: &str| -> Option<(LabelKey, LabelValue)> {
            let (key, value) = text.split_once('=')?;
            Some((key.parse().ok()?, value.parse().ok()?))
        };
        let labels: Option<BTreeMap<_, _>> = text.split(',').map(label).collect();
        match labels {
            Some(labels) if text.len() <= MAX_LABELS_BYTES && labels.len() <= MAX_LABELS => Ok(Self(labels)),
            Some(_) | None => Err(wrong),
        }
    }
}

impl fmt::Display for LabelList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<_> = self.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        f.write_str(&labels.join(","))
    }
}

text_codec!(LabelList { pattern: LABELS_PATTERN, max_length: MAX_LABELS_BYTES, example: "models=gw-200+gw-300" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_back() {
        let list: LabelList = "models=gw-200+gw-300,channel=beta".parse().expect("two labels");
        assert_eq!(list.to_string(), "channel=beta,models=gw-200+gw-300");
        for wrong in ["", "a", "a=", "=b", "a=b,", "a=b=c", "model=x", "a=b c"] {
            assert!(wrong.parse::<LabelList>().is_err(), "{wrong}");
        }
    }
}
