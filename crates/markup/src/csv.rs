//! Reads tables of values parted by commas, semicolons, tabs or bars.
//!
//! The rows are written as they are read: a table of blocks would cost many times the file.

use csv::{ByteRecord, Reader, ReaderBuilder};

use domain::{document::Inline, markdown, ports::ParseLimits};
use reading::{Reading, fault::Fault, limits::check_output, render};

/// How much of a file tells what parts its values, in bytes and rows.
const SAMPLE_BYTES: usize = 64 << 10;
const SAMPLE_ROWS: usize = 200;
/// How many values more than usual a row may have to widen the table.
const MAX_SURPLUS: usize = 16;
/// A value with more lines than this began with a stray quotation mark.
const MAX_LINES: usize = 200;

/// The table; the text as it is if nothing parts values.
pub fn read(text: &str, limits: &ParseLimits) -> Result<Reading, Fault> {
    let (named, text) = separator_line(text);
    let Some(delimiter) = named.or_else(|| delimiter(text)) else {
        return Ok(Reading::Markdown { text: markdown::tidy(text), pages: 0 });
    };
    let usual = usual(&widths(text, delimiter)).0;
    let mut row = ByteRecord::new();
    let (mut stray, mut widest) = (false, usual);
    let mut rows = reader(text, delimiter, true);
    while rows.read_byte_record(&mut row).is_ok_and(|more| more) {
        stray |= row.iter().any(is_long);
        if row.len() <= usual + MAX_SURPLUS {
            widest = widest.max(row.iter().rposition(|value| !value.trim_ascii().is_empty()).map_or(0, |at| at + 1));
        }
    }
    let mut table = Rows { out: String::new(), row: 0, width: if stray { usual } else { widest } };
    let mut rows = reader(text, delimiter, !stray);
    while rows.read_byte_record(&mut row).is_ok_and(|more| more) {
        table.push(&row);
        check_output(limits, table.out.len())?;
    }
    Ok(Reading::Markdown { text: markdown::tidy(&table.out), pages: 0 })
}

fn is_long(value: &[u8]) -> bool {
    value.iter().filter(|&&byte| byte == b'\n').count() > MAX_LINES
}

fn reader(text: &str, delimiter: u8, quoting: bool) -> Reader<&[u8]> {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(delimiter).quoting(quoting).flexible(true).has_headers(false).from_reader(text.as_bytes())
}

/// The separator that a first line such as `sep=;` names for Excel, and the text below it.
fn separator_line(text: &str) -> (Option<u8>, &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    match line.trim_end_matches('\r').as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => (Some(*delimiter), rest),
        _ => (None, text),
    }
}

/// The first rows' numbers of values.
fn widths(text: &str, delimiter: u8) -> Vec<usize> {
    let mut end = text.len().min(SAMPLE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let rows = reader(text.get(..end).unwrap_or_default(), delimiter, true).into_byte_records().flatten();
    rows.take(SAMPLE_ROWS)
        .filter(|row| row.iter().any(|value| !value.trim_ascii().is_empty()))
        .map(|row| row.len())
        .collect()
}

/// The number of values that most rows have, and how many rows have it.
fn usual(widths: &[usize]) -> (usize, usize) {
    let count = |width: usize| widths.iter().filter(|&&other| other == width).count();
    widths.iter().map(|&width| (width, count(width))).max_by_key(|&(width, count)| (count, width)).unwrap_or((0, 0))
}

/// What parts the values: what gives most rows the same number of them, and most values.
fn delimiter(text: &str) -> Option<u8> {
    let of = |delimiter: u8| {
        let widths = widths(text, delimiter);
        let (width, rows) = usual(&widths);
        // Per mille of the rows; a few more values do not outweigh rows that do not fit.
        let even = rows * 1000 / widths.len().max(1);
        (width > 1).then_some((even * width.min(4), width))
    };
    // Of equal ones the last: a comma parts digits, too.
    let fits = [b',', b';', b'|', b'\t'].into_iter().filter_map(|delimiter| Some((of(delimiter)?, delimiter)));
    fits.max_by_key(|(fit, _)| *fit).map(|(_, delimiter)| delimiter)
}

/// Writes a pipe table row by row.
struct Rows {
    out: String,
    /// Rows that were written.
    row: usize,
    /// Places of the table.
    width: usize,
}

impl Rows {
    fn push(&mut self, row: &ByteRecord) {
        let values: Vec<String> = row.iter().map(|value| String::from_utf8_lossy(value).trim().to_owned()).collect();
        let filled = values.iter().filter(|value| !value.is_empty()).count();
        if filled == 0 {
            return;
        }
        // Words above the table.
        if self.row == 0 && filled == 1 && self.width > 1 && values.first().is_some_and(|first| !first.is_empty()) {
            markdown::push_paragraphs(&mut self.out, &render::cell(&[Inline::text(values.concat())]));
            return;
        }
        if self.row == 0 && !self.out.is_empty() {
            self.out.push('\n');
        }
        let last = values.iter().rposition(|value| !value.is_empty()).map_or(0, |at| at + 1);
        let places = self.width.max(1);
        self.out.push('|');
        for at in 0..places.max(last) {
            let value = values.get(at).map(String::as_str).unwrap_or_default();
            self.out.push(' ');
            self.out.push_str(&render::cell(&[Inline::text(value)]));
            self.out.push_str(" |");
        }
        self.out.push('\n');
        if self.row == 0 {
            self.out.push('|');
            self.out.push_str(&" --- |".repeat(places));
            self.out.push('\n');
        }
        self.row += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ParseLimits =
        ParseLimits { max_pages: 0, memory_bytes: 0, time: std::time::Duration::ZERO, output_bytes: 1000 };

    fn table(text: &str) -> String {
        read(text, &LIMITS).unwrap().rendered().0
    }

    #[test]
    fn the_delimiter_is_found() {
        assert_eq!(table("a,b\n1,2\n"), "| a | b |\n| --- | --- |\n| 1 | 2 |\n");
        let budget = "\"Post\";Betrag\nMiete;\"1.250,00\"\n\"Öl; Heizung\";3,5\n";
        assert_eq!(table(budget), "| Post | Betrag |\n| --- | --- |\n| Miete | 1.250,00 |\n| Öl; Heizung | 3,5 |\n");
        assert_eq!(table("sep=;\na;b,c\n"), "| a | b,c |\n| --- | --- |\n");
        assert_eq!(table("a\tb, c\n1\t2, 3\n4\t5, 6"), "| a | b, c |\n| --- | --- |\n| 1 | 2, 3 |\n| 4 | 5, 6 |\n");
        assert_eq!(table("one\ntwo\n"), "one\ntwo\n");
    }

    #[test]
    fn values_may_hold_lines_bars_and_quotes() {
        assert_eq!(table("a,b\n\"x\ny\",\"say \"\"|\"\"\"\n"), "| a | b |\n| --- | --- |\n| x<br>y | say \"\\|\" |\n");
        let stray = format!("a,b\n\"1,2\n{}", "3,4\n".repeat(300));
        assert!(
            read(&stray, &ParseLimits { output_bytes: 1 << 20, ..LIMITS })
                .unwrap()
                .rendered()
                .0
                .matches("| 3 | 4 |")
                .count()
                == 300
        );
    }

    #[test]
    fn words_above_and_empty_rows_are_no_rows() {
        assert_eq!(
            table("Report\n,,\na,b,c\n\n1,2\n1,2,3,4\n5,6,7\n"),
            "Report\n\n| a | b | c |  |\n| --- | --- | --- | --- |\n| 1 | 2 |  |  |\n| 1 | 2 | 3 | 4 |\n| 5 | 6 | 7 |  |\n"
        );
    }

    #[test]
    fn a_long_table_is_refused_by_its_text() {
        assert!(matches!(read(&"a,b\n".repeat(1000), &LIMITS), Err(Fault::OutputLimit { .. })));
    }
}
