//! A fake of Supabase Auth that issues tokens: it has signing keys of every kind, and its key set can change or fail.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

use super::http::{Reply, Server};
use crate::support::scratch::Scratch;

/// How the issuer answers requests for its key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Healthy,
    Failing,
    Silent,
    Redirecting,
    Oversized,
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
                EncodingKey::from_ec_der(&make_key(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], false))
            }
            Algorithm::RS256 => EncodingKey::from_rsa_der(&make_key(&["-algorithm", "RSA"], true)),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&make_key(&["-algorithm", "ED25519"], false)),
            other => panic!("cannot make a key for {other:?}"),
        };
        let mut public = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        public["kid"] = kid.into();
        public["use"] = "sig".into();
        public["key_ops"] = json!(["verify"]);
        Self { kid: kid.to_owned(), algorithm, key, public }
    }

    /// The public key as published.
    pub fn public(&self) -> Value {
        self.public.clone()
    }

    /// A token with these claims, whose header names this key.
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    /// A token with this header, signed with this key.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

/// Makes a private key with openssl, in PKCS #8 or in the traditional form, which RSA keys need.
fn make_key(args: &[&str], traditional: bool) -> Vec<u8> {
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

/// A running issuer; stops when dropped.
pub struct Issuer {
    server: Server,
    keys: Arc<Mutex<Vec<Value>>>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Issuer {
    pub fn start(keys: &[&Signer]) -> Self {
        let keys = Arc::new(Mutex::new(keys.iter().map(|key| key.public()).collect::<Vec<_>>()));
        let behaviour = Arc::new(Mutex::new(Behaviour::Healthy));
        let (served, shared) = (Arc::clone(&keys), Arc::clone(&behaviour));
        let server = Server::start(move |request| {
            if request.path != "/auth/v1/.well-known/jwks.json" && request.path != "/elsewhere" {
                return Reply::json(404, &json!({ "message": "no Route matched with those values" }));
            }
            let set = json!({ "keys": *served.lock().unwrap() });
            let behaviour = *shared.lock().unwrap();
            match behaviour {
                Behaviour::Redirecting if request.path != "/elsewhere" => Reply::Redirect("/elsewhere"),
                Behaviour::Healthy | Behaviour::Redirecting => Reply::json(200, &set),
                Behaviour::Failing => Reply::text(503, "upstream connect error"),
                Behaviour::Silent => Reply::Silence,
                Behaviour::Oversized => Reply::text(200, &format!("{set}{}", " ".repeat(100_000))),
            }
        });
        Self { server, keys, behaviour }
    }

    pub fn publish(&self, keys: &[&Signer]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.public()).collect();
    }

    /// Publishes these values, which need not be valid keys.
    pub fn publish_values(&self, keys: Vec<Value>) {
        *self.keys.lock().unwrap() = keys;
    }

    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// The value of SUPABASE_URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The claim `iss` of its tokens.
    pub fn issuer(&self) -> String {
        format!("{}/auth/v1", self.url())
    }

    /// How often the key set was fetched.
    pub fn fetches(&self) -> usize {
        self.server.seen().len()
    }

    /// Claims of a token that is valid for an hour.
    pub fn claims(&self, user: &str) -> Value {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        json!({
            "iss": self.issuer(), "aud": "authenticated", "sub": user, "role": "authenticated",
            "iat": now, "exp": now + 3600
        })
    }
}
