//! What steps buy has a price, and is held against the caps before it is bought.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use domain::{
    Code, Failure, Outcome, StepError,
    money::{Cap, CapReached, Caps, Cents, PriceList},
};

/// Jobs that wait for the day to turn come back within this time, not all at once.
const SPREAD: Duration = Duration::from_secs(60);

/// Prices and caps.
#[derive(Debug, Clone, Default)]
pub struct Money {
    /// Of a million tokens, by embedding model.
    pub tokens: PriceList,
    /// Of a page of the remote parser.
    pub page: Option<Cents>,
    /// The most that may be spent.
    pub caps: Caps,
}

impl Money {
    /// The price of a million tokens of `model`; `None`: it is unknown.
    ///
    /// # Errors
    ///
    /// It is unknown, and a cap is set.
    pub(super) fn price_of_tokens(&self, model: &str) -> Result<Option<Cents>, Failure> {
        self.known(self.tokens.get(model), || format!("EMBED_PRICES has no price for {model}"))
    }

    /// The price of a page; `None`: it is unknown.
    ///
    /// # Errors
    ///
    /// It is unknown, and a cap is set.
    pub(super) fn price_of_page(&self, tier: &str) -> Result<Option<Cents>, Failure> {
        self.known(self.page, || format!("LLAMAPARSE_PRICES has no price for {tier}"))
    }

    fn known(&self, price: Option<Cents>, missing: impl Fn() -> String) -> Result<Option<Cents>, Failure> {
        if price.is_none() && self.caps.are_set() {
            let message = format!(
                "A cap is set (MAX_CENTS_…), but {}, so nothing is bought. Set the price, 0 if it costs nothing, or no cap.",
                missing()
            );
            return Err(Failure::new(Code::PriceMissing, message));
        }
        Ok(price)
    }
}

/// What becomes of a job that a cap stops: it waits for the next day, or fails if that would not help.
pub(super) fn stopped(reached: &CapReached) -> Result<Outcome, StepError> {
    let CapReached { cap, limit, spent, wanted, day_left } = reached;
    let setting = cap.setting();
    if !reached.may_pass() {
        let (code, what) = match cap {
            Cap::Document => (Code::DocumentCapReached, "this document may cost"),
            Cap::UserDay | Cap::Day => (Code::DayCapTooSmall, "may be spent in a whole day"),
        };
        let message = format!(
            "{setting} allows {limit} cents, which is what {what}; {spent} are spent, and the next request costs {wanted}. Raise \
             it, start the workers again and retry the job, or split the document."
        );
        return Err(Failure::new(code, message).into());
    }
    let (code, whose) = match cap {
        Cap::UserDay => (Code::UserDayCapReached, "The user's"),
        Cap::Day | Cap::Document => (Code::DayCapReached, "All users'"),
    };
    let delay = *day_left + SPREAD.mul_f64(fastrand::f64());
    let ends = (OffsetDateTime::now_utc() + *day_left).format(&Rfc3339).unwrap_or_default();
    let message = format!(
        "{whose} cap of the day is used up: {spent} of {limit} cents are spent ({setting}), and the next request costs {wanted}. \
         The job goes on by itself after {ends}."
    );
    tracing::info!(cap = setting, wait_seconds = delay.as_secs(), "a cap of the day is used up");
    Ok(Outcome::Hold { failure: Failure::new(code, message), delay })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(cap: Cap, wanted: &str) -> CapReached {
        let [limit, spent, wanted] = ["1", "0.9", wanted].map(|cents| cents.parse().unwrap());
        CapReached { cap, limit, spent, wanted, day_left: Duration::from_secs(3600) }
    }

    #[test]
    fn a_cap_of_the_day_waits_for_the_next_and_says_until_when() {
        for (cap, code) in [(Cap::UserDay, Code::UserDayCapReached), (Cap::Day, Code::DayCapReached)] {
            let Ok(Outcome::Hold { failure, delay }) = stopped(&reached(cap, "0.2")) else { panic!("it waits") };
            assert_eq!(failure.code, code);
            assert!((Duration::from_secs(3600)..=Duration::from_secs(3660)).contains(&delay), "{delay:?}");
            let told = ["0.9 of 1 cents", cap.setting(), "costs 0.2", "goes on by itself after 20"];
            assert!(told.iter().all(|part| failure.message.contains(part)), "{failure}");
        }
    }

    #[test]
    fn what_no_day_allows_fails_at_once() {
        for (cap, wanted, code) in
            [(Cap::Document, "0.2", Code::DocumentCapReached), (Cap::UserDay, "1.1", Code::DayCapTooSmall)]
        {
            let Err(StepError::Failed(failure)) = stopped(&reached(cap, wanted)) else { panic!("it fails") };
            assert_eq!(failure.code, code);
            assert!(failure.message.contains(cap.setting()), "{failure}");
        }
    }

    #[test]
    fn without_a_price_nothing_is_bought_under_a_cap() {
        let mut money = Money::default();
        assert_eq!(money.price_of_tokens("m"), Ok(None));
        money.caps.day = Some(Cents::from_nanos(1));
        assert_eq!(money.price_of_tokens("m").unwrap_err().code, Code::PriceMissing);
        assert_eq!(money.price_of_page("t").unwrap_err().code, Code::PriceMissing);
        (money.tokens, money.page) = ("m=0".parse().unwrap(), Some(Cents::ZERO));
        assert_eq!(
            (money.price_of_tokens("m"), money.price_of_page("t")),
            (Ok(Some(Cents::ZERO)), Ok(Some(Cents::ZERO)))
        );
    }
}
