//! Uploads that were announced and whose bytes did not come: the same content again goes on with them.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use store::{
    jobs::{ClaimOptions, claim_jobs, snooze_job},
    uploads::mark_upload_stored,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{Answer, Api, announcement, api, files_in, request, s3, send};
use crate::support::{
    db::TestDb,
    fakes::s3::{Fault, S3},
};
use domain::{Code, UploadId, WorkerId};

const TEXT: &[u8] = b"# Ferry\n\nThe ferry to the island leaves at nine and at noon.\n";

async fn announce(api: &Api, name: &str, bytes: &[u8]) -> Answer {
    send(request(&api.client, Method::POST, "/upload").json(&announcement(name, bytes))).await
}

async fn put(url: &str, bytes: &[u8]) -> Answer {
    send(reqwest::Client::new().put(url).body(bytes.to_vec())).await
}

fn text<'a>(answer: &'a Answer, field: &str) -> &'a str {
    answer.body[field].as_str().unwrap_or_else(|| panic!("{answer:?}"))
}

/// A way to the API at `root` on which a PUT goes no further than its first bytes. Says once that it has come so far.
async fn stalling_proxy(root: &str) -> (String, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let to = root.strip_prefix("http://").unwrap().to_owned();
    let (sender, stalled) = oneshot::channel();
    let mut sender = Some(sender);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut api = TcpStream::connect(&to).await.unwrap();
            let mut begin = vec![0; 16 * 1024];
            let n = client.read(&mut begin).await.unwrap();
            api.write_all(&begin[..n]).await.unwrap();
            if begin.starts_with(b"PUT ") {
                // Neither side hears more until the client is gone.
                sender.take().unwrap().send(()).unwrap();
                tokio::spawn(async move { while client.read(&mut begin).await.is_ok_and(|n| n > 0) {} });
            } else {
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut api).await });
            }
        }
    });
    (address, stalled)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_that_was_interrupted_goes_on_when_it_is_started_again() {
    let mut api = api(&[]).await;
    let _worker = api.fleet.worker();
    let content = format!("# Ferry\n\n{}\n\n{}", "It leaves at nine. ".repeat(20), "\n".repeat(500_000));
    let file = api.fleet.file("ferry.md", content.as_bytes()).display().to_string();
    let (proxy, stalled) = stalling_proxy(&api.client.root).await;
    api.fleet.set("APP_TOKEN", &api.client.token);
    api.fleet.set("APP_URL", &proxy);
    let mut interrupted = api.fleet.start(&["upload", &file]);
    stalled.await.unwrap();
    interrupted.signal("INT");
    assert_eq!(interrupted.wait_for_exit().await, -1, "ended by the signal");
    let job = api.test.value("SELECT job_id FROM upload_pipeline.upload_jobs").await;
    api.fleet.set("APP_URL", &api.client.root);
    // As much of the id as no other job has.
    let (status, shown, _) = api.fleet.run(&["jobs", "show", &job[..20]]);
    assert!(status.success() && shown.contains("waits for     its bytes, until "), "{shown}");

    let (status, table, lines) = api.fleet.run(&["upload", &file]);
    assert!(status.success(), "{table}{lines}");
    assert!(table.contains("complete"), "{table}");
    let said: Vec<&str> = lines.lines().filter(|line| line.contains("waiting for the bytes")).collect();
    assert_eq!(said, ["ferry.md: an interrupted upload of this file was waiting for the bytes; sending them"]);
    assert_eq!(
        api.test.value("SELECT job_id || ' ' || status FROM upload_pipeline.upload_jobs").await,
        format!("{job} complete")
    );
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.uploads").await, "1", "it counts once");

    let (status, table, _) = api.fleet.run(&["upload", &file]);
    assert!(status.success() && table.contains("already there"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn announcing_again_gives_another_url_for_the_same_job_until_the_bytes_are_there() {
    let api = api(&[("UPLOADS_PER_DAY", "1")]).await;
    let first = announce(&api, "a.md", TEXT).await;
    assert_eq!((first.status, &first.body["stored"]), (201, &json!(false)), "{first:?}");
    api.test.run("UPDATE upload_pipeline.uploads SET expires_at = expires_at - interval '30 minutes'; UPDATE upload_pipeline.upload_jobs SET upload_expires_at = upload_expires_at - interval '30 minutes', retry_count = 1, state = 'retryable'").await;
    let job = format!("/jobs/{}", text(&first, "job_id"));
    let waiting = api.client.get(&job).await.1;
    assert!(waiting["upload_expires_at"].is_string(), "{waiting}");

    let again = announce(&api, "b.md", TEXT).await;
    assert_eq!((again.status, &again.body["stored"]), (200, &json!(false)), "{again:?}");
    for same in ["job_id", "document_id"] {
        assert_eq!(again.body[same], first.body[same], "{same}");
    }
    assert!(again.header("location").ends_with(&job), "{again:?}");
    let after = api.client.get(&job).await.1;
    assert_eq!(
        (&after["filename"], &after["state"], &after["retry_count"]),
        (&json!("b.md"), &json!("queued"), &json!(0))
    );
    // The database keeps microseconds.
    assert_eq!(after["upload_expires_at"].as_str().unwrap()[..25], text(&again, "upload_expires_at")[..25]);
    assert!(after["upload_expires_at"].as_str() > waiting["upload_expires_at"].as_str(), "{after} {waiting}");

    let stored = put(text(&again, "signed_url"), TEXT).await;
    assert_eq!(stored.status, 204, "{stored:?}");
    assert_eq!(api.client.get(&job).await.1["upload_expires_at"], json!(null));
    let late = announce(&api, "c.md", TEXT).await;
    assert_eq!(
        (late.status, late.code(), &late.body["job_id"]),
        (409, "document_exists", &first.body["job_id"]),
        "{late:?}"
    );
    let _worker = api.fleet.worker();
    assert_eq!(api.client.wait_for_end(text(&first, "job_id")).await["status"], "complete");
    assert_eq!(announce(&api, "c.md", TEXT).await.status, 409, "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_that_goes_on_is_kept_for_its_idempotency_key() {
    let api = api(&[]).await;
    let first = announce(&api, "a.md", TEXT).await;
    let again = || {
        send(
            request(&api.client, Method::POST, "/upload")
                .header("Idempotency-Key", "k")
                .json(&announcement("a.md", TEXT)),
        )
    };
    let (one, two) = (again().await, again().await);
    assert_eq!((one.status, two.status, two.header("idempotency-replayed")), (200, 200, "true"), "{one:?} {two:?}");
    assert_eq!((&one.body["job_id"], &two.body), (&first.body["job_id"], &one.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_one_step_upload_are_delivered_to_the_job_that_waits_for_them() {
    let api = api(&[]).await;
    let announced = announce(&api, "a.md", TEXT).await;
    let sent = api.client.upload_file("b.md", "text/markdown", TEXT).await;
    assert_eq!((&sent["problem"], &sent["job_id"]), (&json!(null), &announced.body["job_id"]), "{sent}");
    let late = put(text(&announced, "signed_url"), TEXT).await;
    assert_eq!((late.status, late.code()), (410, "upload_not_wanted"), "{late:?}");
    let _worker = api.fleet.worker();
    let ended = api.client.wait_for_end(text(&announced, "job_id")).await;
    assert_eq!((&ended["status"], &ended["filename"]), (&json!("complete"), &json!("b.md")), "{ended}");
    assert_eq!(files_in(&api.fleet.storage()).len(), 2, "the bytes and their markdown");
    let text = String::from_utf8(TEXT.to_vec()).unwrap();
    let (status, again) = api.client.post("/documents", json!({ "title": "b", "text": text })).await;
    assert_eq!((status, &again["code"]), (409, &json!("document_exists")), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_has_expired_goes_on_until_its_job_has_failed_and_then_gets_a_new_one() {
    let api = api(&[]).await;
    let expire =
        "UPDATE upload_pipeline.upload_jobs SET run_at = now(), upload_expires_at = now() - interval '1 second'";
    let first = announce(&api, "a.md", TEXT).await;
    api.test.run(expire).await;
    let again = announce(&api, "a.md", TEXT).await;
    assert_eq!((again.status, &again.body["job_id"]), (200, &first.body["job_id"]), "{again:?}");
    api.test.run(expire).await;
    let _worker = api.fleet.worker();
    let ended = api.client.wait_for_end(text(&first, "job_id")).await;
    assert_eq!(ended["last_error"]["code"], "upload_expired", "{ended}");
    let (status, refused) = api.client.post(&format!("/jobs/{}/retry", text(&first, "job_id")), json!({})).await;
    assert_eq!((status, &refused["code"]), (409, &json!("retry_needs_upload")), "{refused}");
    let new = announce(&api, "a.md", TEXT).await;
    assert_eq!((new.status, &new.body["document_id"]), (201, &first.body["document_id"]), "{new:?}");
    assert_eq!(put(text(&new, "signed_url"), TEXT).await.status, 204);
    assert_eq!(api.client.wait_for_end(text(&new, "job_id")).await["status"], "complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_took_the_bytes_itself_is_asked_whether_they_are_there() {
    let (test, store) = (TestDb::new().await, S3::start(Fault::Nothing));
    let fleet = s3::fleet(&test, &store);
    let (app, client) = fleet.api();
    let api = Api { test, fleet, client, app };
    let first = announce(&api, "a.md", TEXT).await;
    let again = announce(&api, "a.md", TEXT).await;
    assert_eq!((again.status, &again.body["job_id"]), (200, &first.body["job_id"]), "{again:?}");
    assert!(text(&again, "signed_url").contains("X-Amz-Signature="), "{again:?}");
    assert_eq!(put(text(&again, "signed_url"), TEXT).await.status, 200);
    api.test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now() + interval '1 hour'").await;
    let late = announce(&api, "a.md", TEXT).await;
    assert_eq!((late.status, late.code()), (409, "document_exists"), "{late:?}");
    let _worker = api.fleet.worker();
    assert_eq!(api.client.wait_for_end(text(&first, "job_id")).await["status"], "complete", "due at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_come_while_a_worker_looks_for_them_make_the_job_due_at_once() {
    let api = api(&[]).await;
    let announced = announce(&api, "a.md", TEXT).await;
    api.test.run("UPDATE upload_pipeline.upload_jobs SET run_at = now()").await;
    let conn = api.test.db.get().await.unwrap();
    let options = ClaimOptions { lease: Duration::from_secs(30), max_running_per_user: 0, now: None };
    let leases = claim_jobs(&conn, WorkerId::generate(), 1, None, options).await.unwrap();
    let upload = api.test.value("SELECT upload_id FROM upload_pipeline.uploads").await;
    assert!(mark_upload_stored(&conn, UploadId(upload.parse().unwrap())).await.unwrap());
    snooze_job(&conn, leases[0].fence, Code::WaitingForUpload, Duration::from_secs(60)).await.unwrap();
    let due = "SELECT state = 'queued' AND run_at <= now() FROM upload_pipeline.upload_jobs";
    assert_eq!(api.test.value(due).await, "t", "{announced:?}");
}
