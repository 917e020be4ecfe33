//! A document's markdown and original, as answers and on the command line.

use reqwest::Method;

use super::{api, request, send, sha256};
use crate::support::fleet::Client;

const TEXT: &[u8] = b"# Whales\r\n\r\nThe blue whale sings below twenty hertz.\r\n";
const READ: &str = "# Whales\n\nThe blue whale sings below twenty hertz.\n";

async fn upload(client: &Client, name: &str) -> (String, String) {
    let answer = client.upload_file(name, "text/markdown", TEXT).await;
    let id = |field: &str| answer[field].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (id("job_id"), id("document_id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_uploaded_and_what_was_read_can_be_had_back_by_their_owner_only() {
    let mut api = api(&[]).await;
    let (job, document) = upload(&api.client, "wh\u{fc}les \"1\".md").await;
    let (markdown, file) = (format!("/documents/{document}/markdown"), format!("/documents/{document}/file"));
    let early = send(request(&api.client, Method::GET, &markdown)).await;
    assert_eq!((early.status, early.code()), (409, "markdown_not_ready"));

    let _worker = api.fleet.worker();
    assert_eq!(api.client.wait_for_end(&job).await["status"], "complete");
    let read = request(&api.client, Method::GET, &markdown).send().await.unwrap();
    assert_eq!(read.headers()["content-type"], "text/markdown; charset=utf-8");
    assert_eq!(read.text().await.unwrap(), READ);
    let original = request(&api.client, Method::GET, &file).send().await.unwrap();
    let headers = original.headers().clone();
    assert_eq!(headers["content-length"], TEXT.len().to_string());
    assert_eq!(
        headers["content-disposition"],
        "attachment; filename=\"wh_les _1_.md\"; filename*=UTF-8''wh%C3%BCles%20%221%22.md"
    );
    assert_eq!(original.bytes().await.unwrap(), TEXT);

    let tag = headers["etag"].to_str().unwrap();
    let ask = |name: &'static str, value: &str| request(&api.client, Method::GET, &file).header(name, value).send();
    assert_eq!(ask("if-none-match", tag).await.unwrap().status(), 304);
    let part = ask("range", "bytes=2-7").await.unwrap();
    assert_eq!((part.status().as_u16(), part.headers()["content-range"].to_str().unwrap()), (206, "bytes 2-7/54"));
    assert_eq!(part.bytes().await.unwrap(), "Whales");
    let beyond = ask("range", "bytes=54-").await.unwrap();
    assert_eq!(beyond.status(), 416);
    let head = send(request(&api.client, Method::HEAD, &file)).await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, "54", Some("")));

    let stranger = api.client.as_user("22222222-2222-4222-8222-222222222222");
    for path in [&markdown, &file] {
        let refused = send(request(&stranger, Method::GET, path)).await;
        assert_eq!((refused.status, refused.code()), (404, "document_not_found"), "{path}");
    }

    api.fleet.set("APP_URL", &api.client.root);
    api.fleet.set("APP_TOKEN", &api.client.token);
    let (status, stdout, stderr) = api.fleet.run(&["documents", "get", &document, "--markdown"]);
    assert!(status.success() && stdout == READ, "{stdout} {stderr}");
    let saved = api.fleet.file("saved.md", b"older");
    let (status, _, stderr) = api.fleet.run(&["documents", "get", &document, "--file", "-o", saved.to_str().unwrap()]);
    assert!(status.success(), "{stderr}");
    assert_eq!(std::fs::read(&saved).unwrap(), TEXT);
    let (status, stdout, stderr) = api.fleet.run(&["documents", "get", &document]);
    assert!(status.success() && stdout.contains(&sha256(TEXT)), "{stdout} {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_says_so_with_a_code_of_its_own() {
    let api = api(&[]).await;
    let (_, document) = upload(&api.client, "a.md").await;
    let code = async |what: &str| {
        let answer = send(request(&api.client, Method::GET, &format!("/documents/{document}/{what}"))).await;
        (answer.status, answer.code().to_owned())
    };
    assert_eq!(code("file").await.0, 200);
    api.test
        .run("UPDATE upload_pipeline.documents SET parsed_path = 'parsed/none', parsed_sha256 = repeat('a', 64)")
        .await;
    assert_eq!(code("markdown").await, (409, "markdown_missing".to_owned()));
    api.test.run("UPDATE upload_pipeline.documents SET raw_path = 'raw/none'").await;
    assert_eq!(code("file").await, (409, "file_not_stored".to_owned()));
    api.test.run("UPDATE upload_pipeline.documents SET raw_path = ''").await;
    assert_eq!(code("file").await, (410, "file_removed".to_owned()));
}
