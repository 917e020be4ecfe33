//! `app eval`: how well search finds what a file of questions, or the user's own judgements, say is right.

pub mod compare;
mod gate;
pub mod measure;
pub mod questions;
mod stored;

use std::{collections::BTreeMap, fs, path::Path, process::ExitCode};

use anyhow::{Context, bail};

use super::{connect::connect, http::ApiClient, render};
use crate::args::{EvalArgs, Least};
use compare::{Kept, Verdict, compare};
use config::Sources;
use domain::{build_info::BuildInfo, printable};
use measure::{MEASURES, Outcome, interval, outcome};
use messages::{SearchMode, SearchRequest, SearchResponse};
use questions::Question;

pub use gate::{Gate, gate};

/// Asks every question, and prints each measure of each way of searching.
///
/// # Errors
///
/// The questions or the baseline can't be read, a file can't be written, there is no API to ask, or its answer is an error.
pub async fn run(args: EvalArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let from_file = args.questions.as_deref().map(questions::read).transpose()?;
    let before = args.baseline.as_deref().map(read_kept).transpose()?;
    let client = connect(sources, build)?;
    let questions = match from_file {
        Some(questions) => questions,
        None => stored::read(&client).await?,
    };
    let mut kept = Kept::new();
    for mode in modes(args.mode) {
        kept.insert(mode, ask_all(&client, &questions, mode).await?);
    }
    if let Some(path) = &args.save {
        let text = serde_json::to_string_pretty(&kept)?;
        fs::write(path, text).with_context(|| format!("couldn't write {}", path.display()))?;
    }
    let figures = figures(&kept, before.as_ref());
    if args.json {
        render::print_json(&figures)?;
    } else {
        render::print(&text(&figures, questions.len()))?;
    }
    let missed = missed(&figures, &args.at_least)?;
    for line in &missed {
        anstream::eprintln!("{line}");
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn modes(only: Option<SearchMode>) -> Vec<SearchMode> {
    only.map_or_else(|| vec![SearchMode::Text, SearchMode::Vector, SearchMode::Hybrid], |mode| vec![mode])
}

async fn ask_all(
    client: &ApiClient,
    questions: &[Question],
    mode: SearchMode,
) -> anyhow::Result<BTreeMap<String, Outcome>> {
    let mut outcomes = BTreeMap::new();
    for question in questions {
        // A score of 0 keeps what “nothing found” would hide: the ranking is measured.
        let request = SearchRequest {
            limit: Some(measure::DEPTH),
            mode,
            min_score: Some(0.0),
            ..SearchRequest::of(question.question.clone())
        };
        let answer: SearchResponse = client.post("/search", &request).await?;
        outcomes.insert(question.question.clone(), outcome(question, &answer.hits));
    }
    Ok(outcomes)
}

fn read_kept(path: &Path) -> anyhow::Result<Kept> {
    let text = fs::read_to_string(path).with_context(|| format!("couldn't read the baseline {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no baseline: make one with `app eval … --save {0}`", path.display()))
}

/// One measure of one way of searching.
#[derive(Debug, serde::Serialize)]
struct Figure {
    mode: SearchMode,
    measure: &'static str,
    /// Those that tell it.
    questions: usize,
    value: f64,
    /// Where the true value lies with a probability of 95 %.
    low: f64,
    high: f64,
    /// Against the baseline, over the questions that both have.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<compare::Change>,
}

fn figures(kept: &Kept, before: Option<&Kept>) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (&mode, outcomes) in kept {
        for measure in &MEASURES {
            let values: Vec<f64> = outcomes.values().filter_map(measure.of).collect();
            if values.is_empty() {
                continue;
            }
            let (low, high) = interval(&values);
            let change = before.and_then(|before| compare(outcomes, before.get(&mode)?, measure));
            let questions = values.len();
            figures.push(Figure {
                mode,
                measure: measure.name,
                questions,
                value: measure::mean(&values),
                low,
                high,
                change,
            });
        }
    }
    figures
}

fn name(mode: SearchMode) -> &'static str {
    match mode {
        SearchMode::Text => "words",
        SearchMode::Vector => "meaning",
        SearchMode::Hybrid => "both",
    }
}

fn text(figures: &[Figure], questions: usize) -> String {
    let compared = figures.iter().any(|figure| figure.change.is_some());
    let mut header = vec!["SEARCH BY", "MEASURE", "QUESTIONS", "VALUE", "95 % WITHIN"];
    if compared {
        header.extend(["BASELINE", "CHANGE", "VERDICT"]);
    }
    let rows = figures.iter().map(|figure| {
        let mut row = vec![
            name(figure.mode).to_owned(),
            figure.measure.to_owned(),
            figure.questions.to_string(),
            format!("{:.3}", figure.value),
            format!("{:.3} to {:.3}", figure.low, figure.high),
        ];
        if let Some(change) = &figure.change {
            row.extend([
                format!("{:.3}", change.before),
                format!("{:+.3}", change.difference),
                match change.verdict {
                    Verdict::Better => "better".to_owned(),
                    Verdict::Worse => "worse".to_owned(),
                    Verdict::NotDistinguishable => "not distinguishable".to_owned(),
                },
            ]);
        }
        row
    });
    format!("{questions} questions, the first {} hits of each\n\n{}", measure::DEPTH, render::table(&header, rows))
}

/// The sentences about the measures that are below what was asked, by the search with both where it was asked for.
fn missed(figures: &[Figure], asked: &[Least]) -> anyhow::Result<Vec<String>> {
    let mut missed = Vec::new();
    for Least { measure, least } in asked {
        if MEASURES.iter().any(|known| known.less_is_better && known.name.eq_ignore_ascii_case(measure)) {
            bail!("--at-least: of {} less is better; ask for precision'@10", printable(measure));
        }
        let figure = figures.iter().rfind(|figure| figure.measure.eq_ignore_ascii_case(measure));
        let Some(figure) = figure else {
            let known: Vec<_> = MEASURES.iter().map(|measure| measure.name).collect();
            bail!(
                "--at-least: there is no measure {}, or no question tells it; there are {}",
                printable(measure),
                known.join(", ")
            );
        };
        if figure.value < *least {
            let (mode, value) = (name(figure.mode), figure.value);
            missed.push(format!("{measure} by {mode} is {value:.3}, below {least}"));
        }
    }
    Ok(missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_below_what_was_asked_is_named_and_an_unknown_measure_refused() {
        let figure = |value| Figure {
            mode: SearchMode::Hybrid,
            measure: "hit@5",
            questions: 4,
            value,
            low: 0.0,
            high: 1.0,
            change: None,
        };
        let asked = |text: &str| vec![text.parse::<Least>().unwrap()];
        assert_eq!(missed(&[figure(0.8)], &asked("hit@5=0.9")).unwrap(), ["hit@5 by both is 0.800, below 0.9"]);
        assert!(missed(&[figure(0.9)], &asked("HIT@5=0.9")).unwrap().is_empty());
        let error = missed(&[figure(1.0)], &asked("hits=1")).unwrap_err().to_string();
        assert!(error.contains("hits") && error.contains("nDCG@10"), "{error}");
        let error = missed(&[figure(1.0)], &asked("wrong@5=0.1")).unwrap_err().to_string();
        assert!(error.contains("less is better"), "{error}");
    }
}
