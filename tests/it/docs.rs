//! docs/errors.md lists every code that the program can show, and none that it cannot; docs/checks.md every cause.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A source file, without its unit tests.
struct Source {
    /// Relative to the project, with `/`.
    path: String,
    text: String,
}

/// Where a code is the first argument, in any module.
const CODE_FIRST: &[&str] = &["Failure::new(", "HandBack(", "code: "];
/// Where a code is the first argument, in `src/api`.
const CODE_FIRST_IN_API: &[&str] =
    &["::bad_request(", "::unprocessable(", "::conflict(", "::too_large(", "::unavailable(", "unauthorized("];
/// Where a code is the second argument, in `src/api`.
const CODE_SECOND_IN_API: &[&str] = &["ApiError::new(", "Self::new("];

#[test]
fn every_code_in_the_source_is_documented() {
    let documented = documented();
    let missing: Vec<String> = codes(&sources())
        .into_iter()
        .filter(|(code, _)| !documented.contains(code))
        .map(|(code, path)| format!("{code} ({path})"))
        .collect();
    assert!(missing.is_empty(), "docs/errors.md lacks: {}", missing.join(", "));
}

#[test]
fn every_documented_code_is_in_the_source() {
    let sources = sources();
    let occurs = |code: &str| {
        let (rust, sql) = (format!("\"{code}\""), format!("'{code}'"));
        sources.iter().any(|source| source.text.contains(&rust) || source.text.contains(&sql))
    };
    let stale: Vec<String> = documented().into_iter().filter(|code| !occurs(code)).collect();
    assert!(stale.is_empty(), "docs/errors.md lists codes that no longer exist: {}", stale.join(", "));
}

/// The scan itself: one code of each kind of place must be found, or a change of style has made it blind.
#[test]
fn the_scan_finds_a_code_in_every_kind_of_place() {
    let codes = codes(&sources());
    for code in [
        "upload_expired",     // Failure::new, on a line of its own
        "shutdown",           // a hand-back
        "waiting_for_upload", // a snooze
        "json_invalid",       // ApiError, first argument
        "uploads_per_day",    // ApiError, second argument
        "token_missing",      // unauthorized
        "job_not_found",      // a pair of code and sentence
        "ipv6_only",          // fn code()
        "worker_died",        // a takeover
        "adopted_failure",    // SQL in migrations
    ] {
        assert!(codes.contains_key(code), "the scan no longer finds {code}");
    }
}

/// The catalogue, below the words of docs/checks.md that people write.
#[test]
fn docs_checks_lists_every_cause_of_app_check() {
    const MARKER: &str = "<!-- from the catalogue in src/checks; UPDATE_DOCS=1 writes it -->\n";
    let file = root().join("docs/checks.md");
    let page = fs::read_to_string(&file).unwrap();
    let (words, _) = page.split_once(MARKER).unwrap();
    let wanted = format!("{words}{MARKER}{}", app::checks::render_markdown());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, wanted).unwrap();
    } else {
        assert!(page == wanted, "docs/checks.md is out of date: run this test once with UPDATE_DOCS=1");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The first cell of every row of a table, where it is one code.
fn documented() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let cell =
        |line: &str| line.strip_prefix("| `").and_then(|rest| rest.split_once("` |")).map(|(code, _)| code.to_owned());
    page.lines().filter_map(cell).filter(|code| is_code(code)).collect()
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for folder in ["src", "migrations"] {
        collect(&root().join(folder), &mut files);
    }
    files.sort();
    files.iter().map(|file| source(file)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The contract repeats codes; that one stands there does not make it one that can occur.
        let repeats = path.file_stem().is_some_and(|stem| stem == "tests") || path.ends_with("src/api/contract");
        if repeats {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
            files.push(path);
        }
    }
}

fn source(file: &Path) -> Source {
    let text = fs::read_to_string(file).unwrap();
    // `mod tests;` is another file, left out above; only a module with a body ends what counts here.
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
    let path = file.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    Source { path, text }
}

/// Every code, with a file that it is in.
fn codes(sources: &[Source]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for source in sources {
        let text = source.text.as_str();
        let mut codes: Vec<&str> =
            CODE_FIRST.iter().flat_map(|marker| after(text, marker)).filter_map(literal).collect();
        codes.extend(after(text, "'code', '").filter_map(|rest| rest.split('\'').next()));
        codes.extend(after(text, "fn code(").flat_map(arms));
        if source.path.starts_with("src/api") {
            codes.extend(CODE_FIRST_IN_API.iter().flat_map(|marker| after(text, marker)).filter_map(literal));
            codes.extend(CODE_SECOND_IN_API.iter().flat_map(|marker| after(text, marker)).filter_map(second));
            codes.extend(after(text, "(").filter_map(literal).filter(|code| code.ends_with("not_found")));
        }
        for code in codes.into_iter().filter(|code| is_code(code)) {
            found.entry(code.to_owned()).or_insert_with(|| source.path.clone());
        }
    }
    found
}

/// What stands behind each `marker`.
fn after<'a>(text: &'a str, marker: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(marker).map(move |(at, _)| &text[at + marker.len()..])
}

/// The string literal that `rest` begins with.
fn literal(rest: &str) -> Option<&str> {
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

/// The string literal behind the first argument, where that is a plain path.
fn second(rest: &str) -> Option<&str> {
    let (first, rest) = rest.split_once(',')?;
    if first.contains(['(', ')', '"', ';']) { None } else { literal(rest) }
}

/// The literals that the arms of a function's `match` give.
fn arms(rest: &str) -> impl Iterator<Item = &str> {
    let body = rest.split("\n    }").next().unwrap_or_default();
    body.match_indices("=>").filter_map(move |(at, _)| literal(body[at + 2..].trim_start().trim_start_matches('{')))
}

fn is_code(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
