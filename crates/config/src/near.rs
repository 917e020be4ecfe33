//! "Did you mean": variables that are almost one of ours.

use std::collections::BTreeSet;

use super::{fault::Fault, variables::VARIABLES};

/// Prefixes that are ours alone: whatever begins so and is unknown is a mistake.
const PREFIXES: [&str; 6] = ["WORKER_", "EMBED_", "UPLOAD_", "UPLOADS_", "STORAGE_", "PARSE_"];

/// Shorter names are too close to each other to guess from.
const GUESSABLE_LEN: usize = 8;

/// Warnings for unknown names with one of our prefixes, and for names within two letters of a variable that is unset.
pub(super) fn misspelt(names: &BTreeSet<String>) -> Vec<Fault> {
    let unknown = names.iter().filter(|name| VARIABLES.iter().all(|v| v.name != **name));
    unknown.filter_map(|name| warning(name, names)).collect()
}

fn warning(name: &str, names: &BTreeSet<String>) -> Option<Fault> {
    let near = nearest(name).filter(|near| !names.contains(*near));
    let ours = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let fix = match near {
        Some(near) => format!("Did you mean {near}?"),
        None if ours => "See docs/configuration.md for the variables that there are.".to_owned(),
        None => return None,
    };
    Some(Fault { name: name.to_owned(), place: None, problem: "is no variable of this program".to_owned(), fix })
}

/// The variable within two letters of `name`.
fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(name, VARIABLES.iter().map(|v| v.name))
}

/// The one of `known` within two letters of `name`.
pub(super) fn nearest_of(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let near = known.filter(|known| known.len() >= GUESSABLE_LEN).map(|known| (distance(name, known), known));
    near.filter(|(distance, _)| *distance <= 2).min().map(|(_, known)| known)
}

/// Letters to insert, delete or replace to make `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_edits() {
        for (a, b, edits) in [("", "abc", 3), ("lease", "lease", 0), ("CONCURENCY", "CONCURRENCY", 1), ("ab", "ba", 2)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits));
        }
    }

    fn warnings(names: &[&str]) -> Vec<String> {
        misspelt(&names.iter().map(|name| (*name).to_owned()).collect()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_variable_is_named_with_the_right_one() {
        assert_eq!(
            warnings(&["WORKER_CONCURENCY", "DATABASE_URI", "HOME", "PATH"]),
            [
                "DATABASE_URI is no variable of this program. Did you mean DATABASE_URL?",
                "WORKER_CONCURENCY is no variable of this program. Did you mean WORKER_CONCURRENCY?",
            ]
        );
    }

    #[test]
    fn a_variable_of_somebody_else_is_left_alone_when_ours_is_set() {
        assert_eq!(warnings(&["DATABASE_URI", "DATABASE_URL"]), [""; 0]);
        assert_eq!(warnings(&["EMBED_COLOUR"]).len(), 1);
    }
}
