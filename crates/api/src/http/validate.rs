//! What a client may say about a file.

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use crate::http::ApiError;
use config::Uploads;
use domain::{Code, metadata::check_metadata};
use messages::UploadRequest;

/// Characters that show nothing, or turn the text behind them around, so that a name can look like another
/// (`gpj.exe` like `exe.jpg`): Unicode's default ignorable ones, its line breaks, and the marks of direction.
const INVISIBLE: [(char, char); 17] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{200b}', '\u{200b}'),
    ('\u{200e}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
    ('\u{2800}', '\u{2800}'),
];

fn is_refused(c: char) -> bool {
    c.is_control() || INVISIBLE.iter().any(|&(first, last)| (first..=last).contains(&c))
}

/// What joins and parts letters. Persian, Hindi and emoji need it between their characters, and no other place does.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// What picks the form of the character before it: an emoji's, a Mongolian letter's.
fn is_variant(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}')
}

/// Whether each character shows something, or shapes its neighbour.
fn is_visible(name: &str) -> bool {
    let is_foreign = |c: char| !c.is_ascii() && !c.is_whitespace() && !is_refused(c) && !is_joiner(c);
    let is_symbol = |c: char| is_foreign(c) || c.is_ascii_digit() || matches!(c, '#' | '*');
    let chars: Vec<char> = name.chars().collect();
    (0..chars.len()).all(|i| {
        let before = i.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(i + 1).copied();
        match chars[i] {
            c if is_joiner(c) => before.is_some_and(is_foreign) && after.is_some_and(is_foreign),
            c if is_variant(c) => before.is_some_and(|c| is_symbol(c) && !is_variant(c)),
            c => !is_refused(c),
        }
    })
}

/// A file name that may be kept, as NFC: never a path, only a label. Names that are written alike are one name.
pub fn filename(name: &str, limits: &Uploads) -> Result<String, ApiError> {
    let name: String = name.trim().nfc().collect();
    if name.is_empty() {
        return Err(ApiError::of(Code::FilenameEmpty));
    }
    if limits.max_filename_chars > 0 && name.chars().count() > limits.max_filename_chars {
        return Err(ApiError::new(
            Code::FilenameTooLong,
            format!("The file name is longer than {} characters. Shorten it.", limits.max_filename_chars),
        ));
    }
    if !is_visible(&name) {
        return Err(ApiError::of(Code::FilenameInvalid));
    }
    Ok(name)
}

/// A media type: only its shape is checked; the worker looks at the content.
pub fn mime(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let fits = text.len() <= 255
        && text.is_ascii()
        && !text.chars().any(|c| c.is_ascii_control())
        && text.split_once('/').is_some_and(|(kind, sub)| {
            // A form within a form is several files, and none of them is this one.
            !kind.is_empty() && !sub.is_empty() && !kind.eq_ignore_ascii_case("multipart")
        });
    if fits { Ok(text.to_ascii_lowercase()) } else { Err(ApiError::of(Code::MimeInvalid)) }
}

/// What a client says of a document, within its bounds.
pub fn metadata(given: Option<&Value>) -> Result<Option<Value>, ApiError> {
    let Some(value) = given else { return Ok(None) };
    check_metadata(value).map_err(|why| ApiError::new(Code::MetadataInvalid, why))?;
    Ok(Some(value.clone()))
}

/// 64 lower-case hex digits.
fn sha256(text: &str) -> Result<String, ApiError> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(ApiError::of(Code::Sha256Invalid))
    }
}

/// A size that may be uploaded, and that the database can hold.
fn size(bytes_len: u64, limits: &Uploads) -> Result<u64, ApiError> {
    let most = if limits.max_bytes > 0 { limits.max_bytes } else { u64::MAX }.min(i64::MAX.unsigned_abs());
    if bytes_len == 0 {
        return Err(ApiError::of(Code::FileEmpty));
    }
    if bytes_len > most {
        return Err(ApiError::new(
            Code::FileTooLarge,
            format!(
                "The file is larger than {} MiB, the most that UPLOAD_MAX_BYTES allows here. Split it or make it smaller.",
                mebibytes(most)
            ),
        ));
    }
    Ok(bytes_len)
}

/// `25`, or `0.5`: as short as it can be said.
fn mebibytes(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    let hundredths = (bytes % MIB) * 100 / MIB;
    let text = format!("{}.{hundredths:02}", bytes / MIB);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Checks and normalises all fields; the first that is wrong is named.
pub fn upload_request(request: &UploadRequest, limits: &Uploads) -> Result<UploadRequest, ApiError> {
    Ok(UploadRequest {
        filename: filename(&request.filename, limits)?,
        mime: mime(&request.mime)?,
        bytes_len: size(request.bytes_len, limits)?,
        sha256: sha256(&request.sha256)?,
        ocr: request.ocr,
        metadata: metadata(request.metadata.as_ref())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::default_config;

    fn request() -> UploadRequest {
        UploadRequest {
            filename: " Policy.pdf ".to_owned(),
            bytes_len: 10,
            mime: "Application/PDF".to_owned(),
            sha256: "AB".repeat(32),
            ocr: false,
            metadata: None,
        }
    }

    #[test]
    fn a_good_request_is_normalised() {
        let declared = upload_request(&request(), &default_config().uploads).unwrap();
        assert_eq!(declared.filename, "Policy.pdf");
        assert_eq!(declared.mime, "application/pdf");
        assert_eq!(declared.sha256, "ab".repeat(32));
    }

    #[test]
    fn each_wrong_field_has_its_own_code() {
        type Spoil = fn(&mut UploadRequest);
        let cases: [(Code, Spoil); 17] = [
            (Code::FilenameEmpty, |r| r.filename = "  ".to_owned()),
            (Code::FilenameTooLong, |r| r.filename = "ü".repeat(121)),
            (Code::FilenameInvalid, |r| r.filename = "a\nb".to_owned()),
            (Code::FilenameInvalid, |r| r.filename = "a\0b".to_owned()),
            (Code::FilenameInvalid, |r| r.filename = "annexe\u{202e}fdp.exe".to_owned()),
            (Code::FilenameInvalid, |r| r.filename = "\u{200b}\u{2060}".to_owned()),
            (Code::FilenameInvalid, |r| r.filename = "in\u{200c}voice.pdf".to_owned()),
            (Code::FilenameInvalid, |r| r.filename = "invoice\u{ad}.pdf".to_owned()),
            (Code::FilenameInvalid, |r| r.filename = "\u{fe0f}\u{e0041}".to_owned()),
            (Code::MimeInvalid, |r| r.mime = "Multipart/mixed".to_owned()),
            (Code::FileEmpty, |r| r.bytes_len = 0),
            (Code::FileTooLarge, |r| r.bytes_len = 25 * 1024 * 1024 + 1),
            (Code::MimeInvalid, |r| r.mime = "pdf".to_owned()),
            (Code::MimeInvalid, |r| r.mime = "a/\u{e9}".to_owned()),
            (Code::MetadataInvalid, |r| r.metadata = Some(serde_json::json!([1]))),
            (Code::Sha256Invalid, |r| r.sha256 = "ab".to_owned()),
            (Code::Sha256Invalid, |r| r.sha256 = "zz".repeat(32)),
        ];
        for (code, spoil) in cases {
            let mut spoiled = request();
            spoil(&mut spoiled);
            assert_eq!(upload_request(&spoiled, &default_config().uploads).unwrap_err().code(), code);
        }
        let mut long = request();
        for fine in ["ü".repeat(120), "\u{5d7}\u{5d5}\u{5d6}\u{5d4}.pdf".to_owned(), "../../x".to_owned()] {
            long.filename = fine;
            assert!(upload_request(&long, &default_config().uploads).is_ok());
        }
    }

    #[test]
    fn a_name_is_one_however_its_accents_are_written() {
        let kept = |name| filename(name, &default_config().uploads).unwrap();
        assert_eq!(kept("re\u{301}sume\u{301}.pdf"), kept("r\u{e9}sum\u{e9}.pdf"));
        // Persian with a joiner, a family, a heart as an emoji, a key cap.
        for name in
            ["\u{645}\u{6cc}\u{200c}\u{62e}", "\u{1f469}\u{200d}\u{1f467}", "\u{2764}\u{fe0f}", "1\u{fe0f}\u{20e3}"]
        {
            assert_eq!(kept(name), name);
        }
    }
}
