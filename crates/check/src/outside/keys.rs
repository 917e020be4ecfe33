//! `jwt.keys`: how users log in: with the keys that their project publishes, its older shared secret, or both.

use super::{
    super::check::{Context, Outcome, Problem, declare},
    http,
};
use config::Config;
use signing_keys::{KeySet, LeftOut, Unusable};

declare! {
    KEYS = once("jwt.keys",
        "users can log in, and this build verifies tokens with all keys of their project.", keys);
    NO_WAY_IN = warning("no_way_in",
        "There is no SUPABASE_JWT_SECRET, and no project that publishes signing keys: users' tokens are refused, and only API \
         keys of `app keys` can log in.",
        "Set SUPABASE_URL, and in the project's settings (JWT keys) move to signing keys; or set SUPABASE_JWT_SECRET to its \
         legacy secret. Leave both out only if all callers have API keys.");
    JWKS_UNREACHABLE = error("jwks_unreachable",
        "The project of SUPABASE_URL does not publish its keys: it is paused or gone, or the URL is wrong. Tokens signed with \
         these keys cannot be verified.",
        "Check SUPABASE_URL, and in the dashboard that the project runs.").may_pass();
    ALGORITHM_UNEXPECTED = error("algorithm_unexpected",
        "The project publishes a key with which this build cannot verify tokens: it supports only ES256 (P-256), RS256 (2048 \
         bits or more) and EdDSA (Ed25519). Tokens signed with the key are refused.",
        "In the project's settings (JWT keys), make a standby key of ES256 or RS256, rotate to it, and revoke this one.");
    KID_MISSING = error("kid_missing",
        "A published key has no id, so no token can name it.",
        "Rotate the project's signing keys: Settings, JWT keys.");
}

async fn keys(context: &Context<'_>) -> Outcome {
    let config = context.config;
    let mut found = match config.auth.jwks_url() {
        Some(url) => get_keys(config, &url).await?,
        None => Vec::new(),
    };
    if let Some(secret) = &config.auth.jwt_secret {
        found.push(format!("HS256 with a secret of {} characters", secret.expose().chars().count()));
    }
    match found.is_empty() {
        false => Ok(found.join(", ")),
        true if config.environment.is_development() => Ok("API keys only".to_owned()),
        true => Err(NO_WAY_IN.seen("SUPABASE_JWT_SECRET is not set, and no project publishes a key")),
    }
}

/// Describes the keys that the project publishes.
async fn get_keys(config: &Config, url: &str) -> Result<Vec<String>, Problem> {
    let set = match http::get(url).await {
        Ok(answer) if answer.is_success() => KeySet::parse(&answer.body).map_err(|error| error.to_string()),
        Ok(answer) => Err(format!("answered with {}", answer.status)),
        Err(error) => Err(error.to_string()),
    };
    let set = set.map_err(|why| {
        let place = config.auth.supabase_url.as_ref().map(http::without_secrets).unwrap_or_default();
        JWKS_UNREACHABLE.seen(format!("{place}/auth/v1/.well-known/jwks.json: {why}"))
    })?;
    if set.left_out.iter().any(|key| key.why == Unusable::NoId) {
        let published = set.keys.len() + set.left_out.len();
        return Err(KID_MISSING.seen(format!("one of {published} published keys has no `kid`")));
    }
    let unusable: Vec<String> = set.left_out.iter().filter(|key| key.why != Unusable::OtherUse).map(describe).collect();
    if !unusable.is_empty() {
        let observed = format!("the project publishes {}", unusable.join(", "));
        return Err(ALGORITHM_UNEXPECTED.seen(observed).expecting("ES256, RS256 or EdDSA"));
    }
    Ok(set.keys.iter().map(|key| format!("{:?} (kid {})", key.algorithm, start_of(&key.kid))).collect())
}

/// `PS256 (kid 7c1a…): it is of …`.
fn describe(key: &LeftOut) -> String {
    let kind = key.kind.as_deref().map_or_else(|| "a key".to_owned(), start_of);
    format!("{kind} (kid {}): {}", key.kid.as_deref().map(start_of).unwrap_or_default(), key.why)
}

/// The answering service is unknown, so only a short, harmless part of its text is repeated.
fn start_of(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(12).collect()
}
