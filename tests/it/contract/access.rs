//! Calls every operation of the served document without a token, with an expired one, as another user, with a read-only key
//! and as the owner. A new route is covered as soon as it is in the document.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    conform::{Answer, faults},
    support::{Operation, join, operations},
};
use crate::support::{
    db::TestDb,
    fleet::{App, Client, Fleet, SECRET, USER},
};

/// The file name of the owner's document.
const MINE: &str = "mine.md";
const OTHER: &str = "22222222-2222-4222-8222-222222222222";

/// An API, the OpenAPI document, and an owner with one resource of every kind.
struct World {
    test: TestDb,
    fleet: Fleet,
    client: Client,
    document: Value,
    ids: Ids,
    _api: App,
}

/// The owner's resources.
struct Ids {
    job: String,
    document: String,
    deletion: String,
    upload: String,
    judgement: String,
}

impl World {
    async fn new() -> Self {
        let test = TestDb::new().await;
        let fleet = Fleet::new(&test.url, &test.url);
        let (api, client) = fleet.api();
        let (_, document) = client.get("/openapi.json").await;
        let ids = Ids::make(&client).await;
        Self { test, fleet, client, document, ids, _api: api }
    }

    /// Sends the operation with the document's own examples and the owner's ids, and asserts that the document describes the
    /// answer.
    async fn call(&self, operation: &Operation<'_>, token: Option<&str>) -> Answer {
        let server = &operation.servers(&self.document)[0];
        let mut url = format!("{}{}", self.client.root, join(server, &self.path(operation)));
        let required = |parameter: &&Value| parameter["in"] == "query" && parameter["required"] == true;
        for parameter in operation.value["parameters"].as_array().into_iter().flatten().filter(required) {
            let separator = if url.contains('?') { '&' } else { '?' };
            let name = plain(&parameter["name"]);
            url.push_str(&format!("{separator}{name}={}", plain(&parameter["example"])));
        }
        let method: Method = operation.method.to_uppercase().parse().unwrap();
        let mut request = reqwest::Client::new().request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some((kind, body)) = self.body(operation) {
            request = request.header("content-type", kind).body(body);
        }
        let answer = read(request.send().await.unwrap()).await;
        let wrong = faults(&self.document, operation, &answer);
        assert!(wrong.is_empty(), "{} answered {}: {wrong:?}", operation.name(), answer.status);
        answer
    }

    fn path(&self, operation: &Operation<'_>) -> String {
        let mut parts: Vec<String> = Vec::new();
        for part in operation.path.split('/') {
            let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
                let page = || plain(&parameter(operation, "n")["example"]);
                parts.push(if part.contains("{n}") { part.replace("{n}", &page()) } else { part.to_owned() });
                continue;
            };
            let kind = if name == "id" { parts.last().cloned().unwrap_or_default() } else { name.to_owned() };
            parts.push(match kind.as_str() {
                "jobs" | "job_id" => self.ids.job.clone(),
                "documents" | "document_id" => self.ids.document.clone(),
                "deletions" => self.ids.deletion.clone(),
                "upload_id" => self.ids.upload.clone(),
                "judgements" => self.ids.judgement.clone(),
                _ => plain(&parameter(operation, name)["example"]),
            });
        }
        parts.join("/")
    }

    /// The first example of a required body, with the owner's ids in it.
    fn body(&self, operation: &Operation<'_>) -> Option<(String, String)> {
        let body = &operation.value["requestBody"];
        let contents = body["content"].as_object().filter(|_| body["required"] == true)?;
        let (kind, content) = contents.get_key_value("application/json").or_else(|| contents.iter().next())?;
        let example = content["examples"].as_object().and_then(|examples| examples.values().next());
        let mut body = example.map_or(&content["example"], |example| &example["value"]).clone();
        if body["job_ids"].is_array() {
            body["job_ids"] = json!([self.ids.job]);
        }
        if names_a_document(operation) {
            body["document_id"] = json!(self.ids.document);
        }
        if kind == "multipart/form-data" {
            let kind = format!("{kind}; boundary=part");
            let file = "--part\r\nContent-Disposition: form-data; name=\"file\"; filename=\"new.md\"\r\n\
                Content-Type: text/markdown\r\n\r\n# New\r\n--part--\r\n";
            return Some((kind, file.to_owned()));
        }
        Some((kind.clone(), plain(&body)))
    }

    /// Every row and stored file that belongs to the owner.
    async fn owned(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let Ids { job, document, deletion, upload, judgement } = &self.ids;
        let ids = [USER, job, document, deletion, upload, judgement];
        let tables = self
            .test
            .rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'upload_pipeline' AND table_type = 'BASE TABLE'")
            .await;
        for table in tables.into_iter().flatten() {
            let rows = self.test.rows(&format!("SELECT to_jsonb(t)::text FROM upload_pipeline.{table} AS t")).await;
            let rows = rows.into_iter().flatten().filter(|row| ids.iter().any(|id| row.contains(id)));
            found.extend(rows.map(|row| format!("{table} {row}")));
        }
        let folder = self.fleet.storage().join("raw").join(USER);
        for file in std::fs::read_dir(folder).into_iter().flatten() {
            found.insert(format!("file {}", file.unwrap().path().display()));
        }
        found
    }
}

impl Ids {
    async fn make(client: &Client) -> Self {
        let deleted_job = client.upload_text("gone", "# Gone\n\nsoon").await;
        let (_, job) = client.get(&format!("/jobs/{deleted_job}")).await;
        let path = format!("/documents/{}", job["document_id"].as_str().unwrap());
        let (status, receipt) = client.send(Method::DELETE, &path, None).await;
        assert_eq!(status, 202, "{receipt}");
        let announced = json!({ "filename": "a.txt", "bytes_len": 3, "mime": "text/plain", "sha256": "ab".repeat(32) });
        let (status, upload) = client.post("/upload", announced).await;
        assert_eq!(status, 201, "{upload}");
        let signed = upload["signed_url"].as_str().unwrap();
        let upload = signed.split("/uploads/").nth(1).unwrap().split('?').next().unwrap().to_owned();
        let job = client.upload_text("mine", "# Mine\n\nand only mine").await;
        let (_, view) = client.get(&format!("/jobs/{job}")).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let document = text(&view["document_id"]);
        let judged = json!({ "query": "whose?", "document_id": document, "text": "only mine", "verdict": "right" });
        let (status, judgement) = client.post("/search/judgements", judged).await;
        assert_eq!(status, 200, "{judgement}");
        let judgement = text(&judgement["judgement_id"]);
        Self { job, document, deletion: text(&receipt["deletion_id"]), upload, judgement }
    }
}

fn parameter<'a>(operation: &'a Operation<'_>, name: &str) -> &'a Value {
    let parameters = operation.value["parameters"].as_array().unwrap();
    parameters.iter().find(|parameter| parameter["name"] == name).unwrap_or_else(|| panic!("{name} is not documented"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn read(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let headers = response.headers().keys().map(|name| name.as_str().to_owned()).collect();
    let text = response.text().await.unwrap();
    Answer { status, content_type, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

/// Whether its body names a document of the caller, which another user's is not.
fn names_a_document(operation: &Operation<'_>) -> bool {
    operation.path == "/search/judgements" && operation.method == "post"
}

/// Whether the operation only reads. It goes by the HTTP method, not by the scopes in the document.
fn is_read_only(operation: &Operation<'_>) -> bool {
    matches!(operation.method, "get" | "head") || ["/search", "/search/terms"].contains(&operation.path)
}

/// Whether the answer has this status and code. An answer to HEAD has no body, and so no code.
fn is_refused(operation: &Operation<'_>, answer: &Answer, status: u16, code: &str) -> bool {
    answer.status == status && (operation.method == "head" || answer.code() == code)
}

#[tokio::test(flavor = "multi_thread")]
async fn private_routes_refuse_a_missing_and_an_expired_token() {
    let world = World::new().await;
    let expired = expired_token();
    let before = world.owned().await;
    let mut private = 0;
    for operation in operations(&world.document) {
        let name = operation.name();
        let anonymous = world.call(&operation, None).await;
        if !operation.is_private() {
            let succeeded = (200..300).contains(&anonymous.status);
            assert_eq!(succeeded, is_read_only(&operation), "{name}: {}", anonymous.status);
            continue;
        }
        private += 1;
        assert!(
            is_refused(&operation, &anonymous, 401, "token_missing"),
            "{name}: {} {}",
            anonymous.status,
            anonymous.body
        );
        assert!(anonymous.headers.contains(&"www-authenticate".to_owned()), "{name}");
        let expired_answer = world.call(&operation, Some(&expired)).await;
        assert!(
            is_refused(&operation, &expired_answer, 401, "token_expired"),
            "{name}: {} {}",
            expired_answer.status,
            expired_answer.body
        );
    }
    assert!(private >= 13, "only {private} private operations were found");
    assert_eq!(world.owned().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_finds_and_changes_nothing_on_any_route() {
    let world = World::new().await;
    let other = world.client.as_user(OTHER);
    let before = world.owned().await;
    assert!(before.len() > 5, "{before:?}");
    for operation in operations(&world.document).into_iter().filter(Operation::is_private) {
        let (name, answer) = (operation.name(), world.call(&operation, Some(&other.token)).await);
        let text = answer.body.to_string();
        if operation.path.contains('{') || names_a_document(&operation) {
            assert_eq!(answer.status, 404, "{name}: {text}");
            let is_not_found = operation.method == "head" || answer.code().ends_with("_not_found");
            assert!(is_not_found, "{name}: {text}");
        } else {
            assert!((200..300).contains(&answer.status), "{name}: {text}");
            for list in ["items", "hits"] {
                // The lists may contain documents that this loop has uploaded as the other user.
                let found = answer.body[list].as_array();
                let hides_mine = found.is_none_or(|list| list.iter().all(|item| item["filename"] != MINE));
                assert!(hides_mine, "{name}: {text}");
            }
            assert_eq!(answer.body.get("queued").unwrap_or(&json!(0)), 0, "{name}: {text}");
        }
        for id in [&world.ids.document, &world.ids.upload] {
            assert!(!text.contains(id.as_str()), "{name} shows {id} to another user: {text}");
        }
    }
    assert_eq!(world.owned().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_key_reads_everything_and_changes_nothing() {
    let world = World::new().await;
    let key = world.fleet.create_key(&["read-only", "--user", USER, "--scope", "read"]);
    // The first use of a key writes its `last_used_at`, so use it before the comparison.
    assert_eq!(Client { root: world.client.root.clone(), token: key.clone() }.get("/jobs").await.0, 200);
    let before = world.owned().await;
    for operation in operations(&world.document).into_iter().filter(Operation::is_private) {
        let (name, answer) = (operation.name(), world.call(&operation, Some(&key)).await);
        if is_read_only(&operation) {
            // The document waits for a worker, so it has no markdown and no pages yet.
            let unread = ["markdown_not_ready", "pages_not_shown"];
            let unread = unread.iter().any(|code| is_refused(&operation, &answer, 409, code));
            assert!((200..300).contains(&answer.status) || unread, "{name}: {}", answer.body);
        } else {
            assert!(is_refused(&operation, &answer, 403, "scope_missing"), "{name}: {} {}", answer.status, answer.body);
        }
    }
    assert_eq!(world.owned().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_to_the_owner_match_the_contract() {
    let world = World::new().await;
    let mut all: Vec<_> = operations(&world.document).into_iter().filter(Operation::is_private).collect();
    // Operations that delete come last, and the document after what goes with it.
    all.sort_by_key(|operation| (operation.method == "delete", operation.path == "/documents/{id}"));
    for operation in all {
        let answer = world.call(&operation, Some(&world.client.token)).await;
        let is_documented_success = (200..300).contains(&answer.status) || answer.status == 409;
        assert!(is_documented_success, "{}: {}", operation.name(), answer.body);
    }
}

/// A token that expired two minutes ago.
fn expired_token() -> String {
    let past = OffsetDateTime::now_utc().unix_timestamp() - 120;
    let claims = json!({ "sub": USER, "aud": "authenticated", "exp": past });
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}
