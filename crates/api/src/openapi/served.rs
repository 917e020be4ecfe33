//! The contract as this deployment serves it.

use config::Uploads;
use serde_json::{Value, json};

const CONTRACT: &str = include_str!("../../../../docs/openapi.json");

/// The contract with the version of this build and these limits in it, as JSON.
///
/// # Errors
///
/// None that occurs: a test parses the file.
pub fn document_json(limits: &Uploads, version: &str) -> Result<String, serde_json::Error> {
    let mut document: Value = serde_json::from_str(CONTRACT)?;
    fill_in(&mut document, limits, version);
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Fills in the version, and the limits that are settings; 0 is no limit.
pub fn fill_in(document: &mut Value, limits: &Uploads, version: &str) {
    document["info"]["version"] = json!(version);
    let schemas = &mut document["components"]["schemas"];
    if limits.max_filename_chars > 0 {
        schemas["UploadRequest"]["properties"]["filename"]["maxLength"] = json!(limits.max_filename_chars);
        // The server appends `.md` to a title that lacks it.
        schemas["TextRequest"]["properties"]["title"]["maxLength"] = json!(limits.max_filename_chars.saturating_sub(3));
    }
    if limits.max_bytes > 0 {
        schemas["UploadRequest"]["properties"]["bytes_len"]["maximum"] = json!(limits.max_bytes);
    }
}
