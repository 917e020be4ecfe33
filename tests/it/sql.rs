//! Every statement has a unique name, which logs and `pg_stat_statements` show, and only the crate `store` has SQL on the
//! tables of `app`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["src", "crates"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    found
}

fn is_in(path: &Path, home: &str) -> bool {
    path.components().any(|part| part.as_os_str() == home)
}

/// The names of the statements in a source text: a string literal that begins with `-- name`.
fn statement_names(text: &str) -> Vec<String> {
    text.split("\"-- ")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_statement_has_a_unique_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in all_sources().iter().filter(|path| is_in(path, "crates")) {
        for name in statement_names(&fs::read_to_string(path).unwrap()) {
            places.entry(name).or_default().push(path.display().to_string());
        }
    }
    assert!(places.len() > 50, "only {} statements were found", places.len());
    let shared: Vec<_> = places.iter().filter(|(_, places)| places.len() > 1).collect();
    assert!(shared.is_empty(), "names that several statements share: {shared:?}");
}

#[test]
fn only_store_has_sql_on_the_tables_and_only_pg_has_other_sql() {
    for path in all_sources().iter().filter(|path| !is_in(path, "store")) {
        let marks: &[&str] = match is_in(path, "pg") {
            true => &["upload_pipeline."],
            false => &["upload_pipeline.", "SELECT ", "INSERT INTO", "DELETE FROM", "pg_notify"],
        };
        let text = fs::read_to_string(path).unwrap();
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for mark in marks {
            assert!(!code.contains(mark), "{} contains {mark:?}", path.display());
        }
    }
}
