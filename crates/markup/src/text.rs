//! Decodes bytes to text: finds the encoding, and whether the bytes are text at all.

mod unmarked;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8};
use file_format::{FileFormat, Kind};

use super::html;

/// Text has at most one control character in this many characters; binary data has about one in nine.
const CHARS_PER_CONTROL: usize = 200;
/// A damaged log has at most one NUL in this many characters.
const CHARS_PER_NUL: usize = 10;

/// UTF-8 with at most one invalid sequence in this many non-ASCII characters is damaged, not another encoding.
const MULTIBYTE_PER_BROKEN: usize = 10;

/// The text in `bytes`; `None` if they are not text. `charset` is what the media type declares; `page` whether a page may
/// declare its own.
///
/// The encoding is, in this order: that of a byte order mark; UTF-16 whose NULs show it; what is declared, unless the
/// bytes say otherwise; UTF-8 if they are valid; what their letters make most likely.
pub fn decode(bytes: &[u8], charset: Option<&str>, page: bool) -> Option<String> {
    let text = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding.decode_with_bom_removal(bytes).0.into_owned(),
        None if is_binary(bytes) => return None,
        None => encoding(bytes, charset, page).decode_without_bom_handling(bytes).0.into_owned(),
    };
    let text = if text.contains(['\u{1b}', '\u{8}', '\u{9b}']) { without_escapes(&text) } else { text };
    is_text(&text).then_some(text)
}

/// Whether a known format begins as the bytes do. Formats that are told by a few letters could be any text.
fn is_binary(bytes: &[u8]) -> bool {
    let format = FileFormat::from_bytes(bytes);
    let told = matches!(
        format.kind(),
        Kind::Archive
            | Kind::Audio
            | Kind::Compressed
            | Kind::Database
            | Kind::Executable
            | Kind::Font
            | Kind::Image
            | Kind::Video
    );
    told && bytes.iter().take(64).any(|&byte| byte < 9)
}

fn encoding(bytes: &[u8], charset: Option<&str>, page: bool) -> &'static Encoding {
    if let Some(utf16) = unmarked::utf16(bytes) {
        return utf16;
    }
    let declared = charset.and_then(|label| Encoding::for_label(label.trim().as_bytes()));
    let declared = declared.or_else(|| if page { html::encoding::declared(bytes) } else { None });
    let utf8 = std::str::from_utf8(bytes).is_ok();
    match declared {
        Some(encoding) if encoding == UTF_8 => {}
        // Letters of one byte each are never valid UTF-8 by chance.
        Some(encoding) if !(utf8 && encoding.is_single_byte()) => return encoding,
        _ => {}
    }
    if has_iso2022(bytes) {
        return ISO_2022_JP;
    }
    if utf8 || is_damaged_utf8(bytes) {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Deny)
}

/// Whether the bytes switch to Japanese by escape sequences.
fn has_iso2022(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| matches!(three, b"\x1b$B" | b"\x1b$@"))
}

/// Whether `bytes` are UTF-8 with a few invalid places: one bad byte must not garble every accent of a long text.
fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let broken = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
    let multibyte = text.chars().filter(|c| !c.is_ascii()).count() - broken;
    broken.saturating_mul(MULTIBYTE_PER_BROKEN) <= multibyte
}

fn is_text(text: &str) -> bool {
    let (mut chars, mut nuls, mut odd) = (0_usize, 0_usize, 0_usize);
    for c in text.chars() {
        chars += 1;
        match c {
            '\0' => nuls += 1,
            '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{1a}' => {}
            char::REPLACEMENT_CHARACTER => odd += 1,
            c => odd += usize::from(c.is_control()),
        }
    }
    odd.saturating_mul(CHARS_PER_CONTROL) <= chars && nuls.saturating_mul(CHARS_PER_NUL) <= chars
}

/// The text as a terminal shows it: without the sequences that set colours, and without what was typed over.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kind = match c {
            '\u{8}' => {
                if !out.ends_with('\n') {
                    out.pop();
                }
                continue;
            }
            '\u{9b}' => '[',
            '\u{1b}' => match chars.next() {
                Some(kind) => kind,
                None => break,
            },
            c => {
                out.push(c);
                continue;
            }
        };
        match kind {
            // To the letter that ends it.
            '[' => {
                while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
                chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            // A title or a link, to the bell or `ESC \`.
            ']' | 'P' | '_' | '^' => {
                while let Some(c) = chars.next_if(|c| *c != '\n') {
                    if c == '\u{7}' {
                        break;
                    }
                    if c == '\u{1b}' {
                        chars.next_if_eq(&'\\');
                        break;
                    }
                }
            }
            '(' | ')' | '#' | '%' | ' ' => drop(chars.next()),
            _ => {}
        }
    }
    out
}

/// Whether a text begins as an HTML page does, after comments and declarations.
pub fn begins_like_html(text: &str) -> bool {
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

    fn decoded(bytes: &[u8]) -> String {
        decode(bytes, None, false).unwrap()
    }

    #[test]
    fn the_encoding_comes_from_mark_validity_declaration_or_letters() {
        assert_eq!(decoded("Grüße".as_bytes()), "Grüße");
        assert_eq!(decoded(b"\xef\xbb\xbfabc"), "abc");
        assert_eq!(decoded(b"\xff\xfeh\0i\0"), "hi");
        assert_eq!(decoded(b"Gr\xfc\xdfe aus K\xf6ln"), "Grüße aus Köln");
        assert_eq!(decode(b"\x83e\x83X\x83g", Some("shift_jis"), false).as_deref(), Some("テスト"));
        let html = b"<html><meta charset=\"koi8-r\"><p>\xf0\xd2\xc9\xd7\xc5\xd4";
        assert!(decode(html, None, true).unwrap().ends_with("Привет"));
        assert_eq!(decoded(b"\x1b$B%F%9%H\x1b(B"), "テスト");
        // A page that says it is Latin-1 and is UTF-8.
        assert!(decode("<meta charset=latin1>Grüße".as_bytes(), None, true).unwrap().ends_with("Grüße"));
    }

    #[test]
    fn the_letters_of_a_sentence_tell_its_encoding() {
        for (label, text) in [
            ("gbk", "公司规定：员工每年享有十五天带薪年假，需要提前两周申请。"),
            ("big5", "公司規定：員工每年享有十五天帶薪年假，需要提前兩週申請。"),
            ("shift_jis", "社員は年に十五日の有給休暇があります。"),
            ("euc-jp", "社員は年に十五日の有給休暇があります。"),
            ("euc-kr", "직원은 매년 십오 일의 유급 휴가를 받습니다."),
            ("windows-1251", "Правила: сотрудник имеет пятнадцать дней отпуска в год."),
            ("koi8-r", "Правила: сотрудник имеет пятнадцать дней отпуска в год."),
            ("windows-1253", "Οι εργαζόμενοι έχουν δεκαπέντε ημέρες άδεια τον χρόνο."),
            (
                "windows-1250",
                "Pracownik ma piętnaście dni urlopu w roku; wniosek składa się na dwa tygodnie wcześniej.",
            ),
            ("windows-1255", "לעובד חמישה עשר ימי חופשה בשנה."),
            ("windows-1252", "La période d’essai dure trois mois – à l’école aussi."),
        ] {
            let (bytes, _, lossy) = Encoding::for_label(label.as_bytes()).unwrap().encode(text);
            assert!(!lossy && decoded(&bytes) == text, "{label}: {}", decoded(&bytes));
        }
    }

    #[test]
    fn text_with_one_bad_byte_is_still_utf8() {
        let mut bytes = "äöü ".repeat(20).into_bytes();
        bytes.push(0xff);
        bytes.extend(b" and a long tail of plain words. ".repeat(20));
        assert!(decoded(&bytes).starts_with("äöü äöü"));
    }

    #[test]
    fn binary_data_is_not_text() {
        let noise: Vec<u8> = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
        assert_eq!(decode(&noise, None, false), None);
        assert_eq!(decode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", None, false), None);
        assert_eq!(decode(b"\x1f\x8b\x08\0plain words, plain words, plain words", None, false), None);
    }

    #[test]
    fn a_few_nuls_are_no_binary_data() {
        assert_eq!(decoded(b"Short log\0 of pump 4.\n"), "Short log\0 of pump 4.\n");
    }

    #[test]
    fn a_text_reads_as_a_terminal_shows_it() {
        assert_eq!(decoded(b"\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x1b\\ \x1b(Bb"), "red link b");
        assert_eq!(decoded(b"N\x08NA\x08AME _\x08x\n"), "NAME x\n");
    }
}
