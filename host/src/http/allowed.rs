//! Owns which methods a path takes, for the `Allow` header of a 405; read off the OpenAPI document.

use serde_json::Value;

/// The paths of the document with their methods.
#[derive(Debug, Default)]
pub struct AllowedMethods(Vec<(Vec<String>, String)>);

impl AllowedMethods {
    /// From an OpenAPI document.
    #[must_use]
    pub fn from_document(document: &Value) -> Self {
        let paths = document.get("paths").and_then(Value::as_object);
        let entry = |(path, operations): (&String, &Value)| {
            let methods = operations.as_object()?.keys().map(|method| method.to_uppercase()).collect::<Vec<_>>();
            Some((path.split('/').map(str::to_owned).collect(), methods.join(", ")))
        };
        Self(paths.into_iter().flatten().filter_map(entry).collect())
    }

    /// The methods at `path`; an exact path before one with parameters.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&str> {
        let segments: Vec<&str> = path.split('/').collect();
        let is_parameter = |pattern: &String| pattern.starts_with('{');
        let fits = |(patterns, _): &&(Vec<String>, String)| {
            patterns.len() == segments.len()
                && patterns.iter().zip(&segments).all(|(pattern, segment)| is_parameter(pattern) || pattern == segment)
        };
        let best = self
            .0
            .iter()
            .filter(fits)
            .min_by_key(|(patterns, _)| patterns.iter().filter(|pattern| is_parameter(pattern)).count());
        best.map(|(_, methods)| methods.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_path_comes_first() {
        let document = serde_json::json!({"paths": {
            "/devices/{id}": {"get": {}, "patch": {}},
            "/devices/preauthorize": {"post": {}},
            "/devices": {"get": {}, "post": {}},
        }});
        let allowed = AllowedMethods::from_document(&document);
        assert_eq!(allowed.at("/devices/dev_1"), Some("GET, PATCH"));
        assert_eq!(allowed.at("/devices/preauthorize"), Some("POST"));
        assert_eq!(allowed.at("/devices"), Some("GET, POST"));
        assert_eq!(allowed.at("/nowhere"), None);
    }
}
