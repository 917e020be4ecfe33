//! Invalid multipart forms, and unusual valid ones.

use super::{Case, post, raw, refuse_all, wait_until};
use crate::requests::{api, files_in};

const FORM: &str = "multipart/form-data; boundary=b";

fn part(head: &str, body: &str) -> String {
    format!("--b\r\n{head}\r\n\r\n{body}\r\n")
}

fn file(disposition: &str, body: &str) -> String {
    part(&format!("Content-Disposition: form-data; name=\"f\"; {disposition}\r\nContent-Type: text/markdown"), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_forms_are_refused_and_store_nothing() {
    let api = api(&[("UPLOAD_MAX_BYTES", "5000")]).await;
    let (good, end) = (file("filename=\"a.md\"", "text"), "--b--\r\n");
    let note = part("Content-Disposition: form-data; name=\"note\"", "x");
    let headers: String = (0..40).map(|n| format!("X-H{n}: 1\r\n")).collect();
    let nested = format!(
        "{}{end}",
        part(
            "Content-Disposition: form-data; name=\"f\"; filename=\"a.md\"\r\nContent-Type: multipart/mixed; boundary=c",
            "--c\r\nContent-Disposition: file; filename=\"inner.md\"\r\n\r\ntext\r\n--c--"
        )
    );
    let with_end = |text: String| format!("{text}{end}");
    let cases: Vec<(&str, &str, String, u16, &'static str)> = vec![
        ("no boundary", "multipart/form-data", with_end(good.clone()), 400, "form_invalid"),
        ("an empty boundary", "multipart/form-data; boundary=", with_end(good.clone()), 400, "form_invalid"),
        ("another boundary", "multipart/form-data; boundary=c", with_end(good.clone()), 400, "form_invalid"),
        ("multipart/mixed", "multipart/mixed; boundary=b", with_end(good.clone()), 415, "content_type_invalid"),
        ("nothing", FORM, String::new(), 400, "form_invalid"),
        ("garbage", FORM, "not a form at all".to_owned(), 400, "form_invalid"),
        ("an end without parts", FORM, end.to_owned(), 422, "file_missing"),
        ("a part without a file", FORM, with_end(note.clone()), 422, "file_missing"),
        ("cut off in a head", FORM, "--b\r\nContent-Disposition: form-da".to_owned(), 400, "form_invalid"),
        ("cut off in a file", FORM, good[..good.len() - 4].to_owned(), 400, "body_incomplete"),
        ("no disposition", FORM, with_end(part("Content-Type: text/plain", "x")), 400, "form_invalid"),
        (
            "no name",
            FORM,
            with_end(part("Content-Disposition: form-data; filename=\"a.md\"", "x")),
            400,
            "form_invalid",
        ),
        (
            "an attachment",
            FORM,
            with_end(part("Content-Disposition: attachment; filename=\"a.md\"", "x")),
            400,
            "form_invalid",
        ),
        ("too many headers", FORM, with_end(part(&format!("{headers}X: y"), "x")), 400, "form_invalid"),
        ("a head of 1 MiB", FORM, with_end(part(&format!("X: {}", "y".repeat(1 << 20)), "x")), 413, "form_too_large"),
        ("10,000 parts", FORM, with_end(note.repeat(10_000)), 413, "form_too_large"),
        (
            "a large part that is not a file",
            FORM,
            with_end(part("Content-Disposition: form-data; name=\"n\"", &"x".repeat(2 << 20))),
            413,
            "form_too_large",
        ),
        ("1 MiB before the first part", FORM, with_end("x\r\n".repeat(350_000) + &good), 413, "form_too_large"),
        ("a form in the form", FORM, nested, 400, "form_invalid"),
        ("an empty file", FORM, with_end(file("filename=\"a.md\"", "")), 422, "file_empty"),
        ("a large file", FORM, with_end(file("filename=\"a.md\"", &"x".repeat(5001))), 413, "file_too_large"),
        ("an empty file name", FORM, with_end(file("filename=\"\"", "x")), 422, "filename_empty"),
        (
            "a file name with a right-to-left override",
            FORM,
            with_end(file("filename=\"a\u{202e}fdp.exe\"", "x")),
            422,
            "filename_invalid",
        ),
        (
            "a long file name",
            FORM,
            with_end(file(&format!("filename=\"{}\"", "n".repeat(121)), "x")),
            422,
            "filename_too_long",
        ),
        ("a file name in Latin-1", FORM, with_end(file("filename*=iso-8859-1''%e9.md", "x")), 422, "filename_invalid"),
        (
            "a file name that is not UTF-8",
            FORM,
            with_end(file("filename*=utf-8''%ff.md", "x")),
            422,
            "filename_invalid",
        ),
        ("a NUL in the file name", FORM, with_end(file("filename*=utf-8''a%00b.md", "x")), 422, "filename_invalid"),
    ];
    let mut refused: Vec<Case> = Vec::new();
    for (name, kind, body, status, code) in cases {
        // With an idempotency key too: a refused request must not store it.
        let keyed = post(&api, "/documents", kind, body.clone()).header("Idempotency-Key", name.replace(' ', "-"));
        refused.push(Case::new(format!("{name}, with a key"), keyed, status, code));
        refused.push(Case::new(name, post(&api, "/documents", kind, body), status, code));
    }
    let coded = post(&api, "/documents", FORM, with_end(good.clone())).header("content-encoding", "gzip");
    refused.push(Case::new("gzip", coded, 415, "content_encoding_invalid"));
    refuse_all(&api, refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_whose_connection_breaks_stores_nothing() {
    let api = api(&[]).await;
    let head = format!(
        "POST /api/upload-pipeline/documents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: {FORM}\r\nIdempotency-Key: gone\r\n",
        api.client.token
    );
    let body = file("filename=\"a.md\"", &"text ".repeat(2000));
    for (name, framing, body) in [
        ("fewer bytes than Content-Length", "Content-Length: 100000\r\n\r\n", body.clone()),
        ("half a chunk", "Transfer-Encoding: chunked\r\n\r\n", format!("{:x}\r\n{}", body.len() * 2, body)),
        ("an invalid chunk size", "Transfer-Encoding: chunked\r\n\r\n", format!("zz\r\n{body}")),
    ] {
        let (status, problem, text) = raw(&api, format!("{head}{framing}{body}").as_bytes()).await;
        assert!(status == 0 || (400..500).contains(&status), "{name}: {text}");
        assert!(status == 0 || problem["code"].is_string(), "{name}: {text}");
        wait_until(&api, "SELECT count(*) FROM upload_pipeline.uploads", "0").await;
        wait_until(&api, "SELECT count(*) FROM upload_pipeline.idempotency_keys", "0").await;
        assert!(files_in(&api.fleet.storage()).is_empty(), "{name}");
    }
    assert_eq!(api.test.value("SELECT count(*) FROM upload_pipeline.documents").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_valid_file_names_are_accepted_as_labels() {
    let api = api(&[]).await;
    let forms = [
        ("../../x.md", file("filename=\"../../x.md\"", "one")),
        ("\u{5d7}\u{5d5}\u{5d6}\u{5d4}.md", file("filename=\"\u{5d7}\u{5d5}\u{5d6}\u{5d4}.md\"", "two")),
        ("\u{fc}ber.md", file("filename*=UTF-8''%C3%BCber.md", "three")),
        ("plain.md", file("filename=\"plain.md\"; filename*=utf-8''other.md", "four")),
    ];
    for (name, body) in forms {
        let answer = crate::requests::send(post(&api, "/documents", FORM, format!("{body}--b--\r\n"))).await;
        assert_eq!((answer.status, &answer.body["documents"][0]["filename"]), (202, &name.into()), "{answer:?}");
    }
    let files = files_in(&api.fleet.storage());
    assert_eq!(files.len(), 4);
    assert!(files.iter().all(|file| !file.contains("x.md") && file.contains("raw/")), "{files:?}");
}
