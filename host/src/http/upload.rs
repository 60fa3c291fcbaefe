//! Owns bodies that are content: taken as they come, of whatever media type.

use poem::{Body, FromRequest, Request, RequestBody};
use poem_openapi::payload::{Binary, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

/// The media type of content that came without one.
pub(super) const OCTET_STREAM: &str = "application/octet-stream";

/// A body that is taken as it comes, of whatever media type, or none.
pub(super) struct Upload(pub(super) Body);

impl<'a> ApiExtractor<'a> for Upload {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        let content = MetaMediaType { content_type: OCTET_STREAM, schema: Binary::<Body>::schema_ref() };
        Some(MetaRequest { description: Some("The content."), content: vec![content], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(<Body as FromRequest>::from_request(request, body).await?))
    }
}
