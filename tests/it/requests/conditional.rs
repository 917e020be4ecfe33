//! Conditional requests, and HEAD on every GET route.

use reqwest::Method;
use serde_json::json;

use super::{api, request, send};

#[tokio::test(flavor = "multi_thread")]
async fn if_none_match_is_answered_with_304_until_the_resource_changes() {
    let api = api(&[]).await;
    let job = api.client.upload_text("a", "some words").await;
    let (_, view) = api.client.get(&format!("/jobs/{job}")).await;
    let document = view["document_id"].as_str().unwrap();
    let (_, receipt) = api.client.send(Method::DELETE, &format!("/documents/{document}"), None).await;
    let job = api.client.upload_text("b", "more words").await;
    let (_, view) = api.client.get(&format!("/jobs/{job}")).await;
    let document = view["document_id"].as_str().unwrap();
    let paths = [
        "/jobs".to_owned(),
        "/documents".to_owned(),
        format!("/jobs/{job}"),
        format!("/jobs/{job}/events"),
        format!("/documents/{document}"),
        format!("/documents/{document}/chunks"),
        format!("/deletions/{}", receipt["deletion_id"].as_str().unwrap()),
    ];
    for path in &paths {
        let first = send(request(&api.client, Method::GET, path)).await;
        let tag = first.header("etag").to_owned();
        assert!(first.status == 200 && tag.starts_with('"') && tag.len() == 34, "{path}: {first:?}");
        assert_eq!(first.header("cache-control"), "private, no-cache", "{path}");
        let same = send(request(&api.client, Method::GET, path).header("If-None-Match", &tag)).await;
        assert_eq!((same.status, &same.body, same.header("etag")), (304, &json!(""), tag.as_str()), "{path}");
        let other = send(request(&api.client, Method::GET, path).header("If-None-Match", "\"x\"")).await;
        assert_eq!((other.status, &other.body), (200, &first.body), "{path}");
        let head = send(request(&api.client, Method::HEAD, path)).await;
        assert_eq!((head.status, &head.body, head.header("etag")), (200, &json!(""), tag.as_str()), "{path}");
        assert_eq!(head.header("content-length"), first.header("content-length"), "{path}");
    }
    let before = send(request(&api.client, Method::GET, &paths[2])).await;
    assert_eq!(api.client.post(&format!("/jobs/{job}/cancel"), json!(null)).await.0, 200);
    let after = send(request(&api.client, Method::GET, &paths[2]).header("If-None-Match", before.header("etag"))).await;
    assert_eq!((after.status, &after.body["state"]), (200, &json!("cancelled")));
    let missing = send(request(&api.client, Method::HEAD, &format!("/jobs/{}", uuid::Uuid::nil()))).await;
    assert_eq!((missing.status, missing.header("content-type")), (404, "application/problem+json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_refuses_a_change_once_the_resource_has_changed() {
    let api = api(&[]).await;
    let job = api.client.upload_text("a", "some words").await;
    let path = format!("/jobs/{job}");
    let seen = send(request(&api.client, Method::GET, &path)).await;
    let tag = seen.header("etag").to_owned();
    let document = format!("/documents/{}", seen.body["document_id"].as_str().unwrap());
    let document_tag = send(request(&api.client, Method::GET, &document)).await.header("etag").to_owned();
    let change = |action: &str, tag: &str| {
        send(request(&api.client, Method::POST, &format!("{path}/{action}")).header("If-Match", tag))
    };
    for wrong in ["\"x\"", &format!("W/{tag}"), "nonsense", ""] {
        for action in ["cancel", "retry"] {
            let refused = change(action, wrong).await;
            assert_eq!((refused.status, refused.code()), (412, "precondition_failed"), "{action} {wrong}: {refused:?}");
        }
        let refused = send(request(&api.client, Method::DELETE, &document).header("If-Match", wrong)).await;
        assert_eq!((refused.status, refused.code()), (412, "precondition_failed"), "{wrong}: {refused:?}");
    }
    assert_eq!(send(request(&api.client, Method::GET, &path)).await.header("etag"), tag, "nothing has changed");
    let cancelled = change("cancel", &tag).await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (200, &json!("cancelled")), "{cancelled:?}");
    assert_eq!(change("cancel", &tag).await.status, 412, "the job has changed since it was read");
    assert_eq!(change("retry", &tag).await.status, 412);
    assert_eq!(
        change(
            "retry",
            &format!("\"x\", {}", { send(request(&api.client, Method::GET, &path)).await.header("etag").to_owned() })
        )
        .await
        .status,
        202
    );
    let refused = send(request(&api.client, Method::DELETE, &document).header("If-Match", &document_tag)).await;
    assert_eq!(refused.status, 412, "the retry has changed the document's ETag: {refused:?}");
    let gone = send(request(&api.client, Method::DELETE, &document).header("If-Match", "*")).await;
    assert_eq!(gone.status, 202, "{gone:?}");
    assert!(gone.header("location").ends_with(gone.body["deletion_id"].as_str().unwrap()));
    let gone = send(request(&api.client, Method::DELETE, &document).header("If-Match", "*")).await;
    assert_eq!((gone.status, gone.code()), (404, "document_not_found"));
}
