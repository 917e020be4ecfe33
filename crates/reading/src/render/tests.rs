use domain::document::{AsideKind, Block, BlockKind, Cell, Document, Inline, ListItem, Table};

use super::tidy_markdown;

fn markdown(blocks: Vec<Block>) -> String {
    tidy_markdown(&Document { blocks, ..Document::default() })
}

fn one(kind: BlockKind) -> String {
    markdown(vec![kind.into()])
}

fn paragraph(text: &str) -> String {
    markdown(vec![Block::paragraph(text)])
}

fn cell(text: &str, columns: u32, rows: u32) -> Cell {
    Cell { columns, rows, ..Cell::text(text) }
}

fn table(header_rows: usize, rows: Vec<Vec<Cell>>) -> BlockKind {
    BlockKind::Table(Table { caption: Vec::new(), header_rows, rows })
}

fn row(texts: &[&str]) -> Vec<Cell> {
    texts.iter().map(|text| Cell::text(*text)).collect()
}

#[test]
fn pages_and_blocks_stand_apart() {
    let text = markdown(vec![Block::page(1), Block::heading(2, "Rules"), Block::paragraph("One."), Block::page(2)]);
    assert_eq!(text, "<!-- page 1 -->\n\n## Rules\n\nOne.\n\n<!-- page 2 -->\n");
}

#[test]
fn a_text_cannot_begin_a_page() {
    assert_eq!(paragraph("<!-- page 7 -->"), "\\<!-- page 7 -->\n");
    assert_eq!(one(BlockKind::Code("<!-- page 7 -->\na".into())), "```\na\n```\n");
}

#[test]
fn only_what_would_be_markup_is_escaped() {
    assert_eq!(
        paragraph("snake_case 2 * 3 a*b __init__ C:\\path"),
        "snake_case 2 * 3 a\\*b \\_\\_init\\_\\_ C:\\path\n"
    );
    assert_eq!(paragraph("[1] [x](y) <tag> 5 < 6 R&D &amp;"), "[1] [x]\\(y) \\<tag> 5 < 6 R&D \\&amp;\n");
    assert_eq!(paragraph("# no heading"), "\\# no heading\n");
    assert_eq!(paragraph("1. no item"), "1\\. no item\n");
    assert_eq!(paragraph("#hash 2031. -5"), "#hash 2031. -5\n");
}

#[test]
fn line_ends_stay_and_styles_stand_close_to_words() {
    let text = vec![
        Inline::text("a"),
        Inline::LineBreak,
        Inline::Strong(vec![Inline::text(" b")]),
        Inline::Strong(vec![Inline::text("c ")]),
        Inline::text("d"),
        Inline::Superscript("2".into()),
    ];
    assert_eq!(one(BlockKind::Paragraph(text)), "a\n**bc** d²\n");
}

#[test]
fn a_link_keeps_an_absolute_target() {
    let link = |target: &str| {
        one(BlockKind::Paragraph(vec![Inline::Link { target: target.into(), text: vec![Inline::text("here")] }]))
    };
    assert_eq!(link("https://example.org/a(b)"), "[here](https://example.org/a%28b%29)\n");
    assert_eq!(link("#top"), "here\n");
}

#[test]
fn nested_lists_are_indented() {
    let item = |marker: Option<&str>, text: &str| ListItem {
        marker: marker.map(str::to_owned),
        blocks: vec![Block::paragraph(text)],
    };
    let mut outer = item(Some("2."), "two");
    outer.blocks.push(BlockKind::List(vec![item(None, "deep"), item(Some("(b)"), "clause")]).into());
    assert_eq!(
        one(BlockKind::List(vec![item(Some("1."), "one"), outer])),
        "1. one\n2. two\n   - deep\n   - (b) clause\n"
    );
}

#[test]
fn a_merged_cell_says_its_value_in_each_place() {
    let rows = vec![
        vec![cell("Zone", 1, 2), cell("Price", 2, 1)],
        row(&["Adult", "Child"]),
        vec![cell("Inner", 1, 2), cell("4.10", 1, 1), cell("2.05", 1, 1)],
        row(&["5.20", "2.60"]),
        vec![cell("free", 3, 1)],
    ];
    let expected = "| Zone | Price / Adult | Price / Child |\n| --- | --- | --- |\n| Inner | 4.10 | 2.05 |\n\
                    | Inner | 5.20 | 2.60 |\n| free |  |  |\n";
    assert_eq!(one(table(0, rows)), expected);
}

#[test]
fn a_remark_over_many_columns_is_said_once() {
    let remark = "The gauge was under repair, and the harbour office took no readings";
    let rows = vec![
        row(&["Day", "Low", "High", "Mean", "Wind"]),
        vec![cell("Mon", 1, 1), cell(remark, 3, 1), cell("NW", 1, 1)],
        vec![cell("Tue", 1, 1), cell("calm", 3, 1), cell("N", 1, 1)],
    ];
    let expected = format!(
        "| Day | Low | High | Mean | Wind |\n| --- | --- | --- | --- | --- |\n| Mon | {remark} |  |  | NW |\n\
         | Tue | calm | calm | calm | N |\n"
    );
    assert_eq!(one(table(1, rows)), expected);
}

#[test]
fn a_long_remark_beside_many_rows_is_said_once() {
    let remark = "The office closed the gate for repairs. ".repeat(6).trim().to_owned();
    let mut rows = vec![row(&["Day", "Remark"])];
    for day in 1..=4 {
        let mut cells = vec![cell(&day.to_string(), 1, 1)];
        cells.extend((day == 1).then(|| cell(&remark, 1, 4)));
        rows.push(cells);
    }
    let expected = format!("| Day | Remark |\n| --- | --- |\n| 1 | {remark} |\n| 2 |  |\n| 3 |  |\n| 4 |  |\n");
    assert_eq!(one(table(1, rows)), expected);
}

#[test]
fn empty_rows_and_columns_are_left_out() {
    let rows = vec![row(&["", "", ""]), row(&["a", "", "b"]), row(&["1", "", "x|y"])];
    assert_eq!(one(table(0, rows)), "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n");
}

#[test]
fn nothing_in_a_cell_begins_a_block() {
    let rows = vec![row(&["a", "b"]), row(&["1. one", "- two"]), row(&["|", "# x"])];
    assert_eq!(one(table(1, rows)), "| a | b |\n| --- | --- |\n| 1. one | - two |\n| \\| | # x |\n");
}

#[test]
fn a_title_over_the_whole_table_stands_above_it() {
    let rows = vec![vec![cell("Sales", 2, 1)], row(&["Year", "Ducks"]), row(&["2031", "120"])];
    assert_eq!(one(table(2, rows)), "Sales\n\n| Year | Ducks |\n| --- | --- |\n| 2031 | 120 |\n");
}

#[test]
fn a_table_that_sets_the_page_becomes_blocks() {
    let cells = vec![
        Cell::new(vec![Block::heading(2, "Storage"), Block::paragraph("Acids.")]),
        Cell::new(vec![Block::paragraph("Side")]),
        Cell::text("x"),
    ];
    assert_eq!(one(table(0, vec![cells])), "## Storage\n\nAcids.\n\nSide\n\nx\n");
}

#[test]
fn a_table_within_a_cell_follows_its_table() {
    let inner = table(0, vec![row(&["Day", "Hours"]), row(&["Tuesday", "13 to 17"])]);
    let rows = vec![row(&["Visits", "Note"]), vec![Cell::new(vec![inner.into()]), Cell::text("closed on holidays")]];
    let text = one(table(0, rows));
    assert_eq!(
        text,
        "| Visits | Note |\n| --- | --- |\n|  | closed on holidays |\n\n| Day | Hours |\n| --- | --- |\n| Tuesday | 13 to 17 |\n"
    );
}

#[test]
fn a_hostile_span_is_bounded_and_loses_no_cell() {
    let rows = vec![vec![cell("a", u32::MAX, u32::MAX), cell("b", 1, 1)], row(&["c"])];
    assert_eq!(one(table(0, rows)), "| a |\n| --- |\n\nb\n\nc\n");
}

#[test]
fn what_stands_beside_the_pages_says_so() {
    let aside = |kind, by: &str, text: &str| {
        one(BlockKind::Aside { kind, by: by.into(), blocks: vec![Block::paragraph(text)] })
    };
    assert_eq!(aside(AsideKind::Comment, "Ann", "Cap it."), "> Comment (Ann): Cap it.\n");
    assert_eq!(aside(AsideKind::SpeakerNotes, "", "Smile."), "> Notes: Smile.\n");
    let attached = BlockKind::Aside { kind: AsideKind::Attachment, by: "a_b.txt".into(), blocks: Vec::new() };
    assert_eq!(one(attached), "> Attachment: a_b.txt\n");
}
