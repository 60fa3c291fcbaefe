//! Owns what the types declare of each setting, which is what is checked and what the book says.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Settings;
use super::layers::join;

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its key, dotted.
    pub(super) key: String,
    /// Its value where nothing sets it; null is none.
    pub(super) default: Value,
    /// The JSON Schema of its type.
    pub(super) schema: Value,
}

impl Setting {
    /// The least and the greatest number that it may be.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        Some((self.schema["minimum"].as_f64()?, self.schema["maximum"].as_f64()?))
    }
}

/// Every setting there is, in the order in which the types have them.
pub(super) fn settings() -> Vec<Setting> {
    let inline = SchemaSettings::default().for_serialize().with(|settings| settings.inline_subschemas = true);
    let schema = inline.into_generator().into_root_schema_for::<Settings>().to_value();
    let defaults = serde_json::to_value(Settings::default()).expect("the defaults have a JSON form");
    let mut found = Vec::new();
    collect(&schema, &defaults, "", &mut found);
    found
}

fn collect(table: &Value, defaults: &Value, path: &str, found: &mut Vec<Setting>) {
    // Whether an object of serde_json keeps its order depends on what else is built with it; a list does. All that is
    // written has to be there.
    let names = table["required"].as_array().map_or(&[][..], Vec::as_slice);
    debug_assert_eq!(names.len(), table["properties"].as_object().map_or(0, |properties| properties.len()), "{path}");
    for name in names.iter().filter_map(Value::as_str) {
        let (key, default, schema) = (join(path, name), &defaults[name], &table["properties"][name]);
        if schema["properties"].is_object() {
            collect(schema, default, &key, found);
        } else {
            found.push(Setting { key, default: default.clone(), schema: schema.clone() });
        }
    }
}
