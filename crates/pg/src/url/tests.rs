use std::{path::Path, time::Duration};

use tokio_postgres::config::Host;

use super::*;
use crate::probe::SessionMode;

fn url(text: &str) -> DatabaseUrl {
    DatabaseUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_part_of_a_url_is_parsed() {
    let url = url("postgres://app:s%40cret@db.example.com:6000/main?application_name=x&connect_timeout=7");
    let config = url.to_config();
    assert_eq!(config.get_user(), Some("app"));
    assert_eq!(config.get_password(), Some(b"s@cret".as_slice()));
    assert_eq!(config.get_hosts(), [Host::Tcp("db.example.com".to_owned())]);
    assert_eq!(config.get_ports(), [6000]);
    assert_eq!(config.get_dbname(), Some("main"));
    assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(7)));
    assert_eq!(config.get_ssl_mode(), SslMode::Require);
    assert_eq!((url.host().as_str(), url.port()), ("db.example.com", 6000));
}

#[test]
fn sockets_are_accepted_in_every_form() {
    for text in [
        "postgresql://app:PW@%2Frun%2Fpg:5433/main",
        "postgres://app:PW@/main?host=/run/pg&port=5433",
        "postgres://app:PW@:5433/main?host=%2Frun%2Fpg",
        "postgres:///main?host=/run/pg&port=5433&user=app&password=PW",
    ] {
        let Ok(url) = DatabaseUrl::parse(text) else { panic!("{text} was refused") };
        let config = url.to_config();
        assert_eq!(config.get_hosts(), [Host::Unix("/run/pg".into())], "{text}");
        assert_eq!((config.get_ports(), config.get_user()), ([5433].as_slice(), Some("app")), "{text}");
        assert_eq!(url.tls_mode(), TlsMode::Disable);
        assert_eq!(url.to_string(), "postgres://app:***@%2Frun%2Fpg:5433/main");
    }
}

#[test]
fn several_hosts_keep_their_ports() {
    let url = url("postgres://app@one:5001,two,[2001:db8::1]:5003/main?port=5002&target_session_attrs=read-write");
    assert_eq!(url.to_config().get_ports(), [5001, 5002, 5003]);
    assert_eq!(url.to_string(), "postgres://app@one:5001,two:5002,[2001:db8::1]:5003/main");
}

#[test]
fn parameters_of_other_programs_are_ignored_and_listed() {
    let url = url(
        "postgres://app@db.example.com/main?pgbouncer=true&connection_limit=1&channel_binding=require&schema=public",
    );
    assert_eq!(url.ignored_parameters(), ["pgbouncer", "connection_limit", "schema"]);
    assert_eq!(url.to_config().get_channel_binding(), tokio_postgres::config::ChannelBinding::Require);
}

#[test]
fn tls_is_full_by_default_and_off_only_on_this_machine() {
    for (text, mode) in [
        ("postgres://a@db.example.com/x", TlsMode::VerifyFull),
        ("postgres://a@10.0.0.1/x", TlsMode::VerifyFull),
        ("postgres://a@localhost/x", TlsMode::Disable),
        ("postgres://a@127.0.0.2/x", TlsMode::Disable),
        ("postgres://a@[::1]/x", TlsMode::Disable),
        ("postgres://a@localhost,db.example.com/x", TlsMode::VerifyFull),
        ("postgres://a@localhost/x?hostaddr=192.0.2.1", TlsMode::VerifyFull),
        ("postgres://a@localhost/x?sslmode=verify-full", TlsMode::VerifyFull),
        ("postgres://a@localhost/x?sslmode=prefer", TlsMode::Disable),
        ("postgres://a@db.example.com/x?sslmode=prefer", TlsMode::Require),
        ("postgres://a@db.example.com/x?sslmode=allow", TlsMode::Require),
        ("postgres://a@db.example.com/x?sslmode=require", TlsMode::Require),
        ("postgres://a@db.example.com/x?sslmode=require&sslrootcert=/ca.pem", TlsMode::VerifyCa),
        ("postgres://a@db.example.com/x?sslmode=verify-ca", TlsMode::VerifyCa),
        ("postgres://a@db.example.com/x?sslmode=disable", TlsMode::Disable),
        ("postgres://a@db.example.com/x?sslrootcert=system", TlsMode::VerifyFull),
        ("postgres://a@%2Frun/x?sslmode=verify-full", TlsMode::Disable),
    ] {
        assert_eq!(url(text).tls_mode(), mode, "{text}");
    }
}

#[test]
fn the_urls_ca_file_has_priority() {
    let plain = url("postgres://a@db.example.com/x").with_ca_file("/env.pem".into());
    assert_eq!(plain.ca_file(), Some(Path::new("/env.pem")));
    let own = url("postgres://a@db.example.com/x?sslrootcert=/own.pem").with_ca_file("/env.pem".into());
    assert_eq!(own.ca_file(), Some(Path::new("/own.pem")));
}

#[test]
fn each_error_is_told_apart() {
    for (text, error) in [
        ("", UrlError::Scheme),
        ("mysql://a@h/x", UrlError::Scheme),
        ("https://abc.supabase.co", UrlError::WebAddress),
        ("\"postgres://a@h/x\"", UrlError::Quoted),
        ("postgres://a:p@ss@h/x", UrlError::Unencoded),
        ("postgres://a:p/ss@h/x", UrlError::Unencoded),
        ("postgres://a:p?ss@h/x", UrlError::Unencoded),
        ("postgres://a:p%zz@h/x", UrlError::Percent),
        ("postgres://a:p%@h/x", UrlError::Percent),
        ("postgres://postgres:[YOUR-PASSWORD]@db.abc.supabase.co:5432/postgres", UrlError::Placeholder),
        ("postgres://a:pw@/x", UrlError::HostMissing),
        ("postgres:///x", UrlError::HostMissing),
        ("postgres://a@ho st/x", UrlError::Host),
        ("postgres://a@[::1/x", UrlError::Host),
        ("postgres://a@h:0/x", UrlError::Port),
        ("postgres://a@h:65536/x", UrlError::Port),
        ("postgres://a@h:/x", UrlError::Port),
        ("postgres://h/x", UrlError::UserMissing),
        ("postgres://a@h/x?sslmode", UrlError::Parameter),
        ("postgres://a@h/x?sslmode=on", UrlError::SslMode),
        ("postgres://a@h/x?connect_timeout=soon", UrlError::ParameterValue("connect_timeout")),
        ("postgres://a@h/x?sslcert=/c.pem", UrlError::Unsupported("a client certificate (sslcert)")),
    ] {
        assert_eq!(DatabaseUrl::parse(text).map(|url| url.to_string()), Err(error), "{text}");
    }
}

#[test]
fn the_password_is_never_shown() {
    let secret = "tr0ub4dor";
    for text in [
        format!("postgres://app:{secret}@db.example.com:5432/main"),
        format!("postgres://app@db.example.com/main?password={secret}"),
        format!("postgres://app@db.example.com/main?{secret}%21=1"),
    ] {
        let url = url(&text);
        for shown in [format!("{url}"), format!("{url:?}"), format!("{:?}", url.ignored_parameters())] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    for text in [
        format!("postgres://app:{secret}@{secret}@h/x"),
        secret.to_owned(),
        format!("postgres://app:{secret}/@h/x"),
        format!("postgres://a@h/x?sslmode={secret}"),
    ] {
        let error = DatabaseUrl::parse(&text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
    assert_eq!(url(&format!("postgres://app:{secret}@host:5432/db")).to_string(), "postgres://app:***@host:5432/db");
}

#[test]
fn supabase_urls_give_project_and_mode() {
    let direct = url("postgres://postgres:pw@db.abcdefgh.supabase.co:5432/postgres");
    assert!(direct.is_supabase_direct() && !direct.is_supabase_pooler());
    assert_eq!(direct.project_ref(), Some("abcdefgh"));
    assert_eq!(direct.supabase_pooler_mode(), None);
    assert_eq!(
        direct.suggested_pooler_url(SessionMode::Transaction).as_deref(),
        Some("postgres://postgres.abcdefgh:***@aws-0-REGION.pooler.supabase.com:6543/postgres")
    );
    let pooler = url("postgres://postgres.abcdefgh:pw@aws-1-eu-west-2.pooler.supabase.com:6543/postgres");
    assert!(pooler.is_supabase_pooler() && !pooler.is_supabase_direct());
    assert_eq!(pooler.project_ref(), Some("abcdefgh"));
    assert_eq!(pooler.supabase_pooler_mode(), Some(SessionMode::Transaction));
    assert_eq!(pooler.suggested_pooler_url(SessionMode::Session), None);
    let session = url("postgres://postgres.abcdefgh:pw@aws-1-eu-west-2.pooler.supabase.com:5432/postgres");
    assert_eq!(session.supabase_pooler_mode(), Some(SessionMode::Session));
    assert_eq!(url("postgres://a.b@db.example.com/x").project_ref(), None);
}
