//! Render's rules for Blueprints, and a few of our own.

use std::collections::BTreeSet;

use config::{Secrecy, variable};
use serde_json::Value;

use crate::deploy::yaml::{entries, items, text};

const ROOT: &[&str] = &["services", "databases", "envVarGroups", "projects", "previews"];
/// The keys of a service that is built from a Dockerfile and has no disk.
const SERVICE: &[&str] = &[
    "type",
    "name",
    "runtime",
    "region",
    "plan",
    "branch",
    "numInstances",
    "dockerfilePath",
    "dockerContext",
    "dockerCommand",
    "preDeployCommand",
    "healthCheckPath",
    "maxShutdownDelaySeconds",
    "autoDeployTrigger",
    "domains",
    "envVars",
];
const REQUIRED: &[&str] =
    &["type", "name", "runtime", "plan", "branch", "dockerCommand", "autoDeployTrigger", "envVars"];
const REGIONS: &[&str] = &["oregon", "ohio", "virginia", "frankfurt", "singapore"];
const TRIGGERS: &[&str] = &["commit", "checksPass", "off"];
/// Each variable has exactly one of these.
const SOURCES: &[&str] = &["value", "generateValue", "sync", "fromService", "fromDatabase"];
/// Variables that Render sets itself.
const INJECTED: &[&str] = &["PORT", "RENDER_GIT_COMMIT", "RENDER_GIT_BRANCH", "RENDER_EXTERNAL_URL"];
const RELEASE: &str = "app migrate && app check --pre";

/// Lists every rule that a Blueprint breaks. Each fault contains the word by which the tests know the rule.
pub fn faults(blueprint: &Value) -> Vec<String> {
    let mut faults = Faults::default();
    faults.keys("the file", blueprint, ROOT);
    let groups: BTreeSet<&str> = items(&blueprint["envVarGroups"]).map(|group| text(&group["name"])).collect();
    for group in items(&blueprint["envVarGroups"]) {
        faults.keys(text(&group["name"]), group, &["name", "envVars"]);
        faults.variables(text(&group["name"]), &group["envVars"], None);
    }
    for service in items(&blueprint["services"]) {
        faults.service(service, &groups);
    }
    faults.release(blueprint);
    faults.names(blueprint);
    faults.0
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn must(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }

    fn keys(&mut self, of: &str, value: &Value, allowed: &[&str]) {
        for (key, _) in entries(value) {
            self.must(allowed.contains(&key), || format!("{of}: there is no key {key}"));
        }
    }

    fn service(&mut self, service: &Value, groups: &BTreeSet<&str>) {
        let name = text(&service["name"]);
        self.keys(name, service, SERVICE);
        for key in REQUIRED {
            self.must(!service[*key].is_null(), || format!("{name}: {key} is missing"));
        }
        let is_web = service["type"] == "web";
        self.must(is_web || service["type"] == "worker", || format!("{name}: the type is neither web nor worker"));
        self.must(service["runtime"] == "docker", || format!("{name}: the runtime is not docker"));
        self.must(REGIONS.contains(&text(&service["region"])), || format!("{name}: no such region"));
        self.must(is_web == text(&service["healthCheckPath"]).starts_with('/'), || {
            format!("{name}: web services need a health check, and others have none")
        });
        let delay = service["maxShutdownDelaySeconds"].as_u64();
        self.must(delay.is_some_and(|seconds| (1..=300).contains(&seconds)), || format!("{name}: shutdown delay"));
        let trigger = text(&service["autoDeployTrigger"]);
        self.must(TRIGGERS.contains(&trigger), || format!("{name}: autoDeployTrigger does not say what deploys"));
        self.must(service["numInstances"].as_u64() >= Some(1), || format!("{name}: numInstances"));
        self.variables(name, &service["envVars"], Some(groups));
    }

    /// `groups` are those that a service may name; `None` for the variables of a group itself.
    fn variables(&mut self, of: &str, variables: &Value, groups: Option<&BTreeSet<&str>>) {
        for entry in items(variables) {
            if let (Some(group), Some(groups)) = (entry["fromGroup"].as_str(), groups) {
                self.must(groups.contains(group), || format!("{of}: there is no group {group}"));
                self.keys(of, entry, &["fromGroup"]);
                continue;
            }
            self.variable(of, entry, groups.is_none());
        }
    }

    fn variable(&mut self, of: &str, entry: &Value, in_group: bool) {
        let name = text(&entry["key"]);
        let known = variable(name);
        self.must(known.is_some(), || format!("{of}: {name} is an unknown variable"));
        self.must(!INJECTED.contains(&name), || format!("{of}: {name} is set by the platform"));
        let sources: Vec<&str> = entries(entry).map(|(key, _)| key).filter(|key| *key != "key").collect();
        self.must(sources.len() == 1 && SOURCES.contains(&sources[0]), || format!("{of}: {name} needs one source"));
        let value = &entry["value"];
        self.must(value.is_null() || value.is_string(), || format!("{of}: the value of {name} is not text"));
        let secret = known.is_some_and(|v| v.secrecy == Secrecy::Secret);
        self.must(!secret || value.is_null(), || format!("{of}: {name} is a secret, but its value is in the file"));
        let asked = !entry["sync"].is_null();
        self.must(!asked || entry["sync"] == false, || format!("{of}: sync of {name} is not a source"));
        self.must(!asked || !in_group, || format!("{of}: {name}: a group cannot ask for a secret"));
    }

    fn release(&mut self, blueprint: &Value) {
        let commands: Vec<&str> =
            items(&blueprint["services"]).filter_map(|service| service["preDeployCommand"].as_str()).collect();
        let wrapped = format!("/bin/sh -c \"{RELEASE}\"");
        self.must(commands == [wrapped.as_str()], || {
            format!("expected one release command that migrates and checks, not {commands:?}")
        });
    }

    fn names(&mut self, blueprint: &Value) {
        let mut seen = BTreeSet::new();
        for item in items(&blueprint["services"]).chain(items(&blueprint["envVarGroups"])) {
            let name = text(&item["name"]);
            self.must(!name.is_empty() && seen.insert(name), || format!("the name {name:?} is used twice, or missing"));
        }
        for key in ["region", "branch", "dockerfilePath", "dockerContext"] {
            let values: BTreeSet<String> =
                items(&blueprint["services"]).map(|service| service[key].to_string()).collect();
            self.must(values.len() == 1, || format!("the services do not share their {key}"));
        }
    }
}
