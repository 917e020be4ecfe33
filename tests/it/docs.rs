//! docs/errors.md lists the codes of the table in src/domain, docs/checks.md every cause of the catalogue.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use app::domain::Code;

#[test]
fn docs_errors_lists_the_codes_of_the_table() {
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let cell = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    let documented: BTreeSet<String> = page.lines().filter_map(cell).collect();
    let known: BTreeSet<String> = Code::ALL.iter().map(|code| code.to_string()).collect();
    assert_eq!(documented, known);
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
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
