//! The OpenAPI document is complete and up to date.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use domain::Code;
use serde_json::Value;

use super::support::operations;
use crate::support::db::TestDb;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text() -> String {
    let (config, _faults) = config::Config::load_lenient(config::Role::Api, &config::Sources::default());
    api::document_json(&config.uploads, env!("CARGO_PKG_VERSION")).unwrap()
}

fn document() -> Value {
    serde_json::from_str(&text()).unwrap()
}

#[test]
fn every_operation_of_the_contract_is_fully_documented() {
    let document = document();
    assert_eq!(document["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(), ["3", "1"]);
    let mut ids = BTreeMap::new();
    let mut faults = Vec::new();
    for operation in operations(&document) {
        let (name, value) = (operation.name(), operation.value);
        for field in ["operationId", "summary", "description"] {
            if value[field].as_str().unwrap_or_default().is_empty() {
                faults.push(format!("{name} lacks {field}"));
            }
        }
        if let Some(other) = ids.insert(value["operationId"].to_string(), name.clone()) {
            faults.push(format!("{name} has the operationId of {other}"));
        }
        if value["tags"].as_array().is_none_or(Vec::is_empty) || !value["security"].is_array() {
            faults.push(format!("{name} lacks tags or security"));
        }
        for parameter in value["parameters"].as_array().into_iter().flatten() {
            // The page at /docs sends the example of a parameter: of these, none fits the caller.
            let is_own = ["X-User-Id", "Idempotency-Key", "cursor"].iter().any(|name| parameter["name"] == **name);
            if parameter["example"].is_null() && !is_own || parameter["description"].is_null() {
                faults.push(format!("{name}: the parameter {} lacks an example or a description", parameter["name"]));
            }
        }
        let answers = value["responses"].as_object().unwrap();
        faults.extend(incomplete_contents(&name, "its body", &value["requestBody"]));
        for (status, answer) in answers {
            faults.extend(incomplete_contents(&name, status, answer));
            if answer["description"].as_str().unwrap_or_default().is_empty() {
                faults.push(format!("{name}: {status} lacks a description"));
            }
        }
        if !answers.keys().any(|status| status.starts_with('2')) {
            faults.push(format!("{name} has no successful answer"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Lists the contents that lack a schema or an example.
fn incomplete_contents(name: &str, place: &str, of: &Value) -> Vec<String> {
    let contents = of["content"].as_object().into_iter().flatten();
    contents
        .filter(|(_, content)| {
            content["schema"].is_null()
                || (content["example"].is_null()
                    && content["examples"].as_object().is_none_or(serde_json::Map::is_empty))
        })
        .map(|(kind, _)| format!("{name}: {place} as {kind} lacks a schema or an example"))
        .collect()
}

#[test]
fn every_reference_in_the_contract_resolves() {
    let document = document();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    let missing: Vec<&&str> =
        references.iter().filter(|at| document.pointer(at.trim_start_matches('#')).is_none()).collect();
    assert!(references.len() > 50 && missing.is_empty(), "{missing:?}");
    let operations = operations(&document);
    let ids: BTreeSet<&str> = operations.iter().filter_map(|one| one.value["operationId"].as_str()).collect();
    for operation in &operations {
        for answer in operation.value["responses"].as_object().unwrap().values() {
            for link in answer["links"].as_object().into_iter().flatten().map(|(_, link)| link) {
                assert!(ids.contains(link["operationId"].as_str().unwrap()), "{}: {link}", operation.name());
            }
        }
    }
}

fn collect<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Codes that belong to no operation, since the server answers with them before it has found one.
const WITHOUT_OPERATION: &[Code] =
    &[Code::RouteNotFound, Code::MethodNotAllowed, Code::RequestTimeout, Code::BadRequest];

#[test]
fn the_contract_has_an_example_of_each_code_with_each_of_its_statuses() {
    let document = document();
    let examples = document["components"]["examples"].as_object().unwrap();
    let without_operation = |name: &str| WITHOUT_OPERATION.iter().any(|code| code.as_str() == name);
    let documented: BTreeSet<String> = examples.keys().filter(|key| !without_operation(&key[4..])).cloned().collect();
    let wanted = Code::ALL.iter().filter(|code| !WITHOUT_OPERATION.contains(code));
    let wanted = wanted.flat_map(|code| code.statuses().iter().map(move |status| format!("{status}_{code}")));
    assert_eq!(documented, wanted.collect());
}

/// A route registered elsewhere would be missing in the document.
#[test]
fn only_the_table_registers_routes() {
    let mut faults = Vec::new();
    visit(&root().join("crates/api/src"), &mut |path, text| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        // The worker's port has only its own three probes.
        if name.starts_with("crates/api/src/server") || name == "src/roles/worker/probes.rs" {
            return;
        }
        for word in ["web::resource(", "web::scope(", "web::route(", ".route(", "ServiceConfig", ".service("] {
            if text.contains(word) {
                faults.push(format!("{name} has {word}"));
            }
        }
    });
    assert!(faults.is_empty(), "register routes in crates/api/src/server/routes.rs: {}", faults.join(", "));
}

fn visit(folder: &Path, read: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, read);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            read(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

/// Event types are text in the database and an enum in the contract.
#[tokio::test(flavor = "multi_thread")]
async fn the_contract_lists_the_event_types_that_the_database_accepts() {
    let test = TestDb::new().await;
    let constraint = test
        .value("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_events_type' AND contype = 'c'")
        .await;
    let accepted: BTreeSet<&str> = constraint.split('\'').skip(1).step_by(2).collect();
    let document = document();
    let names = document["components"]["schemas"]["EventType"]["enum"].as_array().unwrap();
    let documented: BTreeSet<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
    assert!(!documented.is_empty());
    assert_eq!(documented, accepted);
}
