//! A scan from upload to search: OCR by the real Tesseract, and what a crash in the middle costs.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Instant};

use serde_json::json;

use crate::support::{
    db::TestDb,
    fleet::{Fleet, PATIENCE},
};

const TWO_SCANNED_PAGES: &[u8] = include_bytes!("../data/scanned.pdf");

/// A fleet whose workers find this script as Tesseract. `$real` in it is the real one.
struct Scanning {
    test: TestDb,
    fleet: Fleet,
    folder: PathBuf,
}

impl Scanning {
    async fn new() -> Self {
        let test = TestDb::new().await;
        let mut fleet = Fleet::new(&test.url, &test.url);
        let folder = fleet.folder("bin");
        let path = std::env::var("PATH").unwrap_or_default();
        fleet.set("PATH", &format!("{}:{path}", folder.display()));
        fleet.set("OCR_ENGINE", "tesseract");
        Self { test, fleet, folder }
    }

    fn engine(&self, then: &str) {
        let real = std::env::var("APP_TESSERACT").expect("scripts/test names Tesseract");
        let script = format!(
            "#!/bin/sh\nreal={real}\ncase \"$*\" in *list-langs*) exec \"$real\" \"$@\" ;; esac\n{then}\nexec \"$real\" \"$@\"\n"
        );
        let (file, new) = (self.folder.join("tesseract"), self.folder.join("new"));
        fs::write(&new, script).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, file).unwrap();
    }

    async fn stored_pages(&self) -> Vec<Vec<String>> {
        self.test.rows("SELECT page::text FROM upload_pipeline.ocr_pages ORDER BY page").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_read_found_and_its_record_names_the_engine() {
    let scanning = Scanning::new().await;
    scanning.engine("");
    let (_api, client) = scanning.fleet.api();
    let _worker = scanning.fleet.worker();
    let accepted = client.upload_file("letter.pdf", "application/pdf", TWO_SCANNED_PAGES).await;
    let job = client.wait_for_end(accepted["job_id"].as_str().unwrap()).await;
    assert_eq!(job["status"], "complete", "{job}");
    let (_, found) = client.get(&format!("/documents/{}", accepted["document_id"].as_str().unwrap())).await;
    let record = &found["record"];
    assert_eq!((&record["pages"], &record["read"], &record["ocr"]), (&json!(2), &json!(0), &json!(2)), "{record}");
    let by = &record["by_ocr"][0];
    assert_eq!((&by["engine"], &by["pages"]), (&json!("tesseract"), &json!([1, 2])), "{record}");
    let (_, found) = client.post("/search", json!({ "query": "otter", "mode": "text" })).await;
    assert_eq!(
        (&found["hits"][0]["filename"], &found["hits"][0]["page_last"]),
        (&json!("letter.pdf"), &json!(2)),
        "{found}"
    );
    // What was read on the way is not kept.
    assert!(scanning.stored_pages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_costs_only_the_page_in_hand() {
    let scanning = Scanning::new().await;
    // An engine may write no file; a folder is how it tells the next one. The second page's does not end.
    let mark = |name: &str| scanning.folder.join(name).display().to_string();
    scanning.engine(&format!("mkdir {} 2> /dev/null || while :; do :; done", mark("one")));
    let (_api, client) = scanning.fleet.api();
    let worker = scanning.fleet.worker();
    let accepted = client.upload_file("letter.pdf", "application/pdf", TWO_SCANNED_PAGES).await;
    let deadline = Instant::now() + PATIENCE;
    while scanning.stored_pages().await != [["1"]] {
        assert!(Instant::now() < deadline, "the first page was not stored");
        tokio::task::yield_now().await;
    }
    let (_, job) = client.get(&format!("/jobs/{}", accepted["job_id"].as_str().unwrap())).await;
    assert_eq!((&job["progress"]["pages"], &job["progress"]["pages_read"]), (&json!(2), &json!(1)), "{job}");
    worker.kill();
    // This one reads the same word on any page, so what the first one read shows.
    let hocr = "<?xml version='1.0'?><html><div class='ocr_page'><span class='ocr_line' title='bbox 1 1 190 20'>\
                <span class='ocrx_word' title='bbox 1 1 190 20; x_wconf 90'>kingfisher</span></span></div></html>";
    scanning.engine(&format!("cat > /dev/null\necho \"{hocr}\"\nexit 0"));
    let _worker = scanning.fleet.worker();
    let job = client.wait_for_end(accepted["job_id"].as_str().unwrap()).await;
    assert_eq!(job["status"], "complete", "{job}");
    let (_, found) = client.get(&format!("/documents/{}", accepted["document_id"].as_str().unwrap())).await;
    assert_eq!((&found["record"]["ocr"], &found["record"]["failed"]), (&json!(2), &json!(0)), "{found}");
    let (_, chunks) = client.get(&format!("/documents/{}/chunks", accepted["document_id"].as_str().unwrap())).await;
    let text = chunks["items"].to_string();
    assert!(text.contains("heron waits") && text.contains("kingfisher") && !text.contains("otter"), "{text}");
    assert!(scanning.stored_pages().await.is_empty());
}
