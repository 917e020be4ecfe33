//! The output formats and exit codes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Environment, check};
use crate::support::fleet::Fleet;

#[tokio::test]
async fn a_healthy_environment_passes_every_check() {
    let environment = Environment::new().await;
    let checked = environment.check_strictly();
    assert_eq!(checked.causes(), [""; 0], "{:#}", checked.report);
    assert!(checked.status.success(), "{:#}", checked.report);
    let skipped: Vec<_> = checked.checks().filter(|check| check["status"] == "skipped").map(|c| &c["id"]).collect();
    // The test's server is reached by its socket, which has neither name nor TLS; and no service is set up.
    let by_socket = ["net.dns", "net.family", "net.tcp", "net.protocol", "net.tls"];
    // A folder signs no URLs.
    let not_set_up =
        ["db.replica", "env.project", "ext.ocr", "ext.parse", "ext.rerank", "hook.url", "ext.embeddings", "store.cors"];
    let known = |id: &Value| by_socket.iter().chain(&not_set_up).any(|known| id == known);
    assert!(skipped.iter().all(|id| known(id)), "{skipped:?}");
}

#[tokio::test]
async fn the_json_is_as_its_schema_says() {
    let environment = Environment::new().await;
    environment.db.run("ALTER TABLE upload_pipeline.documents DROP COLUMN kind").await;
    let schema: Value = serde_json::from_str(include_str!("../../../docs/check-output.schema.json")).unwrap();
    let report = environment.check().report;
    conforms(&report, &schema, "report");
    for one in report["checks"].as_array().unwrap() {
        conforms(one, &schema["properties"]["checks"]["items"], one["id"].as_str().unwrap());
    }
}

/// Required keys are there, known keys only, and values of the stated type and choice: as much of JSON Schema as ours uses.
fn conforms(value: &Value, schema: &Value, place: &str) {
    let object = value.as_object().unwrap();
    let properties = schema["properties"].as_object().unwrap();
    for required in schema["required"].as_array().unwrap() {
        assert!(object.contains_key(required.as_str().unwrap()), "{place} lacks {required}");
    }
    for (key, value) in object {
        let property = properties.get(key).unwrap_or_else(|| panic!("{place}: {key} is not in the schema"));
        let is = match value {
            Value::String(_) => "string",
            Value::Number(_) => "integer",
            Value::Bool(_) => "boolean",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Null => "null",
        };
        assert_eq!(property["type"], is, "{place}.{key}");
        if let Some(choice) = property["enum"].as_array() {
            assert!(choice.contains(value), "{place}.{key} is {value}");
        }
    }
}

#[tokio::test]
async fn text_is_plain_in_a_pipe_and_says_cause_and_fix() {
    let mut environment = Environment::new().await;
    let (status, whole, _) = environment.fleet.run(&["check", "--pre"]);
    assert!(status.success(), "{whole}");
    assert!(whole.contains("✔ db.schema") && whole.contains("\npassed: "), "{whole}");
    assert!(!whole.contains('\u{1b}'), "colour in a pipe: {whole}");
    environment.fleet.set("ENVIRONMENT", "staging");
    environment.fleet.set("STORAGE_ALLOW_LOCAL", "true");
    environment.fleet.set("STORAGE_SIGNING_SECRET", &"s".repeat(40));
    environment.fleet.set("API_HOST", "0.0.0.0");
    let (status, short, _) = environment.fleet.run(&["check", "--pre", "--output", "short"]);
    assert_eq!(status.code(), Some(1), "{short}");
    assert!(short.contains("✖ env.stamp") && short.contains("cause:    env.stamp/wrong_environment - "), "{short}");
    assert!(short.contains("fix:      Check DATABASE_URL") && !short.contains('✔'), "{short}");
}

#[tokio::test]
async fn junit_counts_a_warning_only_where_warnings_count() {
    let mut environment = Environment::new().await;
    environment.fleet.set("PORT", "10000");
    environment.fleet.set("API_PORT", "8000");
    let (status, xml, _) = environment.fleet.run(&["check", "--pre", "--output", "junit"]);
    assert!(status.success(), "{xml}");
    assert!(
        xml.starts_with("<?xml") && xml.contains("failures=\"0\"") && xml.contains("warning cfg.port/at_odds"),
        "{xml}"
    );
    let (status, xml, _) = environment.fleet.run(&["check", "--pre", "--output", "junit", "--strict"]);
    assert_eq!(status.code(), Some(1), "{xml}");
    assert!(xml.contains("<failure ") && xml.contains("type=\"cfg.port/at_odds\""), "{xml}");
}

#[tokio::test]
async fn waiting_ends_with_3_when_what_could_pass_did_not_and_at_once_when_nothing_can() {
    let environment = Environment::new().await;
    let waited = check(&environment.fleet, &["--only", "workers", "--wait", "1"]);
    assert_eq!(waited.causes(), ["workers.alive/none_alive"]);
    assert_eq!(waited.status.code(), Some(3));
    environment.db.run("ALTER TABLE upload_pipeline.documents DROP COLUMN kind").await;
    let began = std::time::Instant::now();
    let failed = check(&environment.fleet, &["--only", "schema", "--wait", "60"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(began.elapsed().as_secs() < 30, "it waited for a fault that cannot go away");
}

#[tokio::test]
async fn wrong_arguments_end_with_2_and_name_the_known_checks() {
    let environment = Environment::new().await;
    for args in [["--only", "no.such"], ["--expect-commit", "main"], ["--output", "yaml"]] {
        let (status, _, stderr) = environment.fleet.run(&[&["check"], args.as_slice()].concat());
        assert_eq!(status.code(), Some(2), "{stderr}");
    }
    let (_, _, stderr) = environment.fleet.run(&["check", "--only", "no.such"]);
    assert!(stderr.contains("database") && stderr.contains("docs/checks.md"), "{stderr}");
}

#[tokio::test]
async fn no_secret_is_shown_whatever_is_wrong() {
    let mut environment = Environment::new().await;
    let secrets =
        ["hunter2-password", "storage-signing-secret-of-forty-characters", "jwt-secret-jwt-secret-jwt-secret-1"];
    let broken = environment.db.url.split_once('@').unwrap().1.to_owned();
    environment.fleet.set("DATABASE_URL", &format!("postgres://app:{}@{broken}", secrets[0]));
    environment.fleet.set("DIRECT_URL", &format!("postgres://app:{}@127.0.0.1:1/x", secrets[0]));
    environment.fleet.set("STORAGE_SIGNING_SECRET", secrets[1]);
    environment.fleet.set("SUPABASE_JWT_SECRET", secrets[2]);
    for output in ["text", "short", "json", "junit"] {
        let (_, stdout, stderr) = environment.fleet.run(&["check", "--output", output]);
        let shown: BTreeSet<_> =
            secrets.iter().filter(|secret| stdout.contains(*secret) || stderr.contains(*secret)).collect();
        assert!(shown.is_empty(), "{output} shows {shown:?}: {stdout}{stderr}");
    }
}

#[tokio::test]
async fn a_bundle_has_what_a_colleague_needs_and_no_secret() {
    let mut environment = Environment::new().await;
    environment.fleet.set("STORAGE_SIGNING_SECRET", "storage-signing-secret-of-forty-characters");
    environment.fleet.set("API_PORT", "8123");
    let event = "INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload) VALUES \
        (gen_random_uuid(), gen_random_uuid(), 'retry', 'warn', 'storage_unavailable', \
         '{\"class\": \"transient\", \"message\": \"of report-of-ms-a.pdf\"}'), \
        (gen_random_uuid(), gen_random_uuid(), 'error', 'error', 'Words of another program', '{}')";
    environment.db.run(event).await;
    let file = environment.fleet.folder("bundles").join("bundle.zip");
    let args = ["check", "--only", "database", "--bundle", file.to_str().unwrap()];
    let (status, _, stderr) = environment.fleet.run(&args);
    assert!(status.success(), "{stderr}");
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&file).unwrap()).unwrap();
    let mut read = |name: &str| {
        let text = std::io::read_to_string(archive.by_name(name).unwrap()).unwrap();
        for secret in ["storage-signing-secret", "report-of", "another program", "postgres://", "8123"] {
            assert!(!text.contains(secret), "{name} has {secret}: {text}");
        }
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(read("findings.json")["verdict"], "passed");
    assert!(read("versions.json")["database"]["migrations"].as_array().unwrap().len() > 5);
    let events = read("events.json");
    let told = |event: &Value| format!("{} {}", event["code"], event["class"]).replace('"', "");
    let told: BTreeSet<String> = events.as_array().unwrap().iter().map(told).collect();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["(not a word) ", "storage_unavailable transient"], "{events}");
    let settings = read("settings.json");
    let setting = |name: &str| settings.as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap();
    assert_eq!(setting("API_PORT")["from"], "environment");
    assert!(setting("STORAGE_SIGNING_SECRET")["fingerprint"].as_str().unwrap().len() == 4, "{settings}");
    assert!(setting("DATABASE_URL")["fingerprint"].is_null(), "a URL has a password: {settings}");
    let (status, _, stderr) = environment.fleet.run(&args);
    assert!(!status.success() && stderr.contains("does not exist yet"), "{stderr}");
}

#[test]
fn a_cause_is_explained_without_any_setting() {
    let mut fleet = Fleet::new("", "");
    fleet.unset("ENVIRONMENT");
    let (status, stdout, stderr) = fleet.run(&["check", "explain", "db.mode/swapped"]);
    assert!(status.success(), "{stderr}");
    assert!(stdout.contains("db.mode/swapped (error)") && stdout.contains("Exchange the values"), "{stdout}");
    let (status, _, stderr) = fleet.run(&["check", "explain", "db.mood"]);
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("there is no group, check or cause with this id"), "{stderr}");
}
