//! What files would cost, as a table: of `app estimate`, and of `app upload --dry-run`, which asks the API.

use std::path::{Path, PathBuf};

use reqwest::{Method, multipart};

use super::{
    http::ApiClient,
    render,
    upload::files::{media_type, name_of, unreadable},
};
use domain::money::Cents;
use messages::{Estimates, FileEstimate};

/// Asks the API what each file would cost. A file that cannot be read has its failure in the table.
///
/// # Errors
///
/// The API does not answer, or stdout cannot be written.
pub(crate) async fn dry_run(api: &ApiClient, files: &[PathBuf], ocr: bool, json: bool) -> anyhow::Result<bool> {
    let mut estimates = Vec::with_capacity(files.len());
    for path in files {
        estimates.push(ask(api, path, ocr).await?);
    }
    show(&Estimates::of(estimates), json)
}

async fn ask(api: &ApiClient, path: &Path, ocr: bool) -> anyhow::Result<FileEstimate> {
    let name = name_of(path);
    let bytes = match tokio::fs::read(path).await {
        Ok(bytes) => bytes,
        Err(error) => return Ok(FileEstimate::of(name, Err(unreadable(&error)))),
    };
    let part = multipart::Part::bytes(bytes).file_name(name).mime_str(media_type(path))?;
    let form = multipart::Form::new().text("ocr", ocr.to_string()).part("file", part);
    let sent = api.request(Method::POST, "/estimate", &[]).multipart(form).send().await;
    let answer: Estimates = api.read(sent.map_err(|error| api.transport_error(&error))?).await?;
    answer.files.into_iter().next().ok_or_else(|| api.unreadable().into())
}

/// Prints the estimates as a table, or as JSON. Returns whether every file can be read.
///
/// # Errors
///
/// Stdout cannot be written.
pub fn show(estimates: &Estimates, as_json: bool) -> anyhow::Result<bool> {
    match as_json {
        true => render::print_json(estimates)?,
        false => render::print(&as_text(estimates))?,
    }
    Ok(estimates.files.iter().all(|file| file.failure.is_none()))
}

fn as_text(estimates: &Estimates) -> String {
    let readable: Vec<&FileEstimate> = estimates.files.iter().filter(|file| file.failure.is_none()).collect();
    let total = (readable.len() > 1).then(|| total(&readable, estimates.cost_cents));
    let mut text = String::new();
    if !readable.is_empty() {
        let head = ["FILE", "PAGES", "PASSAGES", "TOKENS", "BY LLAMAPARSE", "US CENTS"];
        text.push_str(&render::table(&head, readable.iter().map(|file| row(file)).chain(total)));
    }
    for file in &estimates.files {
        if let Some(failure) = &file.failure {
            text.push_str(&format!("{}: {} [{}]\n", file.filename, failure.message, failure.code));
        }
    }
    text
}

fn known(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| number.to_string())
}

fn row(file: &FileEstimate) -> Vec<String> {
    vec![
        file.filename.clone(),
        known(file.pages),
        known(file.passages),
        known(file.tokens),
        known(file.remote_pages),
        known(file.cost_cents),
    ]
}

fn total(files: &[&FileEstimate], cost: Option<Cents>) -> Vec<String> {
    vec![
        "total".to_owned(),
        known(files.iter().map(|file| file.pages).sum::<Option<u32>>()),
        known(files.iter().map(|file| file.passages).sum::<Option<u64>>()),
        known(files.iter().map(|file| file.tokens).sum::<Option<i64>>()),
        known(files.iter().map(|file| file.remote_pages).sum::<Option<u32>>()),
        known(cost),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Code, Failure, ports::Estimate};

    #[test]
    fn a_table_has_a_sum_and_names_what_would_fail() {
        let cents = |text: &str| Some(text.parse().unwrap());
        let priced = Estimate {
            pages: 2,
            passages: Some(3),
            tokens: Some(400),
            remote_pages: 0,
            parse_cost: cents("0"),
            embed_cost: cents("0.0008"),
        };
        let scan = Estimate { passages: None, tokens: None, remote_pages: 2, embed_cost: None, ..priced.clone() };
        let file = |name: &str, estimated| FileEstimate::of(name.to_owned(), estimated);
        let broken = || Err(Failure::new(Code::FileCorrupt, "It is damaged."));
        let text = as_text(&Estimates::of(vec![
            file("a.pdf", Ok(priced.clone())),
            file("b.pdf", Ok(scan)),
            file("c.pdf", broken()),
        ]));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("0.0008") && lines[2].contains("unknown"), "{text}");
        assert!(lines[3].starts_with("total") && lines[3].contains("unknown"), "{text}");
        assert_eq!(lines[4], "c.pdf: It is damaged. [file_corrupt]");
        let two =
            Estimates::of(vec![file("a.pdf", Ok(priced.clone())), file("c.pdf", broken()), file("d.pdf", Ok(priced))]);
        assert_eq!(two.cost_cents, cents("0.0016"), "what fails costs nothing");
    }
}
