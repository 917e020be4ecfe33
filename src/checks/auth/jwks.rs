//! `jwt.keys`: how users log in. This build verifies HS256 tokens by a secret, and its own API keys.

use serde::Deserialize;

use super::super::{
    finding::{Cause, Finding, Look},
    http,
};
use crate::config::Config;

pub(super) const KEYS: &str = "jwt.keys";

pub(super) static NO_WAY_IN: Cause = Cause::warning(
    KEYS,
    "no_way_in",
    "There is no SUPABASE_JWT_SECRET: users' tokens are refused, and only API keys of `app keys` can log in.",
);
pub(super) static JWKS_UNREACHABLE: Cause = Cause::error(
    KEYS,
    "jwks_unreachable",
    "The project of SUPABASE_URL does not publish its keys: it is paused or gone, or the URL is another.",
)
.waitable();
pub(super) static ALGORITHM_UNEXPECTED: Cause = Cause::error(
    KEYS,
    "algorithm_unexpected",
    "The project has signing keys of a kind that this build does not verify: tokens signed with them are refused.",
);
pub(super) static KID_MISSING: Cause = Cause::error(
    KEYS,
    "kid_missing",
    "A published key has no id, so that no token can say that it was signed with it.",
);

/// Source: RFC 7517, and Supabase, "JWT signing keys".
#[derive(Debug, Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Debug, Deserialize)]
struct Jwk {
    kid: Option<String>,
    alg: Option<String>,
    kty: Option<String>,
}

pub(super) async fn check(config: &Config) -> Finding {
    let look = Look::at(KEYS);
    let auth = &config.auth;
    let Some(url) = auth.jwks_url() else {
        return match &auth.jwt_secret {
            Some(secret) => look.passed(format!("HS256 by a secret of {} characters", chars(secret.expose()))),
            None if config.environment.is_development() => look.passed("API keys only"),
            None => no_way_in(look),
        };
    };
    let answer = http::send(http::client().get(&url)).await;
    let jwks = match &answer {
        Ok(answer) if answer.is_success() => answer.json::<Jwks>().ok_or_else(|| "no key set in the answer".to_owned()),
        Ok(answer) => Err(format!("answered with {}", answer.status)),
        Err(trouble) => Err(trouble.to_string()),
    };
    match jwks {
        Err(why) => {
            let place = auth.supabase_url.as_ref().map(http::shown).unwrap_or_default();
            let observed = format!("{place}/auth/v1/.well-known/jwks.json: {why}");
            look.found(&JWKS_UNREACHABLE, observed, "Check SUPABASE_URL, and in the dashboard that the project runs.")
        }
        Ok(jwks) => judge(look, config, &jwks.keys),
    }
}

fn judge(look: Look, config: &Config, keys: &[Jwk]) -> Finding {
    if keys.iter().any(|key| key.kid.as_deref().unwrap_or_default().is_empty()) {
        let observed = format!("one of {} published keys has no `kid`", keys.len());
        return look.found(&KID_MISSING, observed, "Rotate the project's signing keys: Settings, JWT keys.");
    }
    // A project with only its old shared secret publishes nothing.
    let others: Vec<String> = keys.iter().map(describe).collect();
    if !others.is_empty() {
        let fix = "Keep signing with the legacy JWT secret (HS256) in the project's settings, or let users log in through \
                   a service of yours that holds an API key.";
        return look
            .found(&ALGORITHM_UNEXPECTED, format!("the project publishes {}", others.join(", ")), fix)
            .expecting("HS256");
    }
    match &config.auth.jwt_secret {
        Some(secret) => {
            look.passed(format!("the project signs with HS256; the secret has {} characters", chars(secret.expose())))
        }
        None if config.environment.is_development() => look.passed("API keys only"),
        None => no_way_in(look),
    }
}

fn no_way_in(look: Look) -> Finding {
    look.found(
        &NO_WAY_IN,
        "SUPABASE_JWT_SECRET is not set",
        "Set it to the project's JWT secret (Settings, JWT keys); leave it out only where all callers have API keys.",
    )
}

/// `ES256 (kid 7c1a…)`; whoever answers may write anything, so little of it is repeated.
fn describe(key: &Jwk) -> String {
    let tidy =
        |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(12).collect::<String>();
    let kind = key.alg.as_deref().or(key.kty.as_deref()).map_or_else(|| "a key".to_owned(), tidy);
    format!("{kind} (kid {})", key.kid.as_deref().map(tidy).unwrap_or_default())
}

fn chars(secret: &str) -> usize {
    secret.chars().count()
}
