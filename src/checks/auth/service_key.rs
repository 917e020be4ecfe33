//! `jwt.service_key`: what SUPABASE_SERVICE_ROLE_KEY says of itself. Nothing is believed of it, and nothing sent.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{
    super::finding::{Cause, Finding, Look},
    project,
};
use crate::config::Config;

pub(super) const SERVICE_KEY: &str = "jwt.service_key";

pub(super) static NOT_A_KEY: Cause = Cause::error(
    SERVICE_KEY,
    "not_a_key",
    "SUPABASE_SERVICE_ROLE_KEY is neither a JWT nor a secret key of Supabase; perhaps it was cut.",
);
pub(super) static OTHER_PROJECT: Cause = Cause::error(
    SERVICE_KEY,
    "other_project",
    "The service role key is another project's than SUPABASE_URL or DATABASE_URL.",
);
pub(super) static WRONG_ROLE: Cause = Cause::error(
    SERVICE_KEY,
    "wrong_role",
    "The key is for users' browsers (anon, publishable): it may not do what a service has to.",
);
pub(super) static OTHER_SECRET: Cause = Cause::error(
    SERVICE_KEY,
    "other_secret",
    "The service role key was not signed with SUPABASE_JWT_SECRET: one of the two is of another project, or rotated.",
);
pub(super) static EXPIRED: Cause = Cause::error(SERVICE_KEY, "expired", "The service role key has expired.");

/// Source: the legacy keys of Supabase.
#[derive(Debug, Deserialize)]
struct Claims {
    role: Option<String>,
    #[serde(rename = "ref")]
    project: Option<String>,
    exp: Option<i64>,
}

pub(super) fn check(config: &Config) -> Finding {
    let look = Look::at(SERVICE_KEY);
    let Some(key) = &config.auth.service_role_key else {
        return look.skipped("SUPABASE_SERVICE_ROLE_KEY is not set");
    };
    let key = key.expose().trim();
    let shown = format!("{} characters, fingerprint {}", key.chars().count(), fingerprint(key));
    if key.starts_with("sb_secret_") {
        return look.passed(format!("a secret key ({shown})"));
    }
    if key.starts_with("sb_publishable_") {
        return look.found(&WRONG_ROLE, format!("a publishable key ({shown})"), "Take a secret key of the project.");
    }
    match claims(key) {
        None => {
            let fix = "Copy it whole from the project's settings: API keys.";
            look.found(&NOT_A_KEY, format!("no JWT ({shown})"), fix)
        }
        Some(claims) => judge(look, config, key, &claims, &shown),
    }
}

fn judge(look: Look, config: &Config, key: &str, claims: &Claims, shown: &str) -> Finding {
    let refs = project::refs(config);
    let tidy = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).take(40).collect::<String>();
    let theirs = claims.project.as_deref().map(tidy);
    if let Some(theirs) = &theirs
        && let Some((name, ours)) = refs.iter().find(|(_, ours)| ours != theirs)
    {
        let observed = format!("the key is of project {theirs}, and {name} of {ours} ({shown})");
        return look.found(&OTHER_PROJECT, observed, format!("Take the key of project {ours}.")).expecting(ours);
    }
    let role = claims.role.as_deref().map(tidy).unwrap_or_default();
    if claims.role.as_deref() != Some("service_role") {
        let fix = "Take the key that the project's settings call service_role, not anon.";
        let observed = format!("the key's role is {} ({shown})", if role.is_empty() { "none" } else { &role });
        return look.found(&WRONG_ROLE, observed, fix).expecting("service_role");
    }
    if claims.exp.is_some_and(|at| at <= OffsetDateTime::now_utc().unix_timestamp()) {
        return look.found(
            &EXPIRED,
            format!("it has expired ({shown})"),
            "Take the key anew from the project's settings.",
        );
    }
    if let Some(secret) = &config.auth.jwt_secret
        && is_signed_otherwise(key, secret.expose())
    {
        let fix = "Take SUPABASE_SERVICE_ROLE_KEY and SUPABASE_JWT_SECRET anew from one project.";
        return look.found(&OTHER_SECRET, format!("the JWT secret does not verify it ({shown})"), fix);
    }
    let project = theirs.map(|project| format!(" of project {project}")).unwrap_or_default();
    look.passed(format!("a service_role key{project} ({shown})"))
}

/// What the key says of itself, unverified.
fn claims(key: &str) -> Option<Claims> {
    let mut parts = key.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok().filter(|_| parts.next().is_none())?;
    serde_json::from_slice(&payload).ok()
}

/// Whether it is an HS256 token of another secret.
fn is_signed_otherwise(key: &str, secret: &str) -> bool {
    if !jsonwebtoken::decode_header(key).is_ok_and(|header| header.alg == Algorithm::HS256) {
        return false;
    }
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims::<&str>(&[]);
    let verified =
        jsonwebtoken::decode::<serde_json::Value>(key, &DecodingKey::from_secret(secret.as_bytes()), &validation);
    verified.is_err()
}

/// Enough to tell two keys apart, and nothing to guess one from.
pub(super) fn fingerprint(secret: &str) -> String {
    crate::domain::hex(&Sha256::digest(secret.as_bytes())[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_jwt_has_no_claims_and_a_fingerprint_is_eight_digits() {
        for text in ["", "a", "a.b", "a.b.c", "a.e30.c.d"] {
            assert!(claims(text).is_none(), "{text}");
        }
        assert!(claims("x.e30.y").is_some_and(|claims| claims.role.is_none()));
        assert_eq!(fingerprint("abc"), "ba7816bf");
    }
}
