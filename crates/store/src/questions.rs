//! Questions of searches that an embedding service was asked, in the table `usage_days`.
//!
//! A search does not wait for a write: questions are summed in memory, and written every few seconds and at the end. A process that
//! is killed loses the sums of the last seconds. They are written without a look at caps: a search is never refused, but what it
//! costs leaves less for documents.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::spending::TODAY;
use domain::{
    UserId,
    money::{Cents, PriceList},
};
use pg::{Db, DbError, Session};

/// Between two writes.
const EVERY: Duration = Duration::from_secs(5);

/// Questions by user, provider and model that are not written yet.
#[derive(Debug, Default)]
pub struct QuestionTally {
    /// Of a million tokens, by model.
    prices: PriceList,
    sums: Mutex<HashMap<Key, Sum>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    user: UserId,
    provider: String,
    model: String,
    /// Whether the service may have charged, but its answer is lost.
    is_uncertain: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    questions: i64,
    tokens: i64,
    cost: Cents,
    unpriced: i64,
}

/// A question that a service was asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who searches.
    pub user: UserId,
    /// The service.
    pub provider: &'a str,
    /// The model of the vector.
    pub model: &'a str,
    /// As the service counted them, else as they were reckoned.
    pub tokens: i64,
    /// Whether the service may have charged, but its answer is lost.
    pub is_uncertain: bool,
}

impl QuestionTally {
    /// One for a process, with the prices of a million tokens.
    pub fn new(prices: PriceList) -> Self {
        Self { prices, sums: Mutex::default() }
    }

    /// Counts a question. Writes nothing.
    pub fn count(&self, asked: Asked<'_>) {
        let price = self.prices.get(asked.model);
        let cost = price.map(|price| price.of_tokens(asked.tokens));
        let key = Key {
            user: asked.user,
            provider: asked.provider.to_owned(),
            model: asked.model.to_owned(),
            is_uncertain: asked.is_uncertain,
        };
        let one = Sum {
            questions: 1,
            tokens: asked.tokens,
            cost: cost.unwrap_or_default(),
            unpriced: i64::from(cost.is_none()),
        };
        self.sums().entry(key).or_default().add(one);
    }

    /// Writes what was counted, every few seconds until `stop`, and once more then.
    pub async fn run(&self, db: &Db, stop: &CancellationToken) {
        let mut failing = false;
        loop {
            let goes_on = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some();
            match self.flush(db).await {
                Ok(()) => failing = false,
                Err(error) if !failing || !goes_on => {
                    failing = true;
                    tracing::warn!(error = %error, "couldn't count questions of searches; they are in no sum yet");
                }
                Err(_) => {}
            }
            if !goes_on {
                return;
            }
        }
    }

    /// Writes what was counted. After a failure it is counted still.
    pub async fn flush(&self, db: &Db) -> Result<(), DbError> {
        let sums = std::mem::take(&mut *self.sums());
        if sums.is_empty() {
            return Ok(());
        }
        let written = db.run_tx("count_questions", |tx| {
            let sums = &sums;
            Box::pin(async move { count_questions(&tx, sums).await })
        });
        let written = written.await;
        if written.is_err() {
            let mut kept = self.sums();
            sums.into_iter().for_each(|(key, sum)| kept.entry(key).or_default().add(sum));
        }
        written
    }

    fn sums(&self) -> MutexGuard<'_, HashMap<Key, Sum>> {
        // Each change leaves it whole.
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.questions += other.questions;
        self.tokens += other.tokens;
        self.cost = self.cost.plus(other.cost);
        self.unpriced += other.unpriced;
    }
}

/// Adds the sums to those of today, in the order of the key, since two processes that lock rows in different orders could wait for
/// each other for ever.
async fn count_questions(tx: &impl Session, sums: &HashMap<Key, Sum>) -> Result<(), DbError> {
    let sums: Vec<(&Key, &Sum)> = sums.iter().collect();
    let column = |of: fn(&Key, &Sum) -> i64| sums.iter().map(|(key, sum)| of(key, sum)).collect::<Vec<_>>();
    let users: Vec<_> = sums.iter().map(|(key, _)| key.user.0).collect();
    let providers: Vec<&str> = sums.iter().map(|(key, _)| key.provider.as_str()).collect();
    let models: Vec<&str> = sums.iter().map(|(key, _)| key.model.as_str()).collect();
    let uncertain = column(|key, _| i64::from(key.is_uncertain));
    tx.exec(
        &format!(
            "-- count_questions
INSERT INTO upload_pipeline.usage_days AS u (user_id, day, provider, model, requests, tokens, cost_cents, unpriced_requests,
  uncertain_requests, uncertain_tokens, uncertain_cents, uncertain_unpriced)
SELECT n.user_id, {TODAY}, n.provider, n.model,
  sum(n.questions * (1 - n.lost)), sum(n.tokens * (1 - n.lost)), sum(n.nanos * (1 - n.lost)) * 0.000000001,
  sum(n.unpriced * (1 - n.lost)),
  sum(n.questions * n.lost), sum(n.tokens * n.lost), sum(n.nanos * n.lost) * 0.000000001, sum(n.unpriced * n.lost)
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
  AS n (user_id, provider, model, lost, questions, tokens, nanos, unpriced)
GROUP BY n.user_id, n.provider, n.model
ORDER BY n.user_id, n.provider, n.model
ON CONFLICT (user_id, day, provider, model) DO UPDATE
SET requests = u.requests + excluded.requests, tokens = u.tokens + excluded.tokens,
    cost_cents = u.cost_cents + excluded.cost_cents, unpriced_requests = u.unpriced_requests + excluded.unpriced_requests,
    uncertain_requests = u.uncertain_requests + excluded.uncertain_requests,
    uncertain_tokens = u.uncertain_tokens + excluded.uncertain_tokens,
    uncertain_cents = u.uncertain_cents + excluded.uncertain_cents,
    uncertain_unpriced = u.uncertain_unpriced + excluded.uncertain_unpriced, updated_at = now()"
        ),
        &[
            &users,
            &providers,
            &models,
            &uncertain,
            &column(|_, sum| sum.questions),
            &column(|_, sum| sum.tokens),
            &column(|_, sum| sum.cost.nanos()),
            &column(|_, sum| sum.unpriced),
        ],
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_summed_by_user_model_and_certainty() {
        let tally = QuestionTally::new("m=1000".parse().unwrap());
        let user = UserId(uuid::Uuid::from_u128(1));
        let asked = |model, tokens, is_uncertain| Asked { user, provider: "openai", model, tokens, is_uncertain };
        for asked in [asked("m", 7, false), asked("m", 5, false), asked("m", 3, true), asked("free", 9, false)] {
            tally.count(asked);
        }
        let of = |model: &str, is_uncertain| {
            let key = Key { user, provider: "openai".into(), model: model.into(), is_uncertain };
            tally.sums().get(&key).copied().unwrap_or_default()
        };
        let cents = |text: &str| text.parse::<Cents>().unwrap();
        assert_eq!(of("m", false), Sum { questions: 2, tokens: 12, cost: cents("0.012"), unpriced: 0 });
        assert_eq!(of("m", true), Sum { questions: 1, tokens: 3, cost: cents("0.003"), unpriced: 0 });
        assert_eq!(of("free", false), Sum { questions: 1, tokens: 9, cost: Cents::ZERO, unpriced: 1 });
    }
}
