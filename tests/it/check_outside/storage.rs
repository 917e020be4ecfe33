//! The object store, broken in one way each.

use serde_json::json;

use crate::{
    check::{Environment, check},
    support::{
        db::TestDb,
        fakes::{
            s3::{Fault, S3},
            services::bucket_api,
        },
        fleet::Fleet,
    },
};

/// The store, and what stands on it: a whole look loads the model each time.
fn look(environment: &Environment) -> crate::check::Checked {
    check(&environment.fleet, &["--only", "configuration,database,queue,storage,auth"])
}

async fn with_store(store: &S3) -> Environment {
    let mut environment = Environment::new().await;
    for (name, value) in settings(store) {
        environment.fleet.set(name, &value);
    }
    environment
}

fn settings(store: &S3) -> [(&'static str, String); 3] {
    [
        ("STORAGE_URL", store.storage_url()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "not-so-secret-secret".to_owned()),
    ]
}

/// No row and no object of a check is left.
async fn assert_nothing_left(db: &TestDb, store: &S3) {
    assert_eq!(db.value("SELECT count(*) FROM upload_pipeline.uploads").await, "0");
    assert_eq!(store.keys(), [""; 0]);
}

#[tokio::test]
async fn a_healthy_store_passes_and_keeps_nothing() {
    let store = S3::start(Fault::Nothing);
    let environment = with_store(&store).await;
    let checked = environment.check_strictly();
    assert_eq!(checked.causes(), [""; 0], "{:#}", checked.report);
    assert_eq!(checked.one("store.rw")["status"], "passed");
    assert_nothing_left(&environment.db, &store).await;
    let requests = store.requests();
    assert!(requests.iter().any(|(request, by_url)| *by_url && request.starts_with("PUT")), "{requests:?}");
    let user = canary::CANARY_USER.to_string();
    let elsewhere = |request: &str| !request.contains(&user) && !request.starts_with("POST");
    assert!(!requests.iter().any(|(request, _)| elsewhere(request)), "{requests:?}");
}

#[tokio::test]
async fn each_refusal_of_the_store_has_its_own_cause() {
    for (fault, cause) in [
        (Fault::DenyPut, "store.rw/not_writable"),
        (Fault::DenyAll, "store.rw/credentials_refused"),
        (Fault::UnknownKey, "store.rw/credentials_refused"),
        (Fault::NoBucket, "store.rw/bucket_missing"),
        (Fault::OtherRegion, "store.rw/region_wrong"),
        (Fault::Garble, "store.rw/not_readable"),
        (Fault::DenySigned, "store.rw/signed_put_refused"),
    ] {
        let store = S3::start(fault);
        let environment = with_store(&store).await;
        let checked = look(&environment);
        let finding = checked.requires(cause);
        assert!(!finding.to_string().contains("not-so-secret-secret"), "{finding}");
        assert_eq!(store.keys(), [""; 0], "{fault:?}");
    }
}

#[tokio::test]
async fn what_the_store_does_not_delete_keeps_its_row_so_that_housekeeping_finds_it() {
    for fault in [Fault::DenyDelete, Fault::KeepDeleted] {
        let store = S3::start(fault);
        let environment = with_store(&store).await;
        look(&environment).requires("store.rw/not_deletable");
        let row = environment
            .db
            .value("SELECT storage_key FROM upload_pipeline.uploads WHERE expires_at < now() + interval '11 minutes'")
            .await;
        assert_eq!(store.keys(), [format!("env/{row}")], "{fault:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_silent_or_away_is_unreachable() {
    let store = S3::start(Fault::Silence);
    let mut environment = with_store(&store).await;
    look(&environment).requires("store.rw/unreachable");
    environment.fleet.set("STORAGE_URL", "s3://documents?endpoint=http://127.0.0.1:1");
    look(&environment).requires("store.rw/unreachable");
}

#[tokio::test]
async fn a_folder_that_cannot_be_one_is_named() {
    let mut environment = Environment::new().await;
    let file = environment.fleet.file("not-a-folder", b"x");
    environment.fleet.set("STORAGE_URL", file.join("storage").to_str().unwrap());
    look(&environment).requires("store.rw/folder_unusable");
}

#[tokio::test]
async fn without_a_database_the_store_is_tried_all_the_same() {
    let store = S3::start(Fault::Nothing);
    let mut fleet = Fleet::new("postgres://app:x@127.0.0.1:1/app", "");
    for (name, value) in settings(&store) {
        fleet.set(name, &value);
    }
    let checked = check(&fleet, &["--only", "store.rw"]);
    assert_eq!(checked.one("store.rw")["status"], "passed", "{:#}", checked.report);
    assert_eq!(store.keys(), [""; 0]);
}

const KEY: &str = "sb_secret_for_tests";

async fn with_bucket(bucket: Option<serde_json::Value>, key: &str) -> (Environment, S3) {
    let store = S3::behind(Fault::Nothing, bucket_api(KEY, bucket));
    let mut environment = with_store(&store).await;
    environment.fleet.set("SUPABASE_URL", &store.url());
    environment.fleet.set("SUPABASE_SERVICE_ROLE_KEY", key);
    (environment, store)
}

#[tokio::test]
async fn a_bucket_that_takes_less_than_uploads_may_be_is_named() {
    let all = ["application/*", "text/*"];
    for (bucket, cause) in [
        (json!({ "public": false, "file_size_limit": 5_242_880 }), "store.limits/size_limit_below_ours"),
        (json!({ "public": false, "allowed_mime_types": ["application/pdf"] }), "store.limits/type_not_allowed"),
        (json!({ "public": true }), "store.limits/bucket_public"),
    ] {
        let (environment, _store) = with_bucket(Some(bucket), KEY).await;
        look(&environment).requires(cause);
    }
    let wide = json!({ "public": false, "file_size_limit": 26_214_400, "allowed_mime_types": all });
    let (environment, _store) = with_bucket(Some(wide), KEY).await;
    let checked = look(&environment);
    assert_eq!(checked.causes(), [""; 0], "{:#}", checked.report);
    assert_eq!(checked.one("store.limits")["status"], "passed");
}

#[tokio::test]
async fn a_bucket_of_another_project_and_a_refused_key_are_told_apart() {
    let (environment, _store) = with_bucket(None, KEY).await;
    look(&environment).requires("store.limits/bucket_missing");
    let (environment, _store) = with_bucket(Some(json!({})), "sb_secret_another").await;
    let checked = look(&environment);
    let finding = checked.requires("store.limits/key_refused");
    assert!(!finding.to_string().contains("sb_secret_another"), "{finding}");
}
