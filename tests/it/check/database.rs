//! A server that can be reached, and is not as it should be.

use super::{Environment, check};
use crate::support::{
    cluster::{self, cluster},
    db::TestDb,
    fleet::Fleet,
    pgbouncer::PgBouncer,
    scratch::Scratch,
};
use embedded_postgres::{Cluster, ClusterOptions, find_binaries};

/// Functions of this schema are found before the server's own by every later connection to the database.
async fn shadow(db: &TestDb, function: &str) {
    let name = db.value("SELECT current_database()").await;
    db.run(&format!(
        "CREATE SCHEMA shadow; {function}; ALTER DATABASE {name} SET search_path = shadow, pg_catalog, public"
    ))
    .await;
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_named() {
    let environment = Environment::new().await;
    let name = environment.db.value("SELECT current_database()").await;
    environment.db.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    check(&environment.fleet, &["--only", "db.writable"]).requires("db.writable/read_only");
}

#[tokio::test]
async fn clocks_that_disagree_are_named() {
    let environment = Environment::new().await;
    shadow(
        &environment.db,
        "CREATE FUNCTION shadow.clock_timestamp() RETURNS timestamptz LANGUAGE sql \
         AS 'SELECT pg_catalog.clock_timestamp() - interval ''90 seconds'''",
    )
    .await;
    let checked = check(&environment.fleet, &["--only", "db.clock", "--strict"]);
    let observed = checked.requires("db.clock/skew")["observed"].as_str().unwrap();
    assert!(observed.contains("90.0 s behind"), "{observed}");
}

#[tokio::test]
async fn a_transaction_that_has_been_open_for_hours_is_named_with_its_end() {
    let environment = Environment::new().await;
    environment.db.run("BEGIN; SELECT txid_current()").await;
    let other = cluster::connect(&environment.db.url).await.unwrap();
    let name = environment.db.value("SELECT current_database()").await;
    // The transaction is real; hours pass by setting the clock that its age is reckoned by.
    other
        .batch_execute(&format!(
            "CREATE SCHEMA shadow; CREATE FUNCTION shadow.clock_timestamp() RETURNS timestamptz LANGUAGE sql \
             AS 'SELECT pg_catalog.clock_timestamp() + interval ''3 hours'''; \
             ALTER DATABASE {name} SET search_path = shadow, pg_catalog, public"
        ))
        .await
        .unwrap();
    let checked = check(&environment.fleet, &["--only", "db.horizon", "--strict"]);
    let finding = checked.requires("db.horizon/old_transaction");
    assert!(finding["observed"].as_str().unwrap().contains("180 minutes"), "{finding}");
    assert!(finding["fix"].as_str().unwrap().contains("pg_terminate_backend("), "{finding}");
    environment.db.run("ROLLBACK").await;
}

#[tokio::test]
async fn a_role_that_row_security_would_blind_is_named() {
    let environment = Environment::new().await;
    let role = environment.db.value("SELECT current_database()").await;
    environment
        .db
        .run(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA upload_pipeline TO {role}; \
             GRANT ALL ON ALL TABLES IN SCHEMA upload_pipeline TO {role}"
        ))
        .await;
    let (_, place) = environment.db.url.split_once('@').unwrap();
    let url = format!("postgres://{role}:pw@{place}");
    let checked = check(&Fleet::new(&url, &url), &["--only", "db.role"]);
    checked.requires("db.role/row_security_applies");
    environment.db.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn each_way_to_mix_up_the_two_urls_is_told_apart() {
    let db = TestDb::new().await;
    let name = db.value("SELECT current_database()").await;
    let pooler = PgBouncer::start(cluster().await, &name);
    let run_check = |url: &str, direct: &str| check(&Fleet::new(url, direct), &["--only", "db.mode", "--strict"]);
    run_check(&db.url, pooler.url()).requires("db.mode/swapped");
    run_check(pooler.url(), &format!("{}?application_name=other", pooler.url())).requires("db.mode/direct_is_pooled");
    run_check(pooler.url(), "").requires("db.mode/no_session");
    let healthy = run_check(pooler.url(), &db.url);
    assert!(healthy.status.success(), "{:#}", healthy.report);
}

#[tokio::test]
async fn a_port_that_contradicts_the_poolers_mode_is_named() {
    let db = TestDb::new().await;
    let name = db.value("SELECT current_database()").await;
    let pooler = PgBouncer::start_on_tcp(cluster().await, &name, "127.0.0.77", 5432);
    let (credentials, _) = db.url.split_once('@').unwrap();
    let (_, password) = credentials.rsplit_once(':').unwrap();
    let host = "aws-0-eu-west-2.pooler.supabase.com";
    // The name is Supabase's, the address this machine's: a transaction pooler on the port that stands for sessions.
    let url = format!(
        "postgres://{}:{password}@{host}:5432/{name}?hostaddr=127.0.0.77&sslmode=disable",
        embedded_postgres::USER
    );
    let checked = check(&Fleet::new(&url, &db.url), &["--only", "db.mode", "--strict"]);
    checked.requires("db.mode/port_contradicts");
    drop(pooler);
}

#[tokio::test]
async fn pools_that_ask_for_more_connections_than_there_are_are_named_with_the_sum() {
    let mut environment = Environment::new().await;
    environment.fleet.set("DATABASE_POOL_SIZE", "20");
    environment.fleet.set("API_INSTANCES", "2");
    environment.fleet.set("WORKER_INSTANCES", "3");
    environment.fleet.set("DATABASE_CONNECTION_LIMIT", "60");
    let run_check = |environment: &Environment| check(&environment.fleet, &["--only", "db.budget", "--strict"]);
    let checked = run_check(&environment);
    let observed = checked.requires("db.budget/over_limit")["observed"].as_str().unwrap();
    assert!(observed.contains("2 api + 3 worker") && observed.contains("100, of 60"), "{observed}");
    environment.fleet.set("DATABASE_CONNECTION_LIMIT", "110");
    run_check(&environment).requires("db.budget/tight");
    environment.fleet.set("DATABASE_CONNECTION_LIMIT", "200");
    assert!(run_check(&environment).status.success());
}

#[tokio::test]
async fn settings_of_the_database_that_break_statements_are_named() {
    for (setting, cause, named) in [
        ("search_path = pg_catalog", "db.settings/vector_hidden", "pgvector is in public"),
        ("statement_timeout = '8s'", "db.settings/statement_timeout", "8000 ms"),
    ] {
        let environment = Environment::new().await;
        let name = environment.db.value("SELECT current_database()").await;
        environment.db.run(&format!("ALTER DATABASE {name} SET {setting}")).await;
        let checked = environment.check_strictly();
        let finding = checked.requires(cause);
        assert!(finding["observed"].as_str().unwrap().contains(named), "{finding}");
    }
}

#[tokio::test]
async fn a_replication_slot_without_a_consumer_is_named() {
    // Slots belong to a whole server, so the test has one of its own.
    let folder = Scratch::new("slots");
    let env = cluster::environment();
    let mut options = ClusterOptions::throwaway(folder.path().to_owned());
    options.run_as = env.get("APP_DEV_PG_USER").cloned();
    let server = Cluster::start_or_adopt(find_binaries(&env).unwrap(), options).await.unwrap();
    let url = server.url("postgres");
    let run_check = || check(&Fleet::new(&url, &url), &["--only", "db.slots", "--strict"]);
    assert!(run_check().status.success());
    let client = cluster::connect(&url).await.unwrap();
    client.batch_execute("SELECT pg_create_physical_replication_slot('forgotten', true)").await.unwrap();
    let checked = run_check();
    let finding = checked.requires("db.slots/idle_slot");
    assert!(finding["observed"].as_str().unwrap().starts_with("forgotten ("), "{finding}");
    assert!(finding["fix"].as_str().unwrap().contains("pg_drop_replication_slot('forgotten')"), "{finding}");
    server.stop().await.unwrap();
}
