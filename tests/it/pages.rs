//! Pages as pictures, with the places of a passage marked.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    places::LABELLED,
    requests::{api, request, send},
    support::fleet::Client,
};

/// Width, height and pixels of a PNG.
fn decoded(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    (info.width, info.height, pixels)
}

async fn complete(client: &Client, name: &str, bytes: &[u8]) -> String {
    let sent = client.upload_file(name, "application/octet-stream", bytes).await;
    let ended = client.wait_for_end(sent["job_id"].as_str().unwrap_or_else(|| panic!("{sent}"))).await;
    assert_eq!(ended["status"], "complete", "{ended}");
    ended["document_id"].as_str().unwrap().to_owned()
}

async fn code(client: &Client, path: &str) -> (u16, String) {
    let answer = send(request(client, Method::GET, path)).await;
    (answer.status, answer.code().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_shown_with_the_places_of_a_passage_marked() {
    let api = api(&[]).await;
    let _worker = api.fleet.worker();
    let document = complete(&api.client, "heron.pdf", LABELLED.as_bytes()).await;
    let (_, chunks) = api.client.get(&format!("/documents/{document}/chunks")).await;
    let chunk = &chunks["items"][0];
    let (id, place) = (chunk["chunk_id"].as_str().unwrap(), &chunk["boxes"][0]);

    let plain = format!("/documents/{document}/pages/1.png");
    let shown = request(&api.client, Method::GET, &plain).send().await.unwrap();
    assert_eq!((shown.status(), &shown.headers()["content-type"]), (StatusCode::OK, &"image/png".parse().unwrap()));
    let tag = shown.headers()["etag"].to_str().unwrap().to_owned();
    let (width, height, pixels) = decoded(&shown.bytes().await.unwrap());
    // 600 by 800 points at 110 dots per inch.
    assert_eq!((width, height), (917, 1222));
    assert!(pixels.iter().any(|part| *part < 64), "there is text");
    assert!(pixels.chunks_exact(3).all(|rgb| rgb[0] == rgb[2]), "and no colour");

    let marked = format!("{plain}?boxes={id}");
    let shown = request(&api.client, Method::GET, &marked).send().await.unwrap();
    assert_ne!(shown.headers()["etag"].to_str().unwrap(), tag);
    let first = shown.bytes().await.unwrap();
    let (_, _, pixels) = decoded(&first);
    let pixel = |across: f64, down: f64| -> [u8; 3] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are parts of the picture")]
        let (column, row) = ((across * f64::from(width)) as usize, (down * f64::from(height)) as usize);
        pixels[(row * width as usize + column) * 3..][..3].try_into().unwrap()
    };
    let edge = |name: &str| place[name].as_f64().unwrap();
    let middle = (edge("top") + edge("bottom")) / 2.0;
    assert_eq!(pixel(edge("left") + 0.001, middle), [220, 110, 0], "its frame");
    assert!(pixels.chunks_exact(3).any(|rgb| rgb == [255, 240, 120]), "marked");
    assert_eq!(pixel(edge("left") - 0.01, middle), [255; 3]);
    assert_eq!(pixel(0.5, 0.5), [255; 3]);
    let again = request(&api.client, Method::GET, &marked).send().await.unwrap();
    assert_eq!(again.bytes().await.unwrap(), first);
    let same = send(request(&api.client, Method::GET, &plain).header("if-none-match", &tag)).await;
    assert_eq!(same.status, 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_file_is_its_page_1() {
    let api = api(&[]).await;
    let _worker = api.fleet.worker();
    let document = complete(&api.client, "a.md", b"# A").await;
    // As if OCR had read it.
    api.test.run("UPDATE upload_pipeline.documents SET kind = 'png', page_count = 1").await;
    let mut scan = Vec::new();
    let mut encoder = png::Encoder::new(&mut scan, 40, 20);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[200; 800]).unwrap();
    let key = api.test.value("SELECT raw_path FROM upload_pipeline.documents").await;
    std::fs::write(api.fleet.storage().join(key), &scan).unwrap();
    let shown = request(&api.client, Method::GET, &format!("/documents/{document}/pages/1.png")).send().await.unwrap();
    assert_eq!(decoded(&shown.bytes().await.unwrap()), (40, 20, vec![200; 2400]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_says_why() {
    let mut api = api(&[]).await;
    let _worker = api.fleet.worker();
    let (pdf, text) =
        (complete(&api.client, "a.pdf", LABELLED.as_bytes()).await, complete(&api.client, "a.md", b"# A").await);
    let (_, chunks) = api.client.get(&format!("/documents/{text}/chunks")).await;
    let chunk = chunks["items"][0]["chunk_id"].as_str().unwrap();
    let page = |document: &str, page: &str| format!("/documents/{document}/pages/{page}");
    for (path, status, name) in [
        (page(&pdf, "0.png"), 404, "page_not_found"),
        (page(&pdf, "2.png"), 404, "page_not_found"),
        (page(&pdf, "x.png"), 400, "id_invalid"),
        (page(&pdf, "1.png?boxes=x"), 400, "query_invalid"),
        (page(&pdf, &format!("1.png?boxes={chunk}")), 404, "passage_not_found"),
        (page(&text, "1.png"), 409, "pages_not_shown"),
    ] {
        assert_eq!(code(&api.client, &path).await, (status, name.to_owned()), "{path}");
    }
    let stranger = api.client.as_user("22222222-2222-4222-8222-222222222222");
    assert_eq!(code(&stranger, &page(&pdf, "1.png")).await, (404, "document_not_found".to_owned()));

    // A file that is none kills its child at most.
    let key =
        api.test.value(&format!("SELECT raw_path FROM upload_pipeline.documents WHERE document_id = '{pdf}'")).await;
    std::fs::write(api.fleet.storage().join(&key), b"%PDF-1.4\nnonsense\n%%EOF\n").unwrap();
    assert_eq!(code(&api.client, &page(&pdf, "1.png")).await, (422, "page_not_drawn".to_owned()));
    std::fs::remove_file(api.fleet.storage().join(&key)).unwrap();
    assert_eq!(code(&api.client, &page(&pdf, "1.png")).await, (409, "file_not_stored".to_owned()));
    // Without the library, pages wait for it; the rest of the API goes on.
    api.fleet.set("PDFIUM_LIBRARY", "/nowhere/libpdfium.so");
    let (_without, client) = api.fleet.api();
    std::fs::write(api.fleet.storage().join(&key), LABELLED).unwrap();
    assert_eq!(code(&client, &page(&pdf, "1.png")).await, (503, "pages_unavailable".to_owned()));
    let (status, found) = client.post("/search", json!({ "query": "heron" })).await;
    assert_eq!((status, &found["hits"][0]["filename"]), (200, &Value::from("a.pdf")));
}
