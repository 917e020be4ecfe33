//! The `.env` file, which is read in development only.

use std::{collections::BTreeMap, path::Path};

use super::{environment::Environment, fault::Fault, sections::Telemetry, sources::Sources};

/// The file's variables in development, empty otherwise. `stated` is the environment that the process's variables name; if
/// there is none, the file or the command names it.
pub(crate) fn read(sources: &Sources, stated: Option<&String>, faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let is_development = |name: &String| name.trim().eq_ignore_ascii_case(Environment::Development.as_str());
    let Some(path) = sources.env_file.as_ref().filter(|_| stated.is_none_or(is_development)) else {
        return BTreeMap::new();
    };
    let mut found = Vec::new();
    let values = parse(path, &mut found);
    let name = Telemetry::ENVIRONMENT.name;
    let environment = stated.or_else(|| values.get(name)).or_else(|| sources.fallbacks.get(name));
    if !environment.is_some_and(is_development) {
        return BTreeMap::new();
    }
    faults.append(&mut found);
    values
}

fn parse(path: &Path, faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut fault = |problem: String| {
        let fix = "Write each line as NAME=value; put single quotes around a value with spaces, # or $.";
        faults.push(Fault::new(path.display().to_string(), problem, fix));
    };
    let entries = match dotenvy::from_path_iter(path) {
        Ok(entries) => entries,
        Err(error) if error.not_found() => return values,
        Err(error) => {
            fault(format!("cannot be read: {error}"));
            return values;
        }
    };
    let mut last = "the beginning".to_owned();
    for entry in entries {
        match entry {
            Ok((name, value)) => {
                last.clone_from(&name);
                values.insert(name, value);
            }
            // The error repeats the line, which may hold a secret.
            Err(error) => {
                fault(format!("has a line after {last} that cannot be read"));
                if matches!(error, dotenvy::Error::Io(_)) {
                    break;
                }
            }
        }
    }
    values.retain(|_, value| !value.trim().is_empty());
    values
}
