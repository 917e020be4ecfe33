//! OCR of the pictures in Office documents.

use std::io::{Cursor, Write};

use domain::record::ReadingRecord;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    ocr::{read, with_builtin},
    parser_running,
};

const SCAN: &[u8] = include_bytes!("../../data/scan.jpg");
const TYPES: &str = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>"#;
const SPACES: &str = r#"xmlns:a="urn:a" xmlns:p="urn:p" xmlns:w="urn:w" xmlns:r="urn:r""#;

fn zip(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Relationships, each with an id, the last word of its type and its target.
fn relations(links: &[(&str, &str, &str)]) -> String {
    let links = links.iter().map(|(id, kind, target)| {
        format!(
            r#"<Relationship Id="{id}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/>"#
        )
    });
    format!(
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>"#,
        links.collect::<String>()
    )
}

/// A document with a line, a picture that `name` describes, and a line.
fn document(picture: &[u8], name: &str) -> Vec<u8> {
    let paragraph = |text: &str| format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>");
    let drawing = format!(
        r#"<w:p><w:r><w:drawing><w:docPr descr="{name}"/><a:pic><a:blip r:embed="rId1"/></a:pic></w:drawing></w:r></w:p>"#
    );
    let body = format!("{}{drawing}{}", paragraph("The ferry leaves at noon."), paragraph("It comes back at dusk."));
    let main = format!("<w:document {SPACES}><w:body>{body}</w:body></w:document>");
    zip(&[
        ("[Content_Types].xml", TYPES.as_bytes()),
        ("_rels/.rels", relations(&[("rId1", "officeDocument", "word/document.xml")]).as_bytes()),
        ("word/document.xml", main.as_bytes()),
        ("word/_rels/document.xml.rels", relations(&[("rId1", "image", "media/note.jpg")]).as_bytes()),
        ("word/media/note.jpg", picture),
    ])
}

/// Two slides with a title each, and the same picture.
fn presentation() -> Vec<u8> {
    let slide = |title: &str| {
        format!(
            r#"<p:sld {SPACES}><p:cSld><p:spTree><p:sp><p:nvSpPr><p:nvPr><p:ph type="title"/></p:nvPr></p:nvSpPr>
            <p:txBody><a:p><a:r><a:t>{title}</a:t></a:r></a:p></p:txBody></p:sp>
            <p:pic><p:blipFill><a:blip r:embed="rId1"/></p:blipFill></p:pic></p:spTree></p:cSld></p:sld>"#
        )
    };
    let main = format!(
        r#"<p:presentation {SPACES}><p:sldIdLst><p:sldId r:id="rId1"/><p:sldId r:id="rId2"/></p:sldIdLst></p:presentation>"#
    );
    let slides = relations(&[("rId1", "slide", "slides/slide1.xml"), ("rId2", "slide", "slides/slide2.xml")]);
    let picture = relations(&[("rId1", "image", "../media/note.jpg")]);
    zip(&[
        ("[Content_Types].xml", TYPES.as_bytes()),
        ("_rels/.rels", relations(&[("rId1", "officeDocument", "ppt/presentation.xml")]).as_bytes()),
        ("ppt/presentation.xml", main.as_bytes()),
        ("ppt/_rels/presentation.xml.rels", slides.as_bytes()),
        ("ppt/slides/slide1.xml", slide("Harbour").as_bytes()),
        ("ppt/slides/slide2.xml", slide("Quay").as_bytes()),
        ("ppt/slides/_rels/slide1.xml.rels", picture.as_bytes()),
        ("ppt/slides/_rels/slide2.xml.rels", picture.as_bytes()),
        ("ppt/media/note.jpg", SCAN),
    ])
}

#[tokio::test]
async fn pictures_in_word_are_read_in_their_places() {
    let found = read(&with_builtin(), &document(SCAN, ""), "ferry.docx").await.unwrap();
    let (before, after) = found.markdown.split_once("The otter swims past it.").unwrap();
    assert!(before.contains("leaves at noon") && after.contains("back at dusk"), "{}", found.markdown);
    let record = ReadingRecord::new("local", &found);
    assert_eq!((record.pages, record.ocr), (0, 0), "Word documents have no pages");
    assert_eq!((record.by_ocr.len(), record.by_ocr[0].count), (1, 1), "{record:?}");
    assert!(record.left_out.is_empty(), "{record:?}");
    assert!(record.notices[0].ends_with("% sure): 1 picture."), "{record:?}");
}

#[tokio::test]
async fn a_described_picture_in_word_keeps_its_description() {
    let found = read(&with_builtin(), &document(SCAN, "A note about an otter"), "ferry.docx").await.unwrap();
    let (_, text) = found.markdown.split_once("Picture: A note about an otter").unwrap();
    assert!(text.contains("The otter swims past it."), "{}", found.markdown);
}

#[tokio::test]
async fn pictures_in_word_that_are_not_read_are_counted() {
    let off = parser_running(env!("CARGO_BIN_EXE_app"));
    for (parser, picture) in [(off, SCAN), (with_builtin(), b"\x89PNG\r\n\x1a\nno picture".as_slice())] {
        let found = read(&parser, &document(picture, ""), "ferry.docx").await.unwrap();
        assert!(found.markdown.contains("noon") && !found.markdown.contains("otter"), "{}", found.markdown);
        let record = ReadingRecord::new("local", &found);
        assert_eq!(record.notices, ["Left out: 1 picture without a description."]);
    }
}

#[tokio::test]
async fn a_picture_on_two_slides_is_read_once() {
    let found = read(&with_builtin(), &presentation(), "ferry.pptx").await.unwrap();
    let text = &found.markdown;
    assert_eq!(text.matches("The otter swims past it.").count(), 1, "{text}");
    let (first, second) = (text.find("The otter").unwrap(), text.find("Quay").unwrap());
    assert!(text.find("Harbour").unwrap() < first && first < second, "{text}");
    let record = ReadingRecord::new("local", &found);
    assert_eq!((record.pages, record.read, record.ocr, record.empty), (2, 1, 1, 0), "{record:?}");
    assert_eq!(record.by_ocr[0].pages, [1]);
    assert!(record.left_out.is_empty(), "{record:?}");
}
