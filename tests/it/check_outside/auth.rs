//! Keys and tokens that do not belong together.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    check::{Environment, check},
    support::fakes::services::jwks,
};

async fn with_project(keys: Value) -> (Environment, crate::support::fakes::http::Server) {
    let project = jwks(keys);
    let mut environment = Environment::new().await;
    environment.fleet.set("SUPABASE_URL", &project.url());
    (environment, project)
}

/// A published key on P-256; its point belongs to no private key.
fn key(kid: Value) -> Value {
    let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
    json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": coordinate, "y": coordinate })
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

#[tokio::test]
async fn a_project_whose_keys_are_not_verified_here_is_named() {
    let known = || key("0c8a2c1e-1f0b-4aa8".into());
    for (keys, cause) in [
        (json!([known(), with(known(), "crv", "P-521".into())]), "jwt.keys/algorithm_unexpected"),
        (json!([with(known(), "d", "c2VjcmV0".into())]), "jwt.keys/algorithm_unexpected"),
        (json!([{ "kty": "oct", "kid": "s", "k": "c2VjcmV0" }]), "jwt.keys/algorithm_unexpected"),
        (json!([known(), key(Value::Null)]), "jwt.keys/kid_missing"),
    ] {
        let (environment, _project) = with_project(keys).await;
        let checked = check(&environment.fleet, &["--only", "configuration,auth"]);
        let finding = checked.requires(cause);
        assert!(!finding.to_string().contains("c2VjcmV0"), "{finding}");
    }
}

#[tokio::test]
async fn a_projects_signing_keys_are_a_way_in_with_or_without_a_secret() {
    let encryption = with(key("other".into()), "use", "enc".into());
    for keys in [json!([]), json!([key("0c8a2c1e-1f0b-4aa8".into()), encryption])] {
        let (mut environment, _project) = with_project(keys.clone()).await;
        let checked = check(&environment.fleet, &["--only", "configuration,auth", "--strict"]);
        assert_eq!(checked.causes(), [""; 0], "{:#}", checked.report);
        environment.fleet.set("SUPABASE_JWT_SECRET", "");
        environment.fleet.set("ENVIRONMENT", "staging");
        let checked = check(&environment.fleet, &["--only", "jwt.keys", "--strict"]);
        if keys.as_array().unwrap().is_empty() {
            checked.requires("jwt.keys/no_way_in");
        } else {
            let finding = checked.one("jwt.keys");
            assert_eq!(finding["observed"], "ES256 (kid 0c8a2c1e-1f0)", "{finding}");
        }
    }
}

#[tokio::test]
async fn a_project_that_is_not_there_is_named() {
    let mut environment = Environment::new().await;
    environment.fleet.set("SUPABASE_URL", "http://127.0.0.1:1");
    check(&environment.fleet, &["--only", "configuration,database,queue,storage,auth"])
        .requires("jwt.keys/jwks_unreachable");
}

#[tokio::test]
async fn without_secret_and_project_only_api_keys_can_log_in() {
    let mut environment = Environment::new().await;
    environment.fleet.set("SUPABASE_JWT_SECRET", "");
    assert_eq!(check(&environment.fleet, &["--only", "configuration,auth", "--strict"]).causes(), [""; 0]);
    environment.fleet.set("ENVIRONMENT", "staging");
    let checked = check(&environment.fleet, &["--only", "jwt.keys", "--strict"]);
    checked.requires("jwt.keys/no_way_in");
    assert!(check(&environment.fleet, &["--only", "jwt.keys"]).status.success());
}

#[tokio::test]
async fn settings_of_two_projects_are_named() {
    let mut environment = Environment::new().await;
    environment.fleet.set("SUPABASE_URL", "https://abcdefghijklmnopqrst.supabase.co");
    environment.fleet.set(
        "STORAGE_URL",
        "s3://documents?endpoint=https://zzzzzzzzzzzzzzzzzzzz.storage.supabase.co/storage/v1/s3&region=eu-west-2",
    );
    environment.fleet.set("AWS_ACCESS_KEY_ID", "x");
    environment.fleet.set("AWS_SECRET_ACCESS_KEY", "x");
    let checked = check(&environment.fleet, &["--only", "env.project"]);
    let finding = checked.requires("env.project/other_project");
    let observed = finding["observed"].as_str().unwrap();
    assert!(observed.contains("zzzzzzzzzzzzzzzzzzzz") && observed.contains("abcdefghijklmnopqrst"), "{observed}");
}
