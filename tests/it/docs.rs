//! docs/errors.md is rendered from the table of codes.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use domain::{Code, codes::Group};

/// The tables follow the part that people write.
#[test]
fn docs_errors_lists_every_code() {
    const MARKER: &str = "<!-- from the table in crates/domain/src/codes; UPDATE_DOCS=1 writes it -->\n";
    let mut tables = String::new();
    let mut group = None;
    for code in Code::ALL {
        if group != Some(code.group()) {
            group = Some(code.group());
            let head =
                "| code | where | class or status | what it means | what to do |\n| --- | --- | --- | --- | --- |";
            writeln!(tables, "\n## {}\n\n{head}", heading(code.group())).unwrap();
        }
        let (place, meaning, remedy) = (code.place(), code.meaning(), code.remedy());
        writeln!(tables, "| `{code}` | {place} | {} | {meaning} | {remedy} |", class_or_status(*code)).unwrap();
    }
    compare("docs/errors.md", MARKER, &tables);
}

fn compare(file: &str, marker: &str, rendered: &str) {
    let path = root().join(file);
    let page = fs::read_to_string(&path).unwrap();
    let (words, _) = page.split_once(marker).unwrap();
    let wanted = format!("{words}{marker}{rendered}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, wanted).unwrap();
    } else {
        assert!(page == wanted, "{file} is out of date: run this test once with UPDATE_DOCS=1");
    }
}

fn heading(group: Group) -> &'static str {
    match group {
        Group::Caller => "The API: who calls",
        Group::Request => "The API: requests",
        Group::Resource => "The API: uploads, documents, jobs, search",
        Group::Document => "The document",
        Group::Worker => "The worker and what it depends on",
        Group::Database => "The database",
        Group::CommandLine => "Start and command line",
        Group::Verify => "What `app verify` finds",
        Group::Event => "Codes of events that are no failures",
    }
}

fn class_or_status(code: Code) -> String {
    let class = code.declared_class().map(|class| class.as_str().to_owned());
    let statuses = code.statuses().iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let cells: Vec<String> = class.into_iter().chain((!statuses.is_empty()).then_some(statuses)).collect();
    if cells.is_empty() { "–".to_owned() } else { cells.join("; ") }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
