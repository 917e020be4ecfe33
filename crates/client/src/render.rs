//! Text for a terminal, and for a pipe: tables, wrapped passages, safe characters.

mod passage;

use std::{borrow::Cow, io, io::Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use time::{OffsetDateTime, macros::format_description};

pub use passage::Passage;

/// Prose wider than this is hard to read.
const MAX_PROSE_COLUMNS: u16 = 110;
const MIN_COLUMNS: u16 = 40;

/// Writes `text` to stdout; colours go where they are wanted only (a terminal, no `NO_COLOR`). A reader that has seen
/// enough (`| head`) is no failure.
///
/// # Errors
///
/// Where stdout cannot be written for another reason.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes `value` to stdout as indented JSON.
///
/// # Errors
///
/// Where stdout cannot be written.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(print(&text)?)
}

/// Columns of the terminal that stdout is; `None` where it is none, and nothing needs to be wrapped.
pub fn columns() -> Option<u16> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(columns.max(MIN_COLUMNS))
}

/// Columns for prose.
pub fn prose_columns() -> usize {
    columns().map_or(MAX_PROSE_COLUMNS, |columns| columns.min(MAX_PROSE_COLUMNS)).into()
}

/// Whether stdout shows colours.
pub fn stdout_is_coloured() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// `text` without control characters: names and passages come from other people's documents, and must not be able to
/// steer the terminal. Tabs and line breaks become spaces.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| !c.is_control() && !is_bidi_control(c);
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let replace = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if harmless(c) => c,
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(replace).collect())
}

/// These reorder what follows, so that a name can look like another one.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A table with `header`, as wide as the terminal at most. Every cell is made [`printable`].
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    if let Some(columns) = columns() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell).into_owned()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// `2026-11-22 01:02:03` (UTC).
pub fn moment(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    at.to_offset(time::UtcOffset::UTC).format(&format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_document_cannot_steer_the_terminal() {
        assert_eq!(printable("plain – ünïcode 漢"), "plain – ünïcode 漢");
        assert_eq!(printable("a\x1b[2Jb\u{9b}31mc\nd\te\u{202e}f"), "a\u{fffd}[2Jb\u{fffd}31mc d e\u{fffd}f");
    }

    #[test]
    fn a_table_has_a_line_a_row_and_safe_cells() {
        let text = table(&["FILE", "STATUS"], [vec!["a\x1b.pdf".into(), "complete".into()]]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("FILE"), "{text}");
        assert!(lines[1].contains("a\u{fffd}.pdf") && lines[1].contains("complete"));
    }

    #[test]
    fn a_moment_is_in_utc() {
        assert_eq!(moment(time::macros::datetime!(2026-11-22 01:02:03 +01:00)), "2026-11-22 00:02:03");
    }
}
