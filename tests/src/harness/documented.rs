//! Owns the comparison of every answer that a test gets with the document: the status is one that it tells by number.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;

/// Statuses of what may happen to any call, whatever it is for; the document tells of them together, as `default`.
const OF_ANY_CALL: [u16; 5] = [408, 414, 431, 500, 503];

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../docs/openapi.json")).expect("docs/openapi.json is JSON")
});

/// Whether the document tells that a call may be answered like this; so it is where it knows no such call.
pub(super) fn tells(method: &Method, path: &str, status: u16) -> bool {
    let method = method.as_str().to_lowercase();
    let operation = operation(&DOCUMENT, &method, path);
    OF_ANY_CALL.contains(&status) || operation.is_none_or(|told| told["responses"].get(status.to_string()).is_some())
}

/// The operation at a path; one that names the path exactly before one with places in it.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let is_place = |part: &str| part.starts_with('{');
    let fits = |known: &str| {
        let mut pairs = known.split('/').zip(path.split('/'));
        known.split('/').count() == path.split('/').count() && pairs.all(|(part, is)| is_place(part) || part == is)
    };
    let paths = document["paths"].as_object().into_iter().flatten();
    let (_, methods) = paths
        .filter(|(known, _)| fits(known))
        .min_by_key(|(known, _)| known.split('/').filter(|part| is_place(part)).count())?;
    methods.get(method)
}

#[test]
fn an_answer_that_nobody_told_of_is_noticed() {
    let (get, post, head) = (Method::GET, Method::POST, Method::HEAD);
    assert!(tells(&get, "/api/v1/devices/dev_1", 404) && !tells(&get, "/api/v1/devices/dev_1", 409));
    // By its own name, not as the device that is called so.
    assert!(tells(&post, "/api/v1/devices/preauthorize", 409) && !tells(&post, "/api/v1/devices/preauthorize", 404));
    assert!(tells(&get, "/health/live", 503) && !tells(&get, "/health/live", 401));
    assert!(tells(&get, "/nowhere", 404) && tells(&head, "/api/v1/devices", 405));
}
