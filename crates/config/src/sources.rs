//! Where settings come from: variables handed in, a `.env` file in development, files on disk or in the program.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use super::{environment::Environment, variables::VARIABLES};

/// Everything that [`Config::load`](super::Config::load) may look at. Tests hand in what they mean and touch neither
/// the process's environment nor its working folder.
#[derive(Clone, Default)]
pub struct Sources {
    /// Values of known variables that are not empty.
    variables: BTreeMap<String, String>,
    /// Names of all variables, for "did you mean".
    names: BTreeSet<String>,
    /// Known variables whose value is no text.
    unreadable: Vec<String>,
    overrides: BTreeMap<String, String>,
    fallbacks: BTreeMap<String, String>,
    folder: Option<PathBuf>,
    env_file: Option<PathBuf>,
    default_environment: Option<Environment>,
}

impl Sources {
    /// The process's environment, `config/` and `.env` in the working folder.
    pub fn from_process() -> Self {
        Self::of(env::vars_os()).with_folder("config").with_env_file(".env")
    }

    /// These variables, and the files in the program. An empty value counts as unset.
    pub fn of<N: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut sources = Self::default();
        for (name, value) in variables {
            let Ok(name) = name.into().into_string() else { continue };
            let known = VARIABLES.iter().any(|v| v.name == name);
            match value.into().into_string() {
                Ok(value) if value.trim().is_empty() => continue,
                Ok(value) if known => _ = sources.variables.insert(name.clone(), value),
                Err(_) if known => sources.unreadable.push(name.clone()),
                // Other programs' values are none of our business, and may be secrets.
                Ok(_) | Err(_) => {}
            }
            sources.names.insert(name);
        }
        sources
    }

    /// Files in `folder` win over those in the program, if the folder exists. `APP_CONFIG_DIR` wins over this.
    #[must_use]
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Reads `file`, where it exists, in development; a variable of the real environment wins over it.
    #[must_use]
    pub fn with_env_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.env_file = Some(file.into());
        self
    }

    /// The environment where `ENVIRONMENT` is not set: `app dev` says development.
    #[must_use]
    pub fn with_default_environment(mut self, environment: Environment) -> Self {
        self.default_environment = Some(environment);
        self
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

    pub(super) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub(super) fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    pub(super) fn overrides(&self) -> &BTreeMap<String, String> {
        &self.overrides
    }

    pub(super) fn fallbacks(&self) -> &BTreeMap<String, String> {
        &self.fallbacks
    }

    /// The folder of files where nobody names one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    pub(super) fn env_file(&self) -> Option<&Path> {
        self.env_file.as_deref()
    }

    pub(super) fn default_environment(&self) -> Option<Environment> {
        self.default_environment
    }
}

/// Names only: a value may be a secret.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("variables", &self.variables.keys())
            .field("folder", &self.folder)
            .field("env_file", &self.env_file)
            .field("default_environment", &self.default_environment)
            .finish_non_exhaustive()
    }
}
