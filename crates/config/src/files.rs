//! The TOML files: on disk, else the copies in the program, so that the binary works anywhere.

use std::{io, path::Path};

use config_rs::{ConfigError as ParseError, File, FileFormat, Map, Source, Value, ValueKind};

use super::{environment::Environment, fault::Fault, near, reader::is_harmless, variables::VARIABLES};

/// The file of defaults, as built in.
pub(super) const DEFAULT: &str = include_str!("../../../config/default.toml");

/// The file of an environment, as built in.
pub(super) fn built_in(environment: Environment) -> &'static str {
    match environment {
        Environment::Development => include_str!("../../../config/development.toml"),
        Environment::Staging => include_str!("../../../config/staging.toml"),
        Environment::Production => include_str!("../../../config/production.toml"),
    }
}

/// A setting of a file: the variable that it stands for, its value as text, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) place: String,
}

/// The settings of all files, weakest first: the defaults built in, those on disk, then the environment's, on disk or
/// else built in. Only a folder that was asked for by name has to exist.
pub(super) fn read(folder: Option<(&Path, bool)>, environment: Environment, faults: &mut Vec<Fault>) -> Vec<Setting> {
    let mut settings = parse(DEFAULT, "built-in default.toml", faults);
    if let Some((path, true)) = folder
        && !path.is_dir()
    {
        let named = path.to_str().filter(|path| is_harmless(path)).map(|path| format!(": `{path}`"));
        faults.push(Fault {
            name: "APP_CONFIG_DIR".to_owned(),
            place: None,
            problem: format!("names a folder that does not exist{}", named.unwrap_or_default()),
            fix: "Correct it, or leave it out to use the files in the program.".to_owned(),
        });
    }
    if let Some((text, place)) = on_disk(folder, "default.toml", faults) {
        settings.extend(parse(&text, &place, faults));
    }
    let name = format!("{environment}.toml");
    let (text, place) = on_disk(folder, &name, faults)
        .unwrap_or_else(|| (built_in(environment).to_owned(), format!("built-in {name}")));
    settings.extend(parse(&text, &place, faults));
    settings
}

fn on_disk(folder: Option<(&Path, bool)>, name: &str, faults: &mut Vec<Fault>) -> Option<(String, String)> {
    let path = folder?.0.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some((text, path.display().to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            faults.push(Fault {
                name: path.display().to_string(),
                place: None,
                problem: format!("cannot be read: {error}"),
                fix: "Make it readable for this process, or remove it to use the file in the program.".to_owned(),
            });
            None
        }
    }
}

/// The settings in `text`; everything in it that is none becomes a fault.
pub(super) fn parse(text: &str, place: &str, faults: &mut Vec<Fault>) -> Vec<Setting> {
    let mut settings = Vec::new();
    match File::from_str(text, FileFormat::Toml).collect() {
        Ok(table) => flatten("", table, place, &mut settings, faults),
        Err(error) => faults.push(Fault {
            name: place.to_owned(),
            place: None,
            problem: format!("is no TOML file: {}", without_source(&error)),
            fix: "Mend the line named.".to_owned(),
        }),
    }
    settings
}

/// The first and the last line of a TOML error: where, and what. Between them it repeats the file.
fn without_source(error: &ParseError) -> String {
    let text = match error {
        ParseError::FileParse { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(place), Some(what)) => format!("{place}: {what}"),
        (Some(only), None) => only.to_owned(),
        (None, _) => "unknown error".to_owned(),
    }
}

fn flatten(above: &str, table: Map<String, Value>, place: &str, settings: &mut Vec<Setting>, faults: &mut Vec<Fault>) {
    // Sorted, so that faults come in the same order each time.
    for (key, value) in table.into_iter().collect::<std::collections::BTreeMap<_, _>>() {
        let path = if above.is_empty() { key } else { format!("{above}.{key}") };
        let known = VARIABLES.iter().find(|v| v.key == Some(path.as_str()));
        match (known, value.kind) {
            (Some(variable), kind) => match as_text(kind) {
                Some(text) => settings.push(Setting { name: variable.name, text, place: format!("{place}, {path}") }),
                None => faults.push(unknown(&path, place, "is no single value or list of values")),
            },
            (None, ValueKind::Table(inner)) => flatten(&path, inner, place, settings, faults),
            (None, _) => faults.push(unknown(&path, place, "is no setting of this program")),
        }
    }
}

fn unknown(path: &str, place: &str, problem: &str) -> Fault {
    let keys = VARIABLES.iter().filter_map(|v| v.key);
    let fix = match near::nearest_of(path, keys) {
        Some(near) => format!("Did you mean {near}?"),
        None => "docs/configuration.md lists the keys; secrets are taken from the environment only.".to_owned(),
    };
    Fault { name: path.to_owned(), place: Some(place.to_owned()), problem: problem.to_owned(), fix }
}

/// A value as a variable would hold it; lists are joined by commas.
fn as_text(kind: ValueKind) -> Option<String> {
    match kind {
        ValueKind::Boolean(value) => Some(value.to_string()),
        ValueKind::I64(value) => Some(value.to_string()),
        ValueKind::I128(value) => Some(value.to_string()),
        ValueKind::U64(value) => Some(value.to_string()),
        ValueKind::U128(value) => Some(value.to_string()),
        ValueKind::Float(value) => Some(value.to_string()),
        ValueKind::String(value) => Some(value),
        ValueKind::Array(values) => {
            values.into_iter().map(|v| as_text(v.kind)).collect::<Option<Vec<_>>>().map(|v| v.join(","))
        }
        ValueKind::Nil | ValueKind::Table(_) => None,
    }
}
