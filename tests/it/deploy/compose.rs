//! compose.yaml runs the parts of production on one machine.

use std::time::Duration;

use app::cli::{Cli, Command};
use clap::Parser;
use config::{Config, Role, Sources, StorageLocation, variable};
use serde_json::Value;

use super::yaml::{entries, items, load, text};

fn services() -> Value {
    load("compose.yaml")["services"].take()
}

/// The services that run the program, each with its role.
fn app_services(services: &Value) -> Vec<(Role, &str, &Value)> {
    let services = entries(services).filter(|(_, service)| text(&service["image"]) == "app:local");
    services
        .map(|(name, service)| {
            let command = items(&service["command"]).map(text);
            let role = match Cli::try_parse_from(command).unwrap().command {
                Command::Api => Role::Api,
                Command::Worker => Role::Worker,
                Command::Migrate(_) => Role::Migrate,
                other => panic!("{name} runs {other:?}"),
            };
            (role, name, service)
        })
        .collect()
}

fn environment(service: &Value) -> Vec<(&str, &str)> {
    entries(&service["environment"]).map(|(name, value)| (name, value.as_str().expect("quote it"))).collect()
}

fn config(role: Role, service: &Value) -> Config {
    Config::load(role, &Sources::of(environment(service))).unwrap_or_else(|error| panic!("app {role}: {error}"))
}

#[test]
fn one_image_runs_every_role_with_the_same_settings() {
    let services = services();
    let app_services = app_services(&services);
    let mut roles: Vec<&str> = app_services.iter().map(|(role, ..)| role.as_str()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["api", "migrate", "worker"]);
    for (role, name, service) in &app_services {
        assert_eq!(service["build"], app_services[0].2["build"], "{name}");
        assert_eq!(service["environment"], app_services[0].2["environment"], "{name}");
        for (variable_name, _) in environment(service) {
            assert!(variable(variable_name).is_some(), "{name}: {variable_name} is not a variable of app");
        }
        let config = config(*role, service);
        assert!(config.warnings.is_empty(), "{name}: {:?}", config.warnings);
    }
}

#[test]
fn services_connect_through_the_pooler_and_migrations_directly() {
    let services = services();
    for (role, name, service) in app_services(&services) {
        let config = config(role, service);
        let (pooled, direct) = (config.database.url().unwrap(), config.database.session_url().unwrap());
        let env = |service: &Value, name: &str| text(&service["environment"][name]).to_owned();
        let find = |has: &str| entries(&services).find(|(_, s)| s["environment"][has].is_string()).unwrap();
        let (pooler_name, pooler) = find("POOL_MODE");
        let (database_name, database) = find("POSTGRES_DB");
        assert_eq!(env(pooler, "POOL_MODE"), "transaction");
        assert!(text(&database["image"]).starts_with("pgvector/pgvector:"));
        let url = |host: &str, port: &str| {
            let [user, password, dbname] =
                ["POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"].map(|name| env(database, name));
            format!("postgres://{user}:{password}@{host}:{port}/{dbname}?sslmode=disable")
        };
        assert_eq!(env(service, "DATABASE_URL"), url(pooler_name, &env(pooler, "LISTEN_PORT")), "{name}");
        assert_eq!(env(service, "DIRECT_URL"), url(database_name, "5432"), "{name}");
        assert_ne!(pooled.to_string(), direct.to_string());
        for (setting, expected) in
            [("DB_HOST", database_name), ("DB_USER", "app"), ("DB_PASSWORD", "app"), ("DB_NAME", "app")]
        {
            assert_eq!(env(pooler, setting), expected);
        }
    }
}

#[test]
fn documents_are_stored_in_a_bucket_that_exists() {
    let services = services();
    let (_, _, worker) = app_services(&services).into_iter().find(|(role, ..)| *role == Role::Worker).unwrap();
    let config = config(Role::Worker, worker);
    let StorageLocation::S3(s3) = config.storage.location().unwrap() else { panic!("a folder") };
    let endpoint = s3.endpoint.as_ref().unwrap();
    let store = &services[endpoint.host_str().unwrap()];
    let command: Vec<&str> = items(&store["command"]).map(text).collect();
    assert!(command.contains(&format!(":{}", endpoint.port().unwrap()).as_str()), "{command:?}");
    let bucket = format!(":{}/{}", command.last().unwrap(), s3.bucket);
    assert!(items(&store["volumes"]).any(|volume| text(volume).ends_with(&bucket)), "{bucket}");
    for (app_name, store_name) in
        [("AWS_ACCESS_KEY_ID", "ROOT_ACCESS_KEY_ID"), ("AWS_SECRET_ACCESS_KEY", "ROOT_SECRET_ACCESS_KEY")]
    {
        assert_eq!(worker["environment"][app_name], store["environment"][store_name]);
    }
}

#[test]
fn a_container_gets_enough_time_to_drain() {
    for (role, name, service) in app_services(&services()).into_iter().filter(|(role, ..)| *role != Role::Migrate) {
        let config = config(role, service);
        let period = text(&service["stop_grace_period"]).trim_end_matches('s').parse().unwrap();
        assert_eq!(config.platform.shutdown_delay, Duration::from_secs(period), "{name}");
    }
}

#[test]
fn services_wait_for_the_services_that_they_need() {
    let services = services();
    for (role, name, service) in app_services(&services).into_iter().filter(|(role, ..)| *role != Role::Migrate) {
        let waits: Vec<&str> = entries(&service["depends_on"]).map(|(other, _)| other).collect();
        assert_eq!(waits, ["migrate", "pooler", "storage"], "{name} ({role})");
        assert_eq!(service["depends_on"]["migrate"]["condition"], "service_completed_successfully");
    }
    for (name, service) in entries(&services) {
        for (other, how) in entries(&service["depends_on"]) {
            let waited_for = &services[other];
            assert!(waited_for.is_object(), "{name} waits for {other}, which does not exist");
            if how["condition"] == "service_healthy" {
                assert!(waited_for["healthcheck"]["test"].is_array(), "{other} never becomes healthy");
            }
        }
    }
}

#[test]
fn ports_are_open_only_locally_and_every_image_has_a_version() {
    let compose = load("compose.yaml");
    for (name, service) in entries(&compose["services"]) {
        for port in items(&service["ports"]) {
            assert!(text(port).starts_with("127.0.0.1:"), "{name}: {port}");
        }
        let (_, tag) = text(&service["image"]).rsplit_once(':').unwrap();
        assert!(tag != "latest", "{name}");
        for volume in items(&service["volumes"]) {
            let volume = text(volume).split(':').next().unwrap();
            assert!(compose["volumes"].as_object().unwrap().contains_key(volume), "{name}: {volume}");
        }
    }
    for (_, name, service) in app_services(&compose["services"]) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
    }
}
