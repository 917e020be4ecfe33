//! What parsing one document may cost, and where a remote parser is.

use url::Url;

use super::{reader::Reader, secret::Secret, values};
use crate::ports::ParseLimits;

/// What parsing one document may cost, and where a remote parser is.
#[derive(Debug, Clone)]
pub struct Parser {
    /// Bounds for one document.
    pub limits: ParseLimits,
    /// Key of LlamaParse; `None`: documents are parsed locally.
    pub llamaparse_api_key: Option<Secret<String>>,
    /// Address of LlamaParse.
    pub llamaparse_url: Option<Url>,
    /// Address at which LlamaParse reaches the API; `None`: it is asked instead.
    pub webhook_base_url: Option<Url>,
}

impl Parser {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            limits: ParseLimits {
                max_pages: r.whole("PARSE_MAX_PAGES", 0..=u32::MAX),
                memory_bytes: r.required("PARSE_MEMORY_BYTES", |text| at_least_64_mib(values::bytes(text)?)),
                time: r.seconds("PARSE_TIMEOUT", 1.0..=3600.0),
                output_bytes: r.required("PARSE_OUTPUT_BYTES", |text| at_least_one(values::bytes(text)?)),
            },
            llamaparse_api_key: r.secret("LLAMAPARSE_API_KEY"),
            llamaparse_url: r.url("LLAMAPARSE_API_URL"),
            webhook_base_url: r.url("WEBHOOK_BASE_URL"),
        }
    }
}

/// A child needs some memory to start at all.
fn at_least_64_mib(bytes: u64) -> Result<u64, String> {
    if bytes >= 64 << 20 { Ok(bytes) } else { Err("is less than 64 MiB, in which no parser starts".to_owned()) }
}

fn at_least_one(bytes: u64) -> Result<u64, String> {
    if bytes > 0 { Ok(bytes) } else { Err("leaves no room for any text".to_owned()) }
}
