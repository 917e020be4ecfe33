//! Money in exact decimals: prices, what is bought, and the caps on what may be spent.
//!
//! An amount is a whole number of billionths of a US cent, so that sums are exact: a token of the cheapest model costs a few
//! thousand of them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Decimals of a cent that are kept.
const DECIMALS: usize = 9;
/// Units of a cent.
const UNITS: i64 = 1_000_000_000;
/// Tokens that a price is for.
const PRICED_TOKENS: i128 = 1_000_000;

/// An amount of money in US cents, exact to nine decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cents(i64);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many billionths of a cent, as statements send and read them.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Billionths of a cent.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// What `tokens` cost if this is the price of a million. A part of a unit counts as a whole one.
    pub fn of_tokens(self, tokens: i64) -> Self {
        let total = i128::from(self.0) * i128::from(tokens.max(0));
        Self(i64::try_from((total + PRICED_TOKENS - 1) / PRICED_TOKENS).unwrap_or(i64::MAX))
    }

    /// What so many cost if this is the price of one.
    pub fn times(self, count: i64) -> Self {
        Self(self.0.saturating_mul(count.max(0)))
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left after taking `other` away; nothing if that is more.
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) =
            (self.0.unsigned_abs() / UNITS.unsigned_abs(), self.0.unsigned_abs() % UNITS.unsigned_abs());
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let decimals = format!("{part:0DECIMALS$}");
        write!(f, "{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }
}

impl FromStr for Cents {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("is not a number of US cents with at most {DECIMALS} decimals, such as 2 or 0.375");
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(part) || part.len() > DECIMALS {
            return Err(wrong());
        }
        let units: i64 = format!("{part:0<DECIMALS$}").parse().map_err(|_digits| wrong())?;
        let whole: i64 = whole.parse().map_err(|_too_many| wrong())?;
        whole.checked_mul(UNITS).and_then(|whole| whole.checked_add(units)).map(Self).ok_or_else(wrong)
    }
}

/// A number in JSON. Up to 15 digits it is the same decimal there.
impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "amounts beyond 90,000 dollars lose their last decimals in JSON only"
        )]
        let cents = self.0 as f64 / UNITS as f64;
        serializer.serialize_f64(cents)
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let cents = f64::deserialize(deserializer)?;
        format!("{cents:.DECIMALS$}")
            .parse()
            .map_err(|_wrong| D::Error::custom(format!("{cents} is no amount of cents")))
    }
}

/// What each of some things costs, by name. The text is `name=cents`, several joined by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceList(Vec<(String, Cents)>);

impl PriceList {
    /// The price of `name`; `None`: it is not known.
    pub fn get(&self, name: &str) -> Option<Cents> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, price)| *price)
    }
}

impl FromStr for PriceList {
    type Err = String;

    /// Faults name an entry by its number: what stands there may be a secret in the wrong place.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut prices: Vec<(String, Cents)> = Vec::new();
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        for (number, entry) in (1..).zip(entries) {
            let (name, price) =
                entry.rsplit_once('=').ok_or_else(|| format!("has no price in entry {number}: write name=cents"))?;
            let price = price.trim().parse().map_err(|wrong| format!("has a price in entry {number} that {wrong}"))?;
            let name = name.trim();
            if name.is_empty() || prices.iter().any(|(known, _)| known == name) {
                return Err(format!("has no name in entry {number}, or one that came before"));
            }
            prices.push((name.to_owned(), price));
        }
        Ok(Self(prices))
    }
}

/// The most that may be spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caps {
    /// For one user in a day; `None`: no cap, as with the others.
    pub user_day: Option<Cents>,
    /// For all users in a day.
    pub day: Option<Cents>,
    /// For one document.
    pub document: Option<Cents>,
}

impl Caps {
    /// Whether there is one.
    pub fn are_set(&self) -> bool {
        self.user_day.is_some() || self.day.is_some() || self.document.is_some()
    }

    /// The cap that does not allow `wanted` on top of what is spent. A document's comes first: waiting does not help there.
    pub fn reached(&self, spent: &Spent, wanted: Cents) -> Option<CapReached> {
        let caps = [
            (Cap::Document, self.document, spent.document),
            (Cap::UserDay, self.user_day, spent.user_day),
            (Cap::Day, self.day, spent.day),
        ];
        let (cap, limit, spent_cents, _) = caps
            .into_iter()
            .filter_map(|(cap, limit, spent)| limit.map(|limit| (cap, limit, spent, spent.plus(wanted))))
            .find(|(_, limit, _, after)| after > limit)?;
        Some(CapReached { cap, limit, spent: spent_cents, wanted, day_left: spent.day_left })
    }
}

/// What was spent so far: charged, asked for without an answer yet, or uncertain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// By the user today.
    pub user_day: Cents,
    /// By all users today.
    pub day: Cents,
    /// For the document.
    pub document: Cents,
    /// Until the day ends, in UTC.
    pub day_left: Duration,
}

/// Which cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// One user's of a day.
    UserDay,
    /// That of all users of a day.
    Day,
    /// One document's.
    Document,
}

impl Cap {
    /// The setting that says it.
    pub fn setting(self) -> &'static str {
        match self {
            Self::UserDay => "MAX_CENTS_PER_USER_PER_DAY",
            Self::Day => "MAX_CENTS_PER_DAY",
            Self::Document => "MAX_CENTS_PER_DOCUMENT",
        }
    }
}

/// A cap that does not allow a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapReached {
    /// Which.
    pub cap: Cap,
    /// The cap.
    pub limit: Cents,
    /// What is spent of it.
    pub spent: Cents,
    /// What the purchase costs.
    pub wanted: Cents,
    /// Until the day ends.
    pub day_left: Duration,
}

impl CapReached {
    /// Whether the next day allows it.
    pub fn may_pass(&self) -> bool {
        self.cap != Cap::Document && self.wanted <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cents(text: &str) -> Cents {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_are_exact_decimals() {
        for text in ["0", "2", "0.375", "0.000000001", "9000000000.5"] {
            assert_eq!(cents(text).to_string(), text);
        }
        let tenth = cents("0.1");
        assert_eq!((0..10).fold(Cents::ZERO, |sum, _| sum.plus(tenth)), cents("1"), "floats have 0.9999999999999999");
        assert_eq!(serde_json::to_string(&cents("0.375")).unwrap(), "0.375");
        assert_eq!(serde_json::from_str::<Cents>("0.000002").unwrap(), cents("0.000002"));
        for text in ["", "-1", "1.", ".5", "1e3", "0.0000000001", "NaN", "99999999999"] {
            assert!(text.parse::<Cents>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn tokens_cost_their_part_of_a_million_rounded_up() {
        assert_eq!(cents("2").of_tokens(1), cents("0.000002"));
        assert_eq!(cents("2").of_tokens(1_000_000), cents("2"));
        assert_eq!(cents("0.0000001").of_tokens(1), Cents::from_nanos(1));
        assert_eq!(cents("0.375").times(8), cents("3"));
    }

    #[test]
    fn a_price_list_names_each_thing_once() {
        let list: PriceList = "text-embedding-3-small=2, a=b=0.5 ,".parse().unwrap();
        assert_eq!((list.get("text-embedding-3-small"), list.get("a=b")), (Some(cents("2")), Some(cents("0.5"))));
        assert_eq!(list.get("other"), None);
        for text in ["x", "x=", "=1", "x=1,x=2", "x=-1"] {
            assert!(text.parse::<PriceList>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn the_cap_that_does_not_pass_by_itself_is_named_first() {
        let caps = Caps { user_day: Some(cents("1")), day: Some(cents("9")), document: Some(cents("1")) };
        let spent = Spent { user_day: cents("0.6"), day: cents("8"), document: cents("0.5"), ..Spent::default() };
        assert_eq!(caps.reached(&spent, cents("0.4")), None, "a cap may be used up");
        assert_eq!(caps.reached(&spent, cents("0.5")).unwrap().cap, Cap::UserDay);
        let document = caps.reached(&spent, cents("0.6")).unwrap();
        assert!(document.cap == Cap::Document && !document.may_pass());
        let day = Caps { document: None, ..caps };
        assert!(day.reached(&spent, cents("0.6")).unwrap().may_pass());
        assert!(!day.reached(&spent, cents("2")).unwrap().may_pass(), "no day allows more than its cap");
    }
}
