//! Keys and tokens that do not belong together.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{
    check::{Environment, check},
    support::fakes::services::jwks,
};

const SECRET: &str = "a-secret-for-tests-that-is-long-enough-for-hs256";

/// A legacy key of Supabase.
fn service_key(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn claims(role: &str, project: &str, exp: i64) -> Value {
    json!({ "iss": "supabase", "ref": project, "role": role, "iat": 1_700_000_000, "exp": exp })
}

const LATER: i64 = 4_000_000_000;

async fn with_project(keys: Value) -> (Environment, crate::support::fakes::http::Server) {
    let project = jwks(keys);
    let mut environment = Environment::new().await;
    environment.fleet.set("SUPABASE_URL", &project.url());
    (environment, project)
}

/// A published key on P-256; a point that nobody signs with.
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
async fn each_wrong_service_key_has_its_own_cause_and_is_not_shown() {
    let project = "abcdefghijklmnopqrst";
    let right = service_key(SECRET, &claims("service_role", project, LATER));
    for (key, cause) in [
        (right.clone(), None),
        ("sb_secret_0123456789".to_owned(), None),
        (service_key(SECRET, &claims("service_role", "zzzzzzzzzzzzzzzzzzzz", LATER)), Some("other_project")),
        (service_key(SECRET, &claims("anon", project, LATER)), Some("wrong_role")),
        ("sb_publishable_0123456789".to_owned(), Some("wrong_role")),
        (
            service_key("another-secret-that-is-long-enough-for-hs256", &claims("service_role", project, LATER)),
            Some("other_secret"),
        ),
        (service_key(SECRET, &claims("service_role", project, 1_700_000_001)), Some("expired")),
        (right[..right.len() / 3].replace('.', ""), Some("not_a_key")),
    ] {
        let mut environment = Environment::new().await;
        environment.fleet.set("SUPABASE_URL", &format!("https://{project}.supabase.co"));
        environment.fleet.set("SUPABASE_SERVICE_ROLE_KEY", &key);
        // The project itself cannot be reached from here.
        let checked = check(&environment.fleet, &["--only", "jwt.service_key"]);
        match cause {
            Some(slug) => _ = checked.requires(&format!("jwt.service_key/{slug}")),
            None => assert_eq!(checked.causes(), [""; 0], "{:#}", checked.report),
        }
        let payload = key.split('.').nth(1).unwrap_or(&key);
        assert!(!checked.report.to_string().contains(payload), "{:#}", checked.report);
    }
    assert!(URL_SAFE_NO_PAD.decode(right.split('.').nth(1).unwrap()).is_ok(), "the test's own key is one");
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
