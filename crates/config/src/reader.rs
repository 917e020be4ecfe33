//! Takes typed values out of the layers and collects every fault on the way.

use std::{fmt::Display, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use url::Url;

use super::{
    environment::Role,
    fault::Fault,
    layers::{Layers, Raw},
    secret::Secret,
    values,
    variables::{Secrecy, Variable, variable},
};

/// Reads sections. Where a value cannot be used, the fault is noted and the default stands in, so that reading goes
/// on and finds the next.
pub(super) struct Reader<'a> {
    pub(super) role: Role,
    pub(super) layers: &'a Layers,
    pub(super) faults: Vec<Fault>,
    /// What was asked for; a test compares it with the table.
    #[cfg(test)]
    pub(super) asked: std::collections::BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(role: Role, layers: &'a Layers) -> Self {
        Self {
            role,
            layers,
            faults: Vec::new(),
            #[cfg(test)]
            asked: std::collections::BTreeSet::new(),
        }
    }

    /// Parses a variable that may be unset; an unusable value is a fault and counts as unset.
    pub(super) fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let variable = variable(name)?;
        #[cfg(test)]
        self.asked.insert(variable.name);
        let raw = self.layers.values.get(name)?;
        let parsed = match variable.secrecy {
            Secrecy::Open => parse(raw.text.trim()),
            // Cut off, it could have been part of the secret; kept, it means hours of searching.
            Secrecy::Secret if raw.text.trim() != raw.text => Err("begins or ends with white space".to_owned()),
            Secrecy::Secret => parse(&raw.text),
        };
        parsed.map_err(|problem| self.faults.push(fault_of(variable, raw, &problem))).ok()
    }

    /// Parses a variable that has a default in `default.toml`.
    pub(super) fn required<T: Default>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        if let Some(value) = self.optional(name, &parse) {
            return value;
        }
        let default = self.layers.defaults.get(name).and_then(|raw| parse(&raw.text).ok());
        // A test sees to it that each required variable has a default that can be parsed.
        default.unwrap_or_default()
    }

    /// A whole number.
    pub(super) fn whole<T>(&mut self, name: &str, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Default,
    {
        self.required(name, |text| values::whole(text, &range))
    }

    /// A duration; `range` in seconds.
    pub(super) fn seconds(&mut self, name: &str, range: RangeInclusive<f64>) -> Duration {
        self.required(name, |text| values::seconds(text, &range))
    }

    /// A number of bytes.
    pub(super) fn bytes(&mut self, name: &str) -> u64 {
        self.required(name, values::bytes)
    }

    /// A short name.
    pub(super) fn name(&mut self, name: &str) -> String {
        self.required(name, values::name)
    }

    /// A secret that may be unset.
    pub(super) fn secret(&mut self, name: &str) -> Option<Secret<String>> {
        self.optional(name, |text| Ok(Secret::new(text.to_owned())))
    }

    /// A service's address that may be unset.
    pub(super) fn url(&mut self, name: &str) -> Option<Url> {
        self.optional(name, values::service_url)
    }

    /// A path that may be unset.
    pub(super) fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.optional(name, |text| Ok(PathBuf::from(text)))
    }
}

/// A fault in a value, which is shown where it cannot be a secret.
fn fault_of(variable: &Variable, raw: &Raw, problem: &str) -> Fault {
    let problem = match variable.secrecy {
        Secrecy::Open if is_harmless(&raw.text) => format!("{problem}: `{}`", raw.text),
        Secrecy::Open | Secrecy::Secret => problem.to_owned(),
    };
    Fault { name: variable.name.to_owned(), place: Some(raw.place.clone()), problem, fix: example(variable) }
}

/// Whether an open variable's value may be repeated: a secret may have been put into the wrong variable.
pub(super) fn is_harmless(text: &str) -> bool {
    text.len() <= 80 && !text.contains("://") && !text.contains('@')
}

/// A fault found by comparing values; the fix ends with an example.
pub(super) fn fault_about(name: &str, problem: impl Into<String>, fix: &str) -> Fault {
    let example = variable(name).map(example).unwrap_or_default();
    let fix = if fix.is_empty() { example } else { fix.to_owned() };
    Fault { name: name.to_owned(), place: None, problem: problem.into(), fix }
}

/// The fault of a variable that this role cannot do without.
pub(super) fn missing(name: &str) -> Fault {
    let fix = variable(name).map(|v| format!("{} {}", v.meaning, example(v))).unwrap_or_default();
    Fault { name: name.to_owned(), place: None, problem: "is not set".to_owned(), fix }
}

fn example(variable: &Variable) -> String {
    format!("Example: {}={}", variable.name, variable.example)
}
