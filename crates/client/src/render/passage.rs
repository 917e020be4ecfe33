//! Renders a passage of a document: wrapped, with its `**marks**`.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use domain::printable;

const MARK: &str = "**";
const BOLD: Style = Style::new().bold();

/// `passage`, in which `**` surrounds the words that matched, in indented lines of at most `columns`. With colours the marks
/// become bold; without, they stay.
pub fn passage(passage: &str, indent: &str, columns: usize, coloured: bool) -> String {
    let columns = columns.saturating_sub(indent.width()).max(20);
    let mut text = String::new();
    let mut bold = false;
    for line in wrap(passage, columns, coloured) {
        text.push_str(indent);
        if coloured {
            push_bold(&line, &mut bold, &mut text)
        } else {
            text.push_str(&line)
        }
        text.push('\n');
    }
    text
}

fn wrap(passage: &str, columns: usize, coloured: bool) -> Vec<String> {
    let width = |text: &str| if coloured { text.replace(MARK, "").width() } else { text.width() };
    let mut lines: Vec<String> = Vec::new();
    for word in printable(passage).split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Appends `line` with its marks as bold. Bold that is open at the end of the line ends there and begins again on the
/// next.
fn push_bold(line: &str, bold: &mut bool, text: &mut String) {
    let mut pieces = line.split(MARK).peekable();
    while let Some(piece) = pieces.next() {
        if !piece.is_empty() {
            let style = if *bold { BOLD } else { Style::new() };
            text.push_str(&format!("{style}{piece}{style:#}"));
        }
        if pieces.peek().is_some() {
            *bold = !*bold;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_bold_on_a_terminal_and_stay_in_a_pipe() {
        let text = "the **notice period** is 30 days";
        assert_eq!(passage(text, "  ", 80, true), "  the \x1b[1mnotice period\x1b[0m is 30 days\n");
        assert_eq!(passage(text, "  ", 80, false), "  the **notice period** is 30 days\n");
    }

    #[test]
    fn bold_continues_after_a_line_break_and_always_ends() {
        let text = passage("one two **three four five six** seven", "", 20, true);
        assert_eq!(text, "one two \x1b[1mthree four\x1b[0m\n\x1b[1mfive six\x1b[0m seven\n");
        let open = passage("an **open mark", "", 80, true);
        assert!(open.trim_end().ends_with("\x1b[0m"), "{open:?}");
    }

    #[test]
    fn no_line_is_wider_than_the_columns_in_any_script() {
        let text = "漢字 かな交じり文 と words that go on and on ".repeat(20);
        for line in passage(&text, "    ", 50, true).lines() {
            assert!(line.width() <= 50, "{line}");
        }
    }

    #[test]
    fn escapes_in_a_document_are_removed() {
        let text = passage("evil \x1b]0;title\x07 **text**", "", 80, true);
        assert!(!text.contains('\x07') && !text.contains("\x1b]"), "{text:?}");
    }

    #[test]
    fn an_empty_passage_has_no_lines() {
        assert_eq!(passage("  \n ", "  ", 80, true), "");
    }
}
