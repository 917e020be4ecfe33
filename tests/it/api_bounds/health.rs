//! `/health`, which is open to strangers.

use serde_json::{Value, json};

use crate::support::served::Plan;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_a_code_and_nothing_of_it_is_named() {
    let api = Plan::new().serve("postgres://keeper:hidden@127.0.0.1:1/cellar").await;
    let answer = reqwest::get(format!("{}/health", api.client.root)).await.unwrap();
    assert_eq!(answer.status(), 503);
    let text = answer.text().await.unwrap();
    let health: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(health["checks"], json!({ "database": "unreachable", "storage": "ok" }), "{text}");
    for secret in ["keeper", "hidden", "127.0.0.1", "cellar"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_nothing_is_degraded() {
    let test = crate::support::db::TestDb::new().await;
    let api = Plan::new().serve(&test.url).await;
    let storage = api.storage();
    // A file stands in the way of the folder that the probe writes to.
    std::fs::write(storage.join("health"), b"").unwrap();
    let answer = reqwest::get(format!("{}/health", api.client.root)).await.unwrap();
    let health: Value = answer.error_for_status().unwrap().json().await.unwrap();
    assert_eq!((&health["status"], &health["checks"]["database"]), (&json!("degraded"), &json!("ok")), "{health}");
    assert_ne!(health["checks"]["storage"], "ok", "{health}");
}
