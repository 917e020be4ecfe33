//! What is wrong with a configuration, said so that the reader can mend it.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable to set, or the file or key to mend.
    pub name: String,
    /// Where the value came from; `None` when there was none.
    pub place: Option<String>,
    /// What is wrong, as the rest of a sentence that begins with the name. Never a secret.
    pub problem: String,
    /// What to do, with an example of a right value.
    pub fix: String,
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

/// Everything that is wrong with a configuration; `main` exits with 2 on it.
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
