//! What was bought, and what may be.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use domain::money::Cents;

/// What providers counted of some requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bought {
    /// Requests.
    #[schema(minimum = 0)]
    pub requests: i64,
    /// Tokens that were embedded.
    #[schema(minimum = 0)]
    pub tokens: i64,
    /// Pages that were read.
    #[schema(minimum = 0)]
    pub pages: i64,
    /// What they cost, in US cents; null: there was no price for a part of them.
    #[schema(required, value_type = Option<f64>, minimum = 0)]
    pub cost_cents: Option<Cents>,
}

impl Bought {
    /// Nothing yet.
    pub fn nothing() -> Self {
        Self { cost_cents: Some(Cents::ZERO), ..Self::default() }
    }

    /// Adds what `other` has. A cost without a price makes the sum unknown.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.tokens += other.tokens;
        self.pages += other.pages;
        self.cost_cents = self.cost_cents.zip(other.cost_cents).map(|(sum, cost)| sum.plus(cost));
    }
}

/// What was bought on a day from one provider, of one model.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UsageOfDay {
    /// The day, in UTC.
    #[schema(format = Date)]
    pub day: String,
    /// The user; absent where the answer is about the caller.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_id: Option<Uuid>,
    /// Who charges: `openai` (any service that speaks its API), `llamaparse`.
    pub provider: String,
    /// The embedding model, or the tier of LlamaParse.
    pub model: String,
    /// Requests whose answer is stored.
    pub bought: Bought,
    /// Requests that may be charged beside: without an answer, on their way or for good.
    pub uncertain: Bought,
}

/// What one user may spend in a day, where there is a cap.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DayCap {
    /// US cents a day.
    #[schema(value_type = f64, minimum = 0)]
    pub cap_cents: Cents,
    /// What is left of them today; what is uncertain counts as spent.
    #[schema(value_type = f64, minimum = 0)]
    pub left_cents: Cents,
    /// When the next day begins (UTC).
    #[serde(with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
}

/// The answer to `GET /usage`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// The newest day first; a day without a purchase is absent.
    pub days: Vec<UsageOfDay>,
    /// The sum of their requests whose answer is stored.
    pub total: Bought,
    /// The sum of those that may be charged beside.
    pub uncertain: Bought,
    /// What may be spent today; null: there is no cap.
    #[schema(required)]
    pub today: Option<DayCap>,
}

impl Usage {
    /// The days with their sums.
    pub fn of(days: Vec<UsageOfDay>, today: Option<DayCap>) -> Self {
        let (mut total, mut uncertain) = (Bought::nothing(), Bought::nothing());
        for day in &days {
            total.add(&day.bought);
            uncertain.add(&day.uncertain);
        }
        Self { days, total, uncertain, today }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_with_an_unknown_part_is_unknown() {
        let cost =
            |text: Option<&str>| Bought { cost_cents: text.map(|text| text.parse().unwrap()), ..Bought::default() };
        let mut sum = Bought::nothing();
        sum.add(&cost(Some("0.1")));
        sum.add(&cost(Some("0.2")));
        assert_eq!(sum.cost_cents.unwrap().to_string(), "0.3");
        sum.add(&cost(None));
        assert_eq!(sum.cost_cents, None);
    }
}
