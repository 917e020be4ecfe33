//! The routes of the running server, compared with the document that it serves.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::Value;

use super::support::{join, operations};
use crate::support::{db::TestDb, fleet::Fleet};

const ID: &str = "01890000-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_the_contract_exists_and_accepts_only_its_methods() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let http = reqwest::Client::new();
    let (status, document) = client.get("/openapi.json").await;
    assert_eq!(status, 200);
    let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for operation in operations(&document) {
        for server in operation.servers(&document) {
            paths.entry(join(&server, operation.path)).or_default().insert(operation.method.to_uppercase());
        }
    }
    assert!(paths.len() > 25, "{paths:?}");
    for (path, methods) in paths {
        let url = format!(
            "{}{}",
            client.root,
            path.replace("{id}", ID)
                .replace("{upload_id}", ID)
                .replace("{job_id}", ID)
                .replace("{file}", "x")
                .replace("{n}", "1")
        );
        let answer = http.request(Method::TRACE, &url).bearer_auth(&client.token).send().await.unwrap();
        let allow = answer.headers().get("allow").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!(answer.status(), 405, "{path}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "method_not_allowed", "{path}");
        let accepted: BTreeSet<String> = allow.split(", ").map(str::to_owned).collect();
        assert_eq!(accepted, methods, "{path}");
    }
    // The document below the root is the same.
    let at_root: Value = reqwest::get(format!("{}/openapi.json", client.root)).await.unwrap().json().await.unwrap();
    assert_eq!(at_root, document);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docs_page_loads_files_only_from_its_own_server() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    for base in [client.root.clone(), client.url("")] {
        let page = reqwest::get(format!("{base}/docs")).await.unwrap();
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        let page = page.text().await.unwrap();
        assert!(!page.contains("http://") && !page.contains("https://"), "the page loads something from another host");
        let mut files = 0;
        for link in page.split(['"']).filter(|word| word.starts_with("docs/")) {
            let file = reqwest::get(format!("{base}/{link}")).await.unwrap();
            assert_eq!(file.status(), 200, "{link}");
            let kind =
                if link.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
            assert_eq!(file.headers()["content-type"], kind, "{link}");
            assert!(!file.bytes().await.unwrap().is_empty(), "{link}");
            files += 1;
        }
        assert_eq!(files, 4);
        let missing = reqwest::get(format!("{base}/docs/nothing.js")).await.unwrap();
        assert_eq!(missing.status(), 404);
        assert_eq!(missing.headers()["content-type"], "application/problem+json");
    }
}
