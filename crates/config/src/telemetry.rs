//! What is logged, and how.

use super::reader::Reader;
use telemetry::{LogFilter, LogFormat};

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// What is let through.
    pub filter: LogFilter,
    /// How a line looks.
    pub format: LogFormat,
}

impl Telemetry {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            filter: r.required("LOG_LEVEL", |text| text.parse::<LogFilter>().map_err(|error| error.to_string())),
            format: r.required("LOG_FORMAT", |text| text.parse::<LogFormat>().map_err(|error| error.to_string())),
        }
    }
}
