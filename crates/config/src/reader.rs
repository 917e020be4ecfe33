//! Reads typed values from the layers and collects the faults.

use super::{
    environment::Environment,
    fault::{Fault, shown},
    layers::{ENVIRONMENT_LAYER, Layers, Setting},
    setting::{Secrecy, Variable},
};

/// Reads sections. For a value that cannot be used it records a fault and takes the default, so that later faults are found
/// too.
pub(crate) struct Reader<'a> {
    layers: &'a Layers,
    pub(crate) faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(layers: &'a Layers) -> Self {
        Self { layers, faults: Vec::new() }
    }

    pub(crate) fn environment(&self) -> Environment {
        self.layers.environment()
    }

    /// Whether the setting comes from the process's environment.
    pub(crate) fn is_from_environment(&self, variable: &Variable) -> bool {
        self.layers.get(variable).is_some_and(|setting| setting.place == ENVIRONMENT_LAYER)
    }

    /// Parses a setting that may be unset; an unusable value is a fault and counts as unset.
    pub(crate) fn optional<T>(&mut self, variable: &Variable, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let setting = self.layers.get(variable)?;
        let text = setting.text.as_str();
        let parsed = match variable.secrecy {
            Secrecy::Open => parse(text.trim()),
            // White space may be part of the secret or, more likely, a mistake that is hard to find.
            Secrecy::Secret if text.trim() != text => Err("begins or ends with white space".to_owned()),
            Secrecy::Secret => parse(text),
        };
        parsed.map_err(|problem| self.faults.push(fault_of(variable, setting, problem))).ok()
    }

    /// Parses a setting that has a default.
    pub(crate) fn required<T: Default>(&mut self, variable: &Variable, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let default = || variable.default.and_then(|text| parse(text).ok());
        // A test parses each default, so the type's own default is never used.
        self.optional(variable, &parse).or_else(default).unwrap_or_default()
    }
}

fn fault_of(variable: &Variable, setting: &Setting, problem: String) -> Fault {
    let shown = match variable.secrecy {
        Secrecy::Open => shown(&setting.text),
        Secrecy::Secret => String::new(),
    };
    Fault::new(variable.name, problem + &shown, variable.assignment()).at(&setting.place)
}
