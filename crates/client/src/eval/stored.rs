//! Questions whose hits the user has judged.

use std::collections::BTreeMap;

use anyhow::bail;

use super::questions::{Answer, Question};
use crate::http::ApiClient;
use messages::{JudgementView, PageOfJudgementView, Verdict};

/// Judgements that one request asks for.
const PAGE: &str = "200";

/// Reads every judgement of the user. A question that has no right place yet cannot be measured and is left out.
pub(super) async fn read(client: &ApiClient) -> anyhow::Result<Vec<Question>> {
    let mut judgements = Vec::new();
    let mut query = vec![("limit", PAGE.to_owned())];
    loop {
        let page: PageOfJudgementView = client.get("/search/judgements", &query).await?;
        judgements.extend(page.items);
        let Some(cursor) = page.next_cursor else { break };
        query.truncate(1);
        query.push(("cursor", cursor));
    }
    let questions = questions(judgements);
    if questions.is_empty() {
        bail!("no place is marked as right yet: mark hits with `POST /search/judgements`, or name a file of questions");
    }
    Ok(questions)
}

fn questions(judgements: Vec<JudgementView>) -> Vec<Question> {
    let mut answers: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
    for judgement in judgements.into_iter().filter(|judgement| judgement.verdict == Verdict::Right) {
        let JudgementView { query, document_id, page, text, .. } = judgement;
        answers.entry(query).or_default().push(Answer { file: None, document: Some(document_id), page, text });
    }
    answers.into_iter().map(|(question, answers)| Question { question, answers }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_places_of_a_question_are_its_answers_and_wrong_ones_are_none() {
        let judgement = |query: &str, page: i32, verdict: &str| -> JudgementView {
            serde_json::from_value(serde_json::json!({
                "judgement_id": uuid::Uuid::nil(), "query": query, "document_id": uuid::Uuid::nil(), "filename": "a.pdf",
                "page": page, "text": null, "verdict": verdict, "created_at": "2026-03-02T09:15:04Z",
                "judged_at": "2026-03-02T09:15:04Z"
            }))
            .unwrap()
        };
        let read = questions(vec![judgement("b", 1, "right"), judgement("a", 2, "wrong"), judgement("b", 3, "right")]);
        let pages: Vec<_> = read.iter().flat_map(|question| &question.answers).map(|answer| answer.page).collect();
        assert_eq!((read.len(), read[0].question.as_str(), pages), (1, "b", vec![Some(1), Some(3)]));
    }
}
