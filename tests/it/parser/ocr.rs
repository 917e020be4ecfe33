//! OCR by the real Tesseract, and by small scripts in its place where it must fail.

use std::{fs, ops::ControlFlow, path::PathBuf, sync::Mutex, time::Duration};

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use domain::{
    Code, ErrorClass, Failure,
    document::Notice,
    ports::{OcrPage, ParseJob, ParseWatch, ParsedDocument, Parser},
    record::ReadingRecord,
};
use readers::{LocalParser, OcrOptions};

use super::{LIMITS, TempFile, child_ends::script, parser_running};

const TWO_SCANNED_PAGES: &[u8] = include_bytes!("../../data/scanned.pdf");

fn options(program: PathBuf) -> OcrOptions {
    let (languages, page_cpu) = ("eng".to_owned(), Duration::from_secs(30));
    OcrOptions { programs: vec![program], languages, page_cpu, ..OcrOptions::default() }
}

/// The parser with the program that scripts/test names.
fn with_tesseract() -> LocalParser {
    let program = std::env::var_os("APP_TESSERACT").expect("scripts/test names Tesseract");
    parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(options(program.into()))
}

/// The parser with the built-in engine, whose models scripts/test names.
pub(super) fn with_builtin() -> LocalParser {
    let models = std::env::var_os("APP_OCR_MODELS").expect("scripts/test names the models");
    let options = OcrOptions { programs: Vec::new(), models: vec![models.into()], ..options(PathBuf::new()) };
    parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(options)
}

pub(super) async fn read(parser: &LocalParser, content: &[u8], filename: &str) -> Result<ParsedDocument, Failure> {
    let file = TempFile::new(content);
    Ok(parser.parse(ParseJob::new(&file.0, "", filename, LIMITS)).await?.unwrap())
}

#[tokio::test]
async fn a_scanned_pdf_is_read_page_by_page() {
    let document = read(&with_tesseract(), TWO_SCANNED_PAGES, "letter.pdf").await.unwrap();
    let (first, second) = document.markdown.split_once("<!-- page 2 -->").unwrap();
    assert!(first.contains("The heron waits in the reeds."), "{first}");
    assert!(second.contains("The otter swims past it."), "{second}");
    let record = ReadingRecord::new("local", &document);
    assert_eq!((record.pages, record.read, record.ocr, record.empty, record.failed), (2, 0, 2, 0, 0));
    assert_eq!((record.by_ocr[0].engine.as_str(), &record.by_ocr[0].pages[..]), ("tesseract", &[1, 2][..]));
    assert!(record.by_ocr[0].sure > 80, "{record:?}");
}

#[tokio::test]
async fn pictures_are_read_whichever_way_they_lie() {
    let tiff = read(&with_tesseract(), include_bytes!("../../data/scan.tiff"), "fax.tif").await.unwrap();
    assert!(tiff.markdown.contains("heron waits") && tiff.markdown.contains("otter swims"), "{}", tiff.markdown);
    assert_eq!(tiff.pages, 2);
    let jpeg = read(&with_tesseract(), include_bytes!("../../data/scan.jpg"), "photo.jpg").await.unwrap();
    assert!(jpeg.markdown.contains("The otter swims past it."), "{}", jpeg.markdown);
    let turned = read(&with_tesseract(), include_bytes!("../../data/scan-turned.png"), "turned.png").await.unwrap();
    assert!(turned.markdown.contains("The heron waits in the reeds."), "{}", turned.markdown);
}

#[tokio::test]
async fn without_tesseract_the_built_in_engine_reads_the_pages() {
    let document = read(&with_builtin(), TWO_SCANNED_PAGES, "letter.pdf").await.unwrap();
    let (first, second) = document.markdown.split_once("<!-- page 2 -->").unwrap();
    assert!(first.contains("The heron waits in the reeds."), "{first}");
    assert!(second.contains("The otter swims past it."), "{second}");
    let record = ReadingRecord::new("local", &document);
    assert_eq!((record.pages, record.read, record.ocr, record.empty, record.failed), (2, 0, 2, 0, 0));
    assert_eq!((record.by_ocr[0].engine.as_str(), &record.by_ocr[0].pages[..]), ("builtin", &[1, 2][..]));
    assert!(record.by_ocr[0].sure > 80, "{record:?}");
    let turned = read(&with_builtin(), include_bytes!("../../data/scan-turned.png"), "turned.png").await.unwrap();
    assert!(turned.markdown.contains("The heron waits in the reeds."), "{}", turned.markdown);
    let grey = read(&with_builtin(), include_bytes!("../../data/scan.pdf"), "grey.pdf").await.unwrap_err();
    assert_eq!(grey.code, Code::TextEmpty);
}

#[tokio::test]
async fn languages_that_the_built_in_engine_can_not_read_are_named() {
    let models = PathBuf::from(std::env::var_os("APP_OCR_MODELS").unwrap());
    let languages = "eng+rus".to_owned();
    let options = OcrOptions { programs: Vec::new(), models: vec![models], languages, ..options(PathBuf::new()) };
    let parser = parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(options);
    assert_eq!(parser.check_ocr().unwrap().unwrap().unknown, ["rus"]);
    let document = read(&parser, TWO_SCANNED_PAGES, "letter.pdf").await.unwrap();
    let notices: Vec<String> = document.notices.iter().map(ToString::to_string).collect();
    assert!(notices.iter().any(|notice| notice.contains("can't read these of OCR_LANGUAGES: rus.")), "{notices:?}");
}

#[tokio::test]
async fn a_built_in_engine_that_is_asked_for_without_its_models_is_named() {
    let missing =
        OcrOptions { models: vec!["/nowhere".into()], required: true, programs: Vec::new(), ..options(PathBuf::new()) };
    let parser = parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(missing);
    let failure = read(&parser, TWO_SCANNED_PAGES, "letter.pdf").await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::OcrEngineMissing, ErrorClass::Configuration));
    assert!(failure.message.contains("scripts/fetch ocr"), "{}", failure.message);
}

/// A page with a line of text, and `picture` below it: a JPEG file of 1653 by 496 grey pixels.
fn page_with_picture(picture: &[u8]) -> Vec<u8> {
    let content = "BT /F 12 Tf 50 780 Td (The ferry leaves at noon.) Tj ET q 500 0 0 150 50 500 cm /I Do Q";
    let mut pdf = format!(
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
         3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</XObject<</I 5 0 R>>\
         /Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>endobj\n\
         4 0 obj<</Length {}>>stream\n{content}\nendstream endobj\n\
         5 0 obj<</Type/XObject/Subtype/Image/Width 1653/Height 496/ColorSpace/DeviceGray/BitsPerComponent 8\
         /Filter/DCTDecode/Length {}>>stream\n",
        content.len(),
        picture.len()
    )
    .into_bytes();
    pdf.extend(picture);
    pdf.extend(b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF");
    pdf
}

#[tokio::test]
async fn a_large_picture_beside_text_is_read() {
    let pdf = page_with_picture(include_bytes!("../../data/scan.jpg"));
    for parser in [with_tesseract(), with_builtin()] {
        let document = read(&parser, &pdf, "ferry.pdf").await.unwrap();
        let (text, picture) = document.markdown.split_once("The ferry leaves at noon.").unwrap();
        assert!(!text.contains("otter") && picture.contains("The otter swims past it."), "{}", document.markdown);
        assert_eq!(ReadingRecord::new("local", &document).ocr, 1);
    }
    let off = read(&parser_running(env!("CARGO_BIN_EXE_app")), &pdf, "ferry.pdf").await.unwrap();
    assert!(off.markdown.contains("noon") && !off.markdown.contains("otter"), "{}", off.markdown);
}

#[tokio::test]
async fn pictures_of_a_mail_are_read_and_small_ones_are_not() {
    let picture = BASE64_STANDARD.encode(include_bytes!("../../data/scan.jpg"));
    let part = |disposition: &str, data: &str| {
        format!(
            "--b\nContent-Type: image/jpeg; name=note.jpg\n{disposition}Content-Transfer-Encoding: base64\n\n{data}\n"
        )
    };
    let mail = |kind: &str, part: String| {
        format!(
            "From: a@example.org\nSubject: Ferry\nMIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary=b\n\n\
             --b\nContent-Type: text/html\n\n<p>See the note.\n{part}--b--\n"
        )
    };
    let attached = mail("mixed", part("Content-Disposition: attachment\n", &picture));
    let shown = mail("related", part("Content-ID: <1>\n", &picture));
    for (mail, title) in [(attached, "## Attachment: note.jpg"), (shown, "## Picture: note.jpg")] {
        let text = read(&with_builtin(), mail.as_bytes(), "ferry.eml").await.unwrap().markdown;
        assert!(text.contains("See the note.") && text.contains(title), "{text}");
        assert!(text.contains("The otter swims past it."), "{text}");
    }
    let dot = mail("mixed", part("Content-Disposition: attachment\n", "iVBORw0KGgo="));
    let text = read(&with_builtin(), dot.as_bytes(), "dot.eml").await.unwrap().markdown;
    assert!(text.contains("> Attachment: note.jpg"), "{text}");
}

/// A mail with `files` attached.
fn mail_with(files: &[(&str, &[u8])]) -> String {
    let attached = files.iter().map(|(name, bytes)| {
        let data = BASE64_STANDARD.encode(bytes);
        format!(
            "--b\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename={name}\n\
             Content-Transfer-Encoding: base64\n\n{data}\n"
        )
    });
    let head = "From: a@example.org\nSubject: Ferry\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n";
    format!("{head}--b\n\nSee below.\n{}--b--\n", attached.collect::<String>())
}

#[tokio::test]
async fn scans_attached_to_a_mail_are_read() {
    let mail = mail_with(&[("letter.pdf", TWO_SCANNED_PAGES), ("fax.tif", include_bytes!("../../data/scan.tiff"))]);
    let text = read(&with_builtin(), mail.as_bytes(), "ferry.eml").await.unwrap().markdown;
    let (letter, fax) = text.split_once("## Attachment: fax.tif").expect(&text);
    assert!(letter.contains("## Attachment: letter.pdf"), "{text}");
    for part in [letter, fax] {
        assert!(part.contains("heron waits") && part.contains("otter swims"), "{text}");
    }
}

#[tokio::test]
async fn each_pdf_that_is_attached_to_a_mail_is_read() {
    let pdf: &[u8] = include_bytes!("../../data/two-pages.pdf");
    let mail = mail_with(&[("first.pdf", pdf), ("second.pdf", pdf), ("third.pdf", pdf)]);
    let text = read(&parser_running(env!("CARGO_BIN_EXE_app")), mail.as_bytes(), "ferry.eml").await.unwrap().markdown;
    assert_eq!(text.matches("heron").count(), 3, "{text}");
}

#[tokio::test]
async fn of_a_mail_with_many_scans_the_first_pages_are_read_and_the_rest_is_named() {
    let names: Vec<String> = (1..=11).map(|number| format!("letter{number}.pdf")).collect();
    let mail = mail_with(&names.iter().map(|name| (&name[..], TWO_SCANNED_PAGES)).collect::<Vec<_>>());
    let engine = engine(&format!("cat > /dev/null; echo \"{HERONRY}\""));
    let parser = parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(options(engine.0.clone()));
    let document = read(&parser, mail.as_bytes(), "ferry.eml").await.unwrap();
    assert_eq!(document.markdown.matches("heronry").count(), 20, "{}", document.markdown);
    assert!(document.markdown.contains("## Attachment: letter10.pdf"), "{}", document.markdown);
    assert!(document.markdown.contains("> Attachment: letter11.pdf"), "{}", document.markdown);
}

#[tokio::test]
async fn pages_without_words_are_said_to_hold_none() {
    let failure = read(&with_tesseract(), include_bytes!("../../data/scan.pdf"), "grey.pdf").await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::TextEmpty, ErrorClass::Document));
    assert!(failure.message.contains("OCR read 2 pages"), "{}", failure.message);
}

#[tokio::test]
async fn a_picture_without_an_engine_is_refused_with_what_to_install() {
    let parser = parser_running(env!("CARGO_BIN_EXE_app"));
    let failure = read(&parser, include_bytes!("../../data/scan.jpg"), "photo.jpg").await.unwrap_err();
    assert_eq!(failure.code, Code::NoTextLayer);
    assert!(failure.message.contains("Install tesseract-ocr"), "{}", failure.message);
}

#[tokio::test]
async fn a_language_without_data_is_named() {
    let program = std::env::var_os("APP_TESSERACT").unwrap();
    let options = OcrOptions { languages: "eng+tlh".to_owned(), ..options(program.into()) };
    let parser = parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(options);
    assert_eq!(parser.check_ocr().unwrap_err().code, Code::OcrLanguageMissing);
    let failure = read(&parser, TWO_SCANNED_PAGES, "letter.pdf").await.unwrap_err();
    assert_eq!(failure.code, Code::OcrLanguageMissing);
    assert!(failure.message.contains("OCR_LANGUAGES: tlh."), "{}", failure.message);
    // A document with text needs no OCR.
    let text = read(&parser, include_bytes!("../../data/two-pages.pdf"), "text.pdf").await.unwrap();
    assert!(text.markdown.contains("heron"));
}

#[tokio::test]
async fn an_engine_that_is_asked_for_and_missing_is_named() {
    let options = OcrOptions { required: true, programs: Vec::new(), ..options(PathBuf::new()) };
    let parser = parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(options);
    let failure = read(&parser, TWO_SCANNED_PAGES, "letter.pdf").await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::OcrEngineMissing, ErrorClass::Configuration));
}

/// What Tesseract says of a page with one word.
const HERONRY: &str = "<?xml version='1.0'?><html><div class='ocr_page'><span class='ocr_line' title='bbox 1 1 90 20'>\
                       <span class='ocrx_word' title='bbox 1 1 90 20; x_wconf 90'>heronry</span></span></div></html>";

/// In place of Tesseract: it has English, and does `then` with a page.
fn engine(then: &str) -> TempFile {
    script(&format!("case \"$*\" in *list-langs*) echo eng; exit 0 ;; esac\n{then}"))
}

async fn read_by(engine: &TempFile) -> Result<ParsedDocument, Failure> {
    let options = OcrOptions { page_cpu: Duration::from_secs(1), ..options(engine.0.clone()) };
    read(&parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(options), TWO_SCANNED_PAGES, "letter.pdf").await
}

#[tokio::test]
async fn a_page_that_takes_too_much_processor_time_fails_alone() {
    // The picture of the second page is longer.
    let then = format!("if [ $(wc -c) -gt 815000 ]; then while :; do :; done; fi\necho \"{HERONRY}\"");
    let document = read_by(&engine(&then)).await.unwrap();
    assert!(document.markdown.contains("heronry"), "{}", document.markdown);
    assert!(document.notices.iter().any(|notice| matches!(notice, Notice::OcrFailed { count: 1, .. })), "{document:?}");
    let endless = read_by(&engine("while :; do :; done")).await.unwrap_err();
    assert_eq!((endless.code, endless.class), (Code::OcrFailed, ErrorClass::Document));
}

#[tokio::test]
async fn an_engine_that_is_killed_is_a_transient_failure() {
    let failure = read_by(&engine("kill -KILL $$")).await.unwrap_err();
    assert_eq!(failure.class, ErrorClass::Transient);
}

/// Stops after the first page that OCR has read, and keeps it.
#[derive(Default)]
struct First(Mutex<Vec<OcrPage>>);

#[async_trait]
impl ParseWatch for First {
    async fn page(&self, _read: u32, pages: u32, ocr: Option<OcrPage>) -> ControlFlow<()> {
        assert_eq!(pages, 2);
        match ocr {
            None => ControlFlow::Continue(()),
            Some(page) => {
                self.0.lock().unwrap().push(page);
                ControlFlow::Break(())
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_is_known_is_not_read_again() {
    let (file, first, parser) = (TempFile::new(TWO_SCANNED_PAGES), First::default(), with_tesseract());
    let job = ParseJob { watch: &first, ..ParseJob::new(&file.0, "", "letter.pdf", LIMITS) };
    assert_eq!(parser.parse(job).await.unwrap(), None);
    let known = first.0.into_inner().unwrap();
    assert_eq!(known.iter().map(|page| page.page).collect::<Vec<_>>(), [1]);
    // This engine can read nothing, so what comes out was known.
    let broken = engine("exit 1");
    let parser = parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(options(broken.0.clone()));
    let job = ParseJob { known, ..ParseJob::new(&file.0, "", "letter.pdf", LIMITS) };
    let document = parser.parse(job).await.unwrap().unwrap();
    assert!(document.markdown.contains("heron waits"), "{}", document.markdown);
    assert!(document.notices.contains(&Notice::OcrFailed { pages: vec![2], count: 1 }), "{:?}", document.notices);
    let record = ReadingRecord::new("local", &document);
    assert_eq!((record.pages, record.read, record.ocr, record.empty, record.failed), (2, 0, 1, 0, 1));
}

#[tokio::test]
async fn a_stopped_parse_leaves_no_engine_behind() {
    let pid_file = TempFile::new(b"");
    // It can't write files, so its parent in this test finds it by what it holds open: a pipe.
    let pipe = pid_file.0.with_extension("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let slow = engine(&format!("exec 3> {}; echo $$ >&3; while :; do :; done", pipe.display()));
    let options = OcrOptions { page_cpu: Duration::from_secs(600), ..options(slow.0.clone()) };
    let parser = parser_running(env!("CARGO_BIN_EXE_app")).with_ocr(options);
    let file = TempFile::new(TWO_SCANNED_PAGES);
    let reader = pipe.clone();
    let mut reading = tokio::task::spawn_blocking(move || fs::File::open(reader));
    let opened = tokio::select! {
        answer = parser.parse(ParseJob::new(&file.0, "", "letter.pdf", LIMITS)) => panic!("answered: {answer:?}"),
        opened = &mut reading => opened.unwrap().unwrap(),
    };
    // The parse is dropped. The pipe ends when the engine does.
    let rest = tokio::task::spawn_blocking(move || std::io::read_to_string(opened));
    let rest = tokio::time::timeout(Duration::from_secs(60), rest).await.expect("the engine is still running");
    assert!(rest.unwrap().is_ok());
    fs::remove_file(pipe).unwrap();
}
