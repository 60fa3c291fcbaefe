//! Owns JSON bodies: read, parsed, and explained field by field where they do not fit. No value is ever repeated.

use poem::error::ReadBodyError;
use poem::http::StatusCode;
use poem::{IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::error::ContentTypeError;
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use serde_json::Value;

use super::misfit::{explain, locate};
use super::problem::{FieldProblem, Problem};

/// Longest JSON body, in bytes. Content that streams (bundles, plugins) has its own limits.
pub const MAX_JSON_BYTES: usize = 1024 * 1024;

/// Longest body in which a fault is looked for by trying, in bytes.
const MAX_SEARCHED_BYTES: usize = 16 * 1024;

/// A JSON body. Unlike poem-openapi's own it answers which field is wrong, without what was in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        poem_openapi::payload::Json::<T>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ParseFromJSON> ParsePayload for Json<T> {
    const IS_REQUIRED: bool = T::IS_REQUIRED;

    async fn from_request(_: &Request, body: &mut RequestBody) -> Result<Self> {
        // The envelope has seen to the limit.
        let data = body.take()?.into_bytes().await.map_err(unreadable)?;
        let value = parse(&data)?;
        match T::parse_from_json(Some(value)) {
            Ok(parsed) => Ok(Self(parsed)),
            // Parsing used the value up; the slow way is only for those who are wrong.
            Err(error) => Err(misfit::<T>(&parse(&data)?, data.len(), error.message()).into()),
        }
    }
}

fn parse(data: &[u8]) -> Result<Value, Problem> {
    if data.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(data).map_err(|error| {
        let detail = format!("not JSON at line {}, column {}", error.line(), error.column());
        Problem::invalid(
            "malformed-json",
            format!("the body is {detail}"),
            vec![FieldProblem { pointer: String::new(), detail }],
        )
    })
}

fn misfit<T: ParseFromJSON>(value: &Value, bytes: usize, message: &str) -> Problem {
    let mut registry = Registry::new();
    T::register(&mut registry);
    let mut errors = explain(&registry, &T::schema_ref(), value);
    if errors.is_empty() {
        let refusal = |value| T::parse_from_json(Some(value)).err().map(|error| error.message().to_owned());
        let small = bytes <= MAX_SEARCHED_BYTES;
        let pointer = if small { locate(&registry, &T::schema_ref(), value, &refusal) } else { String::new() };
        errors.push(FieldProblem { pointer, detail: rule(message) });
    }
    let detail = match errors.as_slice() {
        [FieldProblem { pointer, detail }] if !pointer.is_empty() => format!("`{pointer}` {detail}"),
        [FieldProblem { detail, .. }] => detail.clone(),
        many => format!("{} fields are wrong; see `errors`", many.len()),
    };
    Problem::invalid("invalid-body", detail, errors)
}

/// The rule in a parser's message, without the value that poem-openapi puts behind `found`.
#[must_use]
pub fn rule(message: &str) -> String {
    let rule = message.split(", found ").next().unwrap_or_default();
    // Our types' own messages come after the type's name, which means nothing to a client.
    let rule = match rule.strip_prefix("failed to parse \"").and_then(|rest| rest.split_once("\": ")) {
        Some((_, rest)) => rest,
        None => rule,
    };
    let rule = rule.split(" (occurred while parsing").next().unwrap_or_default();
    // What stands between backticks may be what was sent.
    rule.split('`').enumerate().map(|(index, part)| if index % 2 == 0 { part } else { "…" }).collect()
}

/// A body that could not be read, in our words.
fn unreadable(error: ReadBodyError) -> Problem {
    match error {
        ReadBodyError::PayloadTooLarge => too_large(),
        ReadBodyError::Io(_) | ReadBodyError::Utf8(_) => {
            Problem::new(StatusCode::BAD_REQUEST, "body-incomplete", "the body ended too early")
        }
        ReadBodyError::BodyHasBeenTaken => Problem::internal(),
    }
}

/// A body beyond [`MAX_JSON_BYTES`].
#[must_use]
pub fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        format!("a JSON body has at most {MAX_JSON_BYTES} bytes"),
    )
}

impl<'a, T: ParseFromJSON> ApiExtractor<'a> for Json<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: <Self as Payload>::CONTENT_TYPE,
                schema: <Self as Payload>::schema_ref(),
            }],
            required: <Self as ParsePayload>::IS_REQUIRED,
        })
    }

    async fn from_request(request: &'a Request, body: &mut RequestBody, _: ExtractParamOptions<()>) -> Result<Self> {
        match request.content_type() {
            Some(kind) if Self::check_content_type(kind) => <Self as ParsePayload>::from_request(request, body).await,
            Some(kind) => Err(ContentTypeError::NotSupported { content_type: kind.to_owned() }.into()),
            None => Err(ContentTypeError::ExpectContentType.into()),
        }
    }
}

impl<T: ToJSON> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type("application/json").body(self.0.to_json_string())
    }
}

impl<T: ToJSON> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        let mut meta = <poem_openapi::payload::Json<T> as ApiResponse>::meta();
        for response in &mut meta.responses {
            response.description = "Done.";
            for content in &mut response.content {
                content.content_type = <Self as Payload>::CONTENT_TYPE;
            }
        }
        meta
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_loses_the_value() {
        assert_eq!(rule(r#"Expected input type "string", found "hunter2"."#), r#"Expected input type "string""#);
        assert_eq!(
            rule(r#"failed to parse "string_Email": not a valid Email (occurred while parsing "X")"#),
            "not a valid Email"
        );
        assert_eq!(rule("cannot read `hunter2`; write `key`"), "cannot read …; write …");
    }
}
