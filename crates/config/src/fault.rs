//! Faults of a configuration, with what to do about them.

use std::fmt;

use super::setting::Variable;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable to set, or the file or key to correct.
    pub name: String,
    /// Where the value came from; `None` when there was none.
    pub place: Option<String>,
    /// What is wrong, as the rest of a sentence that begins with the name. Contains no secret.
    pub problem: String,
    /// What to do, with a valid example.
    pub fix: String,
}

impl Fault {
    pub(crate) fn new(name: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), place: None, problem: problem.into(), fix: fix.into() }
    }

    /// A variable that the role needs is not set.
    pub(crate) fn missing(variable: &Variable) -> Self {
        let fix = format!("{} {}", variable.meaning(), variable.assignment());
        Self::new(variable.name, "is not set", fix)
    }

    pub(crate) fn at(mut self, place: &str) -> Self {
        self.place = Some(place.to_owned());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        write!(f, " {}. {}", self.problem, self.fix)
    }
}

/// All faults of a configuration; `main` exits with 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Fault>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a fault:")?,
            n => write!(f, "the configuration has {n} faults:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

/// A colon and the value of an open setting; empty if it could be a secret that was put into the wrong variable.
pub(crate) fn shown(text: &str) -> String {
    let is_harmless = text.len() <= 80 && !text.contains("://") && !text.contains('@');
    if is_harmless { format!(": `{text}`") } else { String::new() }
}
