//! Which tokens the API accepts from a project that signs with a secret and with keys of every kind.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{ask, code};
use crate::support::{
    db::TestDb,
    fakes::issuer::{Issuer, Signer},
    fleet::{App, Client, Fleet, SECRET, USER},
};

struct World {
    _test: TestDb,
    _api: App,
    client: Client,
    issuer: Issuer,
    signers: [Signer; 3],
}

async fn world(secret: bool) -> World {
    let signers = [
        Signer::make("elliptic", Algorithm::ES256),
        Signer::make("rivest", Algorithm::RS256),
        Signer::make("edwards", Algorithm::EdDSA),
    ];
    let issuer = Issuer::start(&signers.each_ref());
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    fleet.set("SUPABASE_URL", &issuer.url());
    if !secret {
        fleet.set("SUPABASE_JWT_SECRET", "");
    }
    let (api, client) = fleet.api();
    World { _test: test, _api: api, client, issuer, signers }
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn hs256(secret: &[u8], kid: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_signed_with_the_secret_or_any_kind_of_key_are_accepted() {
    let world = world(true).await;
    let claims = world.issuer.claims(USER);
    assert_eq!(code(&world.client, &hs256(SECRET.as_bytes(), None, &claims)).await, "ok");
    assert_eq!(code(&world.client, &hs256(SECRET.as_bytes(), Some("legacy, never published"), &claims)).await, "ok");
    assert_eq!(world.issuer.fetches(), 0, "keys are fetched only when one is needed");
    for signer in &world.signers {
        assert_eq!(code(&world.client, &signer.sign(&claims)).await, "ok", "{:?}", signer.algorithm);
    }
    assert_eq!(world.issuer.fetches(), 1, "one fetch brings all keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_claim_is_refused_with_its_reason() {
    let world = world(true).await;
    let claims = world.issuer.claims(USER);
    let now = claims["iat"].as_i64().unwrap();
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    for (claims, code, detail) in [
        (with(claims.clone(), "exp", (now - 60).into()), "token_expired", "expired"),
        (with(claims.clone(), "nbf", (now + 600).into()), "token_invalid", "nbf"),
        (with(claims.clone(), "aud", "anon".into()), "token_invalid", "aud"),
        (with(claims.clone(), "iss", "https://other.supabase.co/auth/v1".into()), "token_invalid", "another project"),
        (with(claims.clone(), "iss", json!([world.issuer.issuer()])), "token_invalid", "another project"),
        (with(claims.clone(), "sub", "service_role".into()), "token_invalid", "sub"),
        (without("exp"), "token_invalid", "exp"),
        (without("aud"), "token_invalid", "aud"),
        (without("iss"), "token_invalid", "iss"),
        (without("sub"), "token_invalid", "sub"),
    ] {
        let bearers = world.signers.iter().map(|signer| signer.sign(&claims));
        for bearer in bearers.chain([hs256(SECRET.as_bytes(), None, &claims)]) {
            let (status, _, body) = ask(&world.client, &bearer, "/jobs").await;
            assert_eq!((status.as_u16(), body["code"].as_str()), (401, Some(code)), "{claims}: {body}");
            assert!(body["detail"].as_str().unwrap().contains(detail), "{detail}: {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_header_cannot_choose_an_algorithm_other_than_the_keys() {
    let world = world(true).await;
    let claims = world.issuer.claims(USER);
    let [elliptic, rivest, edwards] = &world.signers;
    // The API has fetched the keys, so none of the tokens below fails for lack of a key.
    assert_eq!(code(&world.client, &elliptic.sign(&claims)).await, "ok");
    let mut tokens: Vec<(String, String)> = Vec::new();
    for signer in &world.signers {
        let public = signer.public();
        let part = |name: &str| URL_SAFE_NO_PAD.decode(public[name].as_str().unwrap_or_default()).unwrap();
        let raw = [part("n"), part("x"), part("y")].concat();
        for (name, secret) in
            [("its bytes", raw), ("its JSON", public.to_string().into_bytes()), ("nothing", Vec::new())]
        {
            for kid in [None, Some(signer.kid.as_str())] {
                tokens.push((format!("HS256 by {name} of {} {kid:?}", signer.kid), hs256(&secret, kid, &claims)));
            }
        }
        for other in ["none", "None", "HS256", "HS384", "RS512", "PS256", "ES384", ""] {
            let header = json!({ "alg": other, "typ": "JWT", "kid": signer.kid });
            tokens.push((header.to_string(), signer.sign_as(&header, &claims)));
        }
        let unsigned = signer.sign_as(&json!({ "alg": "none", "kid": signer.kid }), &claims);
        tokens.push(("no signature".to_owned(), unsigned[..=unsigned.rfind('.').unwrap()].to_owned()));
        let signed = signer.sign(&claims);
        tokens.push(("signature cut".to_owned(), signed[..=signed.rfind('.').unwrap()].to_owned()));
        tokens
            .push(("no kid".to_owned(), signer.sign_as(&json!({ "alg": format!("{:?}", signer.algorithm) }), &claims)));
        let crit = json!({ "alg": format!("{:?}", signer.algorithm), "kid": signer.kid, "crit": ["exp"] });
        tokens.push(("crit".to_owned(), signer.sign_as(&crit, &claims)));
    }
    for (signer, other) in [(elliptic, rivest), (rivest, elliptic), (edwards, elliptic), (rivest, edwards)] {
        for alg in [signer.algorithm, other.algorithm] {
            let header = json!({ "alg": format!("{alg:?}"), "kid": other.kid });
            tokens.push((format!("signed by {}: {header}", signer.kid), signer.sign_as(&header, &claims)));
        }
    }
    // A valid HS256 token whose kid names a public key is ambiguous, so it is refused.
    tokens.push(("HS256 with a public key's id".to_owned(), hs256(SECRET.as_bytes(), Some("rivest"), &claims)));
    for (name, token) in tokens {
        assert_eq!(code(&world.client, &token).await, "token_invalid", "{name}");
    }
    assert!(world.issuer.fetches() <= 2, "{} fetches", world.issuer.fetches());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_only_tokens_signed_with_keys_are_accepted() {
    let world = world(false).await;
    let claims = world.issuer.claims(USER);
    assert_eq!(code(&world.client, &world.signers[0].sign(&claims)).await, "ok");
    for secret in [SECRET.as_bytes(), b""] {
        let (_, _, body) = ask(&world.client, &hs256(secret, None, &claims), "/jobs").await;
        assert_eq!(body["code"], "token_invalid", "{body}");
        assert!(body["detail"].as_str().unwrap().contains("SUPABASE_JWT_SECRET"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_for_verifying_tokens_are_not_used() {
    let world = world(true).await;
    let claims = world.issuer.claims(USER);
    let key = &world.signers[0];
    let encryption = with(key.public(), "use", "enc".into());
    let private = with(key.public(), "d", "c2VjcmV0".into());
    let mut weak = world.signers[1].public();
    weak["n"] = URL_SAFE_NO_PAD.encode([0xff; 128]).into();
    let shared =
        json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode("published secret") });
    world.issuer.publish_values(vec![encryption, private, weak, shared]);
    let mut tokens: Vec<String> = world.signers.iter().map(|signer| signer.sign(&claims)).collect();
    tokens.push(hs256(b"published secret", Some("shared"), &claims));
    for token in tokens {
        assert_eq!(code(&world.client, &token).await, "token_invalid", "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_authorization_header_is_a_401_with_a_challenge() {
    let world = world(true).await;
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "bearer x.y.z",
        "Bearer a b",
        "Bearer ...",
        "Bearer e30.e30.e30",
        "\u{e9}",
        &format!("Bearer {}", "x".repeat(9000)),
    ] {
        let request = reqwest::Client::new().get(world.client.url("/jobs"));
        let response = request.header("authorization", header.as_bytes()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 401, "{header:?}");
        assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"), "{header:?}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    let twice = reqwest::Client::new().get(world.client.url("/jobs")).bearer_auth(&world.client.token);
    let twice = twice.header("authorization", "Bearer x").send().await.unwrap();
    assert_eq!(twice.status().as_u16(), 401);
    let good = hs256(SECRET.as_bytes(), None, &world.issuer.claims(USER));
    // A user cannot act for another user. The request is refused, not answered with the user's own documents.
    for (user, status) in [(USER, 200), ("22222222-2222-4222-8222-222222222222", 403), ("nobody", 400)] {
        let request = reqwest::Client::new().get(world.client.url("/jobs")).bearer_auth(&good);
        let response = request.header("x-user-id", user).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{user}");
    }
}
