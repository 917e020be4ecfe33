//! Finds misspelt names of variables and keys, for "Did you mean".

use std::collections::BTreeSet;

use super::{
    fault::Fault,
    sections::{variable, variables},
};

/// Prefixes that only this program uses, so an unknown variable with one of them is a mistake.
const PREFIXES: [&str; 6] = ["WORKER_", "EMBED_", "UPLOAD_", "UPLOADS_", "STORAGE_", "PARSE_"];

/// Shorter names are too similar to each other.
const GUESSABLE_LEN: usize = 8;

/// Warnings for unknown names with one of our prefixes, and for names within two letters of a variable that is unset.
pub(crate) fn misspelt(names: &BTreeSet<String>) -> Vec<Fault> {
    names.iter().filter(|name| variable(name).is_none()).filter_map(|name| warning(name, names)).collect()
}

fn warning(name: &str, names: &BTreeSet<String>) -> Option<Fault> {
    let near = nearest(name, variables().map(|variable| variable.name)).filter(|near| !names.contains(*near));
    let fix = match near {
        Some(near) => format!("Did you mean {near}?"),
        None if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => {
            "docs/configuration.md lists all variables.".to_owned()
        }
        None => return None,
    };
    Some(Fault::new(name, "is not a variable of this program", fix))
}

/// The one of `known` within two letters of `name`.
pub(crate) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let near =
        known.filter(|known| known.len() >= GUESSABLE_LEN).map(|known| (strsim::levenshtein(name, known), known));
    near.filter(|(distance, _)| *distance <= 2).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(names: &[&str]) -> Vec<String> {
        misspelt(&names.iter().map(|name| (*name).to_owned()).collect()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_variable_is_named_with_the_right_one() {
        assert_eq!(
            warnings(&["WORKER_CONCURENCY", "DATABASE_URI", "HOME", "PATH"]),
            [
                "DATABASE_URI is not a variable of this program. Did you mean DATABASE_URL?",
                "WORKER_CONCURENCY is not a variable of this program. Did you mean WORKER_CONCURRENCY?",
            ]
        );
    }

    #[test]
    fn a_variable_of_another_program_is_left_alone_when_ours_is_set() {
        assert_eq!(warnings(&["DATABASE_URI", "DATABASE_URL"]), [""; 0]);
        assert_eq!(warnings(&["EMBED_COLOUR"]).len(), 1);
    }

    #[test]
    fn a_variable_that_is_no_longer_read_stops_nothing() {
        assert_eq!(warnings(&["SUPABASE_SERVICE_ROLE_KEY"]), [""; 0]);
    }
}
