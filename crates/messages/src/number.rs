//! Whole numbers as JSON has them: `3.0` is 3, as JSON Schema says of `integer`, and as some languages write it.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Number;

/// A whole number from 0.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    read(&number).ok_or_else(|| D::Error::custom(format!("`{number}` is no whole number from 0")))
}

/// The same, where it may be left out or null.
pub fn whole_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    let whole = read(&number).and_then(|number| u32::try_from(number).ok());
    whole.map(Some).ok_or_else(|| D::Error::custom(format!("`{number}` is no whole number from 0 to {}", u32::MAX)))
}

fn read(number: &Number) -> Option<u64> {
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && float.is_sign_positive());
    number.as_u64().or_else(|| float()?.to_string().parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_number_may_have_a_point() {
        for (number, meant) in [(json!(3), Some(3)), (json!(3.0), Some(3)), (json!(26_214_400.0), Some(26_214_400))] {
            assert_eq!(whole(number).ok(), meant);
        }
        for wrong in [json!(3.5), json!(-1), json!(-3.0), json!(1e300), json!("3"), json!(null)] {
            assert!(whole(wrong.clone()).is_err(), "{wrong}");
        }
        assert_eq!(whole_or_none(json!(null)).ok(), Some(None));
        assert_eq!(whole_or_none(json!(10.0)).ok(), Some(Some(10)));
        assert!(whole_or_none(json!(5e9)).is_err());
    }
}
