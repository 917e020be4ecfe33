//! Supabase's Auth as an issuer of tokens: signing keys of every kind, a key set that changes, and bad days.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

use super::http::{Reply, Server};
use crate::support::scratch::Scratch;

/// How the key set is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    Broken,
    Silent,
    Redirecting,
    Endless,
}

/// A key pair of the issuer.
#[derive(Clone)]
pub struct Signer {
    pub kid: String,
    pub algorithm: Algorithm,
    key: EncodingKey,
    public: Value,
}

impl Signer {
    pub fn make(kid: &str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => {
                EncodingKey::from_ec_der(&made(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], false))
            }
            Algorithm::RS256 => EncodingKey::from_rsa_der(&made(&["-algorithm", "RSA"], true)),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&made(&["-algorithm", "ED25519"], false)),
            other => panic!("no keys for {other:?} are made here"),
        };
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        public["kid"] = kid.into();
        public["use"] = "sig".into();
        public["key_ops"] = json!(["verify"]);
        Self { kid: kid.to_owned(), algorithm, key, public }
    }

    /// As published.
    pub fn public(&self) -> Value {
        self.public.clone()
    }

    /// A token with these claims, whose header names this key.
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    /// A token whose header says something else, signed with this key.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// A private key by openssl; in the older form that RSA is read in, where asked.
fn made(args: &[&str], traditional: bool) -> Vec<u8> {
    let folder = Scratch::new("signer");
    std::fs::create_dir_all(folder.path()).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new("openssl").current_dir(folder.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&[&["genpkey", "-outform", "DER", "-out", "key.der"], args].concat());
    let form = if traditional { ["rsa", "-traditional"].as_slice() } else { &["pkcs8", "-topk8", "-nocrypt"] };
    run(&[form, &["-inform", "DER", "-in", "key.der", "-outform", "DER", "-out", "wanted.der"]].concat());
    std::fs::read(folder.path().join("wanted.der")).unwrap()
}

/// The issuer; ends when dropped.
pub struct Issuer {
    server: Server,
    keys: Arc<Mutex<Vec<Value>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Issuer {
    pub fn start(keys: &[&Signer]) -> Self {
        let keys = Arc::new(Mutex::new(keys.iter().map(|key| key.public()).collect::<Vec<_>>()));
        let mood = Arc::new(Mutex::new(Mood::Well));
        let (served, minded) = (Arc::clone(&keys), Arc::clone(&mood));
        let server = Server::start(move |request| {
            if request.path != "/auth/v1/.well-known/jwks.json" && request.path != "/elsewhere" {
                return Reply::json(404, &json!({ "message": "no Route matched with those values" }));
            }
            let set = json!({ "keys": *served.lock().unwrap() });
            let mood = *minded.lock().unwrap();
            match mood {
                Mood::Redirecting if request.path != "/elsewhere" => Reply::Redirect("/elsewhere"),
                Mood::Well | Mood::Redirecting => Reply::json(200, &set),
                Mood::Broken => Reply::text(503, "upstream connect error"),
                Mood::Silent => Reply::Silence,
                Mood::Endless => Reply::text(200, &format!("{set}{}", " ".repeat(100_000))),
            }
        });
        Self { server, keys, mood }
    }

    pub fn publish(&self, keys: &[&Signer]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.public()).collect();
    }

    /// Publishes whatever this is.
    pub fn publish_values(&self, keys: Vec<Value>) {
        *self.keys.lock().unwrap() = keys;
    }

    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// For SUPABASE_URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What its tokens have as `iss`.
    pub fn issuer(&self) -> String {
        format!("{}/auth/v1", self.url())
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.server.seen().len()
    }

    /// Claims of a token that is good for an hour.
    pub fn claims(&self, user: &str) -> Value {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        json!({
            "iss": self.issuer(), "aud": "authenticated", "sub": user, "role": "authenticated",
            "iat": now, "exp": now + 3600
        })
    }
}
