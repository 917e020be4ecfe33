//! UTF-16 without a byte order mark.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// How many bytes are looked at.
const WITHIN_BYTES: usize = 64 << 10;

/// UTF-16, if the bytes are it: they hold NULs, since blanks and line ends have one each, and read as UTF-16 they are the
/// characters that texts are made of.
pub(super) fn utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..bytes.len().min(WITHIN_BYTES) & !1).unwrap_or_default();
    let ascii = head.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ').count();
    // Pairs of letters of a log with a few NULs would be ideographs.
    if !head.contains(&0) || ascii.saturating_mul(4) > head.len().saturating_mul(3) {
        return None;
    }
    let fit = |encoding: &'static Encoding| {
        let text = encoding.decode_without_bom_handling(head).0;
        let (mut chars, mut usual, mut ascii) = (0_usize, 0_usize, 0_usize);
        for c in text.chars() {
            chars += 1;
            usual += usize::from(is_usual(c));
            ascii += usize::from(matches!(c, '\t' | '\n' | '\r' | ' '..='~'));
        }
        (ascii > 0 && usual.saturating_mul(20) >= chars.saturating_mul(19)).then_some((ascii, encoding))
    };
    [UTF_16LE, UTF_16BE].into_iter().filter_map(fit).max_by_key(|(ascii, _)| *ascii).map(|(_, encoding)| encoding)
}

/// Whether the character is one of those that most texts are made of.
fn is_usual(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{6ff}' | '\u{900}'..='\u{fff}' | '\u{1e00}'..='\u{20cf}'
        | '\u{3000}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{ff00}'..='\u{ffef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn le(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn utf16_is_known_by_its_nuls() {
        let be: Vec<u8> = "The bridge".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!((utf16(&le("The bridge")), utf16(&be)), (Some(UTF_16LE), Some(UTF_16BE)));
        assert_eq!(utf16(&le("公司规定：员工每年享有十五天带薪年假\n需要提前两周申请。")), Some(UTF_16LE));
        assert_eq!(utf16(&le("Привет мир")), Some(UTF_16LE));
    }

    #[test]
    fn other_bytes_are_not_utf16() {
        for bytes in [&b"Short log\0 of pump 4.\n"[..], b"plain", b"\0\0\0\x01", b"a\0\0\0b\0\0\0"] {
            assert_eq!(utf16(bytes), None, "{bytes:?}");
        }
    }
}
