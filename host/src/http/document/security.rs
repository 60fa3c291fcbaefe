//! Owns who may call an operation, as the OpenAPI document tells it: three kinds of credentials, each in the same header.

use serde_json::{Map, Value, json};

/// A kind of credentials: its name, what it looks like, and how it is got.
type Scheme = (&'static str, &'static str, &'static str);

const USER: Scheme = (
    "user",
    "JWT",
    "A person's access token. `POST /api/v1/auth/login` answers it as `access_token`; it works for an hour. \
     Enter it without `Bearer`.",
);
const API_KEY: Scheme = (
    "api_key",
    "kx_ key",
    "A service's API key, `kx_…`. `POST /api/v1/api-keys` answers it as `key`, once. Enter it without `Bearer`.",
);
const DEVICE: Scheme = (
    "device",
    "JWT",
    "A device's access token. `POST /api/v1/device/token` answers it as `access_token` to an assertion that is signed \
     with the device's key; it works for an hour. Enter it without `Bearer`.",
);

/// Whose calls an operation takes; a test compares this with who is answered what.
fn credentials(operation: &str, tag: &str) -> &'static [Scheme] {
    match (tag, operation) {
        // What people do for themselves: a service has no password and no session.
        ("Auth", _) => &[USER],
        ("Device", _) => &[DEVICE],
        // A device reads its own.
        (_, "get_device_config" | "list_device_config_versions") => &[USER, API_KEY, DEVICE],
        _ => &[USER, API_KEY],
    }
}

/// Names the credentials of an operation that takes any: each by itself is enough.
pub(super) fn name_credentials(operation: &mut Map<String, Value>) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = text(operation.get("operationId"));
    let tag = text(operation.get("tags").and_then(|tags| tags.get(0)));
    if let Some(security) = operation.get_mut("security") {
        *security = credentials(&id, &tag).iter().map(|(name, ..)| json!({ *name: [] })).collect();
    }
}

/// The kinds of credentials, in the order in which the documentation's page asks for them.
pub(super) fn schemes() -> Value {
    let scheme = |(name, format, description): Scheme| {
        let scheme = json!({ "type": "http", "scheme": "bearer", "bearerFormat": format, "description": description });
        (name.to_owned(), scheme)
    };
    [USER, API_KEY, DEVICE].into_iter().map(scheme).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_credentials_names_them_and_nothing_else_does() {
        let named = |operation: Value| {
            let mut operation = operation.as_object().cloned().expect("an object");
            name_credentials(&mut operation);
            operation.get("security").cloned()
        };
        let bearer = json!([{ "bearer": [] }]);
        assert_eq!(
            named(json!({ "operationId": "report", "tags": ["Device"], "security": bearer })),
            Some(json!([{ "device": [] }]))
        );
        assert_eq!(
            named(json!({ "operationId": "get_device", "tags": ["Devices"], "security": bearer })),
            Some(json!([{ "user": [] }, { "api_key": [] }]))
        );
        assert_eq!(named(json!({ "operationId": "login", "tags": ["Auth"] })), None);
    }
}
