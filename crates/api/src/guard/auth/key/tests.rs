use uuid::Uuid;

use super::*;
use domain::Code;

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
    assert_eq!(check_key(None, now).unwrap_err().code(), Code::TokenInvalid);
    let revoked = ApiKey { revoked_at: Some(now), ..key(None) };
    assert_eq!(check_key(Some(revoked), now).unwrap_err().code(), Code::TokenInvalid);
    let expired = ApiKey { expires_at: Some(now), ..key(None) };
    assert_eq!(check_key(Some(expired), now).unwrap_err().code(), Code::TokenExpired);
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
    let twice = actix_web::test::TestRequest::default()
        .append_header((USER_HEADER, one.to_string()))
        .append_header((USER_HEADER, two.to_string()));
    assert_eq!(acts_for(None, &twice.to_http_request()).unwrap_err().code(), Code::UserInvalid);
    let code = |key: &ApiKey, request: &HttpRequest| acts_for(key.user_id, request).map_err(|error| error.code());
    assert_eq!(code(&key(None), &request(None)), Err(Code::UserRequired));
    assert_eq!(code(&key(None), &request(Some("me"))), Err(Code::UserInvalid));
    assert_eq!(code(&key(None), &request(Some(&two.to_string()))), Ok(two));
    assert_eq!(code(&key(Some(one)), &request(None)), Ok(one));
    assert_eq!(code(&key(Some(one)), &request(Some(&one.to_string()))), Ok(one));
    assert_eq!(code(&key(Some(one)), &request(Some(&two.to_string()))), Err(Code::UserForbidden));
}

#[test]
fn a_route_is_taken_for_one_that_writes_unless_known_otherwise() {
    let (many, one) = (key(None), key(Some(UserId(Uuid::from_u128(1)))));
    let needed = |key: &ApiKey, method: Method, path: &str| {
        needed_scope(key, &actix_web::test::TestRequest::default().method(method).uri(path).to_http_request())
    };
    for key in [&many, &one] {
        assert_eq!(needed(key, Method::GET, "/api/upload-pipeline/jobs"), Scope::Read);
        assert_eq!(needed(key, Method::POST, "/api/upload-pipeline/search"), Scope::Read);
        assert_eq!(needed(key, Method::POST, "/api/upload-pipeline/upload"), Scope::Write);
        assert_eq!(needed(key, Method::POST, "/api/upload-pipeline/new/search"), Scope::Write);
        assert_eq!(needed(key, Method::POST, "/api/upload-pipeline/%73earch"), Scope::Write);
    }
    assert_eq!(needed(&one, Method::DELETE, "/api/upload-pipeline/documents/1"), Scope::Write);
    assert_eq!(needed(&many, Method::DELETE, "/api/upload-pipeline/documents/1"), Scope::Admin);
}

#[test]
fn a_scope_holds_those_before_it() {
    let of = |scope| ApiKey { scope, ..key(None) };
    assert!(check_scope(&of(Scope::Admin), Scope::Write).is_ok());
    assert!(check_scope(&of(Scope::Write), Scope::Write).is_ok());
    for (has, needs) in [(Scope::Read, Scope::Write), (Scope::Write, Scope::Admin)] {
        let refused = check_scope(&of(has), needs).unwrap_err();
        assert_eq!(refused.code(), Code::ScopeMissing);
        assert!(refused.problem(None).detail.contains(needs.as_str()));
    }
}
