//! Where passages stand on the pages of their file: from the reader through the rows to chunks and hits.

use serde_json::{Value, json};

use crate::support::{
    db::TestDb,
    fleet::{App, Client, Fleet},
};

const POLICY: &[u8] = include_bytes!("../../samples/home-insurance-policy.pdf");
const HANDBOOK: &[u8] = include_bytes!("../../samples/office-handbook.docx");

/// A page of 600 by 800 points that is called iv, with one line whose letters stand on a line 100 points below its top.
pub const LABELLED: &str = "%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R/PageLabels<</Nums[0<</S/r/St 4>>]>>>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>> endobj
4 0 obj <</Length 63>> stream
BT /F1 20 Tf 60 700 Td (The heron waits in the reeds.) Tj ET   
endstream endobj
5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj
trailer <</Root 1 0 R>>
%%EOF
";

struct World {
    test: TestDb,
    fleet: Fleet,
    client: Client,
    _api: App,
    _worker: App,
}

async fn world() -> World {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (api, client) = fleet.api();
    let worker = fleet.worker();
    World { test, fleet, client, _api: api, _worker: worker }
}

impl World {
    /// Uploads a file and waits until it is searchable; returns the ids of its job and of its document.
    async fn complete(&self, name: &str, mime: &str, bytes: &[u8]) -> (String, String) {
        let sent = self.client.upload_file(name, mime, bytes).await;
        let job = sent["job_id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
        let ended = self.client.wait_for_end(&job).await;
        assert_eq!(ended["status"], "complete", "{ended}");
        (job, ended["document_id"].as_str().unwrap().to_owned())
    }

    async fn chunks(&self, document: &str) -> Vec<Value> {
        let (status, page) = self.client.get(&format!("/documents/{document}/chunks?limit=200")).await;
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_says_where_it_stands_and_what_the_page_is_called() {
    let world = world().await;
    let (_, document) = world.complete("heron.pdf", "application/pdf", LABELLED.as_bytes()).await;
    let (_, found) = world.client.post("/search", json!({ "query": "heron", "document_id": document })).await;
    let hit = &found["hits"][0];
    assert_eq!((&hit["page_first"], &hit["page_label"]), (&json!(1), &json!("iv")), "{found}");
    let [place] = hit["boxes"].as_array().unwrap().as_slice() else { panic!("{hit}") };
    let edge = |name: &str| place[name].as_f64().unwrap();
    assert_eq!(place["page"], 1);
    assert!((edge("left") - 0.1).abs() < 0.01 && (0.4..0.6).contains(&edge("right")), "{place}");
    assert!((0.1..0.125).contains(&edge("top")) && (0.124..0.14).contains(&edge("bottom")), "{place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_passage_of_a_pdf_stands_on_its_pages_and_the_last_one_below_the_first() {
    let world = world().await;
    let (job, policy) = world.complete("policy.pdf", "application/pdf", POLICY).await;
    let (_, handbook) = world.complete("handbook.docx", "application/octet-stream", HANDBOOK).await;
    let chunks = world.chunks(&policy).await;
    assert!(chunks.len() > 3);
    for chunk in &chunks {
        let boxes = chunk["boxes"].as_array().unwrap_or_else(|| panic!("{chunk}"));
        assert!(!boxes.is_empty() && boxes.len() <= 64, "{chunk}");
        for place in boxes {
            let edge = |name: &str| place[name].as_f64().unwrap();
            assert!(0.0 <= edge("left") && edge("left") < edge("right") && edge("right") <= 1.0, "{place}");
            assert!(0.0 <= edge("top") && edge("top") < edge("bottom") && edge("bottom") <= 1.0, "{place}");
            assert!((chunk["page_first"].as_u64()..=chunk["page_last"].as_u64()).contains(&place["page"].as_u64()));
        }
    }
    let pets = chunks.iter().find(|chunk| chunk["text"].as_str().unwrap().contains("3.4 Pets")).unwrap();
    let first = chunks.iter().find(|chunk| chunk["page_first"] == pets["page_first"]).unwrap();
    assert!(first["boxes"][0]["top"].as_f64() <= pets["boxes"][0]["top"].as_f64(), "{first} {pets}");
    assert!(world.chunks(&handbook).await.iter().all(|chunk| chunk["boxes"].is_null()), "no pages, no boxes");

    // What was read before places were kept has none; cut again it is the same, and read again it has them.
    world.test.run("UPDATE upload_pipeline.documents SET layout = NULL").await;
    for (from, boxes) in [("parse_validated", false), ("uploaded", true)] {
        let (status, answer) = world.client.post(&format!("/jobs/{job}/retry"), json!({ "from": from })).await;
        assert_eq!(status, 202, "{answer}");
        assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
        let again = world.chunks(&policy).await;
        let texts = |chunks: &[Value]| -> Vec<(Value, Value)> {
            chunks.iter().map(|chunk| (chunk["chunk_id"].clone(), chunk["text"].clone())).collect()
        };
        assert_eq!(texts(&again), texts(&chunks), "{from}");
        assert!(again.iter().all(|chunk| chunk["boxes"].is_array() == boxes), "{from}");
    }
    let (status, stdout, _) = world.fleet.run(&["verify", &policy]);
    assert!(status.success(), "{stdout}");
}
