//! What may be uploaded. The API refuses by what is declared, the worker by what has come.

use std::time::Duration;

use super::reader::Reader;

/// What may be uploaded.
#[derive(Debug, Clone)]
pub struct Uploads {
    /// Largest file in bytes; `0`: no limit.
    pub max_bytes: u64,
    /// Longest file name in characters; `0`: no limit.
    pub max_filename_chars: usize,
    /// Files in one multipart request; `0`: no limit.
    pub max_files: usize,
    /// Time that a client has to send the bytes of a declared upload.
    pub expiry: Duration,
    /// Uploads a day that one user may make; `0`: no limit.
    pub per_day: u32,
}

impl Uploads {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            max_bytes: r.bytes("UPLOAD_MAX_BYTES"),
            max_filename_chars: r.whole("UPLOAD_MAX_FILENAME", 0..=1000),
            max_files: r.whole("UPLOAD_MAX_FILES", 0..=10_000),
            expiry: r.seconds("UPLOAD_EXPIRY", 1.0..=604_800.0),
            per_day: r.whole("UPLOADS_PER_DAY", 0..=u32::MAX),
        }
    }
}
