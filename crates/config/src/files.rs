//! The TOML files: on disk, else the built-in copies, so that the program works in any folder.

use std::{collections::BTreeMap, io, path::Path};

use config_rs::{File, FileFormat, Map, Source, Value, ValueKind};

use super::{
    environment::Environment,
    fault::{Fault, shown},
    layers::Setting,
    near,
    sections::{Telemetry, variables},
};

/// The built-in file of an environment. There is no built-in `default.toml`: the settings declare their defaults.
pub(crate) fn built_in(environment: Environment) -> &'static str {
    match environment {
        Environment::Development => include_str!("../../../config/development.toml"),
        Environment::Staging => include_str!("../../../config/staging.toml"),
        Environment::Production => include_str!("../../../config/production.toml"),
    }
}

/// Settings of files, by variable.
pub(crate) type Settings = BTreeMap<&'static str, Setting>;

/// The settings of both files: `default.toml` on disk, overridden by the environment's file, on disk or built in. The
/// folder has to exist if `APP_CONFIG_DIR` names it (`true`).
pub(crate) fn read(folder: Option<(&Path, bool)>, environment: Environment, faults: &mut Vec<Fault>) -> Settings {
    if let Some((path, true)) = folder
        && !path.is_dir()
    {
        let problem = format!("names a folder that does not exist{}", shown(&path.to_string_lossy()));
        let fix = "Correct it, or remove it to use the built-in files.";
        faults.push(Fault::new(Telemetry::APP_CONFIG_DIR.name, problem, fix));
    }
    let name = format!("{environment}.toml");
    let default = on_disk(folder, "default.toml", faults);
    let own = on_disk(folder, &name, faults);
    let own = own.unwrap_or_else(|| (built_in(environment).to_owned(), format!("built-in {name}")));
    default.into_iter().chain([own]).flat_map(|(text, place)| parse(&text, &place, faults)).collect()
}

fn on_disk(folder: Option<(&Path, bool)>, name: &str, faults: &mut Vec<Fault>) -> Option<(String, String)> {
    let path = folder?.0.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some((text, path.display().to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let fix = "Make it readable for this process, or remove it to use the built-in file.";
            faults.push(Fault::new(path.display().to_string(), format!("cannot be read: {error}"), fix));
            None
        }
    }
}

/// The settings in `text`, with a fault for every key that is not a setting.
pub(crate) fn parse(text: &str, place: &str, faults: &mut Vec<Fault>) -> Settings {
    let mut settings = Settings::new();
    match File::from_str(text, FileFormat::Toml).collect() {
        Ok(table) => flatten("", table, place, &mut settings, faults),
        Err(error) => {
            // The first line has the place and the error; the others repeat the file, which may contain a secret.
            let error = error.to_string();
            let problem = format!("is not a TOML file: {}", error.lines().next().unwrap_or_default());
            faults.push(Fault::new(place, problem, "Correct this line."));
        }
    }
    settings
}

fn flatten(above: &str, table: Map<String, Value>, place: &str, settings: &mut Settings, faults: &mut Vec<Fault>) {
    // Sorted, so that the order of faults is stable.
    for (key, value) in table.into_iter().collect::<BTreeMap<_, _>>() {
        let key = if above.is_empty() { key } else { format!("{above}.{key}") };
        let variable = variables().find(|variable| variable.key == Some(key.as_str()));
        match (variable, value.kind) {
            (None, ValueKind::Table(inner)) => flatten(&key, inner, place, settings, faults),
            (None, _) => faults.push(unknown(&key, place, "is not a setting of this program")),
            (Some(variable), kind) => match as_text(kind) {
                Some(text) => _ = settings.insert(variable.name, Setting { text, place: format!("{place}, {key}") }),
                None => faults.push(unknown(&key, place, "is not a single value or a list of values")),
            },
        }
    }
}

fn unknown(key: &str, place: &str, problem: &str) -> Fault {
    let fix = match near::nearest(key, variables().filter_map(|variable| variable.key)) {
        Some(near) => format!("Did you mean {near}?"),
        None => "docs/configuration.md lists the keys; secrets are read from the environment only.".to_owned(),
    };
    Fault::new(key, problem, fix).at(place)
}

/// A value as a variable would hold it; lists are joined by commas.
fn as_text(kind: ValueKind) -> Option<String> {
    match kind {
        ValueKind::Array(values) => {
            values.into_iter().map(|value| as_text(value.kind)).collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
        }
        scalar => Value::new(None, scalar).into_string().ok(),
    }
}
