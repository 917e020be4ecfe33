//! Housekeeping deletes old rows of ended jobs, and keeps everything else.

use std::time::Duration;

use domain::{DocumentId, UserId};
use housekeeping::delete_old;
use store::{
    documents::{Deleting, delete_document},
    housekeeping::{keep_uploads_in_use, list_abandoned_uploads},
    judgements::{NewJudgement, put_judgement},
    retention::Retention,
};
use uuid::Uuid;

use crate::support::db::TestDb;

const BUDGET: Duration = Duration::from_secs(60);
const FOR_EVER: Retention = Retention {
    events_days: 0,
    webhooks_days: 0,
    jobs_days: 0,
    receipts_days: 0,
    versions_days: 0,
    judgements_days: 0,
    usage_days: 0,
};
const EVERYTHING: Retention = Retention {
    events_days: 90,
    webhooks_days: 30,
    jobs_days: 30,
    receipts_days: 365,
    versions_days: 30,
    judgements_days: 30,
    usage_days: 0,
};

/// Inserts a document with jobs, each given as `(number, status, state, age in days)` and each with an event and a webhook
/// of the same age. The number is the end of the job's id.
async fn document(test: &TestDb, n: u32, jobs: &[(u32, &str, &str, u32)]) {
    let document = format!("00000000-0000-4000-8000-{n:012}");
    test.run(&format!(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
         VALUES ('{document}', gen_random_uuid(), 'a.md', 'text/markdown', 1, '{n}', 'raw/{n}')"
    ))
    .await;
    for (job, status, state, days) in jobs {
        let (id, at) = (job_id(*job), format!("now() - interval '{days} days'"));
        test.run(&format!(
            "INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, enqueued_by, created_at, updated_at, finished_at)
             VALUES ('{id}', '{document}', '{status}', '{state}', 'test', {at}, {at}, {at});
             INSERT INTO upload_pipeline.events (job_id, document_id, ts, type, severity, code)
             VALUES ('{id}', '{document}', {at}, 'stage_done', 'info', 'parsed');
             INSERT INTO upload_pipeline.webhook_log (webhook_id, job_id, processed_at, payload_hash) VALUES ('{job}', '{id}', {at}, 'x')"
        ))
        .await;
    }
}

fn job_id(n: u32) -> String {
    format!("00000000-0000-4000-9000-{n:012}")
}

/// The numbers of the jobs that still have a row in `table`.
async fn left(test: &TestDb, table: &str) -> Vec<u32> {
    let rows = test.rows(&format!("SELECT right(job_id::text, 12)::int FROM upload_pipeline.{table} ORDER BY 1")).await;
    rows.iter().map(|row| row[0].parse().unwrap()).collect()
}

#[tokio::test]
async fn old_events_of_ended_jobs_are_deleted_and_those_of_live_jobs_stay() {
    let test = TestDb::new().await;
    document(&test, 1, &[(1, "complete", "done", 91)]).await;
    document(&test, 2, &[(2, "failed_parse", "deadletter", 91)]).await;
    document(&test, 3, &[(3, "parsed", "cancelled", 91)]).await;
    document(&test, 4, &[(4, "complete", "done", 89)]).await;
    for (n, state) in [(5, "queued"), (6, "working"), (7, "retryable")] {
        document(&test, n, &[(n, "parsed", state, 400)]).await;
    }
    let deleted = delete_old(&test.db, Retention { events_days: 90, ..FOR_EVER }, BUDGET).await.unwrap();
    assert_eq!((deleted.events, deleted.webhooks, deleted.jobs, deleted.receipts), (3, 0, 0, 0));
    assert_eq!(left(&test, "events").await, [4, 5, 6, 7]);
    assert_eq!(left(&test, "upload_jobs").await, [1, 2, 3, 4, 5, 6, 7]);
    let deleted = delete_old(&test.db, Retention { webhooks_days: 30, ..FOR_EVER }, BUDGET).await.unwrap();
    assert_eq!(deleted.webhooks, 4);
    assert_eq!(left(&test, "webhook_log").await, [5, 6, 7]);
}

#[tokio::test]
async fn an_old_job_is_deleted_only_if_a_later_job_superseded_it() {
    let test = TestDb::new().await;
    // The document's only job.
    document(&test, 1, &[(1, "failed_parse", "deadletter", 400)]).await;
    // Failed, then complete: the failed job is deleted.
    document(&test, 2, &[(2, "failed_parse", "deadletter", 60), (3, "complete", "done", 50)]).await;
    // Complete, then a duplicate: the job that completed the document stays.
    document(&test, 3, &[(4, "complete", "done", 60), (5, "duplicate", "done", 50)]).await;
    // Complete twice: the older job is deleted.
    document(&test, 4, &[(6, "complete", "done", 60), (7, "complete", "done", 50)]).await;
    // A superseded job that is too young, and a live job: both stay.
    document(&test, 5, &[(8, "parsed", "cancelled", 29), (9, "complete", "done", 2)]).await;
    document(&test, 6, &[(10, "parsed", "queued", 400), (11, "complete", "done", 300)]).await;
    assert_eq!(delete_old(&test.db, FOR_EVER, BUDGET).await.unwrap().jobs, 0);
    let deleted = delete_old(&test.db, Retention { jobs_days: 30, ..FOR_EVER }, BUDGET).await.unwrap();
    assert_eq!(deleted.jobs, 2);
    assert_eq!(left(&test, "upload_jobs").await, [1, 3, 4, 5, 7, 8, 9, 10, 11]);
    assert_eq!(left(&test, "events").await, [1, 3, 4, 5, 7, 8, 9, 10, 11], "events are deleted with their jobs");
    // The sweep is complete; the next one starts a day later.
    test.run(
        "UPDATE upload_pipeline.upload_jobs SET finished_at = now() - interval '31 days' WHERE state = 'cancelled'",
    )
    .await;
    assert_eq!(delete_old(&test.db, EVERYTHING, BUDGET).await.unwrap().jobs, 0);
    test.run("UPDATE upload_pipeline.housekeeping SET next_run_at = now() WHERE task = 'ended_jobs'").await;
    assert_eq!(delete_old(&test.db, EVERYTHING, BUDGET).await.unwrap().jobs, 1);
}

#[tokio::test]
async fn old_receipts_of_finished_deletions_are_deleted_and_pending_ones_stay() {
    let test = TestDb::new().await;
    test.run(
        "INSERT INTO upload_pipeline.storage_deletions (deletion_id, user_id, document_id, storage_key, requested_at, deleted_at)
         SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), d.key, now() - interval '400 days', d.deleted_at
         FROM (VALUES ('old', now() - interval '366 days'), ('young', now() - interval '364 days'), ('pending', NULL)) AS d (key, deleted_at)",
    )
    .await;
    assert_eq!(delete_old(&test.db, EVERYTHING, BUDGET).await.unwrap().receipts, 1);
    let left = test.rows("SELECT storage_key FROM upload_pipeline.storage_deletions ORDER BY 1").await;
    assert_eq!(left, [["pending"], ["young"]]);
}

#[tokio::test]
async fn a_large_backlog_is_deleted_in_batches_within_the_time_budget() {
    let test = TestDb::new().await;
    document(&test, 1, &[(1, "complete", "done", 100)]).await;
    // All events have the same timestamp, so a batch ends between two of them.
    test.run(&format!(
        "INSERT INTO upload_pipeline.events (job_id, document_id, ts, type, severity, code)
         SELECT '{}', '00000000-0000-4000-8000-000000000001', now() - interval '99 days', 'stage_done', 'info', 'parsed'
         FROM generate_series(1, 2500)",
        job_id(1)
    ))
    .await;
    let no_time = delete_old(&test.db, EVERYTHING, Duration::ZERO).await.unwrap();
    assert_eq!(no_time.events, 1000, "one batch is deleted even without time");
    assert_eq!(delete_old(&test.db, EVERYTHING, BUDGET).await.unwrap().events, 1501);
}

#[tokio::test]
async fn an_expired_upload_stays_while_a_document_uses_its_bytes() {
    let test = TestDb::new().await;
    let (user, id) = (Uuid::from_u128(7), Uuid::from_u128(8));
    test.run(&format!(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
         VALUES ('{id}', '{user}', 'a.md', 'text/markdown', 1, 'x', 'raw/used');
         INSERT INTO upload_pipeline.uploads (upload_id, user_id, storage_key, document_id, filename, mime, expires_at, created_at)
         SELECT gen_random_uuid(), '{user}', 'raw/' || key, document_id::uuid, 'a.md', 'text/markdown', now() - interval '1 hour', now() - interval '3 days'
         FROM (VALUES ('used', '{id}'), ('older', '{id}'), ('never', NULL)) AS u (key, document_id)"
    ))
    .await;
    let conn = test.db.get().await.unwrap();
    assert_eq!(keep_uploads_in_use(&conn, 1000).await.unwrap(), 1);
    assert_eq!(keep_uploads_in_use(&conn, 1000).await.unwrap(), 0, "an upload that was kept is not kept twice");
    let abandoned = || async {
        let mut keys: Vec<String> =
            list_abandoned_uploads(&conn, 10).await.unwrap().into_iter().map(|(_, key)| key).collect();
        keys.sort();
        keys
    };
    assert_eq!(abandoned().await, ["raw/never", "raw/older"]);
    let deleting = delete_document(&test.db, UserId(user), DocumentId(id), None).await.unwrap();
    assert!(matches!(deleting, Deleting::Deleted(_)), "{deleting:?}");
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.uploads WHERE expires_at = 'infinity'").await, "0");
    test.run("UPDATE upload_pipeline.uploads SET expires_at = expires_at - interval '2 days'").await;
    assert_eq!(abandoned().await, ["raw/never", "raw/older", "raw/used"]);
}

#[tokio::test]
async fn an_old_event_without_a_job_is_deleted_too() {
    let test = TestDb::new().await;
    test.run(
        "INSERT INTO upload_pipeline.events (job_id, document_id, ts, type, severity, code)
         SELECT gen_random_uuid(), gen_random_uuid(), now() - days * interval '1 day', 'error', 'error', 'foreign'
         FROM unnest('{10, 100}'::int[]) AS days",
    )
    .await;
    let deleted = delete_old(&test.db, EVERYTHING, BUDGET).await.unwrap();
    assert_eq!(deleted.events, 1);
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.events").await, "1");
}

/// Judges page `page` of the document; the judgement is `days` old.
async fn judge(test: &TestDb, user: UserId, document: DocumentId, question: &str, page: i32, days: u32) {
    let new = NewJudgement { user, question, document, page: Some(page), text: None, verdict: "right" };
    let id = put_judgement(&test.db, new).await.unwrap().unwrap().judgement_id;
    test.run(&format!(
        "UPDATE upload_pipeline.search_judgements SET judged_at = now() - interval '{days} days' WHERE judgement_id = '{id}'"
    ))
    .await;
}

#[tokio::test]
async fn old_judgements_go_and_a_question_goes_with_its_last_one_or_with_the_document() {
    let test = TestDb::new().await;
    document(&test, 1, &[]).await;
    let id = DocumentId("00000000-0000-4000-8000-000000000001".parse().unwrap());
    let user: UserId = test.value("SELECT user_id FROM upload_pipeline.documents").await.parse().unwrap();
    for (question, page, days) in [("a", 1, 40), ("a", 2, 1), ("b", 1, 40), ("c", 1, 1)] {
        judge(&test, user, id, question, page, days).await;
    }
    let deleted = delete_old(&test.db, FOR_EVER, BUDGET).await.unwrap();
    assert_eq!(deleted.judgements, 0);
    let deleted = delete_old(&test.db, Retention { judgements_days: 30, ..FOR_EVER }, BUDGET).await.unwrap();
    let questions = "SELECT string_agg(question, ' ' ORDER BY question) FROM upload_pipeline.search_questions";
    assert_eq!((deleted.judgements, test.value(questions).await.as_str()), (2, "a c"));
    assert!(matches!(delete_document(&test.db, user, id, None).await.unwrap(), Deleting::Deleted(_)));
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.search_questions").await, "0");
    let new = NewJudgement { user, question: "a", document: id, page: Some(1), text: None, verdict: "right" };
    assert!(put_judgement(&test.db, new).await.unwrap().is_none(), "there is no such document");
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.search_questions").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_money_are_kept_for_as_long_as_the_settings_say() {
    let test = TestDb::new().await;
    test.run(
        "INSERT INTO upload_pipeline.usage_days (user_id, day, provider, model)
         SELECT gen_random_uuid(), (now() AT TIME ZONE 'UTC')::date - days, 'openai', 'm' FROM unnest(ARRAY[0, 30, 31, 4000]) AS days",
    )
    .await;
    assert_eq!(delete_old(&test.db, FOR_EVER, BUDGET).await.unwrap().usage, 0);
    assert_eq!(delete_old(&test.db, Retention { usage_days: 30, ..FOR_EVER }, BUDGET).await.unwrap().usage, 2);
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.usage_days").await, "2");
}
