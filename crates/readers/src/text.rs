//! Decodes bytes to text: finds the encoding, and whether the bytes are text at all.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How far into an HTML file its encoding may be declared, in bytes (the HTML standard's prescan).
const META_WITHIN_BYTES: usize = 1024;

/// Text has at most one control character in this many characters; binary data has about one in nine.
const CHARS_PER_CONTROL: usize = 200;

/// UTF-8 with at most one invalid sequence in this many non-ASCII characters is damaged, not another encoding.
const MULTIBYTE_PER_BROKEN: usize = 10;

/// The text in `bytes`; `None` if they are not text. The encoding is, in this order: that of a byte order mark; UTF-8
/// if the bytes are valid; `charset`; that of an HTML declaration; Windows-1252 (a superset of Latin-1).
pub(super) fn decode(bytes: &[u8], charset: Option<&str>) -> Option<String> {
    let text = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding.decode_with_bom_removal(bytes).0.into_owned(),
        None => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => legacy_encoding(bytes, charset).decode_without_bom_handling(bytes).0.into_owned(),
        },
    };
    is_text(&text).then_some(text)
}

fn legacy_encoding(bytes: &[u8], charset: Option<&str>) -> &'static Encoding {
    let declared = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    match declared.or_else(|| meta_charset(bytes)) {
        Some(encoding) => encoding,
        None if is_damaged_utf8(bytes) => UTF_8,
        None => WINDOWS_1252,
    }
}

/// Whether `bytes` are UTF-8 with a few invalid places: one bad byte must not garble every accent of a long text.
fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let broken = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
    let multibyte = text.chars().filter(|c| !c.is_ascii()).count() - broken;
    broken.saturating_mul(MULTIBYTE_PER_BROKEN) <= multibyte
}

/// The encoding that an HTML `<meta>` tag at the beginning declares.
fn meta_charset(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(META_WITHIN_BYTES)]).to_ascii_lowercase();
    let after = &head[head.find("<meta")?..];
    let value = after[after.find("charset=")? + "charset=".len()..].trim_start_matches(['"', '\'', ' ']);
    let label = value.split(|c: char| !c.is_ascii_alphanumeric() && !"-_:.".contains(c)).next()?;
    Encoding::for_label(label.as_bytes())
}

fn is_text(text: &str) -> bool {
    let controls = text.chars().filter(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}')).count();
    let broken = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
    (controls + broken).saturating_mul(CHARS_PER_CONTROL) <= text.chars().count()
}

/// Whether a text begins as an HTML page does, after comments and declarations.
pub(super) fn begins_like_html(text: &str) -> bool {
    let mut rest = text.trim_start();
    while let Some((_, after)) = rest
        .strip_prefix("<!--")
        .and_then(|comment| comment.split_once("-->"))
        .or_else(|| rest.strip_prefix("<?xml").and_then(|declaration| declaration.split_once("?>")))
    {
        rest = after.trim_start();
    }
    ["<!doctype html", "<html", "<head", "<body"]
        .iter()
        .any(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_comes_from_mark_validity_declaration_or_default() {
        assert_eq!(decode("Grüße".as_bytes(), None).as_deref(), Some("Grüße"));
        assert_eq!(decode(b"\xef\xbb\xbfabc", None).as_deref(), Some("abc"));
        assert_eq!(decode(b"\xff\xfeh\0i\0", None).as_deref(), Some("hi"));
        assert_eq!(decode(b"Gr\xfc\xdfe aus K\xf6ln", None).as_deref(), Some("Grüße aus Köln"));
        assert_eq!(decode(b"\x83e\x83X\x83g", Some("shift_jis")).as_deref(), Some("テスト"));
        let html = b"<html><meta charset=\"koi8-r\"><p>\xf0\xd2\xc9\xd7\xc5\xd4";
        assert!(decode(html, None).unwrap().ends_with("Привет"));
    }

    #[test]
    fn text_with_one_bad_byte_is_still_utf8() {
        let mut bytes = "äöü ".repeat(20).into_bytes();
        bytes.push(0xff);
        bytes.extend(b" and a long tail of plain words. ".repeat(20));
        assert!(decode(&bytes, None).unwrap().starts_with("äöü äöü"));
    }

    #[test]
    fn binary_data_is_not_text() {
        let noise: Vec<u8> = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
        assert_eq!(decode(&noise, None), None);
    }
}
