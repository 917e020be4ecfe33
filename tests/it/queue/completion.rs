//! Completions of several jobs in one statement.

use std::time::Duration;

use domain::{Lease, WorkerId, ports::EmbedModel};
use pg::{DbError, Session};
use store::jobs::{Completer, Completion, Ending, cancel_job};

use super::{OPTIONS, claim, enqueue, user};
use crate::support::db::TestDb;

/// Claims `count` jobs at the last checkpoint, each with a document of one chunk. Only `vectors` of the chunks have a vector.
async fn ready_to_finish(test: &TestDb, count: usize, vectors: usize) -> Vec<Lease> {
    enqueue(test, user(1), count).await;
    test.run("UPDATE upload_pipeline.upload_jobs SET status = 'embeddings_stored'").await;
    test.run(&format!(
        "INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text,
           chunk_sha, embed_model, embed_version, vector_dim, embedding)
         SELECT gen_random_uuid(), d.document_id, 'c', '1', 0, 'x', 'x', 'm', '1', 2,
           CASE WHEN row_number() OVER () <= {vectors} THEN '[1,0]'::vector END
         FROM upload_pipeline.documents AS d"
    ))
    .await;
    claim(test, WorkerId::generate(), 100, None, OPTIONS).await
}

fn model() -> EmbedModel {
    EmbedModel { name: "m".into(), version: "1".into(), dim: 2, max_tokens: 8 }
}

#[tokio::test]
async fn simultaneous_completions_share_commits_and_each_is_checked_on_its_own() {
    let test = TestDb::new().await;
    let leases = ready_to_finish(&test, 40, 38).await;
    assert_eq!(leases.len(), 40);
    assert!(cancel_job(&test.db.get().await.unwrap(), user(1), leases[0].fence.job_id).await.unwrap());
    let (completer, model) = (Completer::new(test.db.clone()), model());
    let ends = leases.iter().map(|lease| completer.complete(Ending::of(lease, Duration::ZERO), None, &model));
    let ends = futures_util::future::join_all(ends).await;
    let lost = ends.iter().filter(|end| matches!(end, Err(DbError::LeaseLost { .. }))).count();
    let done = ends.iter().filter(|end| matches!(end, Ok(Completion::Done))).count();
    let missing = ends.iter().filter(|end| matches!(end, Ok(Completion::Missing { chunks: 1, embedded: 0 }))).count();
    // The cancelled job may be one of the two without a vector.
    assert!(matches!((done, missing, lost), (37, 2, 1) | (38, 2, 0)), "{done} {missing} {lost}");
    let counted = test.value("SELECT count(*) FROM upload_pipeline.upload_jobs WHERE state = 'done'").await;
    let agreed =
        test.value("SELECT count(*) FROM upload_pipeline.documents WHERE processing_status = 'complete'").await;
    let finalized = test.value("SELECT count(*) FROM upload_pipeline.events WHERE type = 'finalized'").await;
    assert_eq!([counted, agreed, finalized], [done.to_string(), done.to_string(), done.to_string()]);
    let commits =
        test.value("SELECT count(DISTINCT xmin::text) FROM upload_pipeline.upload_jobs WHERE state = 'done'").await;
    assert!(commits.parse::<usize>().unwrap() < 10, "{commits} commits for {done} completions");
    assert!(matches!(ends[0], Err(DbError::LeaseLost { .. }) | Ok(Completion::Missing { .. })));
}

#[tokio::test]
async fn completions_find_jobs_by_id_and_read_only_their_own_chunks() {
    let test = TestDb::new().await;
    let leases = ready_to_finish(&test, 40, 40).await;
    let conn = test.db.get().await.unwrap();
    let read = async |column: &str, index: &str| -> u64 {
        conn.rows("SELECT pg_stat_force_next_flush()::text", &[]).await.unwrap();
        let sql = format!("SELECT {column} FROM pg_stat_user_indexes WHERE indexrelname = '{index}'");
        test.value(&sql).await.parse().unwrap()
    };
    let scans = read("idx_scan", "ix_upload_jobs_document").await;
    let chunks = read("idx_tup_read", "uq_document_chunks_ord").await;
    for lease in &leases {
        let (fence, document) = (lease.fence, lease.document_id);
        let sql = format!(
            "SELECT job_id::text FROM upload_pipeline.complete_jobs('{}', '{{{}}}', '{{{}}}', '{{0}}', '{{{document}}}', 'm', '1', 2)
             WHERE job_id IS NOT NULL",
            fence.worker, fence.job_id, fence.epoch
        );
        assert_eq!(conn.rows(&sql, &[]).await.unwrap().len(), 1);
    }
    assert_eq!(read("idx_scan", "ix_upload_jobs_document").await, scans, "a completion searched for jobs by document");
    assert_eq!(
        read("idx_tup_read", "uq_document_chunks_ord").await,
        chunks + 40,
        "a completion read chunks of other documents"
    );
}
