//! The object store, broken in one way each.

use crate::{
    check::{Environment, check},
    support::{
        db::TestDb,
        fakes::s3::{Fault, S3},
        fleet::Fleet,
    },
};

/// The store and its related checks; all checks would load the model each time.
fn run_check(environment: &Environment) -> crate::check::Checked {
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
    let user = housekeeping::canaries::CANARY_USER.to_string();
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
        let checked = run_check(&environment);
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
        run_check(&environment).requires("store.rw/not_deletable");
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
    run_check(&environment).requires("store.rw/unreachable");
    environment.fleet.set("STORAGE_URL", "s3://documents?endpoint=http://127.0.0.1:1");
    run_check(&environment).requires("store.rw/unreachable");
}

#[tokio::test]
async fn a_folder_that_cannot_be_one_is_named() {
    let mut environment = Environment::new().await;
    let file = environment.fleet.file("not-a-folder", b"x");
    environment.fleet.set("STORAGE_URL", file.join("storage").to_str().unwrap());
    run_check(&environment).requires("store.rw/folder_unusable");
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
