//! Ordinary documents are read as Markdown.

use domain::ports::{FileKind, page_marker};

use super::parse;

const TWO_PAGES: &[u8] = include_bytes!("../../data/two-pages.pdf");

#[tokio::test]
async fn pdf_pages_keep_their_numbers_and_text() {
    let document = parse(TWO_PAGES, "animals.pdf").await.unwrap();
    assert_eq!((document.kind, document.pages), (FileKind::Pdf, 2));
    let expected = format!(
        "{}\n\n# First page\n\nThe heron waits in the reeds.\n\n{}\n\n# Second page\n\nThe otter swims past it.\n",
        page_marker(1),
        page_marker(2)
    );
    assert_eq!(document.markdown, expected);
}

#[tokio::test]
async fn a_pdf_with_only_an_owner_password_is_read() {
    let document = parse(include_bytes!("../../data/owner-password.pdf"), "animals.pdf").await.unwrap();
    assert!(document.markdown.contains("The otter swims past it."), "{}", document.markdown);
}

#[tokio::test]
async fn the_sample_policy_keeps_its_sections_on_their_pages() {
    let document = parse(include_bytes!("../../../samples/home-insurance-policy.pdf"), "policy.pdf").await.unwrap();
    assert_eq!(document.pages, 3);
    let second = document.markdown.split(&page_marker(2)).nth(1).unwrap().split(&page_marker(3)).next().unwrap();
    assert!(second.contains("### 3.4 Pets") && second.contains("up to $750 a year"), "{second}");
}

#[tokio::test]
async fn pdf_columns_are_read_one_after_the_other_even_with_a_page_number_between() {
    let document = parse(include_bytes!("../../data/columns.pdf"), "animals.pdf").await.unwrap();
    let paragraphs: Vec<_> = document.markdown.trim_end().split("\n\n").skip(1).collect();
    assert_eq!(paragraphs.len(), 3, "{}", document.markdown);
    let (herons, otters, folio) = (paragraphs[0], paragraphs[1], paragraphs[2]);
    assert!(herons.starts_with("The heron waits in the reeds until a careless frog"), "{herons}");
    assert!(herons.ends_with("with new sticks and reeds."), "{herons}");
    assert!(otters.starts_with("The otter swims past it without a glance. Fish are faster"), "{otters}");
    assert_eq!(folio, "2");
}

#[tokio::test]
async fn pdf_words_that_only_a_gap_separates_get_a_space() {
    let document = parse(include_bytes!("../../data/glued-words.pdf"), "proof.pdf").await.unwrap();
    let expected = "It follows from Remark 14 by induction seeing is easier than Remark 9";
    assert_eq!(document.markdown, format!("{}\n\n{expected}\n", page_marker(1)));
}

#[tokio::test]
async fn a_word_document_keeps_headings_and_tables() {
    let document = parse(include_bytes!("../../../samples/office-handbook.docx"), "handbook.docx").await.unwrap();
    assert_eq!((document.kind, document.pages), (FileKind::Docx, 0));
    for line in ["# Hours and days off", "## Travel", "| Laptop | You, in the shop channel | 4 years |"] {
        assert!(document.markdown.lines().any(|l| l == line), "no `{line}` in:\n{}", document.markdown);
    }
}

#[tokio::test]
async fn html_becomes_markdown() {
    let page = include_bytes!("../../../samples/community-garden-rules.html");
    let document = parse(page, "garden.html").await.unwrap();
    assert_eq!(document.kind, FileKind::Html);
    assert!(document.markdown.contains("\n## Water\n") && document.markdown.contains("- Mint only in pots."));
    assert!(!document.markdown.contains("font-family"), "{}", document.markdown);
}

#[tokio::test]
async fn markdown_is_not_changed() {
    let manual = include_str!("../../../samples/coffee-machine-manual.md");
    let document = parse(manual.as_bytes(), "manual.md").await.unwrap();
    assert_eq!((document.kind, document.markdown.as_str()), (FileKind::Markdown, manual));
}

#[tokio::test]
async fn latin_1_text_is_read() {
    let document = parse(b"Gr\xfc\xdfe aus K\xf6ln", "postcard.txt").await.unwrap();
    assert_eq!((document.kind, document.markdown.as_str()), (FileKind::PlainText, "Grüße aus Köln"));
}

#[tokio::test]
async fn page_markers_in_a_document_are_removed() {
    let forged = format!("before\n{}\nafter\n", page_marker(7));
    assert_eq!(parse(forged.as_bytes(), "forged.md").await.unwrap().markdown, "before\nafter\n");
}
