//! Compares what two models find on golden questions, before one takes the place of the other.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Reembed, refusal};
use client::{
    eval::{
        measure::{DEPTH, MEASURES, Measure, Outcome, mean, outcome},
        questions::{self, Question},
    },
    render,
};
use domain::{
    Code, Failure, UserId,
    ports::{Chunker, Embedder, ModelSource},
};
use messages::Hit;
use search::{Query, VectorCache, search};
use store::model_switch::ModelSwitch;

/// Memory for packed vectors while it asks.
const CACHE_BYTES: usize = 64 << 20;
/// The measure that decides.
const DECIDES: &str = "hit@10";

/// Measures of the questions by one model.
type Outcomes = BTreeMap<String, Outcome>;

impl Reembed {
    /// Asks every question by meaning with both models, and prints each measure.
    ///
    /// # Errors
    ///
    /// The new model finds less than it may, or cannot be asked; the questions cannot be read.
    pub(super) async fn compare(
        &self,
        switch: &ModelSwitch,
        path: &Path,
        user: Uuid,
        may_lose: f64,
    ) -> anyhow::Result<()> {
        let questions = questions::read(path)?;
        let now = self.ask(switch.new_model().named(), &questions, user).await?;
        let before = match self.ask(switch.old_model().named(), &questions, user).await {
            Ok(before) => Some(before),
            Err(failure) => {
                render::print(&format!(
                    "{} cannot be asked, so only the new model is measured: {failure}\n",
                    switch.old_model()
                ))?;
                None
            }
        };
        render::print(&table(switch, questions.len(), before.as_ref(), &now))?;
        let decides =
            |outcomes: &Outcomes| MEASURES.iter().find(|it| it.name == DECIDES).and_then(|it| value(it, outcomes));
        match before.as_ref().and_then(decides).zip(decides(&now)) {
            Some((before, now)) if before - now > may_lose => {
                let found = format!("{DECIDES} by meaning falls from {before:.3} to {now:.3}");
                Err(refusal(Code::ReembedFindsLess, &found).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn ask(
        &self,
        model: domain::ports::NamedModel,
        questions: &[Question],
        user: Uuid,
    ) -> anyhow::Result<Outcomes> {
        let source = OneModel(self.model.embedder_of(&model).await?);
        let cache = VectorCache::new(CACHE_BYTES);
        let mut outcomes = Outcomes::new();
        for question in questions {
            let query = Query {
                limit: DEPTH as usize,
                min_score: Some(0.0),
                max_chars: usize::MAX,
                ..Query::of(UserId(user), &question.question, true, false)
            };
            let found = search(&self.db, &source, &cache, None, query).await?;
            let hits: Vec<Hit> = found.hits.into_iter().map(hit).collect();
            outcomes.insert(question.question.clone(), outcome(question, &hits));
        }
        Ok(outcomes)
    }
}

/// A source of one model that is ready.
struct OneModel(Arc<dyn Embedder>);

#[async_trait]
impl ModelSource for OneModel {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        Ok(Arc::clone(&self.0))
    }

    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        Err(Failure::new(Code::ModelMissing, "Nothing is cut here."))
    }
}

fn hit(found: search::Hit) -> Hit {
    let chunk = found.passage.chunk;
    Hit {
        document_id: chunk.document_id.0,
        filename: chunk.filename,
        chunk_id: chunk.chunk_id.0,
        ord: chunk.ord,
        ords: None,
        heading: chunk.heading,
        page_first: chunk.page_first,
        page_last: chunk.page_last,
        page_label: chunk.page_label,
        boxes: None,
        text: chunk.text,
        highlight: found.highlight,
        score: found.score,
        cosine: None,
        covered: None,
        duplicates: None,
        vector_rank: None,
        text_rank: None,
    }
}

/// The mean over the questions that tell it; `None`: none does.
fn value(measure: &Measure, outcomes: &Outcomes) -> Option<f64> {
    let values: Vec<f64> = outcomes.values().filter_map(measure.of).collect();
    (!values.is_empty()).then(|| mean(&values))
}

fn table(switch: &ModelSwitch, questions: usize, before: Option<&Outcomes>, now: &Outcomes) -> String {
    let header = ["MEASURE", &switch.from_model, &switch.model];
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
    let rows = MEASURES.iter().filter_map(|measure| {
        let before = before.and_then(|before| value(measure, before));
        Some(vec![measure.name.to_owned(), shown(before), shown(Some(value(measure, now)?))])
    });
    format!("{questions} questions by meaning\n\n{}\n", render::table(&header, rows))
}
