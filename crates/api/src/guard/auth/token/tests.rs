use serde_json::json;
use uuid::Uuid;

use super::*;
use config::Secret;
use domain::Code;

const SECRET: &[u8] = b"a secret that is long enough for tests";

fn secret(bytes: &[u8]) -> Secret<String> {
    Secret::new(String::from_utf8(bytes.to_vec()).unwrap())
}

fn auth() -> Auth {
    Auth { supabase_url: None, jwt_secret: Some(secret(SECRET)), audience: "authenticated".to_owned() }
}

fn sign(algorithm: Algorithm, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn claims() -> Value {
    json!({ "sub": Uuid::from_u128(7).to_string(), "aud": "authenticated", "exp": 4_000_000_000_i64 })
}

fn without(claim: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

async fn code(auth: &Auth, token: &str) -> Result<(), Code> {
    caller_of_token(auth, None, token).await.map(drop).map_err(|error| error.code())
}

async fn detail(auth: &Auth, token: &str) -> String {
    caller_of_token(auth, None, token).await.unwrap_err().problem(None).detail
}

#[tokio::test]
async fn an_issued_token_names_its_user() {
    let user = UserId(Uuid::now_v7());
    let token = issue_token(SECRET, user, Duration::from_secs(60), "authenticated").unwrap();
    assert_eq!(caller_of_token(&auth(), None, &token).await.unwrap().user, user);
}

#[tokio::test]
async fn an_expired_token_says_so() {
    let past = OffsetDateTime::now_utc().unix_timestamp() - 60;
    assert_eq!(code(&auth(), &sign(Algorithm::HS256, &with("exp", past.into()))).await, Err(Code::TokenExpired));
}

#[tokio::test]
async fn a_token_needs_expiry_subject_and_audience() {
    assert_eq!(code(&auth(), &sign(Algorithm::HS256, &claims())).await, Ok(()));
    assert_eq!(code(&auth(), &sign(Algorithm::HS256, &with("aud", json!(["x", "authenticated"])))).await, Ok(()));
    for claim in ["exp", "sub", "aud"] {
        assert_eq!(code(&auth(), &sign(Algorithm::HS256, &without(claim))).await, Err(Code::TokenInvalid), "{claim}");
    }
    for wrong in [with("aud", "anon".into()), with("sub", "admin".into()), with("nbf", 3_999_999_999_i64.into())] {
        assert_eq!(code(&auth(), &sign(Algorithm::HS256, &wrong)).await, Err(Code::TokenInvalid), "{wrong}");
    }
    let early = detail(&auth(), &sign(Algorithm::HS256, &with("nbf", 3_999_999_999_i64.into()))).await;
    assert!(early.contains("nbf"), "{early}");
}

#[tokio::test]
async fn the_issuer_counts_where_one_is_set_and_another_project_is_named_as_such() {
    let strict = Auth { supabase_url: Some("https://issuer".parse().unwrap()), ..auth() };
    assert_eq!(code(&strict, &sign(Algorithm::HS256, &with("iss", "https://issuer/auth/v1".into()))).await, Ok(()));
    for wrong in [json!("https://other"), json!("https://issuer/auth/v1/"), json!(["https://issuer/auth/v1"]), json!(7)]
    {
        let token = sign(Algorithm::HS256, &with("iss", wrong.clone()));
        assert_eq!(code(&strict, &token).await, Err(Code::TokenInvalid), "{wrong}");
        assert!(detail(&strict, &token).await.contains("another project"), "{wrong}");
    }
    assert!(detail(&strict, &sign(Algorithm::HS256, &claims())).await.contains("lacks `iss`"));
}

#[tokio::test]
async fn no_other_algorithm_is_taken() {
    for other in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(code(&auth(), &sign(other, &claims())).await, Err(Code::TokenInvalid), "{other:?}");
    }
    let body = URL_SAFE_NO_PAD.encode(claims().to_string());
    let signed = sign(Algorithm::HS256, &claims());
    let signature = signed.rsplit('.').next().unwrap();
    for header in [
        r#"{"alg":"none","typ":"JWT"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"RS256","typ":"JWT"}"#,
        r#"{"alg":"ES256","kid":"a"}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"typ":"JWT"}"#,
    ] {
        let header = URL_SAFE_NO_PAD.encode(header);
        for token in [format!("{header}.{body}."), format!("{header}.{body}.{signature}")] {
            assert_eq!(code(&auth(), &token).await, Err(Code::TokenInvalid), "{token}");
        }
    }
}

#[tokio::test]
async fn another_secret_and_plain_garbage_are_refused() {
    let other = Auth { jwt_secret: Some(secret(b"another secret")), ..auth() };
    assert_eq!(code(&other, &sign(Algorithm::HS256, &claims())).await, Err(Code::TokenInvalid));
    for garbage in ["", "x", "a.b.c", "..", "é.é.é", "e30.e30.e30", "e30.e30.e30.e30"] {
        assert_eq!(code(&auth(), garbage).await, Err(Code::TokenInvalid), "{garbage}");
    }
    let none = Auth { jwt_secret: None, ..auth() };
    let refusal = detail(&none, &sign(Algorithm::HS256, &claims())).await;
    assert!(refusal.contains("API keys only"), "{refusal}");
}
