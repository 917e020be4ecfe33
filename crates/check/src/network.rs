//! The way to the database: name, address family, port, and whether Postgres is what answers there.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    Scene,
    catalogue::Group,
    finding::{Cause, Finding, Look, skip_behind},
    login,
};
use pg::{ConnectTarget, connect_error::ipv4_advice, url::DatabaseUrl};

static NO_ADDRESS: Cause = Cause::error(
    "net.dns",
    "no_address",
    "The database's host name has no address: it is misspelt, the project is paused or deleted, or DNS is down.",
)
.waitable();
static IPV6_ONLY: Cause = Cause::error(
    "net.family",
    "ipv6_only",
    "The database's host has IPv6 addresses only, and this machine has no route to them.",
);
static REFUSED: Cause = Cause::error(
    "net.tcp",
    "refused",
    "The host is there, but nothing listens on this port: the port is wrong, or the server is down.",
)
.waitable();
static TIMED_OUT: Cause = Cause::error(
    "net.tcp",
    "timed_out",
    "No answer from this host and port: a firewall drops the packets, or the host is down.",
)
.waitable();
static UNREACHABLE: Cause =
    Cause::error("net.tcp", "unreachable", "This machine has no route to the address.").waitable();
static SILENT: Cause = Cause::error(
    "net.protocol",
    "silent",
    "Something takes the connection and says nothing: a proxy whose server is gone, or a server that hangs.",
)
.waitable();
static NOT_POSTGRES: Cause =
    Cause::error("net.protocol", "not_postgres", "Something else than Postgres answers on this port.");

pub(super) const GROUP: Group = Group {
    name: "network",
    checks: &[
        ("net.dns", "the database's host name resolves."),
        ("net.family", "this machine has a route to one of its addresses."),
        ("net.tcp", "something listens on the port."),
        ("net.protocol", "it speaks Postgres."),
        ("net.tls", "the connection is protected as the URL asks."),
    ],
    causes: &[
        &NO_ADDRESS,
        &IPV6_ONLY,
        &REFUSED,
        &TIMED_OUT,
        &UNREACHABLE,
        &SILENT,
        &NOT_POSTGRES,
        &login::TLS_REQUIRED,
        &login::TLS_UNSUPPORTED,
        &login::TLS_UNTRUSTED,
        &login::TLS_NAME,
        &login::TLS_EXPIRED,
        &login::TLS_FAILED,
    ],
};

/// The checks of one URL, in order; `db.login` is of the next group.
const STAGES: [&str; 6] = ["net.dns", "net.family", "net.tcp", "net.protocol", "net.tls", "db.login"];

/// Looks at the ways to both URLs; where `DATABASE_URL` leads if there is a way.
pub(super) async fn check(scene: &Scene<'_>) -> (Vec<Finding>, Option<ConnectTarget>) {
    let database = &scene.config.database;
    let Some(url) = &database.url else {
        return (skip_behind(&STAGES, "cfg.parse"), None);
    };
    let (mut findings, target) = way(scene, "DATABASE_URL", url).await;
    if let Some(direct) = database.direct_url.as_ref().filter(|direct| *direct != url) {
        findings.extend(way(scene, "DIRECT_URL", direct).await.0);
    }
    (findings, target)
}

async fn way(scene: &Scene<'_>, name: &str, url: &DatabaseUrl) -> (Vec<Finding>, Option<ConnectTarget>) {
    let mut findings = Vec::new();
    let target = walk(scene, url, &mut findings).await;
    let missing: Vec<_> =
        STAGES.into_iter().filter(|id| findings.iter().all(|finding: &Finding| finding.id != *id)).collect();
    findings.extend(match findings.iter().find(|finding| finding.is_failure()) {
        Some(failed) => skip_behind(&missing, failed.id),
        // A socket has neither name nor address, nor TLS.
        None => missing.iter().map(|id| Look::at(id).skipped("a socket on this machine")).collect(),
    });
    (findings.into_iter().map(|finding| finding.about(name)).collect(), target)
}

/// What a stage found, and what it leaves to go on with; `None`: here the way ends.
type Stage<T> = (Finding, Option<T>);

/// Notes what a stage found; what it leaves to go on with.
fn note<T>(findings: &mut Vec<Finding>, (finding, way): Stage<T>) -> Option<T> {
    findings.push(finding);
    way
}

/// Goes as far as it gets.
async fn walk(scene: &Scene<'_>, url: &DatabaseUrl, findings: &mut Vec<Finding>) -> Option<ConnectTarget> {
    let patience = scene.config.database.connect_timeout;
    if !url.is_socket() {
        let addresses = note(findings, resolve(url, patience).await)?;
        let routed = note(findings, route(url, addresses))?;
        let stream = note(findings, connect(url, &routed, patience).await)?;
        note(findings, speak(url, stream, patience).await)?;
    }
    login::check(scene, url, findings).await
}

async fn resolve(url: &DatabaseUrl, patience: Duration) -> Stage<Vec<SocketAddr>> {
    let look = Look::at("net.dns");
    let host = url.host();
    if let Some(address) = url.address() {
        let address = SocketAddr::new(address, url.port());
        return (look.passed(format!("{host} is at {} (hostaddr)", address.ip())), Some(vec![address]));
    }
    let found = timeout(patience, lookup_host((host.as_str(), url.port()))).await;
    let problem = match found {
        Ok(Ok(addresses)) => {
            let addresses: Vec<SocketAddr> = addresses.collect();
            if !addresses.is_empty() {
                return (look.passed(format!("{host} is at {}", list(&addresses))), Some(addresses));
            }
            "no address".to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_elapsed) => format!("no answer within {} s", patience.as_secs_f64()),
    };
    let fix = match url.project_ref() {
        Some(project) => format!(
            "Look whether the project {project} is paused or deleted; else copy the URL again from Connect in its dashboard."
        ),
        None => "Copy the URL again from the database's dashboard.".to_owned(),
    };
    (look.found(&NO_ADDRESS, format!("{host}: {problem}"), fix), None)
}

/// Keeps the addresses that this machine has a route to. Connecting a datagram socket sends nothing.
fn route(url: &DatabaseUrl, addresses: Vec<SocketAddr>) -> Stage<Vec<SocketAddr>> {
    let look = Look::at("net.family");
    let has_route = |address: &SocketAddr| match address {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|s| s.connect(address)).is_ok(),
    };
    let (routed, lost): (Vec<_>, Vec<_>) = addresses.into_iter().partition(has_route);
    if routed.is_empty() {
        let observed = format!("{} has {} only, and there is no route to it", url.host(), list(&lost));
        let finding = look.found(&IPV6_ONLY, observed, ipv4_advice(url));
        return (finding.expecting("an IPv4 address, or a way out by IPv6"), None);
    }
    let observed = match (routed.iter().any(SocketAddr::is_ipv4), lost.is_empty()) {
        (true, true) => "reachable by IPv4".to_owned(),
        (true, false) => "reachable by IPv4; there is no route to its IPv6 addresses".to_owned(),
        (false, _) => "reachable by IPv6".to_owned(),
    };
    (look.passed(observed), Some(routed))
}

async fn connect(url: &DatabaseUrl, addresses: &[SocketAddr], patience: Duration) -> Stage<TcpStream> {
    let look = Look::at("net.tcp");
    let place = format!("{}:{}", url.host(), url.port());
    // In turn, as the driver does; the last error is told.
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return (look.passed(format!("{place} takes connections")), Some(stream)),
            Ok(Err(refused)) => error = refused,
            Err(_elapsed) => error = io::ErrorKind::TimedOut.into(),
        }
    }
    let finding = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            let fix = port_advice(url, addresses).await;
            look.found(&REFUSED, format!("{place} refuses connections"), fix)
        }
        io::ErrorKind::TimedOut => look.found(
            &TIMED_OUT,
            format!("{place} did not answer within {} s", patience.as_secs_f64()),
            "Check that the database admits this machine's address (its allow-list or firewall), and that it runs.",
        ),
        _ => look.found(
            &UNREACHABLE,
            format!("{place}: {error}"),
            "Check this machine's network, and that the host in the URL is one that can be reached from here.",
        ),
    };
    (finding, None)
}

/// What to do about a port that nothing listens on: another usual one that answers is most likely meant.
async fn port_advice(url: &DatabaseUrl, addresses: &[SocketAddr]) -> String {
    const USUAL: [(u16, &str); 2] = [(5432, "sessions"), (6543, "a pooler's transactions")];
    for (port, what) in USUAL.into_iter().filter(|(port, _)| *port != url.port()) {
        for address in addresses {
            let other = SocketAddr::new(address.ip(), port);
            if let Ok(Ok(_stream)) = timeout(Duration::from_millis(500), TcpStream::connect(other)).await {
                return format!("Port {port} ({what}) of this host takes connections: correct the port in the URL.");
            }
        }
    }
    "Correct the port in the URL, or start the server.".to_owned()
}

/// Asks for TLS, as every Postgres client may: one byte says yes or no, and anything else is no Postgres.
async fn speak(url: &DatabaseUrl, mut stream: TcpStream, patience: Duration) -> Stage<()> {
    /// Length 8 and the code of an SSLRequest. Source: PostgreSQL, "Message Formats".
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let look = Look::at("net.protocol");
    let place = format!("{}:{}", url.host(), url.port());
    let mut answer = [0_u8; 1];
    let talk = async {
        stream.write_all(&SSL_REQUEST).await?;
        stream.read(&mut answer).await
    };
    let finding = match timeout(patience, talk).await {
        Err(_elapsed) => look.found(
            &SILENT,
            format!("{place} takes the connection and says nothing for {} s", patience.as_secs_f64()),
            "Look at the server, or the pooler or proxy in front of it: it may be starting, overloaded, or cut off from its server.",
        ),
        Ok(Ok(1)) if matches!(answer[0], b'S' | b'N') => {
            let tls = if answer[0] == b'S' { "with" } else { "without" };
            return (look.passed(format!("Postgres answers, {tls} TLS")), Some(()));
        }
        Ok(_other) => look.found(
            &NOT_POSTGRES,
            format!("what listens on {place} does not speak Postgres"),
            "Correct host and port in the URL: this port belongs to another service.",
        ),
    };
    (finding, None)
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
}
