//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): lists of structured fields.

use std::{fmt::Write as _, time::Duration};

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{Standing, Standings};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Tells where the request's caller stands with each bound that was looked at.
pub fn insert_rate_headers(request: &HttpRequest, headers: &mut HeaderMap) {
    let extensions = request.extensions();
    let Some(Standings(standings)) = extensions.get::<Standings>() else { return };
    for (name, text) in [(POLICY, policies(standings)), (LIMIT, limits(standings))] {
        // ASCII that we wrote ourselves.
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}

fn policies(standings: &[Standing]) -> String {
    list(standings, |standing| (standing.quota, standing.window), ['q', 'w'])
}

fn limits(standings: &[Standing]) -> String {
    list(standings, |standing| (standing.remaining, standing.reset), ['r', 't'])
}

fn list(standings: &[Standing], of: impl Fn(&Standing) -> (u32, Duration), [count, time]: [char; 2]) -> String {
    let mut text = String::new();
    for standing in standings {
        let (number, duration) = of(standing);
        let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        _ = write!(text, "{comma}\"{}\";{count}={number};{time}={seconds}", standing.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_lists_of_strings_with_parameters() {
        let requests = Standing {
            name: "requests",
            quota: 100,
            window: Duration::from_secs(10),
            remaining: 99,
            reset: Duration::from_millis(100),
        };
        let uploads = Standing { name: "uploads", window: Duration::from_secs(86_400), ..requests };
        assert_eq!(policies(&[requests, uploads]), "\"requests\";q=100;w=10, \"uploads\";q=100;w=86400");
        assert_eq!(limits(&[requests]), "\"requests\";r=99;t=1");
    }
}
