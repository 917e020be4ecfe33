//! Reads the YAML files of the platforms as JSON values.

use std::{fs, path::Path};

use serde_json::Value;
use serde_yaml_ng as yaml;

/// Parses a file of the project. Anchors and merges are resolved, and a duplicate key is an error.
pub fn load(name: &str) -> Value {
    parse(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text of a file of the project.
pub fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// YAML as JSON.
pub fn parse(text: &str) -> Result<Value, yaml::Error> {
    let mut value: yaml::Value = yaml::from_str(text)?;
    value.apply_merge()?;
    yaml::from_value(value)
}

/// The entries of a mapping; none if the value is something else.
pub fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// The items of a list; none if the value is something else.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The text of a string value; empty if the value is something else.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn a_duplicate_key_is_refused() {
    assert!(parse("a: 1\na: 2").is_err());
    assert_eq!(parse("x: &x {a: 1, b: 1}\ny: {<<: *x, b: 2}").unwrap()["y"], serde_json::json!({"a": 1, "b": 2}));
}
