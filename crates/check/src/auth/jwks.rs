//! `jwt.keys`: how users log in: by the keys that their project publishes, by its older shared secret, or both.

use super::super::{
    finding::{Cause, Finding, Look},
    http,
};
use config::Config;
use domain::signing_keys::{KeySet, LeftOut, NoKeySet, Unusable};

pub(super) const KEYS: &str = "jwt.keys";

pub(super) static NO_WAY_IN: Cause = Cause::warning(
    KEYS,
    "no_way_in",
    "There is no SUPABASE_JWT_SECRET, and no project that publishes signing keys: users' tokens are refused, and only API \
     keys of `app keys` can log in.",
);
pub(super) static JWKS_UNREACHABLE: Cause = Cause::error(
    KEYS,
    "jwks_unreachable",
    "The project of SUPABASE_URL does not publish its keys: it is paused or gone, or the URL is another. Tokens signed with \
     them cannot be verified.",
)
.waitable();
pub(super) static ALGORITHM_UNEXPECTED: Cause = Cause::error(
    KEYS,
    "algorithm_unexpected",
    "The project publishes a key that this build does not verify tokens by: only ES256 (P-256), RS256 (2048 bits or more) \
     and EdDSA (Ed25519) are. Tokens signed with it are refused.",
);
pub(super) static KID_MISSING: Cause = Cause::error(
    KEYS,
    "kid_missing",
    "A published key has no id, so that no token can say that it was signed with it.",
);

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
    let set = match &answer {
        Ok(answer) if answer.is_success() => {
            KeySet::parse(answer.text().as_bytes()).map_err(|error: NoKeySet| error.to_string())
        }
        Ok(answer) => Err(format!("answered with {}", answer.status)),
        Err(trouble) => Err(trouble.to_string()),
    };
    match set {
        Err(why) => {
            let place = auth.supabase_url.as_ref().map(http::shown).unwrap_or_default();
            let observed = format!("{place}/auth/v1/.well-known/jwks.json: {why}");
            look.found(&JWKS_UNREACHABLE, observed, "Check SUPABASE_URL, and in the dashboard that the project runs.")
        }
        Ok(set) => judge(look, config, &set),
    }
}

fn judge(look: Look, config: &Config, set: &KeySet) -> Finding {
    let unusable = |why: &dyn Fn(Unusable) -> bool| set.left_out.iter().filter(|key| why(key.why)).collect::<Vec<_>>();
    if !unusable(&|why| why == Unusable::NoId).is_empty() {
        let observed = format!("one of {} published keys has no `kid`", set.keys.len() + set.left_out.len());
        return look.found(&KID_MISSING, observed, "Rotate the project's signing keys: Settings, JWT keys.");
    }
    let others = unusable(&|why| why != Unusable::OtherUse);
    if !others.is_empty() {
        let named: Vec<String> = others.into_iter().map(describe).collect();
        let fix = "In the project's settings (JWT keys), make a standby key of ES256 or RS256, rotate to it, and revoke this one.";
        return look
            .found(&ALGORITHM_UNEXPECTED, format!("the project publishes {}", named.join(", ")), fix)
            .expecting("ES256, RS256 or EdDSA");
    }
    let mut ways: Vec<String> =
        set.keys.iter().map(|key| format!("{:?} (kid {})", key.algorithm, tidy(&key.kid))).collect();
    if let Some(secret) = &config.auth.jwt_secret {
        ways.push(format!("HS256 by a secret of {} characters", chars(secret.expose())));
    }
    match ways.is_empty() {
        false => look.passed(ways.join(", ")),
        true if config.environment.is_development() => look.passed("API keys only"),
        true => no_way_in(look),
    }
}

fn no_way_in(look: Look) -> Finding {
    look.found(
        &NO_WAY_IN,
        "SUPABASE_JWT_SECRET is not set, and no project's key set holds a key",
        "Set SUPABASE_URL, and in the project's settings (JWT keys) move to signing keys; or set SUPABASE_JWT_SECRET to its \
         legacy secret. Leave both out only where all callers have API keys.",
    )
}

/// `PS256 (kid 7c1a…): it is of …`; whoever answers may write anything, so little of it is repeated.
fn describe(key: &LeftOut) -> String {
    let kind = key.kind.as_deref().map_or_else(|| "a key".to_owned(), tidy);
    format!("{kind} (kid {}): {}", key.kid.as_deref().map(tidy).unwrap_or_default(), key.why)
}

fn tidy(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(12).collect()
}

fn chars(secret: &str) -> usize {
    secret.chars().count()
}
