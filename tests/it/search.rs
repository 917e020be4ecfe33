//! Both search plans: reading every passage of a user with few, and using the indexes for a user with many.

use domain::{ChunkId, UserId, ports::EmbedModel};
use store::search::{Extent, SearchIn, get_extent, search_text, search_vectors};
use uuid::Uuid;

use crate::support::db::TestDb;

const USER: UserId = UserId(Uuid::from_u128(1));
const QUESTION: &str = "Which lamps burn?";

fn within(user: UserId) -> SearchIn {
    SearchIn { user, document: None, limit: 50 }
}

/// Three complete documents of user 1 and many of user 2, with ten passages each. Every third passage is about lamps, and
/// each later passage has a vector further from `[1, 0]`.
async fn seeded() -> TestDb {
    let test = TestDb::new().await;
    test.run(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
         SELECT gen_random_uuid(), ('00000000-0000-0000-0000-00000000000' || CASE WHEN n <= 3 THEN 1 ELSE 2 END)::uuid, 'a.md',
           'text/markdown', 1, n::text, 'raw/x', 'complete'
         FROM generate_series(1, 200) AS n;
         INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text,
           chunk_sha, embed_model, embed_version, vector_dim, embedding)
         SELECT gen_random_uuid(), d.document_id, 'm', '1', n, CASE WHEN n IN (3, 6, 9) THEN repeat('The lamp burns. ', n) ELSE 'A sea.' END,
           'x', 'm', '1', 2, ARRAY[1, n + random() / 2]::real[]::vector
         FROM upload_pipeline.documents AS d, generate_series(0, 9) AS n;
         ANALYZE",
    )
    .await;
    test
}

async fn owners(test: &TestDb, found: &[ChunkId]) -> Vec<Vec<String>> {
    let ids: Vec<String> = found.iter().map(|id| format!("'{}'", id.0)).collect();
    test.rows(&format!(
        "SELECT DISTINCT d.user_id FROM upload_pipeline.document_chunks AS c
         JOIN upload_pipeline.documents AS d USING (document_id) WHERE c.chunk_id IN ({})",
        ids.join(", ")
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_plans_find_the_same_passages_and_none_of_other_users() {
    let test = seeded().await;
    let conn = test.db.get().await.unwrap();
    assert_eq!(get_extent(&conn, within(USER)).await.unwrap(), Extent::Few);
    let few = search_text(&conn, QUESTION, within(USER), Extent::Few).await.unwrap();
    let many = search_text(&conn, QUESTION, within(USER), Extent::Many).await.unwrap();
    assert_eq!(few.len(), 9, "three passages about lamps in each of three documents");
    assert_eq!(few, many);
    assert_eq!(owners(&test, &few).await, [[USER.to_string()]]);
    let model = EmbedModel { name: "m".into(), version: "1".into(), dim: 2, max_tokens: 8 };
    let few = search_vectors(&test.db, &model, &[1.0, 0.0], within(USER), Extent::Few).await.unwrap();
    let many = search_vectors(&test.db, &model, &[1.0, 0.0], within(USER), Extent::Many).await.unwrap();
    assert_eq!(few.len(), 30);
    assert_eq!(few, many);
    assert_eq!(owners(&test, &few).await, [[USER.to_string()]]);
}

/// The full-text index does not contain the user, so for a user with few passages it would be read in full.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_of_a_user_with_few_passages_does_not_read_the_full_text_index() {
    let test = seeded().await;
    let conn = test.db.get().await.unwrap();
    search_text(&conn, QUESTION, within(USER), Extent::Few).await.unwrap();
    drop(conn);
    test.db.close();
    let scans = |index: &'static str| {
        let sql = format!("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = '{index}'");
        let test = &test;
        async move { test.rows(&sql).await[0][0].parse::<u64>().unwrap() }
    };
    // PostgreSQL publishes a session's counters when the session ends.
    let deadline = std::time::Instant::now() + crate::support::fleet::PATIENCE;
    while scans("uq_document_chunks_ord").await == 0 {
        assert!(std::time::Instant::now() < deadline, "the user's passages were not found by their documents");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(scans("ix_document_chunks_tsv").await, 0);
}
