//! Owns what the document says of answers to reads: the headers that they carry, and 304.

use serde_json::{Value, json};

use super::super::conditional::{BEYOND_REVISION, MOMENTARY, REVALIDATED};

/// Describes the answers of every operation that reads JSON.
pub(super) fn describe(document: &mut Value) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let reads = paths.into_iter().flat_map(|paths| paths.values_mut()).filter_map(|methods| methods.get_mut("get"));
    let mut described = false;
    for operation in reads {
        described |= describe_read(operation);
    }
    if described {
        document["components"]["headers"] = headers();
    }
}

/// Whether there was anything to describe.
fn describe_read(operation: &mut Value) -> bool {
    let id = operation["operationId"].as_str().unwrap_or_default();
    if MOMENTARY.contains(&id) {
        return false;
    }
    let sometimes_known = !BEYOND_REVISION.contains(&id);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return false };
    let Some(found) = responses.get_mut("200").filter(|found| found.pointer("/content/application~1json").is_some())
    else {
        return false;
    };
    for name in ["ETag", "Cache-Control", "Vary"] {
        found["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
    }
    if sometimes_known {
        let description = "The client has the answer: `If-None-Match` names its ETag.";
        let known = json!({ "description": description, "headers": found["headers"] });
        responses.insert("304".to_owned(), known);
    }
    true
}

fn headers() -> Value {
    let header =
        |description: &str| json!({ "required": true, "description": description, "schema": { "type": "string" } });
    let etag = "Names the answer, for `If-None-Match`: of an account, a bundle, a deployment, a device or a policy its \
                revision in quotation marks, which `If-Match` takes, elsewhere a digest. Weak (`W/`) where it is a \
                digest or the body is compressed.";
    json!({
        "ETag": header(etag),
        "Cache-Control": header(&format!("`{REVALIDATED}`: for the client alone, which asks each time whether it is still so.")),
        "Vary": header("`Accept-Encoding`: a long answer is compressed with what the client takes of `gzip`, `br` and `zstd`."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_of_json_are_described_and_nothing_else() {
        let answers = |media_type: &str| json!({ "200": { "content": { media_type: {} } }, "default": {} });
        let operation = |id: &str, media_type: &str| json!({ "operationId": id, "responses": answers(media_type) });
        let mut document = json!({ "paths": {
            "/list": { "get": operation("list", "application/json"), "post": operation("create", "application/json") },
            "/content": { "get": operation("download", "application/octet-stream") },
            "/device": { "get": operation("get_device", "application/json") },
            "/health": { "get": operation("get_liveness", "application/json") },
        } });
        document["paths"]["/list"]["get"]["responses"]["200"]["headers"] = json!({ "Link": {} });
        describe(&mut document);
        let responses = |path: &str, method: &str| document["paths"][path][method]["responses"].clone();
        let names = |response: &Value| response["headers"].as_object().map_or(0, serde_json::Map::len);
        let list = responses("/list", "get");
        assert_eq!((names(&list["200"]), names(&list["304"])), (4, 4));
        assert!(list["304"].get("content").is_none());
        let reference = list["304"]["headers"]["ETag"]["$ref"].as_str().expect("a reference");
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
        let device = responses("/device", "get");
        assert_eq!((names(&device["200"]), device.get("304")), (3, None));
        for (path, method, media_type) in [
            ("/list", "post", "application/json"),
            ("/content", "get", "application/octet-stream"),
            ("/health", "get", "application/json"),
        ] {
            assert_eq!(responses(path, method), answers(media_type), "{method} {path}");
        }
    }
}
