use domain::document::{BlockKind, Cell, Inline};

use super::*;

fn piece(text: &str, left: f32, base: f32) -> Piece {
    let rect = Rect { left, top: base - 8.0, right: left + 5.0 * text.chars().count() as f32, bottom: base + 2.0 };
    let bits = vec![Bit::Plain(text.to_owned())];
    let chars = text.chars().count();
    let [bold, fixed, right_to_left, slanted] = [false; 4];
    let order = base as usize * 1000 + left as usize;
    Piece { bits, rect, base, size: 10.0, turn: 0, order, chars, gaps: Vec::new(), bold, fixed, right_to_left, slanted }
}

fn rule(left: f32, right: f32, y: f32) -> Rect {
    Rect { left, top: y, right, bottom: y + 0.5 }
}

/// The cells' texts, with how many columns each covers where it is more than one.
fn texts(table: &Table) -> Vec<String> {
    let text = |cell: &Cell| {
        let words: String = cell
            .blocks
            .iter()
            .flat_map(|block| if let BlockKind::Paragraph(text) = &block.kind { text.clone() } else { Vec::new() })
            .map(|inline| if let Inline::Text(text) = inline { text } else { String::new() })
            .collect();
        if cell.columns > 1 { format!("{words}×{}", cell.columns) } else { words }
    };
    table.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|")).collect()
}

fn aligned_texts(lines: &[&[(&str, f32)]], rules: &[Rect]) -> Vec<Vec<String>> {
    let row = |(at, line): (usize, &&[(&str, f32)])| {
        line.iter().map(|(text, left)| page::item(piece(text, *left, 20.0 + 12.0 * at as f32))).collect()
    };
    let rows: Vec<Row> = lines.iter().enumerate().map(row).collect();
    let tables = parts(rows, rules).into_iter().filter_map(|part| match part {
        Part::Table(table, _) => Some(texts(&table)),
        Part::Line(_) => None,
    });
    tables.collect()
}

#[test]
fn between_rules_heads_spans_and_cells_of_several_lines_are_found() {
    let rules = [rule(0.0, 300.0, 0.0), rule(0.0, 300.0, 16.0), rule(0.0, 300.0, 120.0)];
    let mut pieces = vec![
        piece("Source", 0.0, 10.0),
        piece("Tokens", 150.0, 10.0),
        piece("Words", 250.0, 10.0),
        piece("The whole mix of the year that ended in December", 20.0, 28.0),
        piece("DCLM", 0.0, 44.0),
        piece("3.71", 160.0, 44.0),
        piece("3.32", 260.0, 44.0),
        piece("StarCoder", 0.0, 60.0),
        piece("filtered", 10.0, 69.0),
        piece("83.0", 160.0, 69.0),
        piece("70.0", 260.0, 69.0),
        piece("version", 10.0, 78.0),
        piece("arXiv", 0.0, 94.0),
        piece("20.8", 160.0, 94.0),
        piece("19.3", 260.0, 94.0),
        piece("Total", 0.0, 110.0),
        piece("3.90", 160.0, 110.0),
        piece("3.48", 260.0, 110.0),
        piece("Text below the table", 0.0, 140.0),
    ];
    let mut labels = Vec::new();
    let found = ruled(&mut pieces, &mut labels, &rules);
    assert_eq!(
        texts(&found[0].0),
        [
            "Source|Tokens|Words",
            "The whole mix of the year that ended in December×3",
            "DCLM|3.71|3.32",
            "StarCoder filtered version|83.0|70.0",
            "arXiv|20.8|19.3",
            "Total|3.90|3.48",
        ]
    );
    assert_eq!((found.len(), found[0].0.header_rows, pieces.len()), (1, 1, 1));
}

fn ruled_texts(lines: &[&[(&str, f32)]], rules: &[Rect]) -> (Vec<Vec<String>>, Vec<String>) {
    let place = |(at, line): (usize, &&[(&str, f32)])| {
        line.iter().map(move |(text, left)| piece(text, *left, 20.0 + 14.0 * at as f32)).collect::<Vec<_>>()
    };
    let mut pieces: Vec<Piece> = lines.iter().enumerate().flat_map(place).collect();
    let found = ruled(&mut pieces, &mut Vec::new(), rules);
    (found.iter().map(|(table, ..)| texts(table)).collect(), pieces.iter().map(Piece::text).collect())
}

#[test]
fn labels_left_of_rules_under_the_numbers_and_headings_above_belong_to_the_table() {
    // Rules run under the columns of numbers only; a paragraph parts two tables.
    let lines: [&[(&str, f32)]; 10] = [
        &[("Year ended May 31", 220.0)],
        &[("(in millions)", 0.0), ("2031", 200.0), ("2030", 300.0)],
        &[("Rope", 0.0), ("5,032", 200.0), ("4,901", 300.0)],
        &[("Nets of the northern fleet:", 0.0)],
        &[("sold", 10.0), ("1,035", 200.0), ("963", 300.0)],
        &[("Total", 0.0), ("6,067", 200.0), ("5,864", 300.0)],
        &[("The total grew because the fleet did, as the harbour office had foretold in May.", 0.0)],
        &[("Coal", 0.0), ("12", 200.0), ("49", 300.0)],
        &[("Oil", 0.0), ("7", 200.0), ("21", 300.0)],
        &[("All", 0.0), ("19", 200.0), ("70", 300.0)],
    ];
    let rules = [24.0, 38.0, 80.0, 94.0, 108.0, 122.0, 136.0, 150.0].map(|y| rule(195.0, 330.0, y));
    let (tables, left) = ruled_texts(&lines, &rules);
    assert_eq!(
        tables,
        [
            vec![
                "|Year ended May 31×2",
                "(in millions)|2031|2030",
                "Rope|5,032|4,901",
                "Nets of the northern fleet:||",
                "sold|1,035|963",
                "Total|6,067|5,864",
            ],
            vec!["Coal|12|49", "Oil|7|21", "All|19|70"],
        ]
    );
    assert_eq!(left, [lines[6][0].0]);
}

#[test]
fn rows_with_numbers_above_a_second_rule_are_no_headings() {
    let lines: [&[(&str, f32)]; 4] = [
        &[("Ships", 0.0), ("39,166", 200.0)],
        &[("Services", 0.0), ("641", 200.0)],
        &[("Other", 0.0), ("1,823", 200.0)],
        &[("Total", 0.0), ("41,630", 200.0)],
    ];
    let (tables, _) = ruled_texts(&lines, &[8.0, 52.0, 66.0].map(|y| rule(0.0, 240.0, y)));
    assert_eq!(tables, [["Ships|39,166", "Services|641", "Other|1,823", "Total|41,630"]]);
}

#[test]
fn text_between_rules_is_no_table() {
    let rules = [rule(0.0, 500.0, 0.0), rule(0.0, 500.0, 200.0)];
    let line = "The lock keeper opens the gate at dawn.";
    let mut pieces: Vec<Piece> =
        (1..12).flat_map(|at| [0.0, 250.0].map(|left| piece(line, left, 15.0 * at as f32))).collect();
    assert!(ruled(&mut pieces, &mut Vec::new(), &rules).is_empty());
    assert_eq!(pieces.len(), 22);
}

#[test]
fn a_heading_over_several_columns_and_currency_signs_belong_to_their_cells() {
    let found = aligned_texts(
        &[
            &[("Year Ended", 180.0)],
            &[("Jan 2025", 105.0), ("Jan 2024", 255.0)],
            &[("Revenue", 0.0), ("$", 100.0), ("178", 130.0), ("$", 250.0), ("141", 280.0)],
            &[("Research", 0.0), ("3,423", 120.0), ("2,532", 270.0)],
        ],
        &[rule(100.0, 310.0, 23.0)],
    );
    assert_eq!(found, [["|Year Ended×2", "|Jan 2025|Jan 2024", "Revenue|$ 178|$ 141", "Research|3,423|2,532"]]);
}

#[test]
fn a_caption_above_aligned_columns_stays_text() {
    let found = aligned_texts(
        &[
            &[("Table 5: What the boats carried", 0.0)],
            &[("Boat", 0.0), ("Load", 100.0), ("Day", 200.0)],
            &[("Swan", 0.0), ("coal", 100.0), ("3", 200.0)],
            &[("Gull", 0.0), ("rope", 100.0), ("4", 200.0)],
        ],
        &[],
    );
    assert_eq!(found, [["Boat|Load|Day", "Swan|coal|3", "Gull|rope|4"]]);
}

#[test]
fn headings_of_one_and_of_several_columns_stand_over_them_where_nothing_is_ruled() {
    let found = aligned_texts(
        &[
            &[("Consolidated Statements", 90.0)],
            &[("Year ended May 31,", 175.0)],
            &[("(in millions)", 0.0), ("2031", 155.0), ("2030", 215.0), ("2029", 275.0)],
            &[("Ships of the line, and their boats:", 0.0)],
            &[("Sold", 10.0), ("5,032", 150.0), ("4,901", 210.0), ("4,100", 270.0)],
            &[("Lent to the harbours of the coast", 10.0), ("12", 165.0), ("—", 230.0), ("7", 290.0)],
            &[("Total", 0.0), ("5,044", 150.0), ("4,901", 210.0), ("4,107", 270.0)],
        ],
        &[],
    );
    assert_eq!(
        found,
        [[
            "|Year ended May 31,×3",
            "(in millions)|2031|2030|2029",
            "Ships of the line, and their boats:|||",
            "Sold|5,032|4,901|4,100",
            "Lent to the harbours of the coast|12|—|7",
            "Total|5,044|4,901|4,107",
        ]]
    );
}

#[test]
fn labels_longer_than_their_column_and_shifted_rows_do_not_end_a_table() {
    let found = aligned_texts(
        &[
            &[("Cash", 10.0), ("1,011", 200.0), ("876", 272.0)],
            &[("Receivables, net of allowances of $6,214 and $7,293", 0.0)],
            &[("respectively", 10.0), ("833", 212.0), ("672", 272.0)],
            &[("Renewable", 40.0), ("(3)", 88.0), ("2", 222.0), ("49", 277.0)],
            &[("Total", 60.0), ("1,846", 200.0), ("1,597", 262.0)],
        ],
        &[],
    );
    let rows: Vec<&str> = found.iter().flatten().map(String::as_str).collect();
    assert_eq!(
        rows,
        [
            "Cash|1,011|876",
            "Receivables, net of allowances of $6,214 and $7,293||",
            "respectively|833|672",
            "Renewable (3)|2|49",
            "Total|1,846|1,597",
        ]
    );
    assert_eq!(found.len(), 1);
}

#[test]
fn headings_below_numbers_begin_another_table() {
    let found = aligned_texts(
        &[
            &[("Rope", 0.0), ("12", 200.0), ("49", 300.0)],
            &[("Nets", 0.0), ("7", 205.0), ("21", 300.0)],
            &[("Loans", 200.0), ("Rates", 300.0)],
            &[("Banks", 0.0), ("1,035", 200.0), ("9.5", 300.0)],
            &[("Crews", 0.0), ("963", 205.0), ("8.1", 300.0)],
        ],
        &[],
    );
    assert_eq!(found, [vec!["Rope|12|49", "Nets|7|21"], vec!["|Loans|Rates", "Banks|1,035|9.5", "Crews|963|8.1"]]);
}

#[test]
fn labels_a_little_above_their_numbers_stand_in_their_row() {
    let row = |(at, (label, number)): (usize, (&str, &str))| {
        let base = 20.0 + 14.0 * at as f32;
        let item = |text: &str, left: f32, base: f32| page::item(piece(text, left, base));
        [vec![item(label, 0.0, base)], vec![item(number, 150.0, base + 5.0), item("—", 200.0, base + 5.0)]]
    };
    let rows = [("Net income", "114"), ("Dividends", "(73)"), ("Shares sold", "29"), ("Balance", "512")];
    let rows: Vec<Row> = rows.into_iter().enumerate().flat_map(row).collect();
    let found = parts(rows, &[]);
    let [Part::Table(table, _)] = found.as_slice() else { panic!("one table") };
    assert_eq!(texts(table), ["Net income|114|—", "Dividends|(73)|—", "Shares sold|29|—", "Balance|512|—"]);
}
