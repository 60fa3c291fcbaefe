//! Makes the client from the OpenAPI document that is checked in: the same text that every device maker has.

use std::path::PathBuf;
use std::{env, fs};

use progenitor::{GenerationSettings, Generator, InterfaceStyle, TagStyle};
use serde_json::{Map, Value};

const DOCUMENT: &str = "../../docs/openapi.json";
/// Media types that progenitor does not know by these names.
const MEDIA_TYPES: [(&str, &str); 2] =
    [("application/problem+json", "application/json"), ("text/plain; charset=utf-8", "text/plain")];
/// What stands above the module: nobody edits it, so nobody is helped by what could be better in it.
const GENERATED: &str = "#[allow(clippy::all, clippy::unwrap_used, clippy::allow_attributes_without_reason, missing_docs, \
                         unreachable_pub, unused_imports, mismatched_lifetime_syntaxes, reason = \"generated\")]\n";
/// What a text or number must look like. The server says so where it does not; as types of their own, of which each
/// place gets another one, they would keep an identifier from one answer out of the next request.
const LIMITS: [&str; 5] = ["pattern", "minLength", "maxLength", "minimum", "maximum"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let mut document: Value = serde_json::from_str(&fs::read_to_string(DOCUMENT)?)?;
    let shared = document["components"]["responses"].clone();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).ok_or("the document has no paths")?;
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut()) {
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            one_answer_and_one_error(responses, &shared);
        }
    }
    without_limits(&mut document);
    let document: openapiv3::OpenAPI = serde_json::from_value(document)?;

    let mut settings = GenerationSettings::default();
    settings
        .with_interface(InterfaceStyle::Positional)
        .with_tag(TagStyle::Merged)
        .with_inner_type(syn::parse_str("crate::Bearer")?)
        .with_pre_hook_async(syn::parse_str("crate::authenticate")?);
    let client = Generator::new(&settings).generate_tokens(&document)?;
    let client = prettyplease::unparse(&syn::parse2(client)?);
    let module = format!("{GENERATED}mod generated {{\n{client}}}\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("client.rs"), module)?;
    Ok(())
}

/// Progenitor takes one kind of answer and one kind of error per operation. Successes of one operation have the same
/// body or none (an upload that was there already, content that has not changed); every error is a problem document.
fn one_answer_and_one_error(responses: &mut Map<String, Value>, shared: &Value) {
    for response in responses.values_mut() {
        if let Some(named) = response["$ref"].as_str().and_then(|path| shared.get(path.rsplit('/').next()?)) {
            *response = named.clone();
        }
    }
    rename_media_types(responses);
    let is_success = |status: &String| status.starts_with('2');
    let first = responses.keys().find(|status| is_success(status)).cloned();
    let answer = first.and_then(|status| responses.get(&status).cloned());
    let problem = responses.iter().find(|(status, response)| !is_success(status) && is_problem(response));
    let problem = problem.map(|(_, response)| response.clone());
    responses.clear();
    responses.extend(answer.map(|answer| ("2XX".to_owned(), answer)));
    for errors in ["4XX", "5XX"] {
        responses.extend(problem.clone().map(|problem| (errors.to_owned(), problem)));
    }
}

fn rename_media_types(responses: &mut Map<String, Value>) {
    let contents = responses.values_mut().filter_map(|response| response.get_mut("content")?.as_object_mut());
    for content in contents {
        for (theirs, known) in MEDIA_TYPES {
            if let Some(body) = content.remove(theirs) {
                content.insert(known.to_owned(), body);
            }
        }
    }
}

fn is_problem(response: &Value) -> bool {
    response["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/Problem"
}

fn without_limits(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // Of a schema; a property may be called like one of them.
            if fields.get("type").is_some_and(|kind| kind == "string" || kind == "integer") {
                fields.retain(|key, _| !LIMITS.contains(&key.as_str()));
            }
            fields.values_mut().for_each(without_limits);
        }
        Value::Array(items) => items.iter_mut().for_each(without_limits),
        _ => {}
    }
}
