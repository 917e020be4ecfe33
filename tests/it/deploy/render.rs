//! Render's Blueprints follow the platform's rules and give each service valid settings.
//!
//! Source of the rules: Render's Blueprint reference and its pages on deploys, health checks and environment variables.

mod rules;

use std::collections::BTreeMap;

use app::cli::{Cli, Command};
use clap::Parser;
use config::{Config, Role, Secrecy, Sources, variable};
use serde_json::Value;

use super::yaml::{entries, items, load, parse, read, text};
use crate::support::{db::TestDb, fleet::Fleet};

const BLUEPRINTS: [&str; 2] = ["render.yaml", "render.staging.yaml"];

/// The role that a service runs.
fn role(service: &Value) -> Role {
    let command = text(&service["dockerCommand"]);
    match Cli::try_parse_from(command.split_whitespace()).unwrap_or_else(|error| panic!("{command}: {error}")).command {
        Command::Api => Role::Api,
        Command::Worker => Role::Worker,
        other => panic!("a service runs {other:?}"),
    }
}

/// The value that a person would enter in Render's dashboard, or that Render would generate.
fn entered_value(name: &str, environment: &str) -> String {
    let url = |port: u16| {
        format!("postgres://postgres.abcdefghijklmnop:pw@aws-0-eu-west-2.pooler.supabase.com:{port}/postgres")
    };
    match name {
        "DATABASE_URL" => url(6543),
        "DIRECT_URL" => url(5432),
        "CORS_ORIGINS" => format!("https://{environment}.example.com"),
        "STORAGE_SIGNING_SECRET" => "d2hhdCB0aGUgcGxhdGZvcm0gbWFrZXMgdXAsIDI1NiBiaXRz".to_owned(),
        _ => variable(name).unwrap_or_else(|| panic!("{name} is not a variable of app")).example.to_owned(),
    }
}

/// The environment of a service, with entered and generated values.
fn environment(blueprint: &Value, service: &Value) -> BTreeMap<String, String> {
    let group = |name: &str| {
        items(&blueprint["envVarGroups"])
            .find(|group| text(&group["name"]) == name)
            .map_or(&Value::Null, |g| &g["envVars"])
    };
    let stage = text(&items(&blueprint["envVarGroups"]).next().unwrap()["envVars"][0]["value"]);
    let mut env = BTreeMap::new();
    for entry in items(&service["envVars"]) {
        for entry in items(group(text(&entry["fromGroup"]))).chain([entry]).filter(|entry| entry["key"].is_string()) {
            let name = text(&entry["key"]);
            let value = entry["value"].as_str().map_or_else(|| entered_value(name, stage), str::to_owned);
            assert_eq!(env.insert(name.to_owned(), value), None, "{name} is set twice");
        }
    }
    env
}

/// Any file stands for the database's CA certificate, which is added in the dashboard.
fn sources(mut env: BTreeMap<String, String>) -> Sources {
    env.insert("DATABASE_CA_FILE".to_owned(), concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE").to_owned());
    Sources::of(env)
}

fn services() -> Vec<(Value, Value)> {
    let blueprints = BLUEPRINTS.into_iter().map(load);
    blueprints.flat_map(|b| items(&b["services"]).map(|s| (b.clone(), s.clone())).collect::<Vec<_>>()).collect()
}

#[test]
fn the_blueprints_keep_every_rule_of_the_platform() {
    for name in BLUEPRINTS {
        let faults = rules::faults(&load(name));
        assert!(faults.is_empty(), "{name}:\n{}", faults.join("\n"));
    }
}

#[test]
fn each_broken_rule_is_found() {
    for (rule, from, to) in [
        ("key", "    healthCheckPath: /readyz", "    healthCheckPath: /readyz\n    healthCheckTimeout: 5"),
        ("key", "services:\n", "cron: []\nservices:\n"),
        ("health check", "    healthCheckPath: /readyz\n", ""),
        ("health check", "    dockerCommand: app worker", "    dockerCommand: app worker\n    healthCheckPath: /livez"),
        ("runtime", "runtime: docker", "env: docker"),
        ("shutdown", "maxShutdownDelaySeconds: 60", "maxShutdownDelaySeconds: 301"),
        (
            "shutdown",
            "    maxShutdownDelaySeconds: 60\n    autoDeployTrigger: checksPass\n    envVars:\n      - fromGroup: app-production\n      - key: WORKER",
            "    autoDeployTrigger: checksPass\n    envVars:\n      - fromGroup: app-production\n      - key: WORKER",
        ),
        ("deploys", "autoDeployTrigger: checksPass", "autoDeploy: true"),
        ("deploys", "autoDeployTrigger: checksPass", "autoDeployTrigger: always"),
        (
            "secret",
            "- key: DATABASE_URL\n        sync: false",
            "- key: DATABASE_URL\n        value: postgres://app:pw@db/app",
        ),
        ("secret", "- key: ENVIRONMENT\n        value: production", "- key: AWS_ACCESS_KEY_ID\n        sync: false"),
        ("source", "- key: CORS_ORIGINS\n        sync: false", "- key: CORS_ORIGINS"),
        (
            "source",
            "- key: CORS_ORIGINS\n        sync: false",
            "- key: CORS_ORIGINS\n        sync: false\n        value: x",
        ),
        ("text", "value: \"60\"", "value: 60"),
        ("unknown", "- key: CORS_ORIGINS", "- key: CORS_ORIGIN"),
        ("platform", "- key: CORS_ORIGINS", "- key: PORT"),
        ("group", "- fromGroup: app-production", "- fromGroup: app-prod"),
        ("name", "name: app-worker", "name: app-api"),
        ("release", "app migrate && app check --pre", "echo migrated"),
        ("release", "app migrate && app check --pre", "app check --pre"),
        ("region", "region: frankfurt", "region: london"),
        ("branch", "    branch: production\n", ""),
    ] {
        let good = read("render.yaml");
        let bad = good.replacen(from, to, 1);
        assert_ne!(good, bad, "{from} is not in render.yaml");
        let faults = rules::faults(&parse(&bad).unwrap());
        assert!(faults.iter().any(|fault| fault.contains(rule)), "no fault for {to:?}; found: {faults:?}");
    }
}

#[test]
fn each_service_has_the_settings_that_its_commands_need() {
    for (blueprint, service) in services() {
        let env = environment(&blueprint, &service);
        let release = service.get("preDeployCommand").map(|_| [Role::Migrate, Role::Check]);
        for role in [role(&service)].into_iter().chain(release.into_iter().flatten()) {
            let config =
                Config::load(role, &sources(env.clone())).unwrap_or_else(|error| panic!("app {role}: {error}"));
            assert!(config.warnings.is_empty(), "app {role}: {:?}", config.warnings);
            assert!(!config.environment.is_development());
        }
        for name in env.keys() {
            let roles = variable(name).unwrap().roles;
            let read = roles.contains(&role(&service)) || (release.is_some() && roles.contains(&Role::Check));
            assert!(read, "{} is given {name}, which it does not read", service["name"]);
        }
    }
}

#[test]
fn a_service_gets_enough_time_to_drain() {
    for (blueprint, service) in services() {
        let role = role(&service);
        let config = Config::load(role, &sources(environment(&blueprint, &service))).unwrap();
        let delay = std::time::Duration::from_secs(service["maxShutdownDelaySeconds"].as_u64().unwrap());
        assert_eq!(config.platform.shutdown_delay, delay, "SHUTDOWN_DELAY of {}", service["name"]);
        let grace = if role == Role::Api { config.http.grace } else { config.worker.grace };
        assert!(grace < delay, "{grace:?} of {delay:?}");
    }
}

#[test]
fn the_release_command_counts_the_connections_of_all_instances() {
    for name in BLUEPRINTS {
        let blueprint = load(name);
        let services: Vec<&Value> = items(&blueprint["services"]).collect();
        let of = |wanted: Role| *services.iter().find(|service| role(service) == wanted).unwrap();
        let instances = |role: Role| of(role)["numInstances"].as_u64();
        let checked = Config::load(Role::Check, &sources(environment(&blueprint, of(Role::Api)))).unwrap().platform;
        assert_eq!(Some(u64::from(checked.api_instances)), instances(Role::Api), "API_INSTANCES in {name}");
        assert_eq!(Some(u64::from(checked.worker_instances)), instances(Role::Worker), "WORKER_INSTANCES in {name}");
    }
}

#[test]
fn each_secret_is_entered_by_a_person_or_generated() {
    for (_, service) in services() {
        let is_secret = |entry: &&Value| variable(text(&entry["key"])).is_some_and(|v| v.secrecy == Secrecy::Secret);
        let secrets: Vec<&Value> = items(&service["envVars"]).filter(is_secret).collect();
        assert!(secrets.len() >= 4, "{service}");
        for secret in secrets {
            assert!(secret["sync"] == false || secret["generateValue"] == true, "{secret}");
        }
    }
}

#[test]
fn staging_differs_from_production_only_in_names_branch_and_environment() {
    let mut staging = load("render.staging.yaml").to_string();
    for (staging_text, production_text) in [
        ("app-staging-", "app-"),
        ("\"app-staging\"", "\"app-production\""),
        ("\"branch\":\"main\"", "\"branch\":\"production\""),
        ("\"value\":\"staging\"", "\"value\":\"production\""),
    ] {
        assert!(staging.contains(staging_text), "{staging_text}");
        staging = staging.replace(staging_text, production_text);
    }
    assert_eq!(staging, load("render.yaml").to_string());
    // No named service or group may belong to both environments.
    let names = |file: &str| {
        let file = load(file);
        let named = entries(&file).flat_map(|(_, list)| items(list).map(|item| text(&item["name"]).to_owned()));
        named.collect::<Vec<_>>()
    };
    let production = names("render.yaml");
    assert!(production.len() == 3 && names("render.staging.yaml").iter().all(|name| !production.contains(name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_serves_the_health_check_path() {
    let test = TestDb::new().await;
    let (_api, client) = Fleet::new(&test.url, &test.url).api();
    for (_, service) in services() {
        let Some(path) = service["healthCheckPath"].as_str() else { continue };
        let response = reqwest::get(format!("{}{path}", client.root)).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["checks"]["database"], "ok", "{path} does not report readiness: {body}");
    }
}
