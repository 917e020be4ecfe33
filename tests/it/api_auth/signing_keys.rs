//! Tokens while the issuer's keys are added, removed or unavailable.

use std::time::{Duration, Instant};

use api::KeyPolicy;
use jsonwebtoken::Algorithm;

use super::{ask, code};
use crate::support::{
    db::TestDb,
    fakes::issuer::{Behaviour, Issuer, Signer},
    fleet::{PATIENCE, USER},
    served::{Plan, Served},
};

/// Refreshes and retries at once, and keeps fetched keys for an hour.
const EAGER: KeyPolicy = KeyPolicy {
    refresh_after: Duration::from_millis(50),
    unknown_after: Duration::ZERO,
    retry_after: Duration::ZERO,
    keep_for: Duration::from_secs(3600),
};

async fn served(test: &TestDb, issuer: &Issuer, policy: KeyPolicy) -> Served {
    let mut plan = Plan::new();
    plan.settings.auth.supabase_url = Some(issuer.url().parse().unwrap());
    plan.settings.key_policy = policy;
    plan.jwks = Some(format!("{}/.well-known/jwks.json", issuer.issuer()));
    plan.serve(&test.url).await
}

/// Repeats the request until its code is `wanted`.
async fn wait_for(api: &Served, bearer: &str, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let got = code(&api.client, bearer).await;
        if got == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "the code is still {got}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_keys_rotate_without_a_restart() {
    let (old, new) = (Signer::make("old", Algorithm::ES256), Signer::make("new", Algorithm::RS256));
    let (test, issuer) = (TestDb::new().await, Issuer::start(&[&old]));
    let api = served(&test, &issuer, EAGER).await;
    let (by_old, by_new) = (old.sign(&issuer.claims(USER)), new.sign(&issuer.claims(USER)));
    assert_eq!(code(&api.client, &by_old).await, "ok");
    assert_eq!(code(&api.client, &by_new).await, "token_invalid");
    issuer.publish(&[&old, &new]);
    assert_eq!(code(&api.client, &by_new).await, "ok", "an unknown key id causes a fetch at once");
    assert_eq!(code(&api.client, &by_old).await, "ok");
    issuer.publish(&[&new]);
    wait_for(&api, &by_old, "token_invalid").await;
    assert_eq!(code(&api.client, &by_new).await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_unknown_key_ids_cause_one_fetch() {
    let known = Signer::make("known", Algorithm::ES256);
    let (test, issuer) = (TestDb::new().await, Issuer::start(&[&known]));
    let api = served(&test, &issuer, KeyPolicy::default()).await;
    assert_eq!(code(&api.client, &known.sign(&issuer.claims(USER))).await, "ok");
    let claims = issuer.claims(USER);
    let answers = (0..20).map(|n| {
        let header = serde_json::json!({ "alg": "ES256", "kid": format!("unknown {n}") });
        let (client, bearer) = (api.client.clone(), known.sign_as(&header, &claims));
        tokio::spawn(async move { code(&client, &bearer).await })
    });
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.unwrap(), "token_invalid");
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_simultaneous_requests_cause_one_fetch() {
    let known = Signer::make("known", Algorithm::ES256);
    let (test, issuer) = (TestDb::new().await, Issuer::start(&[&known]));
    let api = served(&test, &issuer, KeyPolicy::default()).await;
    let bearer = known.sign(&issuer.claims(USER));
    let answers = (0..20).map(|_| {
        let (client, bearer) = (api.client.clone(), bearer.clone());
        tokio::spawn(async move { code(&client, &bearer).await })
    });
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.unwrap(), "ok");
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_issuer_is_down_known_keys_work_and_unknown_keys_get_a_503() {
    let (known, later) = (Signer::make("known", Algorithm::ES256), Signer::make("later", Algorithm::ES256));
    let (test, issuer) = (TestDb::new().await, Issuer::start(&[&known]));
    let api = served(&test, &issuer, EAGER).await;
    let (by_known, by_later) = (known.sign(&issuer.claims(USER)), later.sign(&issuer.claims(USER)));
    assert_eq!(code(&api.client, &by_known).await, "ok");
    for behaviour in [Behaviour::Failing, Behaviour::Redirecting, Behaviour::Oversized] {
        issuer.set_behaviour(behaviour);
        wait_for(&api, &by_later, "keys_unavailable").await;
        assert_eq!(code(&api.client, &by_known).await, "ok", "{behaviour:?}");
    }
    issuer.publish(&[&later]);
    issuer.set_behaviour(Behaviour::Healthy);
    wait_for(&api, &by_later, "ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_expire_while_the_issuer_is_down() {
    let known = Signer::make("known", Algorithm::ES256);
    let (test, issuer) = (TestDb::new().await, Issuer::start(&[&known]));
    let api = served(&test, &issuer, KeyPolicy { keep_for: Duration::from_millis(300), ..EAGER }).await;
    let bearer = known.sign(&issuer.claims(USER));
    assert_eq!(code(&api.client, &bearer).await, "ok");
    issuer.set_behaviour(Behaviour::Failing);
    wait_for(&api, &bearer, "keys_unavailable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_never_fetched_are_a_503_with_retry_after() {
    let known = Signer::make("known", Algorithm::ES256);
    let (test, issuer) = (TestDb::new().await, Issuer::start(&[&known]));
    let bearer = known.sign(&issuer.claims(USER));
    for behaviour in [Behaviour::Failing, Behaviour::Redirecting, Behaviour::Oversized, Behaviour::Silent] {
        issuer.set_behaviour(behaviour);
        let api = served(&test, &issuer, KeyPolicy::default()).await;
        let began = Instant::now();
        let (status, wait, body) = ask(&api.client, &bearer, "/jobs").await;
        assert_eq!((status.as_u16(), body["code"].as_str()), (503, Some("keys_unavailable")), "{behaviour:?}: {body}");
        assert!(wait.is_some_and(|seconds| (1..=5).contains(&seconds)), "{wait:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "{behaviour:?} hung");
        // The second request is answered from the failed fetch, without another one.
        let (_, _, body) = ask(&api.client, &bearer, "/jobs").await;
        assert_eq!(body["code"], "keys_unavailable", "{behaviour:?}: {body}");
    }
}
