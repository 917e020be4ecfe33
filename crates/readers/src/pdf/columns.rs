//! Restores the columns of pages whose page number hides them from the parsing crate.
//!
//! The crate finds columns by the white gap between them. A page number centred under two columns closes that gap: the
//! crate then reads each line across both columns, and joins broken words with words of the other column.

use unpdf::{
    Block, InlineContent, Page, Paragraph,
    parser::{BlockType, LayoutAnalyzer, TextBlock, TextSpan},
};

use super::reopened::Reopened;

/// The longest page number, in bytes.
const MAX_NUMBER_BYTES: usize = 4;

/// Puts the page's text in the order of its columns if a page number hid them.
pub(super) fn restore(page: &mut Page, reopened: &Reopened<'_>) {
    if page.column_count < 2
        && page.elements.iter().all(is_plain_text)
        && page.elements.iter().any(is_page_number)
        && let Some(blocks) = blocks_in_columns(page.number, reopened)
    {
        page.elements = blocks;
    }
}

/// Reading the page again would lose tables, code and links.
fn is_plain_text(block: &Block) -> bool {
    let is_text = |item: &InlineContent| matches!(item, InlineContent::Text(_) | InlineContent::LineBreak);
    matches!(block, Block::Paragraph(paragraph) if paragraph.content.iter().all(is_text))
}

fn is_page_number(block: &Block) -> bool {
    matches!(block, Block::Paragraph(paragraph) if is_number(&paragraph.plain_text()))
}

fn is_number(text: &str) -> bool {
    let text = text.trim();
    (1..=MAX_NUMBER_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The page's blocks with the page number moved to the end; `None` if the page has no columns without it either.
fn blocks_in_columns(number: u32, reopened: &Reopened<'_>) -> Option<Vec<Block>> {
    let (document, _) = reopened.page(number)?;
    let mut analyzer = LayoutAnalyzer::new(document);
    let mut spans = analyzer.extract_page_spans(number).ok()?;
    analyzer.filter_spans_for_page(&mut spans, number);
    let page_number = spans.swap_remove(find_page_number(&spans)?);
    for span in &spans {
        analyzer.font_stats_mut().add_text(span.font_size, &span.text);
    }
    analyzer.font_stats_mut().analyze();
    let lines = analyzer.group_spans_into_lines_pub(spans);
    if analyzer.page_facts().column_count < 2 {
        return None;
    }
    let lines = analyzer.detect_headings_pub(lines);
    let blocks = analyzer.group_lines_into_blocks_pub(lines);
    let page_number = Block::Paragraph(Paragraph::with_text(page_number.text));
    Some(blocks.iter().filter(|block| !block.is_empty()).map(to_paragraph).chain([page_number]).collect())
}

/// The index of a number that stands below or above all other text.
fn find_page_number(spans: &[TextSpan]) -> Option<usize> {
    let height = |index: &usize| spans[*index].y;
    let by_height = |a: &usize, b: &usize| height(a).total_cmp(&height(b));
    let ends = [(0..spans.len()).min_by(by_height), (0..spans.len()).max_by(by_height)];
    ends.into_iter().flatten().find(|end| {
        let is_apart = |(index, span): (usize, &TextSpan)| index == *end || (span.y - height(end)).abs() > 1.0;
        is_number(&spans[*end].text) && spans.iter().enumerate().all(is_apart)
    })
}

fn to_paragraph(block: &TextBlock) -> Block {
    Block::Paragraph(match block.block_type {
        BlockType::Heading => Paragraph::heading(block.text(), block.heading_level),
        BlockType::Paragraph | BlockType::ListItem | BlockType::Unknown => Paragraph::with_text(block.text()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, y: f32) -> TextSpan {
        TextSpan::new(text.into(), 100.0, y, 10.0, "F".into())
    }

    #[test]
    fn the_page_number_stands_alone_at_the_top_or_bottom() {
        let body = || [span("Text", 700.0), span("7", 400.0), span("text", 120.0)];
        assert_eq!(find_page_number(&body()), None);
        let with = |more: TextSpan| find_page_number(&[&body()[..], &[more]].concat());
        assert_eq!(with(span("12", 80.0)), Some(3));
        assert_eq!(with(span(" 3 ", 750.0)), Some(3));
        assert_eq!(with(span("12", 120.5)), None);
        assert_eq!(with(span("12345", 80.0)), None);
        assert_eq!(find_page_number(&[]), None);
    }

    #[test]
    fn pages_with_more_than_text_are_not_changed() {
        let link = InlineContent::Link { text: "a".into(), url: "b".into(), title: None, style: Default::default() };
        let linked = Paragraph { content: vec![link], ..Paragraph::default() };
        assert!(!is_plain_text(&Block::Paragraph(linked)) && !is_plain_text(&Block::HorizontalRule));
        assert!(is_plain_text(&Block::Paragraph(Paragraph::with_text("a"))));
    }
}
