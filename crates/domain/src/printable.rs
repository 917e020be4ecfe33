use std::borrow::Cow;

/// `text` without characters that control a terminal or reorder a line: file names, passages and providers' sentences
/// come from outside. Tabs and line breaks become spaces, other controls U+FFFD.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_safe = |c: char| !c.is_control() && !reorders(c);
    if text.chars().all(is_safe) {
        return Cow::Borrowed(text);
    }
    let replace = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_safe(c) => c,
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(replace).collect())
}

/// Whether `c` changes the direction of the text after it, so that one name can look like another.
pub fn reorders(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn text_from_a_document_cannot_control_the_terminal() {
        assert_eq!(printable("plain – ünïcode 漢"), "plain – ünïcode 漢");
        assert_eq!(printable("a\x1b[2Jb\u{9b}31mc\nd\te\u{202e}f"), "a\u{fffd}[2Jb\u{fffd}31mc d e\u{fffd}f");
    }
}
