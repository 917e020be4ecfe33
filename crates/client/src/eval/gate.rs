//! The gate of `app eval --at-least` for other commands.

use std::path::Path;

use super::{ask_all, compare::Kept, figures, missed, questions};
use crate::{args::Least, connect::connect};
use config::Sources;
use domain::build_info::BuildInfo;
use messages::SearchMode;

/// What the gate measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// How many questions were asked.
    pub questions: usize,
    /// Each measure that was asked for, with its value.
    pub measured: Vec<String>,
    /// A sentence for each that is below what was asked.
    pub missed: Vec<String>,
}

/// Asks the questions of the file `questions` by both words and meaning, and compares the measures with `least`.
///
/// # Errors
///
/// The questions can't be read, there is no such measure, there is no API to ask, or its answer is an error.
pub async fn gate(path: &Path, least: &[Least], sources: &Sources, build: &BuildInfo) -> anyhow::Result<Gate> {
    let questions = questions::read(path)?;
    let client = connect(sources, build)?;
    let outcomes = ask_all(&client, &questions, SearchMode::Hybrid).await?;
    let figures = figures(&Kept::from([(SearchMode::Hybrid, outcomes)]), None);
    let missed = missed(&figures, least)?;
    let is_asked = |name: &str| least.iter().any(|least| least.measure.eq_ignore_ascii_case(name));
    let asked = figures.iter().filter(|figure| is_asked(figure.measure));
    let measured = asked.map(|figure| format!("{} {:.3}", figure.measure, figure.value)).collect();
    Ok(Gate { questions: questions.len(), measured, missed })
}
