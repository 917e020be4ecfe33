//! The sources of settings: variables, a `.env` file in development, files on disk or built in.

use std::{collections::BTreeMap, env, ffi::OsString, fmt, path::PathBuf};

use super::{
    environment::Environment,
    sections::{Telemetry, variable},
    setting::Variable,
};

/// Everything that [`Config::load`](super::Config::load) may read. Tests build their own, and use neither the process's
/// environment nor its working folder.
#[derive(Clone, Default)]
pub struct Sources {
    /// All variables that are not empty. The value is `None` for variables of other programs, since it may be a secret, and
    /// for ours if it is not UTF-8 text.
    environment: BTreeMap<String, Option<String>>,
    pub(crate) overrides: BTreeMap<String, String>,
    pub(crate) fallbacks: BTreeMap<String, String>,
    /// The folder of files if `APP_CONFIG_DIR` names none.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) env_file: Option<PathBuf>,
}

impl Sources {
    /// The process's environment, `config/` and `.env` in the working folder.
    pub fn from_process() -> Self {
        Self::of(env::vars_os()).with_folder("config").with_env_file(".env")
    }

    /// These variables, and the built-in files. An empty value counts as unset.
    pub fn of<N: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let named =
            variables.into_iter().filter_map(|(name, value)| Some((name.into().into_string().ok()?, value.into())));
        let set = named.filter(|(_, value)| value.to_str().is_none_or(|text| !text.trim().is_empty()));
        let environment = set.map(|(name, value)| {
            let value = variable(&name).and_then(|_known| value.into_string().ok());
            (name, value)
        });
        Self { environment: environment.collect(), ..Self::default() }
    }

    /// Without `config/` and `.env` in the working folder, for commands that run in any folder.
    #[must_use]
    pub fn without_working_folder(mut self) -> Self {
        (self.folder, self.env_file) = (None, None);
        self
    }

    /// Uses the files in `folder`, if it exists, instead of the built-in ones. `APP_CONFIG_DIR` overrides this.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Reads `file`, if it exists, in development; the process's environment overrides it.
    #[must_use]
    pub fn with_env_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.env_file = Some(file.into());
        self
    }

    /// Sets the environment that holds if `ENVIRONMENT` is not set: `app dev` sets development.
    #[must_use]
    pub fn with_default_environment(self, environment: Environment) -> Self {
        self.with_fallback(Telemetry::ENVIRONMENT.name, environment.as_str())
    }

    /// Sets a variable above everything else, whatever the role: `app dev`'s own database.
    #[must_use]
    pub fn with_value(mut self, name: &str, value: impl Into<String>) -> Self {
        self.overrides.insert(name.to_owned(), value.into());
        self
    }

    /// Sets a variable below the environment and above the files: `app dev`'s folder for documents.
    #[must_use]
    pub fn with_fallback(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fallbacks.insert(name.to_owned(), value.into());
        self
    }

    /// Our variables with their values.
    pub(crate) fn known(&self) -> BTreeMap<String, String> {
        self.environment.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }

    /// Our variables whose value is not UTF-8 text.
    pub(crate) fn unreadable(&self) -> impl Iterator<Item = &'static Variable> {
        self.environment.iter().filter(|(_, value)| value.is_none()).filter_map(|(name, _)| variable(name))
    }

    /// The names of all variables, for "did you mean".
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.environment.keys().map(String::as_str)
    }
}

/// Prints names only, since a value may be a secret.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("environment", &self.known().keys())
            .field("folder", &self.folder)
            .field("env_file", &self.env_file)
            .finish_non_exhaustive()
    }
}
