//! TLS and login with a real PostgreSQL and a private certificate authority. The server's certificate is for `localhost`, so
//! connecting to `127.0.0.1` is a name mismatch.

use pg::{connect_error::classify, tls::make_tls, url::DatabaseUrl};

pub mod server;

use server::{PASSWORD, Server};

/// Connects; returns whether `pg_stat_ssl` reports TLS, or the problem's code.
async fn connect(text: &str) -> Result<bool, &'static str> {
    let url = DatabaseUrl::parse(text).expect("a URL that can be read");
    let tls = make_tls(url.tls_mode(), url.ca_file()).expect("authorities that can be loaded");
    let (client, connection) = match url.to_config().connect(tls).await {
        Ok(both) => both,
        Err(error) => {
            let problem = classify(&error, &url);
            assert!(!format!("{problem} {problem:?} {error:?}").contains(PASSWORD), "{problem}");
            return Err(problem.code.as_str());
        }
    };
    let driver = tokio::spawn(connection);
    let row = client
        .query_typed("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[])
        .await
        .expect("a query over the new connection");
    drop(client);
    driver.await.expect("the connection's task").expect("an orderly end");
    Ok(row[0].get(0))
}

#[tokio::test]
async fn each_tls_mode_accepts_and_refuses_the_right_servers() {
    let server = Server::start();
    let (ca, other_ca) = (server.file("ca.pem"), server.file("other-ca.pem"));
    let base = |host: &str| format!("postgres://app:{PASSWORD}@{host}:{}/app", server.port);
    for (host, parameters, expected) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ca}"), Ok(true)),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ca}"), Err("tls_name_mismatch")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other_ca}"), Err("tls_untrusted")),
        ("localhost", "sslmode=verify-full".to_owned(), Err("tls_untrusted")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}"), Ok(true)),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other_ca}"), Err("tls_untrusted")),
        ("127.0.0.1", "sslmode=require".to_owned(), Ok(true)),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={other_ca}"), Err("tls_untrusted")),
        ("127.0.0.1", "sslmode=require&channel_binding=require".to_owned(), Ok(true)),
        ("127.0.0.1", "sslmode=disable".to_owned(), Err("tls_required")),
        // The default for this host is no TLS, which this server refuses.
        ("localhost", String::new(), Err("tls_required")),
        // Parameters for other programs are ignored.
        ("localhost", format!("pgbouncer=true&connection_limit=1&sslmode=verify-full&sslrootcert={ca}"), Ok(true)),
    ] {
        assert_eq!(connect(&format!("{}?{parameters}", base(host))).await, expected, "{host} {parameters}");
    }
}

#[tokio::test]
async fn each_refused_login_has_its_own_code() {
    let server = Server::start();
    let at = |user: &str, password: &str, database: &str| {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}?sslmode=require", server.port)
    };
    assert_eq!(connect(&at("app", "wrong-password", "app")).await, Err("auth_failed"));
    assert_eq!(connect(&at("nobody", PASSWORD, "app")).await, Err("auth_failed"));
    assert_eq!(connect(&at("app", PASSWORD, "missing")).await, Err("database_missing"));
    // The server's rules admit the role `app` only to the databases `app` and `missing`.
    assert_eq!(connect(&at("app", PASSWORD, "postgres")).await, Err("access_refused"));
    // The role may hold one connection.
    let url = DatabaseUrl::parse(&at("single", PASSWORD, "app")).unwrap();
    let tls = make_tls(url.tls_mode(), None).unwrap();
    let (_client, connection) = url.to_config().connect(tls).await.expect("the first connection");
    let driver = tokio::spawn(connection);
    assert_eq!(connect(&at("single", PASSWORD, "app")).await, Err("too_many_connections"));
    driver.abort();
    let without_password = format!("postgres://app@127.0.0.1:{}/app?sslmode=require", server.port);
    assert_eq!(connect(&without_password).await, Err("auth_failed"));
}
