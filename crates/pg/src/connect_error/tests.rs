//! These tests connect to small fake servers, which answer as Postgres and its poolers do.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::tls::make_tls;
use domain::Code;

async fn connect(text: &str) -> ConnectProblem {
    let url = DatabaseUrl::parse(text).unwrap();
    let tls = make_tls(url.tls_mode(), url.ca_file()).unwrap();
    match url.to_config().connect_timeout(Duration::from_secs(5)).connect(tls).await {
        Ok(_) => panic!("connecting to {url} succeeded"),
        Err(error) => classify(&error, &url),
    }
}

/// Starts a server that reads one message, sends `answer` and closes the connection. Returns its port.
async fn server_answering(answer: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut first = [0; 512];
        let _length = socket.read(&mut first).await.unwrap();
        socket.write_all(&answer).await.unwrap();
        // Closing a socket with unread bytes resets the connection, and the client could miss the answer.
        let _end = socket.read(&mut first).await;
    });
    port
}

fn error_response(code: &str, message: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', code), (b'M', message)] {
        body.push(kind);
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [b"E".as_slice(), &length, &body].concat()
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let problem = connect(&format!("postgres://app:hunter22@127.0.0.1:{port}/x")).await;
    assert_eq!(problem.code, Code::Unreachable);
    assert!(problem.code.class().is_retryable());
    assert!(problem.what.contains(&format!("127.0.0.1:{port}")), "{problem}");
}

#[tokio::test]
async fn a_missing_socket_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let problem = connect(&format!("postgres://app:pw@/x?host={}", folder.path().display())).await;
    assert_eq!(problem.code, Code::Unreachable);
    assert!(problem.why.contains("socket"), "{problem}");
}

#[tokio::test]
async fn a_name_without_address_is_dns() {
    assert_eq!(connect("postgres://app:pw@no-such-host.invalid/x").await.code, Code::Dns);
}

#[tokio::test]
async fn a_server_without_tls_is_tls_unsupported() {
    let port = server_answering(b"N".to_vec()).await;
    let problem = connect(&format!("postgres://app:pw@127.0.0.1:{port}/x?sslmode=require")).await;
    assert_eq!(problem.code, Code::TlsUnsupported);
}

#[tokio::test]
async fn a_server_that_never_answers_is_unreachable() {
    let port = server_answering(Vec::new()).await;
    let text = format!("postgres://app:pw@127.0.0.1:{port}/x?sslmode=require");
    let url = DatabaseUrl::parse(&text).unwrap();
    // The server waits for more bytes, so only the timeout ends this.
    let config = url.to_config();
    let attempt = config.connect(make_tls(url.tls_mode(), None).unwrap());
    let Err(elapsed) = tokio::time::timeout(Duration::from_millis(20), attempt).await else { panic!("it answered") };
    assert_eq!(classify(&elapsed, &url).code, Code::Unreachable);
}

#[tokio::test]
async fn error_responses_of_servers_and_poolers_have_the_right_cause() {
    for (code, message, cause) in [
        ("XX000", "Tenant or user not found", Code::PoolerTenantUnknown),
        ("XX000", "(ENOTFOUND) tenant/user postgres.abc not found", Code::PoolerTenantUnknown),
        ("XX000", "MaxClientsInSessionMode: max clients reached", Code::TooManyConnections),
        ("08P01", "no more connections allowed (max_client_conn)", Code::TooManyConnections),
        ("53300", "sorry, too many clients already", Code::TooManyConnections),
        ("28P01", "password authentication failed for user \"app\"", Code::AuthFailed),
        ("28000", "role \"app\" does not exist", Code::RoleMissing),
        (
            "28000",
            "no pg_hba.conf entry for host \"10.0.0.1\", user \"a\", database \"x\", no encryption",
            Code::TlsRequired,
        ),
        ("28000", "no pg_hba.conf entry for host \"10.0.0.1\", user \"a\", database \"x\", SSL off", Code::TlsRequired),
        ("28000", "connection is insecure (try using `sslmode=require`)", Code::TlsRequired),
        (
            "28000",
            "no pg_hba.conf entry for host \"10.0.0.1\", user \"a\", database \"x\", SSL encryption",
            Code::AccessRefused,
        ),
        ("3D000", "database \"x\" does not exist", Code::DatabaseMissing),
        ("57P03", "the database system is starting up", Code::NotReady),
        ("XX000", "something new", Code::DatabaseError),
    ] {
        let port = server_answering(error_response(code, message)).await;
        let problem = connect(&format!("postgres://app:pw@127.0.0.1:{port}/x")).await;
        assert_eq!(problem.code, cause, "{message}");
        assert!(problem.what.contains(message), "{problem}");
    }
}

#[test]
fn without_ipv6_a_direct_supabase_url_gets_the_poolers_url_as_advice() {
    let url = DatabaseUrl::parse("postgres://postgres:hunter22@db.abcdefgh.supabase.co:5432/postgres").unwrap();
    for error in [
        io::Error::from(io::ErrorKind::NetworkUnreachable),
        io::Error::from(io::ErrorKind::AddrNotAvailable),
        io::Error::from_raw_os_error(97),
    ] {
        let problem = classify(&error, &url);
        assert_eq!(problem.code, Code::Ipv6Only);
        assert!(!problem.code.class().is_retryable());
        assert!(problem.fix.contains("postgres.abcdefgh:***@aws-0-REGION.pooler.supabase.com:6543"), "{problem}");
    }
}

#[test]
fn an_unreachable_ipv4_address_is_not_ipv6_only() {
    let url = DatabaseUrl::parse("postgres://app@192.0.2.1/x").unwrap();
    assert_eq!(classify(&io::Error::from(io::ErrorKind::NetworkUnreachable), &url).code, Code::Unreachable);
}

#[test]
fn a_password_that_the_server_repeats_is_replaced() {
    let url = DatabaseUrl::parse("postgres://app:hunter22@db.example.com/x").unwrap();
    let problem = classify(&io::Error::other("bad startup packet: app hunter22"), &url);
    assert!(problem.what.contains("app ***"), "{problem}");
    assert!(!format!("{problem} {problem:?}").contains("hunter22"));
}

#[test]
fn the_cause_is_found_in_wrapped_errors() {
    let url = DatabaseUrl::parse("postgres://app@db.example.com/x").unwrap();
    let inner = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let error = anyhow::Error::from(io::Error::new(io::ErrorKind::InvalidData, inner)).context("couldn't connect");
    assert_eq!(classify(error.as_ref(), &url).code, Code::TlsUntrusted);
}

#[test]
fn certificate_errors_have_different_causes() {
    use rustls::{CertificateError, Error::InvalidCertificate};
    let url = DatabaseUrl::parse("postgres://app@db.example.com/x").unwrap();
    for (error, code) in [
        (InvalidCertificate(CertificateError::Expired), Code::TlsExpired),
        (InvalidCertificate(CertificateError::NotValidYet), Code::TlsExpired),
        (InvalidCertificate(CertificateError::NotValidForName), Code::TlsNameMismatch),
        (InvalidCertificate(CertificateError::BadSignature), Code::TlsUntrusted),
        (rustls::Error::HandshakeNotComplete, Code::TlsFailed),
    ] {
        assert_eq!(classify(&error, &url).code, code);
    }
}
