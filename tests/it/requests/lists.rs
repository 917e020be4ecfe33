//! Lists: paging shows every row once while rows are added, and filters refuse unknown values.

use std::collections::BTreeSet;

use serde_json::Value;

use super::api;
use crate::support::{
    db::TestDb,
    fleet::{Client, USER},
};

/// Inserts `count` documents with a job each, three a second, the newest `age` seconds old.
async fn fill(test: &TestDb, count: u32, age: u32, name: &str) {
    test.run(&format!(
        "WITH d AS (
           INSERT INTO upload_pipeline.documents
             (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status, kind, created_at)
           SELECT gen_random_uuid(), '{USER}', '{name}-' || n || '.md', 'text/markdown', 1, gen_random_uuid()::text, 'raw/x',
             CASE WHEN n % 2 = 0 THEN 'complete' ELSE 'parsed' END, CASE WHEN n % 5 = 0 THEN 'pdf' ELSE 'markdown' END,
             now() - ({age} + n / 3) * interval '1 second'
           FROM generate_series(1, {count}) AS n RETURNING document_id, processing_status, created_at)
         INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, created_at, enqueued_by)
         SELECT gen_random_uuid(), document_id, processing_status,
           CASE processing_status WHEN 'complete' THEN 'done' ELSE 'cancelled' END, created_at, 'test' FROM d"
    ))
    .await;
}

async fn ids(test: &TestDb, table: &str, column: &str, only: &str) -> BTreeSet<String> {
    let rows = test.rows(&format!("SELECT {column} FROM upload_pipeline.{table} WHERE {only}")).await;
    rows.into_iter().map(|row| row[0].clone()).collect()
}

/// Pages through a list while rows are added; returns every id in order.
async fn page_through(test: &TestDb, client: &Client, path: &str, id: &str) -> Vec<String> {
    let (mut seen, mut cursor): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let mut query = format!("{path}{}limit=17", if path.contains('?') { '&' } else { '?' });
        query.extend(cursor.iter().map(|cursor| format!("&cursor={cursor}")));
        let (status, page) = client.get(&query).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item[id].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            None => return seen,
            Some(next) => cursor = Some(next.to_owned()),
        }
        fill(test, 7, 0, "between").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_written_by_hand_does_not_break_the_list() {
    let api = api(&[]).await;
    fill(&api.test, 3, 0, "row").await;
    api.test
        .run(
            "UPDATE upload_pipeline.upload_jobs
             SET progress = (repeat('{\"a\":', 200) || '1e400' || repeat('}', 200))::jsonb, last_error = progress, run_at = '-infinity',
               created_at = 'infinity', finished_at = '20000-01-01'
             WHERE job_id = (SELECT min(job_id::text)::uuid FROM upload_pipeline.upload_jobs)",
        )
        .await;
    let (status, page) = api.client.get("/jobs").await;
    assert_eq!((status, page["items"].as_array().map(Vec::len)), (200, Some(3)), "{page}");
    let first = &page["items"][0];
    assert_eq!(first["created_at"], "9999-12-31T23:59:59Z", "{first}");
    assert_eq!(api.client.get(&format!("/jobs/{}", first["job_id"].as_str().unwrap())).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_shows_every_row_once_while_rows_are_added() {
    let api = api(&[]).await;
    fill(&api.test, 250, 3600, "old").await;
    for (path, id, table) in [("/jobs", "job_id", "upload_jobs"), ("/documents", "document_id", "documents")] {
        let existing = ids(&api.test, table, id, "created_at < now() - interval '1 hour'").await;
        assert_eq!(existing.len(), 250);
        let seen = page_through(&api.test, &api.client, path, id).await;
        let once: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(once.len(), seen.len(), "{path} shows a row twice");
        assert!(existing.is_subset(&once), "{path} misses a row");
    }
    let wanted =
        ids(&api.test, "upload_jobs", "job_id", "state = 'done' AND created_at < now() - interval '1 hour'").await;
    let seen =
        page_through(&api.test, &api.client, "/jobs?state=done&created_before=2999-01-01T00:00:00Z", "job_id").await;
    assert!(wanted.len() > 100 && wanted.is_subset(&seen.into_iter().collect()));
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn count_items(page: &Value) -> usize {
    page["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_rows_and_refuse_unknown_names_and_values() {
    let api = api(&[]).await;
    fill(&api.test, 20, 3600, "Policy").await;
    api.test
        .run("UPDATE upload_pipeline.documents SET metadata = jsonb_build_object('n', substr(split_part(filename, '.', 1), 8)::int)")
        .await;
    let one = api.test.value("SELECT document_id FROM upload_pipeline.documents WHERE filename = 'Policy-3.md'").await;
    let hour = "created_after=2020-01-01T00:00:00Z";
    let job = api.test.value("SELECT job_id FROM upload_pipeline.upload_jobs LIMIT 1").await;
    for (path, count) in [
        ("/jobs?state=done".to_owned(), 10),
        ("/jobs?status=parsed".to_owned(), 10),
        ("/jobs?state=done&status=parsed".to_owned(), 0),
        (format!("/jobs?document_id={one}"), 1),
        (format!("/jobs?id_prefix={}", &job[..20]), 1),
        (format!("/jobs?{hour}"), 20),
        ("/jobs?created_before=2020-01-01T00:00:00Z".to_owned(), 0),
        ("/documents?processing_status=complete".to_owned(), 10),
        ("/documents?kind=pdf".to_owned(), 4),
        ("/documents?filename=pOLICY-1".to_owned(), 11),
        ("/documents?filename=%25".to_owned(), 0),
        (format!("/documents?filter={}", escaped(r#"{"field":"metadata.n","gte":3,"lt":6}"#)), 3),
        (format!("/documents?kind=pdf&filter={}", escaped(r#"{"field":"metadata.n","in":[4,5]}"#)), 1),
        ("/documents?filename=olicy-2&kind=pdf&processing_status=complete".to_owned(), 1),
    ] {
        let (status, page) = api.client.get(&path).await;
        assert_eq!((status, count_items(&page)), (200, count), "{path}: {page}");
    }
    let (_, page) = api.client.get("/jobs?limit=5&state=done").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    for (path, code) in [
        ("/jobs?stat=done".to_owned(), "query_invalid"),
        ("/jobs?state=done&state=queued".to_owned(), "query_invalid"),
        ("/jobs?limit=1.5".to_owned(), "query_invalid"),
        ("/jobs?limit=0".to_owned(), "limit_invalid"),
        ("/jobs?limit=99999999999999999999".to_owned(), "query_invalid"),
        ("/jobs?state=gone".to_owned(), "state_invalid"),
        ("/jobs?status=gone".to_owned(), "status_invalid"),
        ("/jobs?document_id=x".to_owned(), "id_invalid"),
        ("/jobs?id_prefix=12".to_owned(), "id_invalid"),
        ("/jobs?created_after=today".to_owned(), "time_invalid"),
        ("/jobs?cursor=".to_owned(), "cursor_invalid"),
        (format!("/jobs?cursor={cursor}"), "cursor_invalid"),
        (format!("/documents?cursor={cursor}"), "cursor_invalid"),
        (format!("/documents/{one}/chunks?cursor={cursor}"), "cursor_invalid"),
        ("/documents?kind=exe".to_owned(), "kind_invalid"),
        ("/documents?filter=7".to_owned(), "filter_invalid"),
        ("/documents?filter=x".to_owned(), "filter_invalid"),
        ("/documents?processing_status=gone".to_owned(), "status_invalid"),
        ("/documents?filename=%00".to_owned(), "filename_invalid"),
        ("/documents?state=done".to_owned(), "query_invalid"),
        (format!("/documents/{one}/chunks?page=2"), "query_invalid"),
    ] {
        let (status, problem) = api.client.get(&path).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some(code)), "{path}: {problem}");
    }
    let (_, problem) = api.client.get("/jobs?stat=done").await;
    assert!(problem["detail"].as_str().unwrap().contains("stat"), "{problem}");
    let (status, rest) = api.client.get(&format!("/jobs?state=done&cursor={cursor}")).await;
    assert_eq!((status, count_items(&rest)), (200, 5), "{rest}");
}
