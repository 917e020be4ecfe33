//! API keys from the command line to the request.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::code;
use crate::support::{
    db::TestDb,
    fleet::{Client, Fleet, USER},
};

/// Status and code of a request with this key, for `user` where named.
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
async fn a_key_is_known_by_its_hash_used_to_the_hour_and_out_once_revoked_or_expired() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let key = fleet.create_key(&["laptop", "--user", USER]);
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.api_keys WHERE last_used_at IS NULL").await, "1");
    let whole = test.rows("SELECT * FROM upload_pipeline.api_keys").await;
    assert!(!format!("{whole:?}").contains(&key[4..]), "the key itself is stored: {whole:?}");
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
    let days = fleet.create_key(&["guest", "--user", USER, "--expires-days", "1"]);
    assert_eq!(code(&client, &days).await, "ok");
    assert_eq!(
        test.value("SELECT expires_at BETWEEN now() + interval '23 hours' AND now() + interval '25 hours' FROM upload_pipeline.api_keys WHERE name = 'guest'").await,
        "t"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scope_holds_the_one_before_and_admin_deletes_for_users_that_it_names() {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let nothing = format!("/documents/{}", Uuid::new_v4());
    let missing = (404, "document_not_found".to_owned());
    let lacking = (403, "scope_missing".to_owned());
    let taken = (202, "-".to_owned());
    let of_many = |scope: &str| fleet.create_key(&["service", "--scope", scope]);
    let (read, write, admin) = (of_many("read"), of_many("write"), of_many("admin"));
    for (key, may_write, may_delete) in [(&read, false, false), (&write, true, false), (&admin, true, true)] {
        assert_eq!(send(&client, key, Some(USER), Method::GET, "/documents").await.0, 200);
        let (wrote, deleted) =
            (if may_write { &taken } else { &lacking }, if may_delete { &missing } else { &lacking });
        assert_eq!(&send(&client, key, Some(USER), Method::POST, "/documents").await, wrote);
        assert_eq!(&send(&client, key, Some(USER), Method::DELETE, &nothing).await, deleted);
        assert_eq!(send(&client, key, None, Method::GET, "/documents").await, (400, "user_required".to_owned()));
        assert_eq!(send(&client, key, Some("me"), Method::GET, "/documents").await, (400, "user_invalid".to_owned()));
    }
    // A user's own key deletes what is the user's; there is nothing that admin would add, so it is not made.
    let (read, write) =
        (fleet.create_key(&["r", "--user", USER, "--scope", "read"]), fleet.create_key(&["w", "--user", USER]));
    assert_eq!(send(&client, &read, None, Method::DELETE, &nothing).await, lacking);
    assert_eq!(send(&client, &write, None, Method::DELETE, &nothing).await, missing);
    let other = Uuid::new_v4().to_string();
    assert_eq!(send(&client, &write, Some(&other), Method::GET, "/jobs").await, (403, "user_forbidden".to_owned()));
    let (status, _, said) = fleet.run(&["keys", "create", "a", "--user", USER, "--scope", "admin"]);
    assert!(!status.success() && said.contains("keys without --user"), "{said}");
}
