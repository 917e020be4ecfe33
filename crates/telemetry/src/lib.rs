//! The log and the metrics of a process.
//!
//! Log lines go to stderr, since stdout is for results. There are two forms: `text` for a person at a terminal, and `json`
//! (one flat object for each line) for a platform's log view. A panic is an ordinary log line. [`metrics`] counts what this
//! process does; [`readiness`] tells whether a worker can do its work.
//!
//! *Must not know:* the database, HTTP, or other processes. The crate `store` reads the figures of the whole deployment from
//! the database.

use std::{fmt, io::IsTerminal, str::FromStr};

use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, fmt::format::JsonFields, layer::SubscriberExt, util::SubscriberInitExt,
};

use domain::named;

mod json;
pub mod metrics;
mod panics;
pub mod readiness;

/// Limits the levels of libraries that log more than an operator needs.
///
/// `rustls_platform_verifier` is off: it logs every refused certificate, which is also returned as an error and logged where
/// the error is handled.
const QUIET: &str = "refinery_core=warn,refinery=warn,rustls=warn,rustls_platform_verifier=off,tokio_postgres=warn,\
                     hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,object_store=warn,actix_server=warn";

named! {
    /// The form of a log line.
    #[derive(Default)]
    LogFormat {
        /// For a person: time, level, spans, message, fields.
        #[default]
        Text = "text",
        /// For a machine: one JSON object for each line.
        Json = "json",
    }
}

/// An invalid log setting. A retry does not help.
#[derive(Debug, thiserror::Error)]
pub enum LogSettingError {
    /// The filter has a part that is neither a level nor `target=level`.
    #[error("is neither a log level (error, warn, info, debug, trace, off) nor a list of target=level")]
    Level,
    /// The log was already set up in this process.
    #[error("the log of this process was set up twice")]
    SetUpTwice,
}

/// A valid filter, such as `info` or `info,app_queue=debug`.
///
/// The level names of Python's logging (`WARNING`, `CRITICAL`) are accepted too, since older deployments set them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = LogSettingError;

    fn from_str(text: &str) -> Result<Self, LogSettingError> {
        let parts = text.split(',').map(|part| directive(part.trim())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(parts.join(",")))
    }
}

/// Parses one part of a filter. A single word must be a level: [`EnvFilter`] would take `inof` for the name of a module.
fn directive(part: &str) -> Result<String, LogSettingError> {
    let (target, level) = match part.split_once('=') {
        Some((target, level)) if !target.is_empty() => (Some(target), level),
        Some(_) => return Err(LogSettingError::Level),
        None => (None, part),
    };
    let level = match level.to_ascii_lowercase().as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        other => other.to_owned(),
    };
    // `LevelFilter` also accepts an empty level and numbers, which are mistakes here.
    if level.is_empty() || level.starts_with(|c: char| c.is_ascii_digit()) || level.parse::<LevelFilter>().is_err() {
        return Err(LogSettingError::Level);
    }
    Ok(target.map_or_else(|| level.clone(), |target| format!("{target}={level}")))
}

impl LogFilter {
    /// The filter for `tracing`. [`QUIET`] comes first, so that the setting can override it.
    fn to_env_filter(&self) -> Result<EnvFilter, LogSettingError> {
        // A later directive replaces an earlier one for the same target.
        EnvFilter::try_new(format!("{QUIET},{}", self.0)).map_err(|_parse| LogSettingError::Level)
    }
}

/// Sets up the log of this process. Each JSON line contains `role`.
///
/// # Errors
///
/// The log was already set up, or the filter contains an invalid target.
pub fn init(filter: &LogFilter, format: LogFormat, role: &'static str) -> Result<(), LogSettingError> {
    // Internal errors are printed to stderr, and that panics if stderr is closed, so they are switched off.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => {
            lines.with_ansi(false).fmt_fields(JsonFields::new()).event_format(json::JsonLines { role }).boxed()
        }
    };
    let registry = tracing_subscriber::registry().with(lines.with_filter(filter.to_env_filter()?));
    registry.try_init().map_err(|_twice| LogSettingError::SetUpTwice)?;
    panics::log_panics();
    metrics::record_start();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_accepts_levels_in_any_case_and_pythons_names() {
        for (given, kept) in [
            ("info", "info"),
            ("DEBUG", "debug"),
            ("WARNING", "warn"),
            ("critical", "error"),
            ("off", "off"),
            ("info, app_queue=TRACE", "info,app_queue=trace"),
        ] {
            assert_eq!(given.parse::<LogFilter>().unwrap().to_string(), kept);
        }
    }

    #[test]
    fn a_filter_refuses_a_word_that_is_not_a_level() {
        for text in ["inof", "", "info,", "=debug", "app=loud", "3"] {
            assert!(text.parse::<LogFilter>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_filter_can_override_the_level_of_a_quiet_library() {
        let filter = "info,tokio_postgres=debug".parse::<LogFilter>().unwrap().to_env_filter().unwrap().to_string();
        assert!(filter.contains("tokio_postgres=debug"), "{filter}");
        assert!(!filter.contains("tokio_postgres=warn"), "{filter}");
        assert!(filter.contains("rustls=warn"), "{filter}");
    }
}
