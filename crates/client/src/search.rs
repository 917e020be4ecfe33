//! `app search`.

use std::process::ExitCode;

use anstyle::Style;

use super::{connect::connect, render};
use crate::args::SearchArgs;
use config::Sources;
use domain::{build_info::BuildInfo, printable};
use messages::{Hit, SearchRequest, SearchResponse};

const TITLE: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(anstyle::AnsiColor::Cyan)));
const DIM: Style = Style::new().dimmed();
const INDENT: &str = "   ";
/// The part that is shown of a passage without a highlight.
const EXCERPT_CHARS: usize = 400;

/// Searches and prints the hits.
///
/// # Errors
///
/// There is no API to ask, or its answer is an error.
pub async fn run(args: SearchArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let request = SearchRequest {
        limit: Some(args.limit),
        mode: args.mode,
        document_id: args.document,
        filter: args.filter,
        min_score: args.min_score,
        expand: args.expand,
        max_chars: args.max_chars,
        per_document: args.per_document,
        distinct: args.distinct,
        ..SearchRequest::of(args.query.join(" "))
    };
    let answer: SearchResponse = connect(sources, build)?.post("/search", &request).await?;
    if args.json {
        render::print_json(&answer)?;
    } else {
        render::print(&render_hits(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The hits as text, for the width and the colours of stdout.
pub fn render_hits(answer: &SearchResponse) -> String {
    hits_as_text(answer, render::prose_columns(), render::stdout_is_coloured())
}

fn hits_as_text(answer: &SearchResponse, columns: usize, coloured: bool) -> String {
    if answer.hits.is_empty() {
        return "Nothing found. Only complete documents are searched; `app jobs` shows the others. `--min-score 0` shows even \
                what is most likely about something else.\n"
            .to_owned();
    }
    let hits: Vec<String> =
        answer.hits.iter().enumerate().map(|(i, hit)| hit_as_text(i + 1, hit, columns, coloured)).collect();
    hits.join("\n")
}

fn hit_as_text(rank: usize, hit: &Hit, columns: usize, coloured: bool) -> String {
    let pages = pages(hit).map(|pages| format!("{DIM}, {pages}{DIM:#}")).unwrap_or_default();
    let mut text = format!("{rank}. {TITLE}{}{TITLE:#}{pages}\n", printable(&hit.filename));
    if !hit.heading.is_empty() {
        text.push_str(&format!("{INDENT}{DIM}{}{DIM:#}\n", printable(&hit.heading)));
    }
    let is_whole = hit.ords.is_some() || hit.highlight.trim().is_empty();
    let passage = match (is_whole, hit.ords) {
        (true, Some(_)) => &hit.text,
        (true, None) => &shortened(&hit.text),
        (false, _) => &hit.highlight,
    };
    text.push_str(&render::passage(passage, INDENT, columns, coloured));
    text
}

fn pages(hit: &Hit) -> Option<String> {
    match (hit.page_first, hit.page_last) {
        (Some(first), Some(last)) if last > first => Some(format!("pages {first}–{last}")),
        (Some(page), _) | (None, Some(page)) => match &hit.page_label {
            Some(label) => Some(format!("page {page} ({})", printable(label))),
            None => Some(format!("page {page}")),
        },
        (None, None) => None,
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(EXCERPT_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::SearchMode;

    fn hit(page_first: Option<i32>, page_last: Option<i32>, highlight: &str) -> Hit {
        Hit {
            document_id: uuid::Uuid::nil(),
            filename: "policy.pdf".into(),
            chunk_id: uuid::Uuid::nil(),
            ord: 3,
            ords: None,
            heading: "Cover > Exclusions".into(),
            page_first,
            page_last,
            page_label: None,
            boxes: None,
            text: "The whole passage.".into(),
            highlight: highlight.into(),
            score: 0.1,
            cosine: None,
            covered: None,
            duplicates: None,
            vector_rank: Some(1),
            text_rank: None,
        }
    }

    fn text(hits: Vec<Hit>) -> String {
        let answer = SearchResponse { hits, mode: SearchMode::Hybrid, model: None, reranker: None, took_ms: 1.0 };
        anstream::adapter::strip_str(&hits_as_text(&answer, 80, false)).to_string()
    }

    #[test]
    fn a_hit_shows_rank_file_pages_heading_and_passage() {
        let shown = text(vec![hit(Some(2), Some(3), "floods are **excluded**"), hit(None, None, "")]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(
            lines,
            [
                "1. policy.pdf, pages 2–3",
                "   Cover > Exclusions",
                "   floods are **excluded**",
                "",
                "2. policy.pdf",
                "   Cover > Exclusions",
                "   The whole passage."
            ]
        );
    }

    #[test]
    fn one_page_is_shown_once_and_no_hits_as_a_sentence() {
        assert!(text(vec![hit(Some(7), Some(7), "x")]).starts_with("1. policy.pdf, page 7\n"));
        assert!(text(vec![]).starts_with("Nothing found."));
    }
}
