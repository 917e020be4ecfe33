//! Questions whose hits the user has judged.

use std::collections::BTreeMap;

use anyhow::bail;

use super::questions::{Answer, Question};
use crate::http::ApiClient;
use messages::{JudgementView, PageOfJudgementView, Verdict};

/// Judgements that one request asks for.
const PAGE: &str = "200";

/// Reads every judgement of the user. A question that has wrong places only counts for the measures of those.
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
        bail!(
            "no place is marked as right or wrong yet: mark hits with `POST /search/judgements`, or name a file of questions"
        );
    }
    Ok(questions)
}

fn questions(judgements: Vec<JudgementView>) -> Vec<Question> {
    let mut questions: BTreeMap<String, Question> = BTreeMap::new();
    for JudgementView { query, document_id, page, text, verdict, .. } in judgements {
        let place = Answer { file: None, document: Some(document_id), page, text };
        let question = questions.entry(query.clone()).or_insert_with(|| Question {
            question: query,
            answers: Vec::new(),
            wrong: Vec::new(),
        });
        match verdict {
            Verdict::Right => question.answers.push(place),
            Verdict::Wrong => question.wrong.push(place),
        }
    }
    questions.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_places_of_a_question_are_its_answers_and_wrong_ones_are_kept_apart() {
        let judgement = |query: &str, page: i32, verdict: &str| -> JudgementView {
            serde_json::from_value(serde_json::json!({
                "judgement_id": uuid::Uuid::nil(), "query": query, "document_id": uuid::Uuid::nil(), "filename": "a.pdf",
                "page": page, "text": null, "verdict": verdict, "created_at": "2026-03-02T09:15:04Z",
                "judged_at": "2026-03-02T09:15:04Z"
            }))
            .unwrap()
        };
        let read = questions(vec![judgement("b", 1, "right"), judgement("a", 2, "wrong"), judgement("b", 3, "right")]);
        let pages = |places: &[Answer]| places.iter().map(|place| place.page).collect::<Vec<_>>();
        let of = |at: usize| (read[at].question.as_str(), pages(&read[at].answers), pages(&read[at].wrong));
        assert_eq!((read.len(), of(0)), (2, ("a", vec![], vec![Some(2)])));
        assert_eq!(of(1), ("b", vec![Some(1), Some(3)], vec![]));
    }
}
