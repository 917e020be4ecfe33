//! The model, the services whose keys are set, and the address that one of them would call.

use std::sync::Arc;

use serde_json::json;

use crate::{
    check::{Environment, check},
    support::{
        certificates::ServerCertificate,
        fakes::{
            embeddings::{Behaviour, Embeddings, Fault},
            http::{Reply, Server},
            services::{KEY_OF_RERANKER, llamaparse, reranker},
        },
        fleet::Fleet,
    },
};

#[tokio::test]
async fn a_model_that_is_not_there_or_not_usable_is_named() {
    let mut environment = Environment::new().await;
    let folder = environment.fleet.folder("models");
    environment.fleet.set("EMBED_MODEL_DIR", folder.to_str().unwrap());
    environment.check().requires("ext.embed/model_missing");
    let model = environment.fleet.folder("models/all-MiniLM-L6-v2");
    std::fs::write(model.join("config.json"), br#"{"model_type": "gpt2"}"#).unwrap();
    environment.check().requires("ext.embed/model_unusable");
}

#[tokio::test]
async fn a_library_for_pdfs_that_is_not_there_is_named() {
    let mut environment = Environment::new().await;
    environment.fleet.set("PDFIUM_LIBRARY", "/nonexistent/libpdfium.so");
    assert!(environment.check().causes().contains(&"ext.pdf/library_missing"));
}

#[tokio::test]
async fn a_parsing_service_that_refuses_the_key_or_is_away_is_named() {
    let service = llamaparse("llx-right");
    let at = service.url();
    let with =
        |key: &str, url: &str| strictly("ext.parse", &[("LLAMAPARSE_API_KEY", key), ("LLAMAPARSE_API_URL", url)]);
    assert_eq!(with("llx-right", &at).causes(), [""; 0]);
    let refused = with("llx-another", &at);
    assert!(!refused.requires("ext.parse/key_refused").to_string().contains("llx-another"));
    with("llx-right", "http://127.0.0.1:1").requires("ext.parse/unreachable");
    let settings = [("LLAMAPARSE_API_KEY", "llx-another"), ("LLAMAPARSE_API_URL", &at), ("PARSER", "local")];
    assert_eq!(strictly("ext.parse", &settings).causes(), [""; 0], "a service that is not used need not answer");
}

type Change = fn(&mut Behaviour);

#[tokio::test(flavor = "multi_thread")]
async fn an_embedding_service_is_asked_for_one_word_and_each_fault_is_named() {
    let changes: [(&str, Change); 7] = [
        ("", |_| {}),
        ("key_refused", |behaviour| behaviour.key = Some("sk-another".to_owned())),
        ("quota", |behaviour| behaviour.always = Some(Fault::NoQuota)),
        ("busy", |behaviour| behaviour.always = Some(Fault::Busy(60))),
        ("model_unknown", |behaviour| behaviour.model = "another".to_owned()),
        ("unreachable", |behaviour| behaviour.always = Some(Fault::Error)),
        ("answer_invalid", |behaviour| behaviour.always = Some(Fault::NotANumber)),
    ];
    let settings = |url: &str| {
        [
            ("EMBED_PROVIDER", "openai".to_owned()),
            ("EMBED_MODEL", "heron".to_owned()),
            ("OPENAI_API_KEY", "sk-planted".to_owned()),
            ("OPENAI_API_URL", url.to_owned()),
        ]
    };
    let with = |url: &str, more: &[(&'static str, String)]| {
        let settings: Vec<_> = settings(url).into_iter().chain(more.iter().cloned()).collect();
        strictly("ext.embeddings", &settings.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
    };
    for (cause, change) in changes {
        let service = Embeddings::start("heron", 16);
        service.set(change);
        let checked = with(&service.url(), &[]);
        let wanted: Vec<String> = (!cause.is_empty()).then(|| format!("ext.embeddings/{cause}")).into_iter().collect();
        assert_eq!(checked.causes(), wanted, "{:#}", checked.report);
        assert!(!checked.report.to_string().contains("sk-planted"));
        assert_eq!(service.units(), [""; 0]);
    }
    let service = Embeddings::start("heron", 16);
    with(&format!("{}/elsewhere", service.url()), &[]).requires("ext.embeddings/address_wrong");
    with("http://127.0.0.1:1", &[]).requires("ext.embeddings/unreachable");
    with(&service.url(), &[("EMBED_DIMENSIONS", "8".to_owned())]).requires("ext.embeddings/dimension_unlike_database");
    assert_eq!(strictly("ext.embeddings", &[]).causes(), [""; 0], "a service that is not used need not answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_service_whose_key_is_not_set_is_named() {
    let environment = Environment::new().await;
    let row = "INSERT INTO upload_pipeline.active_model (model, version, vector_dim, provider)
        VALUES ('text-embedding-3-small', '1', 1536, 'openai')";
    environment.db.run(row).await;
    check(&environment.fleet, &["--only", "ext.embeddings"]).requires("ext.embeddings/not_set");
}

#[tokio::test]
async fn a_reranker_that_refuses_the_key_is_away_or_speaks_otherwise_is_named() {
    let service = reranker();
    let at = format!("{}/rerank", service.url());
    let with = |key: &str, url: &str| {
        strictly("ext.rerank", &[("RERANK_API_KEY", key), ("RERANK_URL", url), ("RERANK_MODEL", "judge-1")])
    };
    assert_eq!(with(KEY_OF_RERANKER, &at).causes(), [""; 0]);
    assert!(!with("rr-wrong", &at).requires("ext.rerank/key_refused").to_string().contains("rr-wrong"));
    with(KEY_OF_RERANKER, "http://127.0.0.1:1/rerank").requires("ext.rerank/failed");
    let page = Server::start(|_request| Reply::text(200, "<html>"));
    with(KEY_OF_RERANKER, &page.url()).requires("ext.rerank/failed");
    with("line\nfeed", &at).requires("ext.rerank/settings_unusable");
    assert_eq!(strictly("ext.rerank", &[]).causes(), [""; 0], "it is off by default");
}

/// One check alone.
fn strictly(id: &str, settings: &[(&str, &str)]) -> crate::check::Checked {
    let mut fleet = Fleet::new("postgres://app:x@127.0.0.1:1/app", "");
    for (name, value) in settings {
        fleet.set(name, value);
    }
    check(&fleet, &["--only", id, "--strict"])
}

#[tokio::test]
async fn a_webhook_address_that_could_not_be_called_is_named() {
    for (url, cause) in [
        ("http://api.example.com".to_owned(), "hook.url/not_https"),
        ("https://203.0.113.7".to_owned(), "hook.url/ip_address"),
        (format!("https://api.example.com/{}", "x".repeat(120)), "hook.url/too_long"),
        ("https://localhost:1".to_owned(), "hook.url/unreachable"),
    ] {
        strictly("hook.url", &[("WEBHOOK_BASE_URL", &url)]).requires(cause);
    }
}

#[tokio::test]
async fn a_webhook_address_of_another_deployment_is_named() {
    let certificates = ServerCertificate::make();
    let version = |commit: &str, environment: &str| json!({ "version": "0.1.0", "commit": commit, "branch": "main", "environment": environment });
    let ours = "a".repeat(40);
    let (known, forbidden) = ("job_not_found", "webhook_forbidden");
    for (body, answer, cause) in [
        (version(&ours, "development"), known, None),
        (version(&"b".repeat(40), "development"), known, Some("hook.url/other_deployment")),
        (version(&ours, "production"), known, Some("hook.url/other_deployment")),
        (json!({ "message": "hello" }), known, Some("hook.url/unreachable")),
        // The API has another secret; a proxy before it blocks POST.
        (version(&ours, "development"), forbidden, Some("hook.url/secret_differs")),
        (version(&ours, "development"), "blocked", Some("hook.url/unreachable")),
    ] {
        let server = Server::start_with(Some(Arc::clone(&certificates.server)), move |request| match &*request.path {
            "/version" => Reply::json(200, &body),
            path if path.starts_with("/api/upload-pipeline/webhook/llamaparse/") => {
                assert!(
                    request.method == "POST"
                        && path.split('/').count() == 7
                        && !request.header("x-webhook-secret").is_empty()
                );
                Reply::json(404, &json!({ "code": answer }))
            }
            _ => Reply::empty(404),
        });
        let settings = [
            ("WEBHOOK_BASE_URL", server.url()),
            ("SSL_CERT_FILE", certificates.ca_file()),
            ("RENDER_GIT_COMMIT", ours.clone()),
        ];
        let checked = strictly("hook.url", &settings.each_ref().map(|(name, value)| (*name, value.as_str())));
        match cause {
            Some(cause) => _ = checked.requires(cause),
            None => assert_eq!(checked.causes(), [""; 0], "{:#}", checked.report),
        }
    }
}
