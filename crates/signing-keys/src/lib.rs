//! The public keys of the issuer of users' tokens, read from the key set that it publishes (JWKS, RFC 7517).
//!
//! A key verifies only the algorithm that follows from its type, its curve and its use. A token's header cannot change
//! that. The crate `providers` fetches the set, `api` verifies tokens with it, `check` says which keys cannot be used.
//!
//! *Must not know:* tokens, users, HTTP.

use std::{fmt, ops::RangeInclusive};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use domain::Failure;

/// Further keys of a set are ignored; a project has two or three.
const MAX_KEYS: usize = 64;
/// Bytes of a coordinate on P-256 (RFC 7518), and of an Ed25519 key (RFC 8037).
const COORDINATE: RangeInclusive<usize> = 32..=32;
/// Bytes of an RSA modulus: aws-lc verifies 2048 to 8192 bits.
const MODULUS: RangeInclusive<usize> = 256..=1024;

/// The place where the issuer of users' tokens publishes its public keys.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The current key set. Answers within seconds, or fails with `keys_unavailable`.
    async fn fetch(&self) -> Result<KeySet, Failure>;
}

/// A key that verifies tokens.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// Its id, which a token's header names.
    pub kid: String,
    /// The one algorithm that it verifies.
    pub algorithm: Algorithm,
    /// The public key.
    pub decoding: DecodingKey,
}

/// Why a published key cannot verify tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It has no `kid`, so no token can name it.
    NoId,
    /// It is not for signatures but, for example, for encryption.
    OtherUse,
    /// It is a private or a symmetric key: every reader of the set could sign with it.
    Secret,
    /// Its kind, curve or size is not supported.
    Unsupported,
    /// It cannot be parsed, or its `kid` is that of an earlier key.
    Malformed,
}

/// A key that was left out.
#[derive(Debug, Clone)]
pub struct LeftOut {
    /// Its id, if it has one.
    pub kid: Option<String>,
    /// Its algorithm or type, as published.
    pub kind: Option<String>,
    /// The reason.
    pub why: Unusable,
}

/// A published key set.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    /// Keys that verify tokens.
    pub keys: Vec<SigningKey>,
    /// Keys that cannot verify tokens.
    pub left_out: Vec<LeftOut>,
}

/// The published text is not a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key set in the answer")]
pub struct NoKeySet;

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct Jwk {
    kid: Option<String>,
    kty: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// Private parts and symmetric keys; their values are never used.
    d: Option<Value>,
    p: Option<Value>,
    q: Option<Value>,
    k: Option<Value>,
}

impl KeySet {
    /// Parses a published key set. Leaves out the keys that cannot be used.
    ///
    /// # Errors
    ///
    /// `json` is not an object with a list `keys`.
    pub fn parse(json: &[u8]) -> Result<Self, NoKeySet> {
        let published: Published = serde_json::from_slice(json).ok().ok_or(NoKeySet)?;
        let mut set = Self::default();
        for value in published.keys.into_iter().take(MAX_KEYS) {
            let jwk: Jwk = serde_json::from_value(value).unwrap_or_default();
            let twice = jwk.kid.as_deref().is_some_and(|kid| set.find(kid).is_some());
            match jwk.to_key() {
                Ok(key) if !twice => set.keys.push(key),
                Ok(_) => set.left_out.push(jwk.left_out(Unusable::Malformed)),
                Err(why) => set.left_out.push(jwk.left_out(why)),
            }
        }
        Ok(set)
    }

    /// The key with this id.
    pub fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

impl Jwk {
    fn to_key(&self) -> Result<SigningKey, Unusable> {
        let secret = [&self.d, &self.p, &self.q, &self.k].into_iter().any(Option::is_some);
        if secret || self.kty.as_deref() == Some("oct") {
            return Err(Unusable::Secret);
        }
        let kty = self.kty.as_deref().ok_or(Unusable::Malformed)?;
        if self.usage.as_deref().is_some_and(|usage| usage != "sig")
            || self.key_ops.as_ref().is_some_and(|ops| ops.iter().all(|op| op != "verify"))
        {
            return Err(Unusable::OtherUse);
        }
        let (algorithm, decoding) = match (kty, self.crv.as_deref(), self.alg.as_deref()) {
            ("EC", Some("P-256"), None | Some("ES256")) => {
                let (x, y) =
                    (part(&self.x, COORDINATE, Unusable::Malformed)?, part(&self.y, COORDINATE, Unusable::Malformed)?);
                (Algorithm::ES256, DecodingKey::from_ec_components(x, y))
            }
            ("OKP", Some("Ed25519"), None | Some("EdDSA" | "Ed25519")) => {
                (Algorithm::EdDSA, DecodingKey::from_ed_components(part(&self.x, COORDINATE, Unusable::Malformed)?))
            }
            ("RSA", None, None | Some("RS256")) => {
                let e = part(&self.e, 1..=usize::MAX, Unusable::Malformed)?;
                let n = part(&self.n, MODULUS, Unusable::Unsupported)?;
                (Algorithm::RS256, DecodingKey::from_rsa_components(n, e))
            }
            _ => return Err(Unusable::Unsupported),
        };
        let decoding = decoding.ok().ok_or(Unusable::Malformed)?;
        let kid = self.kid.clone().filter(|kid| !kid.is_empty()).ok_or(Unusable::NoId)?;
        Ok(SigningKey { kid, algorithm, decoding })
    }

    fn left_out(self, why: Unusable) -> LeftOut {
        LeftOut { kid: self.kid.filter(|kid| !kid.is_empty()), kind: self.alg.or(self.kty), why }
    }
}

/// A part of a key in base64, of so many bytes.
fn part(text: &Option<String>, bytes: RangeInclusive<usize>, else_it_is: Unusable) -> Result<&str, Unusable> {
    let text = text.as_deref().ok_or(Unusable::Malformed)?;
    let found = URL_SAFE_NO_PAD.decode(text).ok().ok_or(Unusable::Malformed)?.len();
    if bytes.contains(&found) { Ok(text) } else { Err(else_it_is) }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoId => "it has no id",
            Self::OtherUse => "it is not for signatures",
            Self::Secret => "it is a secret key",
            Self::Unsupported => "its kind is not supported",
            Self::Malformed => "it cannot be read",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn p256() -> Value {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
        json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": coordinate, "y": coordinate })
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    fn parse_one(key: &Value) -> Result<Algorithm, Unusable> {
        let set = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        match (set.keys.first(), set.left_out.first()) {
            (Some(key), None) => Ok(key.algorithm),
            (None, Some(left)) => Err(left.why),
            both => panic!("{both:?}"),
        }
    }

    #[test]
    fn the_kind_of_a_key_decides_what_it_verifies() {
        let modulus = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        let rsa = |bytes| json!({ "kty": "RSA", "kid": "r", "n": modulus(bytes), "e": "AQAB" });
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "e", "x": URL_SAFE_NO_PAD.encode([1; 32]) });
        for (key, expected) in [
            (p256(), Ok(Algorithm::ES256)),
            (with(p256(), "alg", "ES256".into()), Ok(Algorithm::ES256)),
            (with(p256(), "use", "sig".into()), Ok(Algorithm::ES256)),
            (with(p256(), "key_ops", json!(["verify"])), Ok(Algorithm::ES256)),
            (rsa(256), Ok(Algorithm::RS256)),
            (ed.clone(), Ok(Algorithm::EdDSA)),
            (with(ed, "crv", "Ed448".into()), Err(Unusable::Unsupported)),
            (rsa(128), Err(Unusable::Unsupported)),
            (with(rsa(256), "alg", "PS256".into()), Err(Unusable::Unsupported)),
            (with(rsa(256), "alg", "HS256".into()), Err(Unusable::Unsupported)),
            (with(rsa(256), "d", "AQAB".into()), Err(Unusable::Secret)),
            (with(p256(), "crv", "P-384".into()), Err(Unusable::Unsupported)),
            (with(p256(), "alg", "RS256".into()), Err(Unusable::Unsupported)),
            (with(p256(), "use", "enc".into()), Err(Unusable::OtherUse)),
            (with(p256(), "key_ops", json!(["deriveKey"])), Err(Unusable::OtherUse)),
            (with(p256(), "kid", Value::Null), Err(Unusable::NoId)),
            (with(p256(), "kid", "".into()), Err(Unusable::NoId)),
            (with(p256(), "y", "AQ".into()), Err(Unusable::Malformed)),
            (with(p256(), "x", "not base64!".into()), Err(Unusable::Malformed)),
            (with(p256(), "d", "AQ".into()), Err(Unusable::Secret)),
            (json!({ "kty": "oct", "kid": "o", "k": "c2VjcmV0" }), Err(Unusable::Secret)),
            (json!("no object"), Err(Unusable::Malformed)),
        ] {
            assert_eq!(parse_one(&key), expected, "{key}");
        }
    }

    #[test]
    fn a_bad_key_is_left_out_and_the_first_of_two_with_the_same_id_is_taken() {
        let rsa = json!({ "kty": "RSA", "kid": "a", "n": URL_SAFE_NO_PAD.encode([0xff; 256]), "e": "AQAB" });
        let text = json!({ "keys": [7, p256(), rsa] }).to_string();
        let set = KeySet::parse(text.as_bytes()).unwrap();
        assert_eq!(set.find("a").map(|key| key.algorithm), Some(Algorithm::ES256));
        assert_eq!(set.left_out.len(), 2);
        for text in ["", "[]", "{}", "{\"keys\":{}}"] {
            assert_eq!(KeySet::parse(text.as_bytes()).err(), Some(NoKeySet), "{text}");
        }
    }
}
