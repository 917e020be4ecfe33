//! How long a service asks to wait.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

/// The longest wait that a refusal may ask for.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(3600);

/// The wait that the answer asks for; `None`: it names none that can be read.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_wait(headers.get(RETRY_AFTER)?.to_str().ok()?.trim(), OffsetDateTime::now_utc())
}

/// Parses the header, which holds seconds or a date (RFC 9110, 10.2.3).
fn parse_wait(retry_after: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = retry_after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(retry_after, &Rfc2822).ok()?;
    Some((date - now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_given_in_seconds_or_as_a_date() {
        let now = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
        let wait = |header| parse_wait(header, now).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:51:37 GMT"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0), "past");
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }
}
