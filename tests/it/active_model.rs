//! The model of a database's vectors outlives a change of `EMBED_MODEL`.

use crate::{
    check::check,
    support::{db::TestDb, fleet::Fleet},
};

const MODELS: &str = "SELECT DISTINCT embed_model FROM upload_pipeline.document_chunks WHERE embedding IS NOT NULL";
const ACTIVE: &str = "SELECT model, version, vector_dim FROM upload_pipeline.active_model";

/// Names multilingual-e5-small, whose folder lies beside that of all-MiniLM-L6-v2.
fn name_e5(fleet: &mut Fleet) {
    let folder =
        std::env::var("APP_E5_DIR").expect("APP_E5_DIR names the multilingual-e5-small folder; scripts/test sets it");
    fleet.set("EMBED_MODEL", "multilingual-e5-small");
    fleet.set("EMBED_MODEL_DIR", std::path::Path::new(&folder).parent().unwrap().to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_vectors_keeps_its_model_and_the_difference_is_a_finding() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let worker = fleet.worker();
    let first = client.upload_text("first", "# Lamps\n\nThe lamp burns at night.").await;
    assert_eq!(client.wait_for_end(&first).await["status"], "complete");
    assert_eq!(test.rows(ACTIVE).await, [["all-MiniLM-L6-v2", "1", "384"]]);
    drop(worker);
    name_e5(&mut fleet);
    assert!(fleet.run(&["migrate"]).0.success());
    let _worker = fleet.worker();
    let (_other_api, other) = fleet.api();
    let second = other.upload_text("second", "# Boats\n\nThe boat lies in the harbour.").await;
    assert_eq!(other.wait_for_end(&second).await["status"], "complete");
    assert_eq!(test.rows(MODELS).await, [["all-MiniLM-L6-v2"]]);
    let checked = check(&fleet, &["--only", "db.vectors", "--strict"]);
    let finding = checked.requires("db.vectors/model_differs");
    assert_eq!(finding["expected"], "all-MiniLM-L6-v2 version 1", "{finding}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_takes_the_model_of_the_settings() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    name_e5(&mut fleet);
    test.run("INSERT INTO upload_pipeline.active_model (model, version, vector_dim) VALUES ('unused', '1', 7)").await;
    assert!(fleet.run(&["migrate"]).0.success());
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let job = client.upload_text("first", "# Lampen\n\nDie Lampe brennt in der Nacht.").await;
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    assert_eq!(test.rows(ACTIVE).await, [["multilingual-e5-small", "1", "384"]]);
    assert_eq!(test.rows(MODELS).await, [["multilingual-e5-small"]]);
}

#[tokio::test]
async fn the_migration_takes_the_model_of_most_vectors() {
    let test = TestDb::new().await;
    test.run(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
         VALUES ('22222222-2222-4222-8222-222222222222', gen_random_uuid(), 'a.md', 'text/markdown', 1, 'a', 'a');
         INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text,
           chunk_sha, embed_model, embed_version, vector_dim, embedding)
         SELECT gen_random_uuid(), '22222222-2222-4222-8222-222222222222', 'm', '1', n, 'a', 'a',
           CASE WHEN n < 2 THEN 'few' ELSE 'most' END, '4', 2, '[1,0]'
         FROM generate_series(0, 5) AS n",
    )
    .await;
    test.run(include_str!("../../migrations/V0009__active_model.sql")).await;
    assert_eq!(test.rows(ACTIVE).await, [["most", "4", "2"]]);
}
