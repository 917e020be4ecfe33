//! API keys: created and revoked on the command line, used in requests.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::code;
use crate::support::{
    db::TestDb,
    fleet::{Client, Fleet, USER},
};

/// Sends a request with this key, for `user` if given; returns status and problem code.
async fn send(client: &Client, key: &str, user: Option<&str>, method: Method, path: &str) -> (u16, String) {
    let mut request = reqwest::Client::new().request(method.clone(), client.url(path)).bearer_auth(key);
    if let Some(user) = user {
        request = request.header("x-user-id", user);
    }
    if method == Method::POST {
        request = request.json(&json!({ "title": "Notes", "text": format!("# {}", Uuid::new_v4()) }));
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: serde_json::Value = response.json().await.unwrap();
    (status, body["code"].as_str().unwrap_or("-").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_stored_as_a_hash_shows_its_last_use_and_ends_when_revoked_or_expired() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let key = fleet.create_key(&["laptop", "--user", USER]);
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.api_keys WHERE last_used_at IS NULL").await, "1");
    let rows = test.rows("SELECT * FROM upload_pipeline.api_keys").await;
    assert!(!format!("{rows:?}").contains(&key[4..]), "the key itself is stored: {rows:?}");
    assert_eq!(code(&client, &key).await, "ok");
    assert_eq!(
        test.value("SELECT last_used_at = date_trunc('hour', last_used_at) AND last_used_at > now() - interval '1 hour' FROM upload_pipeline.api_keys").await,
        "t"
    );
    let (_, table, _) = fleet.run(&["keys", "list"]);
    let id = test.value("SELECT key_id FROM upload_pipeline.api_keys").await;
    assert!(table.contains(&id) && table.contains("laptop") && !table.contains(&key), "{table}");
    for wrong in [&key[..key.len() - 1], &format!("{key}A"), "apk_", "apk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        assert_eq!(code(&client, wrong).await, "token_invalid", "{wrong}");
    }
    test.run("UPDATE upload_pipeline.api_keys SET expires_at = now() - interval '1 second'").await;
    assert_eq!(code(&client, &key).await, "token_expired");
    test.run("UPDATE upload_pipeline.api_keys SET expires_at = now() + interval '1 day'").await;
    assert_eq!(code(&client, &key).await, "ok");
    assert!(fleet.run(&["keys", "revoke", &id]).0.success());
    assert_eq!(code(&client, &key).await, "token_invalid");
    assert!(!fleet.run(&["keys", "revoke", &id]).0.success(), "a revoked key cannot be revoked again");
    let guest = fleet.create_key(&["guest", "--user", USER, "--expires-days", "1"]);
    assert_eq!(code(&client, &guest).await, "ok");
    assert_eq!(
        test.value("SELECT expires_at BETWEEN now() + interval '23 hours' AND now() + interval '25 hours' FROM upload_pipeline.api_keys WHERE name = 'guest'").await,
        "t"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scope_includes_the_lower_ones_and_only_admin_deletes_for_other_users() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let unknown_document = format!("/documents/{}", Uuid::new_v4());
    let missing = (404, "document_not_found".to_owned());
    let scope_missing = (403, "scope_missing".to_owned());
    let accepted = (202, "-".to_owned());
    let create_key = |scope: &str| fleet.create_key(&["service", "--scope", scope]);
    let (read, write, admin) = (create_key("read"), create_key("write"), create_key("admin"));
    for (key, may_write, may_delete) in [(&read, false, false), (&write, true, false), (&admin, true, true)] {
        assert_eq!(send(&client, key, Some(USER), Method::GET, "/documents").await.0, 200);
        let (wrote, deleted) =
            (if may_write { &accepted } else { &scope_missing }, if may_delete { &missing } else { &scope_missing });
        assert_eq!(&send(&client, key, Some(USER), Method::POST, "/documents").await, wrote);
        assert_eq!(&send(&client, key, Some(USER), Method::DELETE, &unknown_document).await, deleted);
        assert_eq!(send(&client, key, None, Method::GET, "/documents").await, (400, "user_required".to_owned()));
        assert_eq!(send(&client, key, Some("me"), Method::GET, "/documents").await, (400, "user_invalid".to_owned()));
    }
    // A key of one user may delete that user's documents. The scope admin would add nothing, so `keys create` refuses it.
    let (read, write) =
        (fleet.create_key(&["r", "--user", USER, "--scope", "read"]), fleet.create_key(&["w", "--user", USER]));
    assert_eq!(send(&client, &read, None, Method::DELETE, &unknown_document).await, scope_missing);
    assert_eq!(send(&client, &write, None, Method::DELETE, &unknown_document).await, missing);
    let other = Uuid::new_v4().to_string();
    assert_eq!(send(&client, &write, Some(&other), Method::GET, "/jobs").await, (403, "user_forbidden".to_owned()));
    let (status, _, stderr) = fleet.run(&["keys", "create", "a", "--user", USER, "--scope", "admin"]);
    assert!(!status.success() && stderr.contains("keys without --user"), "{stderr}");
}
