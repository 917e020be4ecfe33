//! Lines of text: styles, links, and escapes for characters that markdown would read as markup.

use domain::document::Inline;

/// The text as a paragraph: the author's line ends stay.
pub(super) fn paragraph(text: &[Inline]) -> String {
    let mut out = String::new();
    write(&mut out, text);
    let lines: Vec<String> = out.split('\n').map(one_space).filter(|line| !line.is_empty()).collect();
    lines.iter().map(|line| at_line_start(line)).collect::<Vec<_>>().join("\n")
}

/// The lines of a table's cell, where nothing begins a block of its own.
pub(super) fn in_cell(text: &[Inline]) -> String {
    let mut out = String::new();
    write(&mut out, text);
    let lines: Vec<String> = out.split('\n').map(one_space).filter(|line| !line.is_empty()).collect();
    lines.join("<br>")
}

/// The text on one line.
pub(super) fn on_one_line(text: &[Inline]) -> String {
    let mut out = String::new();
    write(&mut out, text);
    one_space(&out)
}

/// `text` with each run of blanks as one space, and none at its ends. A no-break space stays what it is.
fn one_space(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// A footnote's label, safe within its brackets.
pub(super) fn label(label: &str) -> String {
    label.chars().filter(|c| !c.is_whitespace() && !matches!(c, '[' | ']' | '^')).collect()
}

/// The length of the longest run of `wanted` in `text`.
pub(super) fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

fn write(out: &mut String, text: &[Inline]) {
    let mut at = 0;
    while let Some(inline) = text.get(at) {
        at += 1;
        match inline {
            Inline::Text(words) => escape(out, words),
            Inline::LineBreak => out.push('\n'),
            Inline::Strong(inner) => {
                let mut runs = vec![inner];
                while let Some(Inline::Strong(next)) = text.get(at) {
                    runs.push(next);
                    at += 1;
                }
                marked(out, "**", &runs);
            }
            Inline::Emphasis(inner) => {
                let mut runs = vec![inner];
                while let Some(Inline::Emphasis(next)) = text.get(at) {
                    runs.push(next);
                    at += 1;
                }
                marked(out, "*", &runs);
            }
            Inline::Deleted(inner) => marked(out, "~~", &[inner]),
            Inline::Superscript(raised) => script(out, raised, '^', "⁰¹²³⁴⁵⁶⁷⁸⁹"),
            Inline::Subscript(lowered) => script(out, lowered, '_', "₀₁₂₃₄₅₆₇₈₉"),
            Inline::Code(code) => {
                let ticks = "`".repeat(longest_run(code, '`') + 1);
                let pad = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
                let code = code.replace(['\n', '\r'], " ");
                if !code.trim().is_empty() {
                    out.push_str(&format!("{ticks}{pad}{code}{pad}{ticks}"));
                }
            }
            Inline::Formula(latex) if latex.trim().is_empty() => {}
            Inline::Formula(latex) => out.push_str(&format!("${}$", latex.trim().replace('\n', " "))),
            Inline::Link { target, text } => link(out, target, text),
            Inline::NoteRef(name) => out.push_str(&format!("[^{}]", label(name))),
        }
    }
}

/// `runs` between marks, which must stand close to the words.
fn marked(out: &mut String, mark: &str, runs: &[&Vec<Inline>]) {
    let mut inner = String::new();
    for run in runs {
        write(&mut inner, run);
    }
    // A mark holds within one line only.
    for (at, line) in inner.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let words = line.trim();
        let lead = line.len() - line.trim_start().len();
        out.push_str(&line[..lead]);
        if words.is_empty() {
            continue;
        }
        out.push_str(&format!("{mark}{words}{mark}"));
        out.push_str(&line[lead + words.len()..]);
    }
}

/// Digits as raised or lowered characters, which searches fold to digits; other text behind `mark`.
fn script(out: &mut String, text: &str, mark: char, digits: &str) {
    let mapped: Option<String> = text.chars().map(|c| digits.chars().nth(c.to_digit(10)? as usize)).collect();
    match mapped {
        Some(mapped) => out.push_str(&mapped),
        None if text.trim().chars().count() > 3 || mark == '_' => escape(out, text),
        None => {
            out.push(mark);
            escape(out, text);
        }
    }
}

fn link(out: &mut String, target: &str, text: &[Inline]) {
    let shown = on_one_line(text);
    let absolute = ["https://", "http://", "mailto:"].iter().any(|scheme| target.starts_with(scheme));
    let plain = target.trim_start_matches("mailto:");
    if !absolute || target.contains(char::is_whitespace) || shown.is_empty() || shown == plain {
        return write(out, text);
    }
    out.push_str(&format!("[{shown}]({})", target.replace('(', "%28").replace(')', "%29")));
}

/// Adds `text` with a backslash before each character that would be markup in its place.
fn escape(out: &mut String, text: &str) {
    let mut chars = text.chars().peekable();
    let mut before = out.chars().next_back();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        let in_word = before.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric);
        let alone = before.is_none_or(char::is_whitespace) && next.is_none_or(char::is_whitespace);
        let markup = match c {
            '\\' => next.is_some_and(|next| next.is_ascii_punctuation()),
            '`' => true,
            '*' => !alone,
            '_' => !in_word && !alone,
            '[' => next == Some('^'),
            '(' => before == Some(']'),
            '<' => next.is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?')),
            '&' => next.is_some_and(|next| next == '#' || next.is_ascii_alphabetic()) && is_entity(chars.clone()),
            '~' => next == Some('~') && before != Some('~'),
            _ => false,
        };
        if markup {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
}

/// Whether the characters after `&` are those of an entity.
fn is_entity(rest: impl Iterator<Item = char>) -> bool {
    const LONGEST: usize = 32;
    let mut rest = rest.take(LONGEST).skip_while(|c| c.is_ascii_alphanumeric() || *c == '#');
    rest.next() == Some(';')
}

/// `line` with a backslash where its beginning would make it a heading, an item, a quotation or a rule.
fn at_line_start(line: &str) -> String {
    let word = line.split(' ').next().unwrap_or_default();
    let ends = word.len() == line.len();
    let digits = word.trim_end_matches(['.', ')']);
    let numbered = word.len() == digits.len() + 1
        && (1..=9).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !ends;
    if numbered {
        return format!("{digits}\\{}", &line[digits.len()..]);
    }
    let only = |c: char| line.chars().all(|other| other == c || other == ' ');
    let marks = match line.chars().next() {
        Some('#') => word.len() <= 6 && word.chars().all(|c| c == '#'),
        Some('-' | '+') => word.len() == 1 || only('-'),
        Some('=') => only('='),
        Some('>') => true,
        Some('~') => line.starts_with("~~~"),
        Some('|') => true,
        _ => false,
    };
    if marks { format!("\\{line}") } else { line.to_owned() }
}
