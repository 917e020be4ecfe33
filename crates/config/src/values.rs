//! Parsers of values. Each error is the rest of a sentence that begins with the variable's name.

use std::{fmt::Display, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use url::Url;

use super::secret::Secret;

/// Any type with `FromStr`.
pub(crate) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// One of these values, by its name in any case.
pub(crate) fn one_of<T: Copy + Display>(values: &'static [T]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let names: Vec<String> = values.iter().map(T::to_string).collect();
        let found = names.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|at| values[at]);
        found.ok_or_else(|| format!("is not one of {}", names.join(", ")))
    }
}

/// A whole number within `range`.
pub(crate) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("is not a whole number from {} to {}", range.start(), range.end())),
    }
}

/// Days, for at most a century.
pub(crate) fn days(text: &str) -> Result<u32, String> {
    whole(0..=36_500)(text)
}

/// Seconds as an integer or a decimal, within `range` (in seconds).
pub(crate) fn seconds(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        match text.parse::<f64>().ok().filter(|_| plain) {
            Some(seconds) if range.contains(&seconds) => {
                Duration::try_from_secs_f64(seconds).map_err(|error| format!("is not a usable duration: {error}"))
            }
            _ => Err(format!("is not a number of seconds from {} to {}", range.start(), range.end())),
        }
    }
}

/// Bytes, as a whole number with or without a unit: `26214400`, `25 MB` (millions), `25MiB` (1024 × 1024).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "is not a number of bytes, with or without a unit (kB, MB, GB; KiB, MiB, GiB)".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

/// A flag, in the spellings that dashboards use.
pub(crate) fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// A short name without white space: a model, a region, an audience.
pub(crate) fn name(text: &str) -> Result<String, String> {
    if text.len() <= 200 && !text.contains(char::is_whitespace) {
        Ok(text.to_owned())
    } else {
        Err("is not a name of at most 200 bytes without white space".to_owned())
    }
}

/// A path; a relative one starts at the working folder.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// A secret of any form.
pub(crate) fn secret(text: &str) -> Result<Secret<String>, String> {
    Ok(Secret::new(text.to_owned()))
}

/// A secret that is too long to guess.
pub(crate) fn long_secret(text: &str) -> Result<Secret<String>, String> {
    const MIN_CHARS: usize = 32;
    if text.chars().count() < MIN_CHARS {
        return Err(format!("is shorter than {MIN_CHARS} characters"));
    }
    secret(text)
}

/// The address of a web service: no user, no query.
pub(crate) fn service_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_parse| "is not a URL that begins with https:// or http://".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is not a URL that begins with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user or password; secrets have their own variables".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a ? or # part, which the address of a service must not have".to_owned());
    }
    Ok(url)
}

/// The same, for a setting with a default: the field is an `Option`, since `Url` has no `Default`.
pub(crate) fn some_url(text: &str) -> Result<Option<Url>, String> {
    service_url(text).map(Some)
}

/// Some words, on one line.
pub(crate) fn words(text: &str) -> Result<String, String> {
    if text.len() <= 1000 && !text.contains(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err("is not one line of at most 1000 bytes".to_owned())
    }
}

/// Origins as browsers send them, separated by commas: scheme, host and port; or `*`.
pub(crate) fn origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(origin).collect()
}

fn origin(text: &str) -> Result<String, String> {
    let wrong = || "has an origin that is not of the form scheme://host or scheme://host:port".to_owned();
    if text == "*" {
        return Ok(text.to_owned());
    }
    let url = service_url(text).map_err(|_url| wrong())?;
    // Browsers send no slash and no default port, and the list is compared with what they send.
    if url.path() == "/" { Ok(url.origin().ascii_serialization()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_take_integers_and_decimals() {
        let seconds = seconds(0.0..=3600.0);
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for text in ["-1", "1e3", "inf", "NaN", "30s", "", ".", "3601"] {
            assert!(seconds(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn bytes_take_units() {
        for (text, count) in [
            ("0", 0),
            ("512", 512),
            ("25 MB", 25_000_000),
            ("25MiB", 26_214_400),
            ("2 gib", 2_147_483_648),
            ("1 kB", 1000),
        ] {
            assert_eq!(bytes(text), Ok(count), "{text}");
        }
        for text in ["", "MB", "1.5 MB", "-1", "1 TBB", "99999999999 GiB"] {
            assert!(bytes(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_service_url_holds_no_secret() {
        assert_eq!(service_url("https://a.example/v1/").unwrap().as_str(), "https://a.example/v1/");
        for text in ["a.example", "ftp://a.example", "https://", "https://u:p@a.example", "https://a.example/?key=x"] {
            assert!(service_url(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        assert_eq!(
            origins("https://A.example:443/, http://localhost:3000,*").unwrap(),
            ["https://a.example", "http://localhost:3000", "*"]
        );
        assert_eq!(origins(""), Ok(Vec::new()));
        for text in ["a.example", "https://a.example/path", "https://a.example,b"] {
            assert!(origins(text).is_err(), "{text:?} was taken");
        }
    }
}
