//! Markdown as its reader sees it: without comments for editors and without data of pictures.

/// The text without HTML comments and data URIs; code stays as it is.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut fence: Option<(char, usize)> = None;
    let mut in_comment = false;
    for line in text.split_inclusive('\n') {
        if !in_comment {
            let mark = fence_of(line);
            match (fence, mark) {
                (None, Some(_)) => fence = mark,
                // A fence ends with at least as many of its marks, and no words.
                (Some((open, length)), Some((close, more))) if open == close && more >= length && is_bare(line) => {
                    fence = None;
                }
                _ => {}
            }
            if fence.is_some() || mark.is_some() {
                out.push_str(line);
                continue;
            }
        }
        let from = out.len();
        in_comment = push_line(&mut out, line, in_comment);
        // A line that held a comment only is no empty line.
        if out.get(from..).is_some_and(|added| added.trim().is_empty()) && !line.trim().is_empty() {
            out.truncate(from);
        }
    }
    out
}

/// The mark and length of a fence that the line begins or ends.
fn fence_of(line: &str) -> Option<(char, usize)> {
    let words = line.trim_start_matches([' ', '>']);
    let mark = words.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let length = words.chars().take_while(|c| *c == mark).count();
    let info = words.get(length..).unwrap_or_default();
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some((mark, length))
}

fn is_bare(line: &str) -> bool {
    line.trim().trim_start_matches(['>', ' ']).trim_matches(['`', '~']).trim().is_empty()
}

/// Adds a line that is no code; returns whether a comment is open at its end.
fn push_line(out: &mut String, line: &str, mut in_comment: bool) -> bool {
    let mut rest = line;
    while !rest.is_empty() {
        if in_comment {
            match rest.split_once("-->") {
                Some((_, after)) => (rest, in_comment) = (after, false),
                None => return true,
            }
            continue;
        }
        let Some(at) = rest.find(['`', '<', 'd']) else { break };
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if from.starts_with('`') {
            let code = code_span(from);
            out.push_str(code);
            rest = from.get(code.len()..).unwrap_or_default();
        } else if let Some(comment) = from.strip_prefix("<!--") {
            (rest, in_comment) = (comment, true);
        } else if let Some(length) = data_uri(from) {
            rest = from.get(length..).unwrap_or_default();
        } else {
            out.push_str(from.get(..1).unwrap_or_default());
            rest = from.get(1..).unwrap_or_default();
        }
    }
    out.push_str(if in_comment { "" } else { rest });
    in_comment
}

/// The code that `text` begins with, or only its marks.
fn code_span(text: &str) -> &str {
    let marks = text.bytes().take_while(|&byte| byte == b'`').count();
    let mut at = marks;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('`')) {
        let run = text.bytes().skip(at + found).take_while(|&byte| byte == b'`').count();
        at += found + run;
        if run == marks {
            return text.get(..at).unwrap_or(text);
        }
    }
    text.get(..marks).unwrap_or(text)
}

/// The length of the data URI that `text` begins with.
fn data_uri(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("data:")?;
    let (kind, data) = rest.split_once(',')?;
    let is_kind = |c: char| c.is_ascii_alphanumeric() || "/.+-;=".contains(c);
    if !kind.contains('/') || !kind.chars().all(is_kind) {
        return None;
    }
    let base64 = kind.ends_with(";base64");
    let ends =
        |c: char| if base64 { !(c.is_ascii_alphanumeric() || "+/=_-%".contains(c)) } else { ")\"'> \n".contains(c) };
    Some(text.len() - data.len() + data.find(ends).unwrap_or(data.len()))
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn comments_and_data_are_left_out() {
        assert_eq!(shown("a <!-- x --> b\n<!-- y\nz -->\nc\n"), "a  b\nc\n");
        assert_eq!(shown("![Rain](data:image/png;base64,iVBOR/+=) tail\n"), "![Rain]() tail\n");
        assert_eq!(
            shown("[p]: data:image/png;base64,AAAA\n<img src=\"data:image/svg+xml,%3Csvg\">"),
            "[p]: \n<img src=\"\">"
        );
        assert_eq!(shown("data: 1, 2 and <b>\n"), "data: 1, 2 and <b>\n");
    }

    #[test]
    fn code_stays() {
        let code = "````md\n```\n<!-- kept -->\n```\n````\n`<!-- a -->` ``b`<!--`` é\n~~~\ndata:a/b;base64,AA\n~~~\n";
        assert_eq!(shown(code), code);
    }
}
