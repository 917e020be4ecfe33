//! What can be told of settings without telling them, to compare two deployments.

use sha2::{Digest, Sha256};

use super::{environment::Role, layers::Layers, sections::variables, setting::Secrecy, sources::Sources};

/// A secret is random if it has this many characters: then a few digits of its hash tell nothing of it. A shorter one may
/// be a password, and a URL may contain one: they have no fingerprint.
const RANDOM_CHARS: usize = 32;

/// A setting that has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The variable.
    pub name: &'static str,
    /// Where the value was found: `environment`, a file.
    pub place: String,
    /// Length in characters.
    pub length: usize,
    /// Four hex digits of the SHA-256 of name and value: equal values have equal ones, and one of 65,536 others. `None`: a
    /// secret that could be guessed.
    pub fingerprint: Option<String>,
}

/// The settings that `role` reads and that have a value other than the declared default.
pub fn list_fingerprints(role: Role, sources: &Sources) -> Vec<Fingerprint> {
    // Faults are another's to tell.
    let layers = Layers::resolve(sources, role, &mut Vec::new());
    let found = variables().filter_map(|variable| {
        let setting = layers.get(variable).filter(|setting| Some(setting.text.as_str()) != variable.default)?;
        let length = setting.text.chars().count();
        let is_guessable =
            variable.secrecy == Secrecy::Secret && (length < RANDOM_CHARS || setting.text.contains("://"));
        let digest = Sha256::digest(format!("{}={}", variable.name, setting.text));
        let fingerprint = (!is_guessable).then(|| format!("{:02x}{:02x}", digest[0], digest[1]));
        Some(Fingerprint { name: variable.name, place: setting.place.clone(), length, fingerprint })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &'static str, value: &str) -> Fingerprint {
        let sources = Sources::of([("ENVIRONMENT", "development"), (name, value)]);
        list_fingerprints(Role::Check, &sources).into_iter().find(|found| found.name == name).unwrap()
    }

    #[test]
    fn equal_values_have_equal_fingerprints_and_what_could_be_guessed_has_none() {
        assert_eq!(of("API_PORT", "8123"), of("API_PORT", "8123"));
        assert_ne!(of("API_PORT", "8123").fingerprint, of("API_PORT", "8124").fingerprint);
        assert!(of("STORAGE_SIGNING_SECRET", &"s".repeat(32)).fingerprint.is_some());
        assert_eq!(of("STORAGE_SIGNING_SECRET", &"s".repeat(31)).fingerprint, None);
        assert_eq!(
            of("DATABASE_URL", "postgres://app:hunter2@db.example.com:5432/app?sslmode=require").fingerprint,
            None
        );
    }
}
