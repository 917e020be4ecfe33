//! A file of questions: one JSON object a line.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use serde::Deserialize;
use uuid::Uuid;

/// A question, and what answers it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The question.
    pub question: String,
    /// The places that answer it.
    pub answers: Vec<Answer>,
    /// Places that were judged, and do not answer it.
    #[serde(default)]
    pub wrong: Vec<Answer>,
}

/// A place that answers. Pages and words stay right when documents are cut into other passages.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The document, by its file name or its id.
    pub file: Option<String>,
    /// The document's id.
    pub document: Option<Uuid>,
    /// A page of it.
    pub page: Option<i32>,
    /// The words that answer, as they stand in the document.
    pub text: Option<String>,
}

/// Reads the questions of a file.
pub fn read(path: &Path) -> anyhow::Result<Vec<Question>> {
    let text = fs::read_to_string(path).with_context(|| format!("couldn't read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is no file of questions", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<Question>> {
    let mut questions: Vec<Question> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let question: Question = serde_json::from_str(line).with_context(|| {
            format!(
                "line {}: wanted {{\"question\": \"…\", \"answers\": [{{\"file\": \"a.pdf\", \"page\": 3, \"text\": \"…\"}}]}}",
                at + 1
            )
        })?;
        if question.answers.is_empty() {
            bail!("line {}: no answers", at + 1);
        }
        if question
            .answers
            .iter()
            .chain(&question.wrong)
            .any(|answer| answer.file.is_none() && answer.document.is_none() && answer.text.is_none())
        {
            bail!("line {}: an answer, or a wrong place, names a file, a document or its text", at + 1);
        }
        if questions.iter().any(|other| other.question == question.question) {
            bail!("line {}: the question stands there twice; put its answers together", at + 1);
        }
        questions.push(question);
    }
    if questions.is_empty() {
        bail!("there is no question in it");
    }
    Ok(questions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_question_and_a_bad_line_is_named() {
        let good = "{\"question\":\"q\",\"answers\":[{\"file\":\"a.pdf\",\"page\":3}]}\n\n";
        let questions = parse(good).unwrap();
        assert_eq!((questions.len(), questions[0].answers[0].page), (1, Some(3)));
        let error = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert!(error(&format!("{good}{{}}")).starts_with("line 3: wanted"));
        assert!(error(&format!("{good}{good}")).contains("line 3: the question stands there twice"));
        assert!(error("{\"question\":\"q\",\"answers\":[]}").contains("line 1: no answers"));
        assert!(error("{\"question\":\"q\",\"answers\":[{\"page\":3}]}").contains("names a file"));
        let judged = |wrong: &str| good.replace("}]}", &format!("}}],\"wrong\":[{wrong}]}}"));
        assert_eq!(parse(&judged("{\"file\":\"b.pdf\"}")).unwrap()[0].wrong.len(), 1);
        assert!(error(&judged("{\"page\":3}")).contains("names a file"));
        assert!(error(" \n").contains("no question"));
    }
}
