//! Owns the comparison of a refused body with its schema: which fields break which rule. Runs only after a refusal.

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use regex::Regex;
use serde_json::Value;

use super::problem::FieldProblem;

/// Faults that one answer names.
pub(super) const MAX_ERRORS: usize = 16;
/// How deep a body is compared.
const MAX_DEPTH: usize = 32;
/// How deep a broken rule is looked for that the schema does not tell.
const MAX_LOCATED_DEPTH: usize = 4;
/// Fields that are left out in turn on each level of that search.
const MAX_LEFT_OUT: usize = 128;
/// Bytes of a field's name that an answer repeats.
const MAX_NAME_BYTES: usize = 64;

/// Which parts of `value` break which rule of `schema`; empty where only a rule that the schema does not
/// tell is broken.
#[must_use]
pub(super) fn explain(registry: &Registry, schema: &MetaSchemaRef, value: &Value) -> Vec<FieldProblem> {
    let mut search = Search { registry, found: Vec::new(), unknown: Vec::new() };
    search.look(schema, value, &mut String::new(), 0);
    if search.found.is_empty() {
        // Some bodies may carry fields that we do not know; they are wrong only where nothing else is.
        search.found = search.unknown;
    }
    search.found.truncate(MAX_ERRORS);
    search.found
}

/// Where in `value` a rule is broken that the schema does not tell, such as one over a map's keys: found by
/// leaving things out until the refusal changes. `refusal` says why a body is refused.
#[must_use]
pub(super) fn locate(
    registry: &Registry,
    schema: &MetaSchemaRef,
    value: &Value,
    refusal: &dyn Fn(Value) -> Option<String>,
) -> String {
    let original = refusal(value.clone());
    let mut pointer = String::new();
    let mut schema = resolve(registry, schema);
    for _ in 0..MAX_LOCATED_DEPTH {
        let Some(fields) = value.pointer(&pointer).and_then(Value::as_object) else { break };
        let declared = schema.iter().flat_map(|schema| &schema.properties).map(|(name, _)| *name);
        let mut names: Vec<&str> = declared.filter(|name| fields.contains_key(*name)).collect();
        names.extend(
            fields
                .keys()
                .map(String::as_str)
                .filter(|name| schema.is_none_or(|schema| !schema.properties.iter().any(|(known, _)| known == name))),
        );
        let changes = |name: &&str| {
            let mut without = value.clone();
            without.pointer_mut(&pointer).and_then(Value::as_object_mut).and_then(|fields| fields.remove(*name));
            refusal(without) != original
        };
        // Fields are read in their order. Without one that is required before it, the culprit is not reached
        // either; so it is the last whose absence is noticed.
        let Some(culprit) = names.into_iter().take(MAX_LEFT_OUT).filter(changes).last() else { break };
        let below = schema.and_then(|schema| schema.properties.iter().find(|(name, _)| *name == culprit));
        schema = below.and_then(|(_, below)| resolve(registry, below));
        push(&mut pointer, culprit);
    }
    pointer
}

fn resolve<'a>(registry: &'a Registry, schema: &'a MetaSchemaRef) -> Option<&'a MetaSchema> {
    match schema {
        MetaSchemaRef::Reference(name) => registry.schemas.get(name),
        MetaSchemaRef::Inline(schema) => match schema.all_of.first() {
            Some(MetaSchemaRef::Reference(name)) => registry.schemas.get(name),
            Some(MetaSchemaRef::Inline(_)) | None => Some(schema),
        },
    }
}

/// Goes one step down, as RFC 6901 writes it.
fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
}

struct Search<'a> {
    registry: &'a Registry,
    found: Vec<FieldProblem>,
    unknown: Vec<FieldProblem>,
}

impl Search<'_> {
    fn wrong(&mut self, pointer: &str, detail: impl Into<String>) {
        if self.found.len() < MAX_ERRORS {
            self.found.push(FieldProblem { pointer: pointer.to_owned(), detail: detail.into() });
        }
    }

    fn look(&mut self, schema: &MetaSchemaRef, value: &Value, pointer: &mut String, depth: usize) {
        let schema = match schema {
            MetaSchemaRef::Inline(schema) => schema,
            MetaSchemaRef::Reference(name) => match self.registry.schemas.get(name) {
                Some(schema) => schema,
                None => return,
            },
        };
        if depth > MAX_DEPTH || (schema.nullable && value.is_null()) {
            return;
        }
        for part in &schema.all_of {
            self.look(part, value, pointer, depth + 1);
        }
        if !is_of(schema.ty, value) {
            self.wrong(pointer, kind_rule(schema.ty));
            return;
        }
        if !schema.enum_items.is_empty() && !schema.enum_items.contains(value) {
            let names: Vec<_> = schema.enum_items.iter().map(ToString::to_string).collect();
            self.wrong(pointer, format!("must be one of {}", names.join(", ")));
        }
        self.look_at_forms(schema, value, pointer, depth);
        match value {
            Value::String(text) => self.look_at_text(schema, text, pointer),
            Value::Number(number) => self.look_at_number(schema, number.as_f64().unwrap_or(f64::MAX), pointer),
            Value::Array(items) => self.look_at_items(schema, items, pointer, depth),
            Value::Object(fields) => self.look_at_fields(schema, fields, pointer, depth),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn look_at_forms(&mut self, schema: &MetaSchema, value: &Value, pointer: &str, depth: usize) {
        for forms in [&schema.any_of, &schema.one_of] {
            let fits = |form: &MetaSchemaRef| {
                let mut search = Search { registry: self.registry, found: Vec::new(), unknown: Vec::new() };
                search.look(form, value, &mut String::new(), depth + 1);
                search.found.is_empty()
            };
            if !forms.is_empty() && !forms.iter().any(fits) {
                self.wrong(pointer, "fits none of the allowed forms");
            }
        }
    }

    fn look_at_text(&mut self, schema: &MetaSchema, text: &str, pointer: &str) {
        if let Some(max) = schema.max_length.filter(|max| text.len() > *max) {
            self.wrong(pointer, format!("has at most {max} bytes"));
        } else if let Some(min) = schema.min_length.filter(|min| text.len() < *min) {
            self.wrong(pointer, format!("has at least {min} bytes"));
        } else if let Some(pattern) =
            schema.pattern.as_deref().filter(|pattern| Regex::new(pattern).is_ok_and(|rule| !rule.is_match(text)))
        {
            self.wrong(pointer, format!("must match {pattern}"));
        }
    }

    fn look_at_number(&mut self, schema: &MetaSchema, number: f64, pointer: &str) {
        if let Some(max) = schema.maximum.filter(|max| number > *max) {
            self.wrong(pointer, format!("must be at most {max}"));
        } else if let Some(min) = schema.minimum.filter(|min| number < *min) {
            self.wrong(pointer, format!("must be at least {min}"));
        }
    }

    fn look_at_items(&mut self, schema: &MetaSchema, items: &[Value], pointer: &mut String, depth: usize) {
        if let Some(max) = schema.max_items.filter(|max| items.len() > *max) {
            self.wrong(pointer, format!("has at most {max} items"));
        } else if let Some(min) = schema.min_items.filter(|min| items.len() < *min) {
            self.wrong(pointer, format!("has at least {min} items"));
        }
        let Some(kind) = &schema.items else { return };
        for (index, item) in items.iter().enumerate() {
            self.below(pointer, &index.to_string(), |search, pointer| search.look(kind, item, pointer, depth + 1));
        }
    }

    fn look_at_fields(
        &mut self,
        schema: &MetaSchema,
        fields: &serde_json::Map<String, Value>,
        pointer: &mut String,
        depth: usize,
    ) {
        if let Some(max) = schema.max_properties.filter(|max| fields.len() > *max) {
            self.wrong(pointer, format!("has at most {max} entries"));
        }
        for name in &schema.required {
            // A whole object's defaults make none of its fields optional, as the framework sees it.
            let default = schema.properties.iter().any(|(property, kind)| property == name && has_default(kind));
            if !default && fields.get(*name).is_none_or(Value::is_null) {
                self.below(pointer, name, |search, pointer| search.wrong(pointer, "is required"));
            }
        }
        for (name, value) in fields {
            let known = schema.properties.iter().find(|(property, _)| property == name).map(|(_, kind)| kind);
            match known.or(schema.additional_properties.as_deref()) {
                Some(_) if value.is_null() => {}
                Some(kind) => self.below(pointer, name, |search, pointer| search.look(kind, value, pointer, depth + 1)),
                None if schema.properties.is_empty() => {}
                None => self.below(pointer, name, |search, pointer| {
                    if search.unknown.len() < MAX_ERRORS {
                        search.unknown.push(FieldProblem {
                            pointer: pointer.clone(),
                            detail: "is not a field of this body".to_owned(),
                        });
                    }
                }),
            }
        }
    }

    fn below(&mut self, pointer: &mut String, name: &str, look: impl FnOnce(&mut Self, &mut String)) {
        let length = pointer.len();
        // A name is cut where it is shown, because a client chose it.
        push(pointer, name.get(..MAX_NAME_BYTES).unwrap_or(name));
        look(self, pointer);
        pointer.truncate(length);
    }
}

fn has_default(schema: &MetaSchemaRef) -> bool {
    matches!(schema, MetaSchemaRef::Inline(schema) if schema.default.is_some())
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn kind_rule(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("must be {article} {kind}")
}

#[cfg(test)]
mod tests {
    use kernex_model::name::Username;
    use poem_openapi::Object;
    use poem_openapi::types::Type as _;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Object)]
    struct Inner {
        limit: u32,
    }

    #[derive(Debug, Object)]
    struct Body {
        username: Username,
        #[oai(validator(min_length = 12))]
        password: String,
        inner: Option<Inner>,
        tags: Option<Vec<String>>,
    }

    fn errors(value: &Value) -> Vec<(String, String)> {
        let mut registry = Registry::new();
        Body::register(&mut registry);
        explain(&registry, &Body::schema_ref(), value).into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    #[test]
    fn every_fault_has_a_pointer_and_no_value() {
        for (body, pointer, detail) in [
            (json!({"username": "ada"}), "/password", "is required"),
            (json!({"username": "ada", "password": "hunter2"}), "/password", "has at least 12 bytes"),
            (json!({"username": "ada", "password": 7}), "/password", "must be a string"),
            (
                json!({"username": "-", "password": "correct horse battery"}),
                "/username",
                "must match ^[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]$",
            ),
            (
                json!({"username": "ada", "password": "correct horse battery", "inner": {"limit": "x"}}),
                "/inner/limit",
                "must be an integer",
            ),
            (
                json!({"username": "ada", "password": "correct horse battery", "tags": ["a", 1]}),
                "/tags/1",
                "must be a string",
            ),
            (
                json!({"username": "ada", "password": "correct horse battery", "a/b": 1}),
                "/a~1b",
                "is not a field of this body",
            ),
            (json!(["hunter2"]), "", "must be an object"),
        ] {
            assert_eq!(errors(&body), [(pointer.to_owned(), detail.to_owned())], "{pointer}");
        }
    }

    #[test]
    fn a_rule_that_the_schema_does_not_tell_is_located() {
        use kernex_model::attribute::{LabelKey, LabelValue};
        use kernex_model::name::DeviceName;
        use poem_openapi::types::ParseFromJSON as _;
        #[derive(Debug, Object)]
        struct Nested {
            labels: std::collections::BTreeMap<LabelKey, LabelValue>,
        }
        #[derive(Debug, Object)]
        struct Whole {
            first: u32,
            labels: std::collections::BTreeMap<LabelKey, LabelValue>,
            name: Option<DeviceName>,
            nested: Option<Nested>,
            last: u32,
        }
        let mut registry = Registry::new();
        Whole::register(&mut registry);
        let refusal = |value: Value| Whole::parse_from_json(Some(value)).err().map(|error| error.message().to_owned());
        for (change, pointer) in [
            (json!({"labels": {"a": "b", "fact.os": "linux"}}), "/labels/fact.os"),
            (json!({"name": "\u{1}"}), "/name"),
            (json!({"nested": {"labels": {"model": "x"}}}), "/nested/labels/model"),
        ] {
            let mut body = json!({"first": 1, "labels": {"a": "b"}, "last": 2});
            body.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            assert_eq!(locate(&registry, &Whole::schema_ref(), &body, &refusal), pointer);
        }
    }

    #[test]
    fn what_has_a_default_is_not_missed() {
        use kernex_model::deployment::Plan;
        let mut registry = Registry::new();
        Plan::register(&mut registry);
        let [wrong] = &explain(&registry, &Plan::schema_ref(), &json!({"max_in_flight": 0}))[..] else {
            panic!("one field is wrong")
        };
        assert_eq!((&*wrong.pointer, &*wrong.detail), ("/max_in_flight", "must be at least 1"));
    }

    #[test]
    fn a_good_body_has_no_fault() {
        assert_eq!(errors(&json!({"username": "ada", "password": "correct horse battery", "inner": null})), []);
    }
}
