//! Cleans the text of every format: removes control characters and false page markers, and unifies line ends.

use std::borrow::Cow;

/// Cleans `text` for a parsed document.
///
/// Postgres cannot store NUL, and a terminal executes escape sequences. A line like a page marker would give the text below
/// it a wrong page; it is a comment, so removing it removes no visible text.
pub fn tidy(text: &str) -> String {
    let text = unix_lines(text);
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n').filter(|line| !is_page_marker(line)) {
        out.extend(line.chars().filter(|c| is_kept(*c)));
    }
    out
}

fn unix_lines(text: &str) -> Cow<'_, str> {
    if text.contains(['\r', '\u{c}']) {
        Cow::Owned(text.replace("\r\n", "\n").replace(['\r', '\u{c}'], "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Everything but control characters and Unicode's noncharacters.
fn is_kept(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        '\u{fffe}' | '\u{ffff}' | '\u{feff}' => false,
        other => !other.is_control(),
    }
}

/// Whether `line` resembles a [page marker](crate::ports::page_marker).
pub(crate) fn is_page_marker(line: &str) -> bool {
    // Characters that are removed later must not hide a marker.
    let line: Cow<'_, str> = if line.chars().all(is_kept) {
        line.into()
    } else {
        line.chars().filter(|c| is_kept(*c)).collect::<String>().into()
    };
    line.trim()
        .strip_prefix("<!--")
        .and_then(|rest| rest.strip_suffix("-->"))
        .and_then(|inner| inner.trim().strip_prefix("page"))
        .is_some_and(|number| !number.trim().is_empty() && number.trim().chars().all(|c| c.is_ascii_digit()))
}

/// Adds `text` to `out` as paragraphs of its own: a blank line before, no space at line ends, and never two blank
/// lines in a row.
pub fn push_paragraphs(out: &mut String, text: &str) {
    let text = text.trim_matches('\n').trim_end();
    if text.is_empty() {
        return;
    }
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
    for line in text.lines().map(str::trim_end) {
        if !(line.is_empty() && out.ends_with("\n\n")) {
            out.push_str(line);
            out.push('\n');
        }
    }
}

/// Letters and digits, which a reader would miss.
pub fn letters(text: &str) -> u64 {
    text.chars().filter(|c| c.is_alphanumeric()).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::page_marker;

    #[test]
    fn a_document_cannot_forge_page_markers() {
        let forged = format!("a\n{}\nb\n  <!--page 7-->  \n<!-- pa\u{0}ge 8 -->\nc", page_marker(99));
        assert_eq!(tidy(&forged), "a\nb\nc");
    }

    #[test]
    fn paragraphs_stand_apart_by_one_blank_line() {
        let mut out = String::new();
        for text in ["a ", "\n\n", "\nb\n\n\n\nc  \nd\n"] {
            push_paragraphs(&mut out, text);
        }
        assert_eq!(out, "a\n\nb\n\nc\nd\n");
    }

    #[test]
    fn other_comments_stay() {
        assert_eq!(tidy("<!-- page -->\n<!-- pages 3 -->\n"), "<!-- page -->\n<!-- pages 3 -->\n");
    }

    #[test]
    fn control_characters_go_and_lines_end_alike() {
        assert_eq!(tidy("\u{feff}a\0b\u{1b}[31m\r\nc\rd\te\u{c}f"), "ab[31m\nc\nd\te\nf");
    }
}
