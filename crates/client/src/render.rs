//! Output for a terminal or a pipe: tables and wrapped passages.

mod passage;

use std::{collections::BTreeSet, io, io::Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;
use time::{OffsetDateTime, macros::format_description};
use uuid::Uuid;

use domain::{money::Cents, printable};

pub(crate) use passage::passage;

/// Wider prose is hard to read.
const MAX_PROSE_COLUMNS: u16 = 110;
const MIN_COLUMNS: u16 = 40;

/// Writes `text` to stdout, with colours only on a terminal without `NO_COLOR`. A closed pipe (`| head`) is no error.
///
/// # Errors
///
/// Stdout cannot be written for another reason.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes `value` to stdout as indented JSON.
///
/// # Errors
///
/// Stdout cannot be written.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    print(&text)
}

/// What something has cost; `None`: nothing.
pub(crate) fn cost(cents: Option<Cents>) -> Option<String> {
    match cents {
        Some(Cents::ZERO) => None,
        Some(cents) => Some(format!("{cents} US cents")),
        None => Some("unknown: there was no price".to_owned()),
    }
}

/// The width of the terminal; `None` if stdout is not a terminal, and text is not wrapped.
pub fn columns() -> Option<u16> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(columns.max(MIN_COLUMNS))
}

/// The width for prose.
pub fn prose_columns() -> usize {
    columns().map_or(MAX_PROSE_COLUMNS, |columns| columns.min(MAX_PROSE_COLUMNS)).into()
}

/// Whether stdout shows colours.
pub fn stdout_is_coloured() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}

/// A table, at most as wide as the terminal. Every cell is made [`printable`].
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    if let Some(columns) = columns() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    }
    let mut ids = BTreeSet::new();
    for row in rows {
        ids.extend(row.iter().enumerate().filter(|(_, cell)| cell.parse::<Uuid>().is_ok()).map(|(at, _)| at));
        table.add_row(row.iter().map(|cell| printable(cell).into_owned()));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if ids.contains(&at) {
            // People copy them.
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
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
    fn a_table_has_one_line_per_row_and_printable_cells() {
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
