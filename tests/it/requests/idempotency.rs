//! A repeated POST with the same idempotency key gets the first answer, and its work is done once.

use std::time::Duration;

use domain::{UploadId, UserId};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use store::{
    idempotency::{KeptAnswer, Reservation},
    uploads::{Content, Keep, NewUpload, Registered, register_declared},
};
use uuid::Uuid;

use super::{Answer, announcement, api, files_in, request, send};
use crate::support::fleet::{Client, USER};

async fn post(client: &Client, path: &str, key: &str, body: Value) -> Answer {
    send(request(client, Method::POST, path).header("Idempotency-Key", key).json(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_announcement_gets_the_same_ids_and_a_working_url() {
    let api = api(&[]).await;
    let text = b"# Once\n\nand only once";
    let body = announcement("once.md", text);
    let first = post(&api.client, "/upload", "k1", body.clone()).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""), "{first:?}");
    assert_eq!(
        first.header("location"),
        format!("/api/upload-pipeline/jobs/{}", first.body["job_id"].as_str().unwrap())
    );
    let stored = api.test.value("SELECT response::text FROM upload_pipeline.idempotency_keys").await;
    assert!(!stored.contains("signature") && !stored.contains("http"), "a signed URL is stored: {stored}");
    let again = post(&api.client, "/upload", "\"k1\"", body.clone()).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, "true"), "{again:?}");
    assert_eq!(again.header("location"), first.header("location"));
    for field in ["job_id", "document_id", "upload_expires_at"] {
        assert_eq!(again.body[field], first.body[field], "{field}");
    }
    let url = again.body["signed_url"].as_str().unwrap();
    assert_eq!(reqwest::Client::new().put(url).body(text.to_vec()).send().await.unwrap().status(), 204);
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.upload_jobs").await, "1");

    // The same key with another body or query is refused.
    let other = post(&api.client, "/upload", "k1", announcement("twice.md", text)).await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"), "{other:?}");
    let other = post(&api.client, "/upload?x=1", "k1", body.clone()).await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"), "{other:?}");
    // The same key of another user, or on another route, is a different key.
    let stranger = api.client.as_user("22222222-2222-4222-8222-222222222222");
    let of_other_user = post(&stranger, "/upload", "k1", body).await;
    assert_eq!((of_other_user.status, of_other_user.header("idempotency-replayed")), (201, ""), "{of_other_user:?}");
    assert_ne!(of_other_user.body["document_id"], first.body["document_id"]);
    let text = post(&api.client, "/documents", "k1", json!({ "title": "t", "text": "other words" })).await;
    assert_eq!((text.status, text.header("idempotency-replayed")), (202, ""), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_simultaneous_equal_requests_only_one_does_the_work() {
    let api = api(&[]).await;
    for (path, body) in [
        ("/upload", announcement("race.md", b"a race")),
        ("/documents", json!({ "title": "race", "text": "another race, of texts" })),
    ] {
        let racing: Vec<_> = (0..12)
            .map(|_| {
                let (client, body) = (api.client.clone(), body.clone());
                tokio::spawn(async move { post(&client, path, "race", body).await })
            })
            .collect();
        let mut first = 0;
        for answer in racing {
            let answer = answer.await.unwrap();
            match answer.status {
                201 | 202 if answer.header("idempotency-replayed").is_empty() => first += 1,
                201 | 202 => {}
                _ => {
                    assert_eq!((answer.status, answer.code()), (409, "idempotency_key_in_use"), "{answer:?}");
                    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
                }
            }
        }
        assert_eq!(first, 1, "{path}");
        let repeated = post(&api.client, path, "race", body).await;
        assert_eq!(repeated.header("idempotency-replayed"), "true", "{repeated:?}");
    }
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.upload_jobs").await, "2");
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.uploads").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_holds_a_key_only_until_its_lease_ends() {
    let api = api(&[]).await;
    let body = json!({ "title": "left", "text": "left behind" });
    // Makes the row look as if the process had died between the reservation and the answer.
    assert_eq!(post(&api.client, "/documents", "left", body.clone()).await.status, 202);
    api.test
        .run(
            "UPDATE upload_pipeline.idempotency_keys
             SET status = NULL, response = NULL, attempt = gen_random_uuid(), locked_until = now() + interval '40 seconds'",
        )
        .await;
    let meanwhile = post(&api.client, "/documents", "left", body.clone()).await;
    assert_eq!((meanwhile.status, meanwhile.code()), (409, "idempotency_key_in_use"), "{meanwhile:?}");
    let wait: u64 = meanwhile.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    api.test.run("UPDATE upload_pipeline.idempotency_keys SET locked_until = now() - interval '1 second'").await;
    let other = post(&api.client, "/documents", "left", json!({ "title": "left", "text": "other" })).await;
    assert_eq!(
        (other.status, other.code()),
        (422, "idempotency_key_reused"),
        "the key still belongs to the first request: {other:?}"
    );
    // The request runs again and finds the document of the first run.
    let after = post(&api.client, "/documents", "left", body.clone()).await;
    assert_eq!((after.status, after.code()), (409, "document_exists"), "{after:?}");
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.idempotency_keys").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_stores_no_key_and_an_answer_is_stored_for_a_day() {
    let api = api(&[]).await;
    let empty = post(&api.client, "/documents", "k", json!({ "title": "t", "text": " " })).await;
    assert_eq!((empty.status, empty.code()), (422, "text_empty"));
    let malformed = request(&api.client, Method::POST, "/documents")
        .header("Idempotency-Key", "k")
        .header("content-type", "application/json")
        .body("{");
    assert_eq!(send(malformed).await.code(), "json_invalid");
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.idempotency_keys").await, "0");
    let body = json!({ "title": "t", "text": "some words" });
    assert_eq!(post(&api.client, "/documents", "k", body.clone()).await.status, 202);
    assert_eq!(
        api.test
            .value("SELECT (expires_at - created_at BETWEEN '23:59:00' AND '24:01:00')::text FROM upload_pipeline.idempotency_keys")
            .await,
        "true"
    );
    api.test.run("UPDATE upload_pipeline.idempotency_keys SET expires_at = now() - interval '1 second'").await;
    assert_eq!(post(&api.client, "/documents", "k", body).await.code(), "document_exists");
    for wrong in ["", " ", "two words", &"k".repeat(256)] {
        let refused = post(&api.client, "/documents", wrong, json!({ "title": "t", "text": "new words" })).await;
        assert_eq!((refused.status, refused.code()), (400, "idempotency_key_invalid"), "{wrong:?}");
    }
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.upload_jobs").await, "1");
}

/// Posts a form, with a new boundary each time.
async fn post_form(client: &Client, key: &str, files: &[(&str, &str)]) -> Answer {
    let form = files.iter().fold(Form::new().text("note", "ignored"), |form, (name, text)| {
        let part = Part::text((*text).to_owned()).file_name((*name).to_owned()).mime_str("text/markdown").unwrap();
        form.part("file", part)
    });
    send(request(client, Method::POST, "/documents").header("Idempotency-Key", key).multipart(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_with_the_same_content_are_the_same_request_and_stored_once() {
    let api = api(&[]).await;
    let files = [("a.md", "# A\n\nfirst"), ("b.md", "# B\n\nsecond"), ("c.md", "")];
    let first = post_form(&api.client, "form", &files).await;
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(first.body["documents"][2]["problem"]["code"], "file_empty");
    let again = post_form(&api.client, "form", &files).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, "true"), "{again:?}");
    assert_eq!(again.body, first.body);
    for other in [
        [("a.md", "# A\n\nfirst"), ("b.md", "# B\n\nsecond!"), ("c.md", "")],
        [("a.md", "# A\n\nfirst"), ("B.md", "# B\n\nsecond"), ("c.md", "")],
    ] {
        let refused = post_form(&api.client, "form", &other).await;
        assert_eq!((refused.status, refused.code()), (422, "idempotency_key_reused"), "{refused:?}");
    }
    let fewer = post_form(&api.client, "form", &files[..2]).await;
    assert_eq!((fewer.status, fewer.code()), (422, "idempotency_key_reused"), "{fewer:?}");
    assert_eq!(files_in(&api.fleet.storage()).len(), 2, "a repeat stores nothing");
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.uploads").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_to_cancel_and_retry_are_stored_for_each_job() {
    let api = api(&[]).await;
    let (one, two) = (api.client.upload_text("one", "one").await, api.client.upload_text("two", "two").await);
    let cancelled = post(&api.client, &format!("/jobs/{one}/cancel"), "c", json!(null)).await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (200, &json!("cancelled")), "{cancelled:?}");
    let retried = post(&api.client, &format!("/jobs/{one}/retry"), "r", json!({})).await;
    assert_eq!((retried.status, &retried.body["state"]), (202, &json!("queued")), "{retried:?}");
    assert!(retried.header("location").ends_with(&format!("/jobs/{one}")));
    // The answers are the same although the job's state has changed.
    let again = post(&api.client, &format!("/jobs/{one}/cancel"), "c", json!(null)).await;
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &cancelled.body));
    let again = post(&api.client, &format!("/jobs/{one}/retry"), "r", json!({})).await;
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &retried.body));
    assert_eq!(api.client.get(&format!("/jobs/{one}")).await.1["state"], "queued");
    let other = post(&api.client, &format!("/jobs/{two}/cancel"), "c", json!(null)).await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"), "another job is another request");
    let many = post(&api.client, "/jobs/retry", "m", json!({ "all": true })).await;
    assert_eq!(many.status, 200, "{many:?}");
    assert_eq!(
        post(&api.client, "/jobs/retry", "m", json!({ "all": true })).await.header("idempotency-replayed"),
        "true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_lost_its_reservation_changes_nothing() {
    let api = api(&[]).await;
    let user = UserId(USER.parse().unwrap());
    let reservation = Reservation { user, route: "POST x".into(), key: "k".into(), attempt: Uuid::new_v4() };
    let answer = |_accepted| KeptAnswer { fingerprint: String::new(), status: 201, location: None, body: json!({}) };
    let upload = NewUpload {
        upload_id: UploadId::generate(),
        user,
        storage_key: "raw/x".into(),
        filename: "a.md".into(),
        mime: "text/markdown".into(),
        expires_at: time::OffsetDateTime::now_utc() + Duration::from_secs(60),
        per_day: 0,
    };
    let content = Content {
        bytes_len: 1,
        sha256: "0".repeat(64),
        stored: false,
        ocr: false,
        metadata: None,
        correlation_id: Uuid::new_v4(),
    };
    let keep = Keep { reservation: &reservation, answer: &answer };
    let registered = register_declared(&api.test.db, &upload, &content, Some(&keep), false).await.unwrap();
    assert_eq!(registered, Registered::Overtaken);
    for table in ["documents", "upload_jobs", "uploads", "idempotency_keys"] {
        assert_eq!(api.test.value(&format!("SELECT count(*) FROM upload_pipeline.{table}")).await, "0", "{table}");
    }
}
