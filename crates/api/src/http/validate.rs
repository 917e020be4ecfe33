//! What a client may say about a file.

use crate::http::ApiError;
use config::Uploads;
use domain::Code;
use messages::UploadRequest;

/// A file name that may be kept: never a path, only a label.
pub fn filename(name: &str, limits: &Uploads) -> Result<String, ApiError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(ApiError::of(Code::FilenameEmpty));
    }
    if limits.max_filename_chars > 0 && name.chars().count() > limits.max_filename_chars {
        return Err(ApiError::new(
            Code::FilenameTooLong,
            format!("The file name is longer than {} characters. Shorten it.", limits.max_filename_chars),
        ));
    }
    if name.chars().any(|c| c.is_control() || reorders(c)) {
        return Err(ApiError::of(Code::FilenameInvalid));
    }
    Ok(name.to_owned())
}

/// Line breaks of Unicode, and marks that make text look like another (`gpj.exe` like `exe.jpg`). Letters of languages
/// that are written from right to left need none of these.
fn reorders(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
        let cases: [(Code, Spoil); 12] = [
            (Code::FilenameEmpty, |r| r.filename = "  ".to_owned()),
            (Code::FilenameTooLong, |r| r.filename = "ü".repeat(121)),
            (Code::FilenameInvalid, |r| r.filename = "a\nb".to_owned()),
            (Code::FilenameInvalid, |r| r.filename = "a\0b".to_owned()),
            (Code::FilenameInvalid, |r| r.filename = "annexe\u{202e}fdp.exe".to_owned()),
            (Code::MimeInvalid, |r| r.mime = "Multipart/mixed".to_owned()),
            (Code::FileEmpty, |r| r.bytes_len = 0),
            (Code::FileTooLarge, |r| r.bytes_len = 25 * 1024 * 1024 + 1),
            (Code::MimeInvalid, |r| r.mime = "pdf".to_owned()),
            (Code::MimeInvalid, |r| r.mime = "a/\u{e9}".to_owned()),
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
}
