//! The case files of the plugins that come with the program, against the components that come with it.

use std::path::Path;

use serde_json::Value;

use super::desk::Desk;

#[test]
fn every_bundled_plugin_passes_its_cases() {
    let desk = Desk::new();
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut wrong = Vec::new();
    for plugin in kernex_plugins::ALL {
        let folder = plugins.join(plugin.name);
        let cases = std::fs::read_to_string(folder.join("cases.yaml"));
        let cases = cases.unwrap_or_else(|error| panic!("{} has no cases: {error}", plugin.name));
        assert!(folder.join("README.md").is_file(), "{} has no README", plugin.name);
        desk.put("plugin.wasm", plugin.bytes);
        let (found, code) = desk.tested("plugin.wasm", &cases);
        let failed =
            found["cases"].as_array().expect("cases").iter().filter(|case| case["passed"] == Value::Bool(false));
        wrong.extend(failed.map(|case| format!("{}: {}: {}", plugin.name, case["name"], case["failures"])));
        assert_eq!(code == Some(0), found["failed"] == 0, "{found}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
