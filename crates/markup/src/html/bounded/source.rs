//! Cuts surplus attributes from a page's source.

/// The most attributes of a tag.
const MAX_ATTRIBUTES: usize = 256;

/// The page in pieces, without the attributes of each tag beyond [`MAX_ATTRIBUTES`].
pub(super) fn pieces(html: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = html.get(at..).and_then(|rest| rest.find('<')) {
        at += found;
        let rest = html.as_bytes().get(at..).unwrap_or_default();
        if rest.starts_with(b"<!--") {
            at = html.get(at + 4..).and_then(|comment| comment.find("-->")).map_or(html.len(), |end| at + 4 + end);
            continue;
        }
        let named = if rest.get(1) == Some(&b'/') { 2 } else { 1 };
        if !rest.get(named).is_some_and(u8::is_ascii_alphabetic) {
            at += 1;
            continue;
        }
        let tag = Tag::of(rest);
        if let Some(cut) = tag.cut {
            pieces.push(html.get(from..at + cut).unwrap_or_default());
            from = at + tag.end;
        }
        let name = html.get(at + 1..at + tag.name_end).unwrap_or_default();
        at += tag.end.max(1);
        if let Some(end) = raw_end(name) {
            at = find_ignoring_case(html, at, end);
        }
    }
    pieces.push(html.get(from..).unwrap_or_default());
    pieces
}

struct Tag {
    /// Where the name ends.
    name_end: usize,
    /// Where the first surplus attribute begins.
    cut: Option<usize>,
    /// Where the closing `>` stands, or the file ends.
    end: usize,
}

impl Tag {
    /// The tag that `bytes` begin with.
    fn of(bytes: &[u8]) -> Self {
        let blank = |byte: u8| byte.is_ascii_whitespace() || byte == b'/';
        let mut at = bytes.iter().skip(2).position(|&byte| blank(byte) || byte == b'>').map_or(bytes.len(), |n| n + 2);
        let name_end = at;
        let (mut attributes, mut cut) = (0, None);
        while let Some(&byte) = bytes.get(at).filter(|&&byte| byte != b'>') {
            if blank(byte) {
                at += 1;
                continue;
            }
            attributes += 1;
            if attributes == MAX_ATTRIBUTES + 1 {
                cut = Some(at);
            }
            at = after_attribute(bytes, at);
        }
        Self { name_end, cut, end: at }
    }
}

/// Where the attribute that begins at `at` ends.
fn after_attribute(bytes: &[u8], mut at: usize) -> usize {
    let from = |at: usize, stop: &dyn Fn(u8) -> bool| {
        let rest = bytes.get(at..).unwrap_or_default();
        rest.iter().position(|&byte| stop(byte)).map_or(bytes.len(), |found| at + found)
    };
    // A name may begin with `=`.
    at = from(at + 1, &|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'='));
    let value = from(at, &|byte| !byte.is_ascii_whitespace());
    if bytes.get(value) != Some(&b'=') {
        return at;
    }
    at = from(value + 1, &|byte| !byte.is_ascii_whitespace());
    match bytes.get(at) {
        Some(&quote @ (b'"' | b'\'')) => (from(at + 1, &|byte| byte == quote) + 1).min(bytes.len()),
        _ => from(at, &|byte| byte.is_ascii_whitespace() || byte == b'>'),
    }
}

/// The end tag of an element whose content is no markup.
fn raw_end(name: &str) -> Option<&'static str> {
    const RAW: [(&str, &str); 8] = [
        ("script", "</script"),
        ("style", "</style"),
        ("title", "</title"),
        ("textarea", "</textarea"),
        ("xmp", "</xmp"),
        ("iframe", "</iframe"),
        ("noembed", "</noembed"),
        ("noframes", "</noframes"),
    ];
    RAW.into_iter().find(|(raw, _)| name.eq_ignore_ascii_case(raw)).map(|(_, end)| end)
}

/// Where `wanted` stands from `at` on; the end if nowhere.
fn find_ignoring_case(text: &str, at: usize, wanted: &str) -> usize {
    let mut from = at;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find('<')) {
        from += found;
        if text
            .as_bytes()
            .get(from..from + wanted.len())
            .is_some_and(|word| word.eq_ignore_ascii_case(wanted.as_bytes()))
        {
            return from;
        }
        from += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_surplus_attributes_is_one_piece() {
        let page = "<p a=1 b='>' c>x</p><!-- <a \" --><script>if (a<b) \"</script><br/>";
        assert_eq!(pieces(page), [page]);
        assert_eq!(pieces("a < b <"), ["a < b <"]);
        assert_eq!(pieces("<p a=\"unclosed"), ["<p a=\"unclosed"]);
    }

    #[test]
    fn surplus_attributes_are_cut() {
        let many: String = (0..1000).map(|n| format!(" a{n}='>'")).collect();
        let page = format!("é<p{many}>text</p>");
        let kept = pieces(&page).concat();
        assert!(kept.starts_with("é<p a0='>' a1='>'") && kept.ends_with("a255='>' >text</p>"), "{kept}");
    }
}
