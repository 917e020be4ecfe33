//! What each role needs, and what must hold between settings.

use super::*;

#[test]
fn each_role_asks_only_for_what_it_needs() {
    let only_environment = Sources::of([("ENVIRONMENT", "production")]);
    let needed = |role| faults(role, &only_environment);
    assert_eq!(needed(Role::Migrate), ["DATABASE_URL"]);
    assert_eq!(needed(Role::Keys), ["DATABASE_URL"]);
    assert_eq!(needed(Role::Verify), ["DATABASE_URL", "STORAGE_URL"]);
    assert_eq!(needed(Role::Reembed), ["DATABASE_URL", "STORAGE_URL"]);
    assert_eq!(needed(Role::Worker), ["DATABASE_URL", "STORAGE_URL"]);
    assert_eq!(needed(Role::Api), ["DATABASE_URL", "STORAGE_URL", "STORAGE_SIGNING_SECRET"]);
    assert_eq!(faults(Role::Client, &Sources::default()), [""; 0]);
    let library = load(Role::Parse, &Sources::of([("PDFIUM_LIBRARY", "/x/libpdfium.so")])).parser.pdfium_library;
    assert_eq!(library.as_deref(), Some(Path::new("/x/libpdfium.so")), "`app parse` reads as a worker does");
    let dev = Sources::default().with_default_environment(Environment::Development);
    assert_eq!(faults(Role::Dev, &dev), [""; 0]);
    assert_eq!(faults(Role::Migrate, &Sources::of([("ENVIRONMENT", "staging"), ("DIRECT_URL", DATABASE.1)])), [""; 0]);
}

#[test]
fn a_role_does_not_stumble_over_anothers_variable() {
    let sources = with(&[("PORT", "web"), ("SUPABASE_URL", "nonsense"), ("EMBED_THREADS", "many")]);
    assert_eq!(faults(Role::Migrate, &sources), [""; 0]);
    assert_eq!(faults(Role::Worker, &sources), ["EMBED_THREADS"]);
    assert_eq!(faults(Role::Api, &sources), ["PORT", "SUPABASE_URL", "EMBED_THREADS"]);
}

#[test]
fn all_faults_come_in_one_list_with_an_example_each() {
    let sources = Sources::of([
        ("ENVIRONMENT", "prod"),
        ("DATABASE_URL", "postgres://app:p@ss@host/db"),
        ("PORT", "http"),
        ("UPLOAD_MAX_BYTES", "lots"),
        ("CORS_ORIGINS", "example.com"),
        ("LOG_LEVEL", "inof"),
        ("LOG_FORMAT", "xml"),
        ("STORAGE_URL", "gs://bucket"),
        ("STORAGE_SIGNING_SECRET", "short"),
        ("EMBED_THREADS", "-1"),
    ]);
    let Err(error) = Config::load(Role::Api, &sources) else { panic!("it was taken") };
    let mut names: Vec<&str> = error.0.iter().map(|fault| fault.name.as_str()).collect();
    names.sort_unstable();
    let mut given: Vec<&str> = sources.names().collect();
    given.sort_unstable();
    assert_eq!(names, given);
    let text = error.to_string();
    assert!(text.starts_with("the configuration has 10 faults:\n  - "), "{text}");
    assert!(text.contains("@ is %40"), "{text}");
    assert!(text.contains("Example: UPLOAD_MAX_BYTES=25 MiB"), "{text}");
    assert!(!text.contains("p@ss") && !text.contains("short`"), "{text}");
}

#[test]
fn a_missing_environment_is_judged_as_production() {
    let (config, faults) = Config::load_lenient(Role::Check, &without("ENVIRONMENT"));
    assert!(config.environment_is_assumed);
    assert_eq!(config.environment, Environment::Production);
    let names: Vec<&str> = faults.iter().map(|fault| fault.name.as_str()).collect();
    assert_eq!(names, ["ENVIRONMENT"]);
    assert!(!load(Role::Check, &with(&[])).environment_is_assumed);
}

#[test]
fn a_lenient_load_keeps_what_can_be_used() {
    let (config, faults) = Config::load_lenient(Role::Check, &with(&[("WORKER_LEASE", "soon"), ("DIRECT_URL", "x")]));
    assert_eq!(faults.len(), 2);
    assert_eq!(config.worker.lease.as_secs(), 30);
    assert!(config.database.direct_url.is_none());
    assert_eq!(config.database.session_url().unwrap().host(), "db.example.com");
}

#[test]
fn the_heartbeat_leaves_room_for_a_lost_one() {
    for (lease, heartbeat, found) in [("30", "15", true), ("30", "14.9", false), ("20", "10", true), ("30", "40", true)]
    {
        let sources = with(&[("WORKER_LEASE", lease), ("WORKER_HEARTBEAT", heartbeat)]);
        let expected: &[&str] = if found { &["WORKER_HEARTBEAT"] } else { &[] };
        assert_eq!(faults(Role::Worker, &sources), expected);
        assert_eq!(faults(Role::Api, &sources), [""; 0], "the API has no heartbeat");
    }
}

#[test]
fn grace_ends_before_the_platform_kills() {
    assert_eq!(faults(Role::Worker, &with(&[("WORKER_GRACE", "30")])), ["WORKER_GRACE"]);
    assert_eq!(faults(Role::Worker, &with(&[("WORKER_GRACE", "100"), ("SHUTDOWN_DELAY", "120")])), [""; 0]);
    assert_eq!(faults(Role::Api, &with(&[("API_GRACE", "31")])), ["API_GRACE"]);
    let retries = [("WORKER_RETRY_BASE_DELAY", "10"), ("WORKER_RETRY_MAX_DELAY", "5")];
    assert_eq!(faults(Role::Worker, &with(&retries)), ["WORKER_RETRY_MAX_DELAY"]);
}

#[test]
fn a_folder_is_no_store_outside_development() {
    assert_eq!(faults(Role::Worker, &with(&[("STORAGE_URL", "file:///srv")])), ["STORAGE_URL"]);
    assert_eq!(
        faults(Role::Worker, &with(&[("STORAGE_URL", "file:///srv"), ("STORAGE_ALLOW_LOCAL", "true")])),
        [""; 0]
    );
    let development = [("ENVIRONMENT", "development"), DATABASE, ("STORAGE_URL", "file:///srv")];
    assert_eq!(faults(Role::Api, &Sources::of(development)), [""; 0]);
}

#[test]
fn a_bucket_needs_both_keys() {
    assert_eq!(faults(Role::Worker, &without("AWS_ACCESS_KEY_ID")), ["AWS_ACCESS_KEY_ID"]);
    assert_eq!(faults(Role::Worker, &without("AWS_SECRET_ACCESS_KEY")), ["AWS_SECRET_ACCESS_KEY"]);
}

#[test]
fn development_derives_a_signing_secret_that_all_processes_share() {
    let sources = Sources::of([("ENVIRONMENT", "development"), DATABASE]);
    let (one, two) = (load(Role::Api, &sources), load(Role::Api, &sources));
    assert_eq!(one.storage.signing_secret().unwrap(), two.storage.signing_secret().unwrap());
    assert_eq!(faults(Role::Api, &without("STORAGE_SIGNING_SECRET")), ["STORAGE_SIGNING_SECRET"]);
    assert_eq!(faults(Role::Api, &with(&[("STORAGE_SIGNING_SECRET", "short")])), ["STORAGE_SIGNING_SECRET"]);
}

#[test]
fn documents_do_not_travel_in_the_clear_outside_development() {
    let at = |environment, endpoint: &'static str| with(&[("ENVIRONMENT", environment), ("STORAGE_URL", endpoint)]);
    let to_another = "s3://documents?endpoint=http://minio:9000";
    assert_eq!(faults(Role::Worker, &at("production", to_another)), ["STORAGE_URL"]);
    assert_eq!(faults(Role::Api, &at("staging", to_another)), ["STORAGE_URL"]);
    assert_eq!(faults(Role::Worker, &with(&[("AWS_ENDPOINT_URL", "http://minio:9000")])), ["AWS_ENDPOINT_URL"]);
    assert_eq!(faults(Role::Worker, &at("development", to_another)), [""; 0]);
    assert_eq!(faults(Role::Worker, &at("staging", "s3://documents?endpoint=http://127.0.0.1:9000")), [""; 0]);
    let here = at("production", "s3://documents?endpoint=https://localhost");
    assert_eq!(faults(Role::Worker, &here), ["STORAGE_URL"]);
}

#[test]
fn the_user_of_a_shared_key_is_read_with_the_clients_settings() {
    let client = |id: &'static str| Config::load(Role::Client, &Sources::of([("APP_USER_ID", id)]));
    let id = "6b0f9d5e-3f1c-4d6a-9a55-0d3f6c1f2b11";
    assert_eq!(client(id).unwrap().client.user_id.unwrap().to_string(), id);
    assert!(client("ada").unwrap_err().to_string().contains("APP_USER_ID"));
}

#[test]
fn a_parser_that_is_chosen_needs_its_key_and_one_that_calls_back_a_secret() {
    const KEY: (&str, &str) = ("LLAMAPARSE_API_KEY", "llx-planted");
    const HOOK: (&str, &str) = ("WEBHOOK_BASE_URL", "https://api.example.com");
    const SECRET: (&str, &str) = ("WEBHOOK_SECRET", "0123456789abcdef0123456789abcdef");
    let worker = |more: &[(&'static str, &'static str)]| faults(Role::Worker, &with(more));
    assert_eq!(worker(&[("PARSER", "llamaparse")]), ["LLAMAPARSE_API_KEY"]);
    assert_eq!(worker(&[("PARSER", "llamaparse"), KEY]), [""; 0]);
    assert_eq!(worker(&[("PARSER", "local"), KEY]), [""; 0]);
    assert_eq!(worker(&[("PARSER", "best")]), ["PARSER"]);
    assert_eq!(worker(&[("LLAMAPARSE_TIER", "fast")]), ["LLAMAPARSE_TIER"]);
    assert_eq!(worker(&[KEY, HOOK]), ["WEBHOOK_SECRET"]);
    assert_eq!(worker(&[KEY, HOOK, ("WEBHOOK_SECRET", "short")]), ["WEBHOOK_SECRET"]);
    assert_eq!(worker(&[KEY, HOOK, SECRET]), [""; 0]);
    // Without a key, LlamaParse has no document and calls no webhook; the API checks each call, or takes none.
    assert_eq!(worker(&[HOOK]), [""; 0]);
    assert_eq!(faults(Role::Api, &with(&[])), [""; 0]);
    let laptop = Sources::of([("ENVIRONMENT", "development"), DATABASE]);
    let (api, worker) = (load(Role::Api, &laptop), load(Role::Worker, &laptop));
    assert!(api.parser.webhook_secret.is_some());
    assert_eq!(api.parser.webhook_secret, worker.parser.webhook_secret);
}

#[test]
fn an_embedding_service_needs_what_it_cannot_do_without() {
    const RENTED: (&str, &str) = ("EMBED_PROVIDER", "openai");
    const KEY: (&str, &str) = ("OPENAI_API_KEY", "sk-planted");
    const MODEL: (&str, &str) = ("EMBED_MODEL", "text-embedding-3-small");
    let worker = |more: &[(&'static str, &'static str)]| faults(Role::Worker, &with(more));
    assert_eq!(worker(&[RENTED, KEY, MODEL]), [""; 0]);
    assert_eq!(worker(&[RENTED, MODEL]), ["OPENAI_API_KEY"]);
    assert_eq!(worker(&[RENTED, KEY]), ["EMBED_MODEL"]);
    assert_eq!(worker(&[KEY]), [""; 0], "a key that is not used is no fault");
    let own = ("OPENAI_API_URL", "http://ollama:11434/v1");
    assert_eq!(worker(&[RENTED, own]), [""; 0], "a service of one's own may want no key");
    assert_eq!(worker(&[RENTED, own, KEY]), ["OPENAI_API_URL"], "a key does not travel in the clear");
    assert_eq!(worker(&[RENTED, MODEL, ("OPENAI_API_URL", "https://127.0.0.1/v1")]), ["OPENAI_API_URL"]);
    let staging = [("ENVIRONMENT", "staging"), RENTED, KEY, ("OPENAI_API_URL", "http://127.0.0.1:1")];
    assert_eq!(worker(&staging), [""; 0]);
    assert_eq!(worker(&[RENTED, KEY, MODEL, ("EMBED_DIMENSIONS", "0")]), ["EMBED_DIMENSIONS"]);
}

#[test]
fn production_takes_no_stand_in_on_this_machine() {
    assert_eq!(faults(Role::Api, &with(&[("SUPABASE_URL", "http://localhost:54321")])), ["SUPABASE_URL"]);
    assert_eq!(faults(Role::Api, &with(&[("SUPABASE_URL", "http://auth.example.com")])), ["SUPABASE_URL"]);
    assert_eq!(faults(Role::Worker, &with(&[("LLAMAPARSE_API_URL", "http://127.0.0.1:1")])), ["LLAMAPARSE_API_URL"]);
    assert_eq!(faults(Role::Worker, &with(&[("LLAMAPARSE_API_URL", "http://fake.internal")])), ["LLAMAPARSE_API_URL"]);
    assert_eq!(faults(Role::Worker, &with(&[("WEBHOOK_BASE_URL", "https://localhost")])), ["WEBHOOK_BASE_URL"]);
    assert_eq!(faults(Role::Worker, &with(&[("AWS_ENDPOINT_URL", "http://[::1]:9000")])), ["AWS_ENDPOINT_URL"]);
    let staging = with(&[("ENVIRONMENT", "staging"), ("SUPABASE_URL", "http://localhost:54321")]);
    assert_eq!(faults(Role::Api, &staging), [""; 0]);
}

#[test]
fn tokens_and_addresses_in_the_wrong_place_are_explained() {
    for (name, value, hint) in [
        ("SUPABASE_JWT_SECRET", "eyJhbGciOi.eyJpc3MiOi.c2lnbmF0dXJl", "itself a token"),
        ("SUPABASE_JWT_SECRET", "short", "can be guessed"),
        ("SUPABASE_JWT_SECRET", "0123456789abcdef0123456789abcdef ", "white space"),
        ("SUPABASE_URL", "https://abcdefgh.supabase.co/rest/v1/", "one service"),
        ("DATABASE_URL", "https://abcdefgh.supabase.co", "web address"),
        ("DATABASE_URL", "postgres://a@h/x?sslmode=on", "verify-full"),
        ("DATABASE_CA_FILE", "/nonexistent/ca.pem", "cannot be read"),
    ] {
        let Err(error) = Config::load(Role::Api, &with(&[(name, value)])) else { panic!("{name}={value} was taken") };
        assert_eq!(error.0.len(), 1, "{error}");
        assert!(error.0[0].name == name && error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn issuer_and_keys_follow_from_the_project() {
    let auth = load(Role::Api, &with(&[("SUPABASE_URL", "https://abcdefgh.supabase.co/")])).auth;
    assert_eq!(auth.issuer().as_deref(), Some("https://abcdefgh.supabase.co/auth/v1"));
    assert_eq!(auth.jwks_url().as_deref(), Some("https://abcdefgh.supabase.co/auth/v1/.well-known/jwks.json"));
}

#[test]
fn urls_of_two_projects_are_a_fault() {
    let pooled =
        ("DATABASE_URL", "postgres://postgres.stagingref:pw@aws-0-eu-west-2.pooler.supabase.com:6543/postgres");
    let direct = ("DIRECT_URL", "postgres://postgres:pw@db.productref.supabase.co:5432/postgres");
    assert_eq!(faults(Role::Worker, &with(&[pooled, direct])), ["DIRECT_URL"]);
    let transaction = ("DIRECT_URL", pooled.1);
    assert_eq!(faults(Role::Worker, &with(&[pooled, transaction])), ["DIRECT_URL"]);
}

#[test]
fn doubts_are_warnings() {
    let warned = |more: &[(&'static str, &'static str)]| {
        let config = load(Role::Api, &with(more));
        config.warnings.into_iter().map(|warning| warning.name).collect::<Vec<_>>()
    };
    assert_eq!(warned(&[]), [""; 0]);
    assert_eq!(warned(&[("WORKER_CONCURENCY", "4")]), ["WORKER_CONCURENCY"]);
    assert_eq!(warned(&[("DATABASE_URL", "postgres://a:b@h/x?sslmode=require&pgbouncer=true")]), ["DATABASE_URL"; 2]);
    assert_eq!(warned(&[("CORS_ORIGINS", "*")]), ["CORS_ORIGINS"]);
    let other = "postgres://postgres:pw@db.otherproj.supabase.co/postgres";
    assert_eq!(warned(&[("DATABASE_URL", other)]), ["SUPABASE_URL"]);
    let no_tokens = load(Role::Api, &without("SUPABASE_URL"));
    assert_eq!(no_tokens.warnings.len(), 1);
}
