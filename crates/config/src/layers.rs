//! Merges the sources: one text for each setting, from the strongest source that has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    env_file,
    environment::{Environment, Role},
    fault::Fault,
    files,
    sections::{Http, Telemetry, variables},
    setting::Variable,
    sources::Sources,
    values::one_of,
};

/// The place of settings from the process's environment.
pub(crate) const ENVIRONMENT_LAYER: &str = "environment";

/// A value not yet parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) text: String,
    /// Where it was found, for people.
    pub(crate) place: String,
}

/// The settings of all sources.
pub(crate) struct Layers {
    /// By variable.
    values: BTreeMap<&'static str, Setting>,
    /// All variables that are set, including unknown ones.
    pub(crate) names: BTreeSet<String>,
    /// `None`: `ENVIRONMENT` is missing or unusable.
    pub(crate) stated_environment: Option<Environment>,
}

impl Layers {
    /// Merges the sources for `role`. Takes from the environment only the variables that the role reads, so that no role
    /// fails because of another's variable. Every role checks the files completely.
    pub(crate) fn resolve(sources: &Sources, role: Role, faults: &mut Vec<Fault>) -> Self {
        let real = sources.known();
        let name = Telemetry::ENVIRONMENT.name;
        let stated = sources.overrides.get(name).or_else(|| real.get(name));
        let env_file = env_file::read(sources, stated, faults);
        let fallback = sources.fallbacks.get(name);
        let environment = stated
            .or_else(|| env_file.get(name))
            .or(fallback)
            .and_then(|name| one_of(Environment::ALL)(name.trim()).ok());

        let mut layers =
            Self { values: BTreeMap::new(), names: names(sources, &env_file), stated_environment: environment };
        let folder = Telemetry::APP_CONFIG_DIR.name;
        let folder = real.get(folder).or_else(|| env_file.get(folder)).map(|folder| (Path::new(folder), true));
        let folder = folder.or(sources.folder.as_deref().map(|folder| (folder, false)));
        layers.values.extend(files::read(folder, layers.environment(), faults));
        layers.add(&sources.fallbacks, "built in", |_| true);
        layers.add(&env_file, ".env", |variable| variable.roles.contains(&role));
        layers.add(&real, ENVIRONMENT_LAYER, |variable| variable.roles.contains(&role));
        layers.add(&sources.overrides, "command", |_| true);
        // An empty setting in a file is unset, like an empty variable; an empty list is a list.
        layers.values.retain(|name, setting| !setting.text.is_empty() || *name == Http::CORS_ORIGINS.name);
        let is_stated = environment.is_some() || layers.values.contains_key(name);
        if !is_stated && Telemetry::ENVIRONMENT.roles.contains(&role) {
            let problem = "is not set (the rest is checked as for production)";
            faults.push(Fault::new(name, problem, Telemetry::ENVIRONMENT.assignment()));
        }
        for variable in sources.unreadable().filter(|variable| variable.roles.contains(&role)) {
            faults.push(Fault::new(variable.name, "is not UTF-8 text", "Set it again.").at(ENVIRONMENT_LAYER));
        }
        layers
    }

    fn add(&mut self, layer: &BTreeMap<String, String>, place: &str, is_read: impl Fn(&Variable) -> bool) {
        for variable in variables().filter(|variable| is_read(variable)) {
            if let Some(text) = layer.get(variable.name) {
                self.values.insert(variable.name, Setting { text: text.clone(), place: place.to_owned() });
            }
        }
    }

    pub(crate) fn get(&self, variable: &Variable) -> Option<&Setting> {
        self.values.get(variable.name)
    }

    /// The environment; production, which has the strictest rules, if none is stated.
    pub(crate) fn environment(&self) -> Environment {
        self.stated_environment.unwrap_or(Environment::Production)
    }
}

fn names(sources: &Sources, env_file: &BTreeMap<String, String>) -> BTreeSet<String> {
    sources.names().chain(env_file.keys().map(String::as_str)).map(str::to_owned).collect()
}
