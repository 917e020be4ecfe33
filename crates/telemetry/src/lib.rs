//! The log and the metrics of a process.
//!
//! Log lines go to stderr, since stdout is for results. There are two forms: `text` for a person at a terminal, and `json`
//! (one object a line, fields flat) for a platform's log view. A panic is a line like any other. What a process counts
//! about itself is in [`metrics`]; whether a worker does its work is in [`readiness`].
//!
//! *Must not know:* the database, HTTP, or what is counted by others. Figures that the whole deployment shares are read
//! from the database by the crate `store`.

use std::{fmt, io::IsTerminal, str::FromStr};

use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, fmt::format::JsonFields, layer::SubscriberExt, util::SubscriberInitExt,
};

mod json;
pub mod metrics;
mod panics;
pub mod readiness;

/// Libraries that tell more than an operator wants to know, at the level that they are held to.
///
/// `rustls_platform_verifier` logs each refused certificate as an error of its own; the refusal reaches us as an
/// error, and is logged once, where it is handled.
const QUIET: &str = "refinery_core=warn,refinery=warn,rustls=warn,rustls_platform_verifier=off,tokio_postgres=warn,\
                     hyper=warn,hyper_util=warn,h2=warn,reqwest=warn,object_store=warn,actix_server=warn";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For a person: time, level, spans, message, fields.
    #[default]
    Text,
    /// For a machine: one JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = LogSettingError;

    fn from_str(name: &str) -> Result<Self, LogSettingError> {
        match name.to_ascii_lowercase().as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(LogSettingError::Format),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// A log setting that cannot be used; trying again does not help.
#[derive(Debug, thiserror::Error)]
pub enum LogSettingError {
    /// The filter has a part that is neither a level nor `target=level`.
    #[error("is no log level (error, warn, info, debug, trace, off), nor a list of target=level")]
    Level,
    /// The format is unknown.
    #[error("is no log format: text or json")]
    Format,
    /// A log was set up already in this process.
    #[error("the log of this process was set up twice")]
    SetUpTwice,
}

/// A checked filter, such as `info` or `info,app_queue=debug`.
///
/// The names that Python's logging uses (`WARNING`, `CRITICAL`) are taken too, since deployments carry them over.
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

/// One part of a filter. A bare word must be a level: [`EnvFilter`] would take `inof` for the name of a module.
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
    // An empty level and numbers parse as levels too; nobody means them.
    if level.is_empty() || level.starts_with(|c: char| c.is_ascii_digit()) || level.parse::<LevelFilter>().is_err() {
        return Err(LogSettingError::Level);
    }
    Ok(target.map_or_else(|| level.clone(), |target| format!("{target}={level}")))
}

impl LogFilter {
    /// What `tracing` filters by: the quiet libraries first, so that the setting can still name one of them.
    fn to_env_filter(&self) -> Result<EnvFilter, LogSettingError> {
        // A later directive for the same target replaces an earlier one.
        EnvFilter::try_new(format!("{QUIET},{}", self.0)).map_err(|_parse| LogSettingError::Level)
    }
}

/// Sets up the log of this process; `role` stands on each JSON line.
///
/// # Errors
///
/// When a log was set up before, or the filter names a target that cannot be parsed.
pub fn init(filter: &LogFilter, format: LogFormat, role: &'static str) -> Result<(), LogSettingError> {
    // A closed stderr must not take the process with it, hence no internal errors: they are printed to stderr.
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
    metrics::note_start();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_levels_in_any_case_and_python_names() {
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
    fn a_filter_refuses_a_word_that_is_no_level() {
        for text in ["inof", "", "info,", "=debug", "app=loud", "3"] {
            assert!(text.parse::<LogFilter>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn quiet_libraries_can_be_named_again() {
        let filter = "info,tokio_postgres=debug".parse::<LogFilter>().unwrap().to_env_filter().unwrap().to_string();
        assert!(filter.contains("tokio_postgres=debug"), "{filter}");
        assert!(!filter.contains("tokio_postgres=warn"), "{filter}");
        assert!(filter.contains("rustls=warn"), "{filter}");
    }
}
