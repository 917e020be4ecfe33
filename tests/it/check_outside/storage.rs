//! The object store, broken in one way each.

use crate::{
    check::{Environment, check},
    support::{
        certificates::ServerCertificate,
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
    let lists = |request: &str| request.starts_with("GET") && request.trim_end_matches('/').ends_with("/documents");
    let elsewhere = |request: &str| !request.contains(&user) && !request.starts_with("POST") && !lists(request);
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

/// One of the checks around the store, with warnings as failures.
fn run_one(environment: &Environment, id: &str) -> crate::check::Checked {
    check(&environment.fleet, &["--only", id, "--strict"])
}

#[tokio::test]
async fn a_store_whose_certificate_ends_soon_is_named() {
    for (days, cause) in [("29", Some("store.rw/certificate_ends_soon")), ("40", None)] {
        let certificate = ServerCertificate::of(days);
        let store = S3::start_with(Some(certificate.server.clone()), Fault::Nothing);
        let mut environment = with_store(&store).await;
        environment.fleet.set("SSL_CERT_FILE", &certificate.ca_file());
        let checked = run_one(&environment, "store.rw");
        assert_eq!(checked.causes().first().copied(), cause, "{:#}", checked.report);
    }
}

#[tokio::test]
async fn a_bucket_that_keeps_what_is_deleted_is_named() {
    let store = S3::start(Fault::KeepVersions);
    let environment = with_store(&store).await;
    run_one(&environment, "store.versions").requires("store.versions/keeps_deleted");
}

#[tokio::test]
async fn a_bucket_that_refuses_files_from_our_pages_is_named() {
    let run_check = async |fault, origins: &str| {
        let store = S3::start(fault);
        let mut environment = with_store(&store).await;
        environment.fleet.set("CORS_ORIGINS", origins);
        let checked = run_one(&environment, "store.cors");
        assert!(store.keys().is_empty(), "a question must not store anything");
        checked
    };
    let refused = run_check(Fault::NoCors, "https://app.example.org").await;
    let finding = refused.requires("store.cors/refused");
    assert!(finding["observed"].as_str().unwrap().contains("https://app.example.org"), "{finding}");
    assert_eq!(run_check(Fault::Nothing, "https://app.example.org").await.one("store.cors")["status"], "passed");
}

const COMPLETE: &str = "
INSERT INTO upload_pipeline.documents
  (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, parsed_path, processing_status)
VALUES ('00000000-0000-4000-8000-000000000001', '11111111-1111-4111-8111-111111111111', 'a', 'text/markdown', 1, 'a',
  'raw/u/1', 'parsed/u/1.md', 'complete');
INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, user_id, status, state)
SELECT gen_random_uuid(), d.document_id, d.user_id, 'complete', 'done' FROM upload_pipeline.documents AS d;";

#[tokio::test]
async fn rows_without_objects_and_objects_without_rows_are_named() {
    let store = S3::start(Fault::Nothing);
    let environment = with_store(&store).await;
    environment.db.run(COMPLETE).await;
    store.insert("env/raw/u/1");
    let checked = run_one(&environment, "store.sample");
    let finding = checked.requires("store.sample/object_missing");
    assert!(finding["observed"].as_str().unwrap().contains("parsed/u/1.md"), "{finding}");
    store.insert("env/parsed/u/1.md");
    assert!(run_one(&environment, "store.sample").status.success());
    store.insert("env/raw/u/2");
    let checked = run_one(&environment, "store.sample");
    let finding = checked.requires("store.sample/row_missing");
    assert!(finding["observed"].as_str().unwrap().contains("1 of 3 objects have no row, such as raw/u/2"), "{finding}");
}

#[tokio::test]
async fn a_key_that_may_not_list_leaves_the_sample_out() {
    let store = S3::start(Fault::DenyList);
    let checked = run_one(&with_store(&store).await, "store.sample");
    assert_eq!(checked.one("store.sample")["status"], "skipped", "{:#}", checked.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_document_that_a_restore_brings_back_is_named() {
    let environment = Environment::new().await;
    let (fleet, db) = (&environment.fleet, &environment.db);
    let (_api, client) = fleet.api();
    let job = client.upload_text("a", "# One\n\ntwo three").await;
    let document = client.get(&format!("/jobs/{job}")).await.1["document_id"].as_str().unwrap().to_owned();
    db.run("CREATE TABLE public.backup AS SELECT * FROM upload_pipeline.documents").await;
    let path = format!("/documents/{document}");
    assert_eq!(client.send(reqwest::Method::DELETE, &path, None).await.0, 202);
    fleet.housekeeping(&db.db).sweep().await.unwrap();
    let run_check = || run_one(&environment, "store.deleted");
    assert!(run_check().status.success());
    // The same content, uploaded by its owner again, is no accident, though its document has the same id.
    client.upload_text("a", "# One\n\ntwo three").await;
    assert!(run_check().status.success());
    let receipts = "DELETE FROM upload_pipeline.documents; DELETE FROM upload_pipeline.storage_deletions";
    db.run(&format!("{receipts}; INSERT INTO upload_pipeline.documents SELECT * FROM public.backup")).await;
    let checked = run_check();
    let finding = checked.requires("store.deleted/back");
    assert!(finding["observed"].as_str().unwrap().contains(&document), "{finding}");
    // What is older than the receipts are kept is forgotten.
    let old = fleet.storage().join("deleted/0000000000000001");
    std::fs::create_dir_all(&old).unwrap();
    std::fs::write(old.join(&document), "deleted\n").unwrap();
    fleet.housekeeping(&db.db).sweep().await.unwrap();
    assert!(!old.join(&document).exists() && !run_check().status.success());
}
