//! `app estimate`: the bill before anything is sent. It has no database, no server and no network.

use std::{path::PathBuf, process::Command};

use serde_json::{Value, json};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Exit code and what is printed.
fn estimate(settings: &[(&str, &str)], args: &[&str], files: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app"));
    command.arg("estimate").args(args).args(files.iter().map(|name| data(name)));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("OCR_ENGINE", "off");
    command.env("PDFIUM_LIBRARY", std::env::var_os("APP_PDFIUM_LIBRARY").unwrap()).envs(settings.iter().copied());
    let output = command.output().unwrap();
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.code(), printed)
}

fn items(printed: &str) -> Vec<Value> {
    let answer: Value = serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    answer["files"].as_array().unwrap().clone()
}

#[test]
fn files_are_read_and_cut_here_and_priced_by_the_settings() {
    let prices = [
        ("EMBED_PRICES", "text-embedding-3-small=2000"),
        ("LLAMAPARSE_PRICES", "cost_effective=0.375"),
        ("EMBED_PROVIDER", "openai"),
        ("EMBED_MODEL", "text-embedding-3-small"),
    ];
    let (code, printed) = estimate(&prices, &["--json"], &["two-pages.pdf", "scan.pdf"]);
    assert_eq!(code, Some(0), "{printed}");
    let found = items(&printed);
    let (tokens, cents) = (found[0]["tokens"].as_i64().unwrap(), found[0]["cost_cents"].as_f64().unwrap());
    assert!(tokens > 0 && (cents - tokens as f64 * 0.002).abs() < 1e-12, "{printed}");
    assert_eq!((&found[0]["pages"], &found[0]["remote_pages"]), (&json!(2), &json!(0)), "{printed}");
    // What stands on a scan is known once it is read.
    let scan = ["remote_pages", "parse_cents", "passages", "cost_cents"].map(|field| found[1][field].clone());
    assert_eq!(scan, [json!(2), json!(0.75), Value::Null, Value::Null], "{printed}");
    let (_, table) = estimate(&prices, &[], &["two-pages.pdf", "scan.pdf"]);
    assert!(table.contains("US CENTS") && table.lines().last().unwrap().starts_with("total"), "{table}");
}

#[test]
fn without_a_price_the_cost_is_unknown_and_what_is_computed_here_costs_nothing() {
    let (_, printed) = estimate(&[], &["--json", "--model", "heron"], &["two-pages.pdf"]);
    assert_eq!(items(&printed)[0]["cost_cents"], Value::Null, "{printed}");
    let (_, printed) = estimate(&[], &["--json"], &["two-pages.pdf"]);
    assert_eq!(items(&printed)[0]["cost_cents"], json!(0.0), "{printed}");
}

#[test]
fn a_file_that_would_fail_says_why_and_does_not_stop_the_others() {
    let (code, printed) = estimate(&[], &["--json"], &["password.pdf", "two-pages.pdf", "none.pdf"]);
    assert_eq!(code, Some(1), "{printed}");
    let found = items(&printed);
    assert_eq!(
        (&found[0]["failure"]["code"], &found[2]["failure"]["code"]),
        (&json!("file_encrypted"), &json!("unreadable")),
        "{printed}"
    );
    assert!(found[1]["passages"].as_i64().unwrap() > 0, "{printed}");
}
