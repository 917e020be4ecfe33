use std::{io::Write, time::Duration};

use super::*;
use reading::render;
use zip::{ZipWriter, write::SimpleFileOptions};

/// Limits that no test reaches.
pub(super) const LIMITS: ParseLimits =
    ParseLimits { max_pages: 0, memory_bytes: 1 << 30, time: Duration::ZERO, output_bytes: 1 << 20 };

/// An archive of these parts.
pub(super) fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(super) fn markdown(document: &Document) -> String {
    render::tidy_markdown(document)
}

/// A sheet of these cells: address and text; `=` in front marks a number.
fn sheet(cells: &[(&str, &str)]) -> Sheet {
    let cells = cells.iter().map(|(at, text)| {
        let (row, column) = cell_at(at).unwrap();
        let number = text.strip_prefix('=');
        Cell { row, column, text: number.unwrap_or(text).to_owned(), is_text: number.is_none(), bold: false }
    });
    Sheet { cells: cells.collect(), ..Sheet::default() }
}

fn shown(sheet: Sheet) -> String {
    markdown(&Document { blocks: blocks::lay_out(sheet), ..Document::default() })
}

#[test]
fn addresses_name_cells() {
    for (text, place) in [("A1", (0, 0)), ("Z9", (8, 25)), ("AA10", (9, 26)), ("XFD1048576", (1_048_575, 16_383))] {
        assert_eq!(cell_at(text), Some(place));
        assert_eq!(address(place.0, place.1), text);
    }
    assert_eq!(area_of("$B$2:D4"), Some(Area { top: 1, left: 1, bottom: 3, right: 3 }));
    for broken in ["", "A", "1", "A0", "AAAAAAAAAA1", "A99999999999", "é1"] {
        assert_eq!(cell_at(broken), None, "{broken}");
    }
}

#[test]
fn a_title_above_a_table_is_text() {
    let table = sheet(&[("A1", "Yield"), ("A2", "Field"), ("B2", "Tonnes"), ("A3", "North"), ("B3", "=4")]);
    assert_eq!(shown(table), "Yield\n\n| Field | Tonnes |\n| --- | --- |\n| North | 4 |\n");
    // An empty corner is no title.
    let corner = sheet(&[("B1", "2030"), ("A2", "North"), ("B2", "=4")]);
    assert_eq!(shown(corner), "|  | 2030 |\n| --- | --- |\n| North | 4 |\n");
}

#[test]
fn a_few_empty_rows_group_and_many_part() {
    let rows = [("A1", "Item"), ("B1", "Cost"), ("A2", "Rope"), ("B2", "=12")];
    let with = |more: &[(&'static str, &'static str)]| shown(sheet(&[&rows[..], more].concat()));
    let one = "| Item | Cost |\n| --- | --- |\n| Rope | 12 |\n| Hook | 2 |\n";
    assert_eq!(with(&[("A4", "Hook"), ("B4", "=2")]), one);
    let two = "| Item | Cost |\n| --- | --- |\n| Rope | 12 |\n\n| Hook | 2 |\n| --- | --- |\n";
    assert_eq!(with(&[("A700", "Hook"), ("B700", "=2")]), two);
    let headed = with(&[("A4", "Boat"), ("B4", "Length"), ("A5", "Zwaan"), ("B5", "=7")]);
    assert!(headed.ends_with("\n\n| Boat | Length |\n| --- | --- |\n| Zwaan | 7 |\n"), "{headed}");
    let note = with(&[("A4", "Prices of May.")]);
    assert!(note.ends_with("| Rope | 12 |\n\nPrices of May.\n"), "{note}");
}

#[test]
fn tables_side_by_side_are_two_and_a_spacer_column_is_none() {
    let left = [("A1", "Item"), ("B1", "Cost"), ("A2", "Rope"), ("B2", "=12"), ("A3", "Hook"), ("B3", "=2")];
    let right = [("D1", "Boat"), ("E1", "Length"), ("D2", "Zwaan"), ("E2", "=7")];
    let both = shown(sheet(&[&left[..], &right[..]].concat()));
    assert!(both.contains("| Hook | 2 |\n\n| Boat | Length |\n"), "{both}");
    let notes = shown(sheet(&[&left[..], &[("D1", "Note"), ("D3", "steel")]].concat()));
    assert_eq!(notes, "| Item | Cost | Note |\n| --- | --- | --- |\n| Rope | 12 |  |\n| Hook | 2 | steel |\n");
}

#[test]
fn merged_cells_stand_in_each_of_their_places() {
    let mut merged = sheet(&[
        ("A1", "Zone"),
        ("B1", "Price"),
        ("B2", "Adult"),
        ("C2", "Child"),
        ("A3", "Inner"),
        ("B3", "=4"),
        ("C3", "=2"),
        ("A4", "under"),
        ("B4", "=5"),
        ("C4", "=3"),
    ]);
    merged.merged = ["A1:A2", "B1:C1", "A3:A4", "F1:XFD9"].iter().filter_map(|area| area_of(area)).collect();
    let expected =
        "| Zone | Price / Adult | Price / Child |\n| --- | --- | --- |\n| Inner | 4 | 2 |\n| Inner | 5 | 3 |\n";
    assert_eq!(shown(merged), expected);
}

#[test]
fn what_is_hidden_is_left_out_and_counted() {
    let mut sheet = sheet(&[
        ("A1", "Title over all"),
        ("A2", "secret"),
        ("B2", "Item"),
        ("C2", "Cost"),
        ("B3", "hidden row"),
        ("B90", "Rope"),
        ("C90", "=12"),
    ]);
    sheet.merged.extend(area_of("A1:C1"));
    sheet.hidden = Hidden { rows: vec![(2, 88)], columns: vec![(0, 0), (9, 16_383)] };
    assert_eq!(hidden::leave_out(&mut sheet), 2);
    assert_eq!(shown(sheet), "Title over all\n\n| Item | Cost |\n| --- | --- |\n| Rope | 12 |\n");
}

#[test]
fn far_and_scattered_cells_make_no_large_table() {
    let cells = (0..3000).map(|at| Cell { row: at, column: at, text: "x".into(), is_text: true, bold: false });
    let pairs = (0..3000).map(|at| Cell { row: at, column: at + 5000, text: "y".into(), is_text: true, bold: false });
    let sheet = Sheet { cells: cells.chain(pairs).collect(), ..Sheet::default() };
    let text = shown(sheet);
    assert!(text.starts_with("x; y\n\nx; y\n") && text.len() < 30_000, "{}", text.len());
}

#[test]
fn a_sheet_that_cannot_be_read_is_a_failed_page() {
    let mut workbook = Workbook::new(2, 1, &LIMITS).unwrap();
    workbook.add(1, "Good", Ok(sheet(&[("A1", "here")]))).unwrap();
    workbook.add(2, "Bad", Err(Fault::Corrupt)).unwrap();
    let document = workbook.finish().unwrap();
    assert_eq!(markdown(&document), "<!-- page 1 -->\n\n## Good\n\nhere\n\n<!-- page 2 -->\n\n## Bad\n");
    let hidden = Notice::left_out(LeftOut::HiddenSheets, 1).unwrap();
    assert_eq!(document.notices, [Notice::FailedPages { pages: vec![2], count: 1 }, hidden]);
}

#[test]
fn a_text_or_table_beyond_the_limit_is_refused() {
    let mut budget = Budget::new(&ParseLimits { output_bytes: 10, ..LIMITS });
    assert_eq!(budget.take("1234567"), Ok(()));
    assert_eq!(budget.take(""), Err(Fault::OutputLimit { limit_bytes: 10 }));
    let mut budget = Budget::new(&ParseLimits { memory_bytes: 1000, ..LIMITS });
    assert_eq!(budget.take("1"), Ok(()));
    assert_eq!(budget.take("2"), Err(Fault::Memory { limit_bytes: 1000 }));
}
