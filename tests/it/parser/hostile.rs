//! Damaged, mislabelled and malicious documents: each fails only its own job, with its own code.

use std::{
    io::{Cursor, Write},
    time::{Duration, Instant},
};

use domain::{
    Code, ErrorClass,
    document::{LeftOut, Notice},
    ports::ParseLimits,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{LIMITS, parse_limited, refusal};

const TWO_PAGES: &[u8] = include_bytes!("../../data/two-pages.pdf");

/// A Word document whose text is `megabytes` MB of zeros.
fn bomb(megabytes: usize) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for name in ["[Content_Types].xml", "word/document.xml"] {
        zip.start_file(name, options).unwrap();
    }
    let zeros = vec![0; 1 << 20];
    for _ in 0..megabytes {
        zip.write_all(&zeros).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn an_empty_file_is_refused() {
    let failure = refusal(b"", "empty.pdf").await;
    assert_eq!((failure.code, failure.class), (Code::FileEmpty, ErrorClass::Document));
}

#[tokio::test]
async fn a_truncated_pdf_gives_what_it_holds_and_says_so() {
    let half = parse_limited(&TWO_PAGES[..TWO_PAGES.len() / 2], "half.pdf", LIMITS).await.unwrap();
    assert!(half.markdown.contains("First page") && !half.markdown.contains("otter"), "{}", half.markdown);
    assert_eq!(half.notices, [Notice::Truncated]);
    assert_eq!(refusal(b"%PDF-1.7\n", "header.pdf").await.code, Code::FileTruncated);
}

#[tokio::test]
async fn a_pdf_with_a_password_is_refused() {
    assert_eq!(refusal(include_bytes!("../../data/password.pdf"), "secret.pdf").await.code, Code::FileEncrypted);
}

#[tokio::test]
async fn a_scan_without_text_is_refused_and_the_message_names_ocr() {
    let failure = refusal(include_bytes!("../../data/scan.pdf"), "scan.pdf").await;
    assert_eq!(failure.code, Code::NoTextLayer);
    assert!(failure.message.contains("OCR"), "{}", failure.message);
}

#[tokio::test]
async fn content_that_contradicts_its_name_is_refused() {
    assert_eq!(refusal(b"Dear Sir or Madam", "letter.docx").await.code, Code::TypeMismatch);
    assert_eq!(refusal(TWO_PAGES, "letter.docx").await.code, Code::TypeMismatch);
    let noise: Vec<u8> = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    assert_eq!(refusal(&noise, "noise.pdf").await.code, Code::TypeMismatch);
    assert_eq!(refusal(&noise, "noise").await.code, Code::UnsupportedType);
}

#[tokio::test]
async fn a_very_long_file_name_does_no_harm() {
    let name = format!("{}.docx", "\"\u{1}".repeat(1 << 20));
    assert_eq!(refusal(b"Dear Sir or Madam", &name).await.code, Code::TypeMismatch);
}

#[tokio::test]
async fn too_many_pages_are_refused_with_the_numbers() {
    let limits = ParseLimits { max_pages: 1, ..LIMITS };
    let failure = parse_limited(TWO_PAGES, "two.pdf", limits).await.unwrap_err();
    assert_eq!(failure.code, Code::PageLimit);
    assert!(failure.message.contains("2 pages") && failure.message.contains("limit is 1"), "{}", failure.message);
}

#[tokio::test]
async fn too_much_text_is_refused() {
    let limits = ParseLimits { output_bytes: 1000, ..LIMITS };
    assert!(parse_limited(&b"x".repeat(1000), "a.txt", limits).await.is_ok());
    assert_eq!(parse_limited(&b"x".repeat(1001), "a.txt", limits).await.unwrap_err().code, Code::ParseOutputLimit);
    assert_eq!(
        parse_limited(TWO_PAGES, "a.pdf", ParseLimits { output_bytes: 10, ..LIMITS }).await.unwrap_err().code,
        Code::ParseOutputLimit
    );
}

#[tokio::test]
async fn a_zip_bomb_is_refused_by_the_sizes_in_its_directory() {
    assert_eq!(refusal(&bomb(300), "bomb.docx").await.code, Code::ArchiveTooLarge);
}

#[tokio::test]
async fn a_zip_bomb_with_false_sizes_in_its_directory_is_refused_too() {
    let mut bytes = bomb(300);
    let declared = (300_u32 << 20).to_le_bytes();
    for at in 0..bytes.len() - 4 {
        if bytes[at..at + 4] == declared {
            bytes[at..at + 4].copy_from_slice(&1000_u32.to_le_bytes());
        }
    }
    let code = refusal(&bytes, "bomb.docx").await.code;
    assert!([Code::ArchiveTooLarge, Code::FileCorrupt].contains(&code), "{code}");
}

#[tokio::test]
async fn a_deflate_bomb_stops_at_the_memory_limit() {
    let limits = ParseLimits { memory_bytes: 400 << 20, ..LIMITS };
    let started = Instant::now();
    let failure = parse_limited(include_bytes!("../../data/deflate-bomb.pdf"), "bomb.pdf", limits).await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::ParseMemory, ErrorClass::Document));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn deep_nesting_ends_only_the_child() {
    let nested =
        [b"%PDF-1.4\n1 0 obj\n".as_slice(), &b"[".repeat(400_000), b"\nendobj\ntrailer <</Root 1 0 R>>\n%%EOF"]
            .concat();
    let code = refusal(&nested, "nested.pdf").await.code;
    assert!([Code::ParseCrashed, Code::FileCorrupt].contains(&code), "{code}");
    let html = format!("{}deep", "<div>".repeat(300_000));
    let limits = ParseLimits { time: Duration::from_secs(10), ..LIMITS };
    let document = parse_limited(html.as_bytes(), "nested.html", limits).await.unwrap();
    assert_eq!(document.markdown, "deep\n");
    assert_eq!(document.notices, [Notice::LeftOut { what: LeftOut::DeepParts, count: 299_746 }]);
}

#[tokio::test]
async fn a_file_of_blanks_is_refused_as_holding_no_text() {
    for name in ["blank.txt", "blank.html", "blank.csv"] {
        let failure = refusal(" \n\u{a0}\u{200b}\r\n".as_bytes(), name).await;
        assert_eq!((failure.code, failure.class), (Code::TextEmpty, ErrorClass::Document));
    }
}
