use super::*;
use ::domain::money::{Caps, Cents, PriceList};

settings! {
    /// What providers charge, and the most that may be spent. A day is one of UTC.
    Money in "money", titled "Money";

    /// US cents for a million tokens of embedding models, as `model=cents`, several joined by commas; `0` for one that costs
    /// nothing. Without its price, what a model costs is unknown.
    EMBED_PRICES[PRICED] embed_prices: PriceList = prices, optional "text-embedding-3-small=2,text-embedding-3-large=13";
    /// US cents for a page of LlamaParse, by tier, in the same form.
    LLAMAPARSE_PRICES[PRICED] llamaparse_prices: PriceList = prices, optional "cost_effective=0.375,agentic=1.25";
    /// US cents that one user may spend in a day; `0`: no cap. It is held against what is charged and what may be charged. The
    /// jobs of a user who has reached it wait for the next day.
    MAX_CENTS_PER_USER_PER_DAY[BOTH] user_day: Cents = cents, default "0", example "50";
    /// US cents that all users together may spend in a day, in the same way; `0`: no cap.
    MAX_CENTS_PER_DAY[BOTH] day: Cents = cents, default "0", example "2000";
    /// US cents that one document may cost until it is complete; `0`: no cap. One that costs more fails.
    MAX_CENTS_PER_DOCUMENT[BOTH] document: Cents = cents, default "0", example "25";
}

impl Money {
    /// The caps.
    pub fn caps(&self) -> Caps {
        let cap = |cents: Cents| (cents > Cents::ZERO).then_some(cents);
        Caps { user_day: cap(self.user_day), day: cap(self.day), document: cap(self.document) }
    }

    /// The price of a million tokens of a model; `None`: it is unknown.
    pub fn tokens(&self, model: &str) -> Option<Cents> {
        self.embed_prices.as_ref()?.get(model)
    }

    /// The price of a page in a tier of LlamaParse; `None`: it is unknown.
    pub fn page(&self, tier: &str) -> Option<Cents> {
        self.llamaparse_prices.as_ref()?.get(tier)
    }
}

fn cents(text: &str) -> Result<Cents, String> {
    text.parse()
}

fn prices(text: &str) -> Result<PriceList, String> {
    text.parse()
}
