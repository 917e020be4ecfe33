use super::*;

settings! {
    /// What may be uploaded. The API refuses by what is declared, the worker by what has come.
    Uploads in "uploads", titled "Uploads";

    /// Largest file, in bytes or with a unit; `0`: no limit.
    UPLOAD_MAX_BYTES[BOTH] max_bytes: u64 = bytes, default "25 MiB";
    /// Longest file name, in characters; `0`: no limit.
    UPLOAD_MAX_FILENAME[API] max_filename_chars: usize = whole(0..=1000), default "120", key "max_filename";
    /// Files in one multipart request; `0`: no limit.
    UPLOAD_MAX_FILES[API] max_files: usize = whole(0..=10_000), default "20";
    /// Seconds that a client has to send the bytes of a declared upload.
    UPLOAD_EXPIRY[BOTH] expiry: Duration = seconds(1.0..=604_800.0), default "3600";
    /// Uploads a day that one user may make; `0`: no limit.
    UPLOADS_PER_DAY[API] per_day: u32 = whole(0..=u32::MAX), default "30";
}
