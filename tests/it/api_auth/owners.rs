//! Another user's rows look as if they did not exist: over HTTP, and in every statement that the API runs for a user.

use std::{fs, path::Path};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    db::TestDb,
    fleet::{Client, Fleet},
};

async fn all_rows(test: &TestDb) -> Vec<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for table in ["documents", "upload_jobs", "document_chunks", "events", "uploads", "storage_deletions"] {
        all.push(test.rows(&format!("SELECT t::text FROM upload_pipeline.{table} AS t ORDER BY 1")).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_another_user_are_404_on_every_route_and_nothing_changes() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, owner) = fleet.api();
    let (_, kept_document) = owner.post("/documents", json!({ "title": "Mine", "text": "# Only mine" })).await;
    let (_, deleted_document) = owner.post("/documents", json!({ "title": "Gone", "text": "# Gone" })).await;
    let id = |answer: &Value, name: &str| answer["documents"][0][name].as_str().unwrap().to_owned();
    let (job, document) = (id(&kept_document, "job_id"), id(&kept_document, "document_id"));
    let (_, receipt) =
        owner.send(Method::DELETE, &format!("/documents/{}", id(&deleted_document, "document_id")), None).await;
    let deletion = receipt["deletion_id"].as_str().unwrap();
    let before = all_rows(&test).await;
    let other_user = owner.as_user(&Uuid::new_v4().to_string());
    for (method, path, code) in [
        (Method::GET, format!("/jobs/{job}"), "job_not_found"),
        (Method::GET, format!("/jobs/{job}/events"), "job_not_found"),
        (Method::POST, format!("/jobs/{job}/retry"), "job_not_found"),
        (Method::POST, format!("/jobs/{job}/cancel"), "job_not_found"),
        (Method::GET, format!("/documents/{document}"), "document_not_found"),
        (Method::GET, format!("/documents/{document}/chunks"), "document_not_found"),
        (Method::GET, format!("/documents/{document}/versions"), "document_not_found"),
        (Method::POST, format!("/documents/{document}/versions/1/restore"), "document_not_found"),
        (Method::DELETE, format!("/documents/{document}"), "document_not_found"),
        (Method::GET, format!("/deletions/{deletion}"), "deletion_not_found"),
    ] {
        let (status, body) = other_user.send(method.clone(), &path, None).await;
        assert_eq!((status, body["code"].as_str()), (404, Some(code)), "{method} {path}: {body}");
        // The answer is the same as for an id that does not exist.
        let unknown = path.replace(
            [job.as_str(), document.as_str(), deletion].into_iter().find(|id| path.contains(*id)).unwrap(),
            &Uuid::new_v4().to_string(),
        );
        let (_, mut other) = other_user.send(method, &unknown, None).await;
        other["request_id"] = body["request_id"].clone();
        assert_eq!(other, body);
    }
    for path in ["/jobs", "/documents"] {
        assert_eq!(other_user.get(path).await.1["items"], json!([]), "{path}");
    }
    let (_, retried) = other_user.post("/jobs/retry", json!({ "job_ids": [job] })).await;
    assert_eq!((&retried["queued"], &retried["skipped"][0]["code"]), (&0.into(), &"job_not_found".into()), "{retried}");
    for search in [
        json!({ "query": "mine", "mode": "text" }),
        json!({ "query": "mine", "mode": "text", "document_id": document }),
    ] {
        assert_eq!(other_user.post("/search", search).await.1["hits"], json!([]));
    }
    assert_eq!(all_rows(&test).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_private_route_refuses_a_request_with_an_invalid_token() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let anonymous = Client { token: "x".to_owned(), ..client };
    let id = Uuid::new_v4();
    for (method, path) in [
        (Method::POST, "/upload".to_owned()),
        (Method::GET, "/documents".to_owned()),
        (Method::POST, "/documents".to_owned()),
        (Method::GET, format!("/documents/{id}")),
        (Method::PUT, format!("/documents/{id}")),
        (Method::DELETE, format!("/documents/{id}")),
        (Method::GET, format!("/documents/{id}/versions")),
        (Method::POST, format!("/documents/{id}/versions/1/restore")),
        (Method::GET, format!("/documents/{id}/chunks")),
        (Method::GET, format!("/deletions/{id}")),
        (Method::GET, "/jobs".to_owned()),
        (Method::POST, "/jobs/retry".to_owned()),
        (Method::GET, format!("/jobs/{id}")),
        (Method::GET, format!("/jobs/{id}/events")),
        (Method::POST, format!("/jobs/{id}/retry")),
        (Method::POST, format!("/jobs/{id}/cancel")),
        (Method::POST, "/search".to_owned()),
        (Method::GET, "/usage".to_owned()),
        (Method::POST, "/estimate".to_owned()),
        (Method::PATCH, "/jobs".to_owned()),
        (Method::GET, "/no/such/route".to_owned()),
    ] {
        assert_eq!(anonymous.send(method.clone(), &path, None).await.0, 401, "{method} {path}");
    }
}

/// Reads the functions of the crate `store` that take a user: each statement in them must name `user_id`, or hand the user to a
/// function of the database as `p_user`.
#[test]
fn every_statement_that_runs_for_a_user_names_the_owner() {
    let mut checked = 0;
    for folder in
        ["crates/store/src", "crates/store/src/jobs", "crates/store/src/uploads", "crates/store/src/uploads/replace"]
    {
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for function in text.split("\nasync fn ").flat_map(|part| part.split("\npub async fn ")).skip(1) {
                let function = function.split("\n}\n").next().unwrap_or_default();
                let Some((signature, body)) = function.split_once('{') else { continue };
                if !signature.contains("user: UserId") {
                    continue;
                }
                for statement in body.split("\"-- ").skip(1).filter_map(|rest| rest.split('"').next()) {
                    checked += 1;
                    let name = statement.lines().next().unwrap_or_default();
                    assert!(
                        statement.contains("user_id")
                            || statement.contains("p_user =>")
                            || OWNED_OTHERWISE.contains(&name),
                        "the function of {name} in {} takes a user, but the statement does not name user_id",
                        path.display()
                    );
                }
            }
        }
    }
    assert!(checked >= 12, "only {checked} statements were found: the scan no longer recognises them");
}

/// Statements that a user's request runs and that need no owner, each with the reason.
const OWNED_OTHERWISE: &[&str] = &[
    // A lock named after the user; touches no row.
    "lock_user_uploads",
];
