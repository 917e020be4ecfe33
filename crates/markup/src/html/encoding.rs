//! The encoding that a page declares.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// The encoding that the page's first `<meta>` or XML declaration names, anywhere in it: the standard looks at the first
/// 1024 bytes, and browsers still change their mind where they meet it later.
pub(crate) fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let in_xml = bytes.strip_prefix(b"<?xml").and_then(|rest| {
        let declaration = rest.get(..rest.iter().position(|&byte| byte == b'>')?)?;
        label_after(&declaration.to_ascii_lowercase(), b"encoding")
    });
    meta(bytes).or(in_xml).map(|encoding| match encoding {
        // Bytes that could be read as ASCII so far are no UTF-16.
        encoding if encoding == UTF_16BE || encoding == UTF_16LE => UTF_8,
        encoding if encoding == X_USER_DEFINED => WINDOWS_1252,
        encoding => encoding,
    })
}

fn meta(bytes: &[u8]) -> Option<&'static Encoding> {
    let mut at = 0;
    while let Some(found) = find(bytes, at, b"<") {
        let rest = bytes.get(found..)?;
        if rest.starts_with(b"<!--") {
            at = find(bytes, found + 4, b"-->")? + 3;
            continue;
        }
        at = found + 1;
        if !rest.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"<meta")) {
            continue;
        }
        let end = rest.iter().position(|&byte| byte == b'>').unwrap_or(rest.len());
        let tag = rest.get(5..end)?.to_ascii_lowercase();
        if let Some(encoding) = label_after(&tag, b"charset") {
            return Some(encoding);
        }
        at = found + end;
    }
    None
}

/// The encoding whose label stands behind `name` and `=`.
fn label_after(tag: &[u8], name: &[u8]) -> Option<&'static Encoding> {
    let rest = tag.get(find(tag, 0, name)? + name.len()..)?.trim_ascii_start().strip_prefix(b"=")?;
    let skipped = |byte: &u8| matches!(byte, b'"' | b'\'') || byte.is_ascii_whitespace();
    let from = rest.iter().position(|byte| !skipped(byte))?;
    let label = rest.get(from..)?;
    let end = label.iter().position(|&byte| !(byte.is_ascii_alphanumeric() || b"-_:.+".contains(&byte)));
    Encoding::for_label(label.get(..end.unwrap_or(label.len()))?)
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_is_found_where_browsers_find_it() {
        let name = |html: &str| declared(html.as_bytes()).map(Encoding::name);
        assert_eq!(name("<meta charset=koi8-r>"), Some("KOI8-R"));
        let http = "<META http-equiv='Content-Type' content='text/html; charset = \"gb2312\"'>";
        assert_eq!(name(&format!("<!-- {} <meta charset=x> -->{http}", "x".repeat(2000))), Some("GBK"));
        assert_eq!(name("<?xml version='1.0' encoding=\"ISO-8859-2\"?><p>"), Some("ISO-8859-2"));
        assert_eq!(name("<meta charset=utf-16><meta charset=koi8-r>"), Some("UTF-8"));
        assert_eq!(name("<meta name=charset content=x><p>"), None);
    }
}
