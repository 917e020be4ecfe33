//! Lays the sources over each other: one text for each variable, from the strongest source that has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use super::{
    environment::{Environment, Role},
    fault::Fault,
    files,
    sources::Sources,
    variables::{VARIABLES, variable},
};

/// A value not yet parsed.
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) text: String,
    /// As a person would say it.
    pub(super) place: String,
}

/// What all sources together say.
pub(super) struct Layers {
    /// By variable.
    pub(super) values: BTreeMap<&'static str, Raw>,
    /// By variable: what stands in for a value that cannot be used while faults are collected.
    pub(super) defaults: BTreeMap<&'static str, Raw>,
    /// Of all variables that are set, known or not.
    pub(super) names: BTreeSet<String>,
    pub(super) environment: Environment,
    /// Whether `ENVIRONMENT` is missing or unusable; the strictest rules are applied then.
    pub(super) environment_is_assumed: bool,
}

impl Layers {
    /// Lays all sources of `role` over each other. Of the environment only what the role reads is looked at, so that
    /// no role stumbles over another's variable; files are checked whole by everyone.
    pub(super) fn resolve(sources: &Sources, role: Role, faults: &mut Vec<Fault>) -> Self {
        let real = sources.variables();
        let stated = sources.overrides().get("ENVIRONMENT").or_else(|| real.get("ENVIRONMENT"));
        let env_file = env_file(sources, stated.map(String::as_str), faults);
        let found = find_environment(sources, stated.or_else(|| env_file.get("ENVIRONMENT")), role, faults);
        let environment = found.unwrap_or(Environment::Production);

        let mut values = BTreeMap::new();
        let mut lay = |name: &'static str, text: &str, place: &str| {
            values.insert(name, Raw { text: text.to_owned(), place: place.to_owned() });
        };
        let named = real.get("APP_CONFIG_DIR").or_else(|| env_file.get("APP_CONFIG_DIR"));
        let folder = named.map(|folder| (Path::new(folder), true)).or(sources.folder().map(|folder| (folder, false)));
        for setting in files::read(folder, environment, faults) {
            lay(setting.name, &setting.text, &setting.place);
        }
        let layers = [
            (sources.fallbacks(), "built in", true),
            (&env_file, ".env", false),
            (real, "environment", false),
            (sources.overrides(), "command", true),
        ];
        for (layer, place, for_every_role) in layers {
            for known in VARIABLES.iter().filter(|v| for_every_role || v.roles.contains(&role)) {
                if let Some(text) = layer.get(known.name) {
                    lay(known.name, text, place);
                }
            }
        }
        // An emptied setting of a file is unset, as an empty variable is; an emptied list is an empty list.
        values.retain(|name, raw: &mut Raw| !raw.text.is_empty() || *name == "CORS_ORIGINS");
        report_unreadable(sources, role, faults);
        let names = sources.names().chain(env_file.keys().map(String::as_str)).map(str::to_owned).collect();
        Self { names, values, defaults: built_in_defaults(), environment, environment_is_assumed: found.is_none() }
    }
}

/// The defaults in the program, which a test knows to be right.
fn built_in_defaults() -> BTreeMap<&'static str, Raw> {
    let settings = files::parse(files::DEFAULT, "built-in default.toml", &mut Vec::new());
    settings.into_iter().map(|s| (s.name, Raw { text: s.text, place: s.place })).collect()
}

fn report_unreadable(sources: &Sources, role: Role, faults: &mut Vec<Fault>) {
    for name in sources.unreadable().iter().filter(|n| variable(n).is_some_and(|v| v.roles.contains(&role))) {
        faults.push(Fault {
            name: name.clone(),
            place: Some("environment".to_owned()),
            problem: "is not UTF-8 text".to_owned(),
            fix: "Set it anew.".to_owned(),
        });
    }
}

fn find_environment(
    sources: &Sources,
    stated: Option<&String>,
    role: Role,
    faults: &mut Vec<Fault>,
) -> Option<Environment> {
    let problem = match stated.map(|name| name.trim().parse()) {
        Some(Ok(environment)) => return Some(environment),
        Some(Err(problem)) => problem,
        None => match sources.default_environment() {
            Some(environment) => return Some(environment),
            None => "is not set (what follows is judged as for production)".to_owned(),
        },
    };
    if role.has_environment() {
        let fix = "Set it to development, staging or production, for example ENVIRONMENT=staging.".to_owned();
        faults.push(Fault { name: "ENVIRONMENT".to_owned(), place: None, problem, fix });
    }
    None
}

/// What the `.env` file says, in development: where the real environment says so, or, saying nothing, leaves it to
/// the file or to the command. Elsewhere a stray file is not even opened for its values.
fn env_file(sources: &Sources, stated: Option<&str>, faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let is_development = |name: &str| name.trim().parse() == Ok(Environment::Development);
    let Some(path) = sources.env_file().filter(|_| stated.is_none_or(is_development)) else { return BTreeMap::new() };
    let mut problems = Vec::new();
    let values = read_env_file(path, &mut problems);
    let by_default = || sources.default_environment().is_some_and(Environment::is_development);
    let development = match (stated, values.get("ENVIRONMENT")) {
        (Some(_), _) => true,
        (None, Some(own)) => is_development(own),
        (None, None) => by_default(),
    };
    if !development {
        return BTreeMap::new();
    }
    faults.append(&mut problems);
    values
}

fn read_env_file(path: &Path, faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut fault = |problem: String| {
        let fix = "Write each line as NAME=value; put a value with spaces, # or $ into single quotes.".to_owned();
        faults.push(Fault { name: path.display().to_string(), place: None, problem, fix });
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
                last = name.clone();
                if !value.trim().is_empty() {
                    values.insert(name, value);
                }
            }
            // The error repeats the line, which may hold a secret.
            Err(dotenvy::Error::LineParse(..)) => fault(format!("has a line after {last} that cannot be read")),
            Err(dotenvy::Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                fault(format!("has a line after {last} that is not UTF-8 text"));
                break;
            }
            Err(error) => {
                fault(format!("cannot be read on after {last}: {error}"));
                break;
            }
        }
    }
    values
}
