use super::*;
use crate::api::SecretBytes;
use serde_json::{Value, json};
use uuid::Uuid;

const SECRET: &[u8] = b"a secret that is long enough for tests";

fn auth() -> AuthSettings {
    AuthSettings { hs256_secret: Some(SecretBytes::new(SECRET)), audience: "authenticated".to_owned(), issuer: None }
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

fn code(auth: &AuthSettings, token: &str) -> &'static str {
    verify_token(auth, token).map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn an_issued_token_names_its_user() {
    let user = UserId(Uuid::now_v7());
    let token = issue_token(SECRET, user, Duration::from_secs(60), "authenticated").unwrap();
    assert_eq!(verify_token(&auth(), &token).unwrap(), user);
}

#[test]
fn an_expired_token_says_so() {
    let past = OffsetDateTime::now_utc().unix_timestamp() - 60;
    assert_eq!(code(&auth(), &sign(Algorithm::HS256, &with("exp", past.into()))), "token_expired");
}

#[test]
fn a_token_needs_expiry_subject_and_audience() {
    assert_eq!(code(&auth(), &sign(Algorithm::HS256, &claims())), "ok");
    for claim in ["exp", "sub", "aud"] {
        assert_eq!(code(&auth(), &sign(Algorithm::HS256, &without(claim))), "token_invalid", "{claim}");
    }
    for wrong in [with("aud", "anon".into()), with("sub", "admin".into()), with("nbf", 3_999_999_999_i64.into())] {
        assert_eq!(code(&auth(), &sign(Algorithm::HS256, &wrong)), "token_invalid", "{wrong}");
    }
}

#[test]
fn the_issuer_counts_where_one_is_set() {
    let strict = AuthSettings { issuer: Some("https://issuer".to_owned()), ..auth() };
    assert_eq!(code(&strict, &sign(Algorithm::HS256, &claims())), "token_invalid");
    assert_eq!(code(&strict, &sign(Algorithm::HS256, &with("iss", "https://other".into()))), "token_invalid");
    assert_eq!(code(&strict, &sign(Algorithm::HS256, &with("iss", "https://issuer".into()))), "ok");
}

#[test]
fn no_other_algorithm_is_taken() {
    for other in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(code(&auth(), &sign(other, &claims())), "token_invalid", "{other:?}");
    }
    let body = URL_SAFE_NO_PAD.encode(claims().to_string());
    for header in [r#"{"alg":"none","typ":"JWT"}"#, r#"{"alg":"RS256","typ":"JWT"}"#] {
        let header = URL_SAFE_NO_PAD.encode(header);
        let signed = sign(Algorithm::HS256, &claims());
        let signature = signed.rsplit('.').next().unwrap();
        for token in [format!("{header}.{body}."), format!("{header}.{body}.{signature}")] {
            assert_eq!(code(&auth(), &token), "token_invalid", "{token}");
        }
    }
}

#[test]
fn another_secret_and_plain_garbage_are_refused() {
    let other = AuthSettings { hs256_secret: Some(SecretBytes::new(*b"another secret")), ..auth() };
    assert_eq!(code(&other, &sign(Algorithm::HS256, &claims())), "token_invalid");
    for garbage in ["", "x", "a.b.c", "..", "é.é.é"] {
        assert_eq!(code(&auth(), garbage), "token_invalid", "{garbage}");
    }
    let none = AuthSettings { hs256_secret: None, ..auth() };
    assert_eq!(code(&none, &sign(Algorithm::HS256, &claims())), "token_invalid");
}

#[test]
fn keys_are_long_different_and_never_shown_by_debug() {
    let (one, two) = (ApiKeySecret::generate().unwrap(), ApiKeySecret::generate().unwrap());
    assert_ne!(one.expose(), two.expose());
    assert_eq!(one.expose().len(), 4 + 43);
    assert_eq!(one.sha256().len(), 64);
    assert_eq!(format!("{one:?}"), "***");
}

fn key(user_id: Option<UserId>) -> ApiKey {
    ApiKey {
        key_id: Uuid::nil(),
        name: "test".to_owned(),
        user_id,
        scope: Scope::Read,
        created_at: OffsetDateTime::UNIX_EPOCH,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

#[test]
fn a_key_that_is_revoked_or_expired_is_refused() {
    let now = OffsetDateTime::now_utc();
    assert!(check_key(Some(key(None)), now).is_ok());
    assert_eq!(check_key(None, now).unwrap_err().code(), "token_invalid");
    let revoked = ApiKey { revoked_at: Some(now), ..key(None) };
    assert_eq!(check_key(Some(revoked), now).unwrap_err().code(), "token_invalid");
    let expired = ApiKey { expires_at: Some(now), ..key(None) };
    assert_eq!(check_key(Some(expired), now).unwrap_err().code(), "token_expired");
}

#[test]
fn a_key_without_a_user_needs_one_named_and_a_users_key_takes_no_other() {
    let (one, two) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    let request = |user: Option<&str>| {
        let mut request = actix_web::test::TestRequest::default();
        if let Some(user) = user {
            request = request.insert_header((USER_HEADER, user));
        }
        request.to_http_request()
    };
    let code = |key: &ApiKey, request: &HttpRequest| user_of_key(key, request).map_err(|error| error.code());
    assert_eq!(code(&key(None), &request(None)), Err("user_required"));
    assert_eq!(code(&key(None), &request(Some("me"))), Err("user_invalid"));
    assert_eq!(code(&key(None), &request(Some(&two.to_string()))), Ok(two));
    assert_eq!(code(&key(Some(one)), &request(None)), Ok(one));
    assert_eq!(code(&key(Some(one)), &request(Some(&one.to_string()))), Ok(one));
    assert_eq!(code(&key(Some(one)), &request(Some(&two.to_string()))), Err("user_forbidden"));
}

#[test]
fn a_route_is_taken_for_one_that_writes_unless_known_otherwise() {
    let needed = |method: Method, path: &str| {
        needed_scope(&actix_web::test::TestRequest::default().method(method).uri(path).to_http_request())
    };
    assert_eq!(needed(Method::GET, "/api/upload-pipeline/jobs"), Scope::Read);
    assert_eq!(needed(Method::POST, "/api/upload-pipeline/search"), Scope::Read);
    assert_eq!(needed(Method::POST, "/api/upload-pipeline/upload"), Scope::Write);
    assert_eq!(needed(Method::DELETE, "/api/upload-pipeline/documents/1"), Scope::Write);
    assert_eq!(needed(Method::POST, "/api/upload-pipeline/new/search"), Scope::Write);
}
