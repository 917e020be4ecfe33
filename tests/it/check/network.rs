//! The network path to the database, broken at each stage.

use std::{
    io::{Read, Write},
    net::{Ipv6Addr, TcpListener, UdpSocket},
    process::Command,
    thread,
};

use serde_json::Value;

use super::{Checked, check};
use crate::{
    support::fleet::Fleet,
    tls::server::{PASSWORD, Server},
};

fn run_check(url: &str) -> Checked {
    let mut fleet = Fleet::new(url, url);
    fleet.set("DATABASE_CONNECT_TIMEOUT", "1");
    check(&fleet, &["--only", "network,db.login"])
}

#[test]
fn a_host_that_does_not_resolve_is_named() {
    let checked = run_check("postgres://app:x@no-such-host.invalid:5432/app");
    checked.requires("net.dns/no_address");
    assert_eq!(checked.one("net.tcp")["status"], "skipped");
}

#[test]
fn a_host_with_only_ipv6_is_told_apart_and_the_fix_has_the_pooler_with_the_project_filled_in() {
    // 2001:db8::/32 is for documentation: nothing is there, and connecting a datagram socket sends nothing.
    let url = "postgres://postgres:x@db.abcdefghijklmnop.supabase.co:5432/postgres?hostaddr=2001:db8::1";
    let fleet = Fleet::new(url, url);
    let has_route = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.connect(("2001:db8::1".parse::<Ipv6Addr>().unwrap(), 5432)));
    let checked = match has_route {
        Err(_) => check(&fleet, &["--only", "network"]),
        // On a machine with IPv6: the same in a namespace that has no network.
        Ok(()) => without_network(&fleet),
    };
    let finding = checked.requires("net.family/ipv6_only");
    let fix = finding["fix"].as_str().unwrap();
    assert!(fix.contains("postgres.abcdefghijklmnop:***@aws-0-REGION.pooler.supabase.com:6543/postgres"), "{fix}");
    assert!(fix.contains("DIRECT_URL=") && fix.contains(":5432/postgres"), "{fix}");
}

fn without_network(fleet: &Fleet) -> Checked {
    let mut command = Command::new("unshare");
    command.args(["-rn", env!("CARGO_BIN_EXE_app"), "check", "--output", "json", "--only", "network"]);
    let output = fleet.prepare(command).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    Checked { status: output.status, report }
}

#[test]
fn a_port_that_nothing_listens_on_is_told_apart() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let checked = run_check(&format!("postgres://app:x@127.0.0.1:{port}/app"));
    let finding = checked.requires("net.tcp/refused");
    assert!(finding["observed"].as_str().unwrap().contains(&port.to_string()), "{finding}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_drops_what_comes_is_told_apart() {
    // A backlog that is full: further connections get no answer.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(300)) {
        held.push(stream);
        assert!(held.len() < 64, "the backlog never fills");
    }
    run_check(&format!("postgres://app:x@{address}/app")).requires("net.tcp/timed_out");
}

#[test]
fn a_server_that_says_nothing_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    run_check(&format!("postgres://app:x@{address}/app")).requires("net.protocol/silent");
}

#[test]
fn a_port_of_another_service_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 8];
            // The client may have closed the connection.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    run_check(&format!("postgres://app:x@{address}/app")).requires("net.protocol/not_postgres");
}

#[test]
fn each_way_in_which_tls_fails_is_told_apart() {
    let server = Server::start();
    let (ca, other_ca) = (server.file("ca.pem"), server.file("other-ca.pem"));
    let base = |host: &str| format!("postgres://app:{PASSWORD}@{host}:{}/app", server.port);
    for (host, parameters, cause) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), "net.tls/required"),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other_ca}"), "net.tls/untrusted"),
        ("localhost", "sslmode=verify-full&sslrootcert=/no/such/file.pem".to_owned(), "net.tls/untrusted"),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={ca}"), "net.tls/name_mismatch"),
    ] {
        run_check(&format!("{}?{parameters}", base(host))).requires(cause);
    }
}

#[test]
fn each_login_that_is_refused_is_told_apart() {
    let server = Server::start();
    let at = |user: &str, password: &str, database: &str| {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}?sslmode=require", server.port)
    };
    for (url, cause) in [
        (at("app", "wrong-password", "app"), "db.login/wrong_password"),
        (at("nobody", PASSWORD, "app"), "db.login/wrong_password"),
        (at("app", PASSWORD, "missing"), "db.login/database_missing"),
        (at("app", PASSWORD, "postgres"), "db.login/access_refused"),
    ] {
        let checked = run_check(&url);
        checked.requires(cause);
        assert_eq!(checked.one("net.tls")["status"], "passed");
    }
    server.psql("ALTER ROLE single NOLOGIN");
    run_check(&at("single", PASSWORD, "app")).requires("db.login/role_missing");
    server.psql("ALTER ROLE single LOGIN CONNECTION LIMIT 0");
    run_check(&at("single", PASSWORD, "app")).requires("db.login/too_many_connections");
    // This server has no pgvector.
    let url = at("app", PASSWORD, "app");
    check(&Fleet::new(&url, &url), &["--only", "db.extension"]).requires("db.extension/missing");
}

#[test]
fn a_certificate_that_ends_soon_is_named_and_blocks_nothing() {
    let server = Server::with_certificate_of("29");
    let port = server.port;
    let ca = server.file("ca.pem");
    let fleet = |ca: &str| {
        let url = format!("postgres://app:{PASSWORD}@localhost:{port}/app?sslmode=verify-full&sslrootcert={ca}");
        Fleet::new(&url, &url)
    };
    let checked = check(&fleet(&ca), &["--only", "net.tls,db.login", "--strict"]);
    let finding = checked.requires("net.tls/ends_soon");
    assert!(finding["observed"].as_str().unwrap().contains("28 days"), "{finding}");
    assert_eq!(checked.one("db.login")["status"], "passed", "{:#}", checked.report);
}
