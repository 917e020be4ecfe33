//! The network path to the database: host name, address family, port, and whether Postgres answers there.

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

use super::super::{
    check::{Context, Outcome, Problem, UrlPath, declare},
    configuration::SETTINGS,
};
use domain::Code;
use pg::{connect_error::ipv4_advice, url::DatabaseUrl};

declare! {
    NAME = each_url("net.dns", "the database's host name resolves.", resolve).after(&[&SETTINGS]);
    NO_ADDRESS = connection("no_address", Code::Dns).may_pass();
}

declare! {
    FAMILY = each_url("net.family", "this machine has a route to one of its addresses.", find_route).needs(&[&NAME]);
    IPV6_ONLY = connection("ipv6_only", Code::Ipv6Only);
}

declare! {
    PORT = each_url("net.tcp", "a server listens on the port.", connect).needs(&[&FAMILY]);
    REFUSED = error("refused",
        "The host exists, but nothing listens on this port: the port is wrong, or the server is down.").may_pass();
    TIMED_OUT = error("timed_out",
        "This host and port do not answer: a firewall drops the packets, or the host is down.",
        "Check that the database admits this machine's address (its allow-list or firewall), and that it runs.").may_pass();
    UNREACHABLE = error("unreachable",
        "This machine has no route to the address.",
        "Check this machine's network, and that the host in the URL can be reached from here.").may_pass();
}

declare! {
    PROTOCOL = each_url("net.protocol", "the server is Postgres.", request_tls).needs(&[&PORT]);
    SILENT = error("silent",
        "A server accepts the connection and sends nothing: a proxy whose server is gone, or a server that hangs.",
        "Check the server, and the pooler or proxy before it: it may be starting, overloaded, or cut off from its server.").may_pass();
    NOT_POSTGRES = error("not_postgres",
        "A service other than Postgres answers on this port.",
        "Correct the host and port in the URL: this port belongs to another service.");
}

/// The URL, unless it names a socket, which has neither host name nor address.
fn over_network<'a>(path: &UrlPath<'a>) -> Result<&'a DatabaseUrl, Problem> {
    let url = path.url()?;
    if url.is_socket() { Problem::skipped("the URL names a socket on this machine") } else { Ok(url) }
}

fn place(url: &DatabaseUrl) -> String {
    format!("{}:{}", url.host(), url.port())
}

async fn resolve(context: &Context<'_>, path: &UrlPath<'_>) -> Outcome {
    let url = over_network(path)?;
    let host = url.host();
    if let Some(address) = url.address() {
        path.addresses.replace(vec![SocketAddr::new(address, url.port())]);
        return Ok(format!("{host} is at {address} (hostaddr)"));
    }
    let limit = context.config.database.connect_timeout;
    let error = match timeout(limit, lookup_host((host.as_str(), url.port()))).await {
        Ok(Ok(found)) => {
            let addresses: Vec<SocketAddr> = found.collect();
            if !addresses.is_empty() {
                let observed = format!("{host} is at {}", list(&addresses));
                path.addresses.replace(addresses);
                return Ok(observed);
            }
            "no address".to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_elapsed) => format!("no answer within {} s", limit.as_secs_f64()),
    };
    let problem = NO_ADDRESS.seen(format!("{host}: {error}"));
    Err(match url.project_ref() {
        Some(project) => problem.fix(format!(
            "Check whether the project {project} is paused or deleted. If not, copy the URL again from Connect in its dashboard."
        )),
        None => problem,
    })
}

/// Keeps the addresses to which this machine has a route. Connecting a datagram socket sends nothing.
async fn find_route(_context: &Context<'_>, path: &UrlPath<'_>) -> Outcome {
    let url = over_network(path)?;
    let has_route = |address: &SocketAddr| match address {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|s| s.connect(address)).is_ok(),
    };
    let (reachable, unreachable): (Vec<_>, Vec<_>) = path.addresses.take().into_iter().partition(has_route);
    if reachable.is_empty() {
        let observed = format!("{} has only {}, and there is no route to it", url.host(), list(&unreachable));
        return Err(IPV6_ONLY.seen(observed).fix(ipv4_advice(url)).expecting("an IPv4 address, or a route for IPv6"));
    }
    let by_ipv4 = reachable.iter().any(SocketAddr::is_ipv4);
    path.addresses.replace(reachable);
    Ok(match (by_ipv4, unreachable.is_empty()) {
        (true, true) => "reachable by IPv4",
        (true, false) => "reachable by IPv4; there is no route to its IPv6 addresses",
        (false, _) => "reachable by IPv6",
    }
    .to_owned())
}

/// Tries the addresses in turn, as the driver does; the last error is reported.
async fn connect(context: &Context<'_>, path: &UrlPath<'_>) -> Outcome {
    let url = over_network(path)?;
    let place = place(url);
    let limit = context.config.database.connect_timeout;
    let addresses = path.addresses.borrow().clone();
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in &addresses {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                path.stream.set(Some(stream));
                return Ok(format!("{place} accepts connections"));
            }
            Ok(Err(refused)) => error = refused,
            Err(_elapsed) => error = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            REFUSED.seen(format!("{place} refuses connections")).fix(port_advice(url, &addresses).await)
        }
        io::ErrorKind::TimedOut => TIMED_OUT.seen(format!("{place} did not answer within {} s", limit.as_secs_f64())),
        _ => UNREACHABLE.seen(format!("{place}: {error}")),
    })
}

/// What to do about a port on which nothing listens: probably another usual port was meant, if that one answers.
async fn port_advice(url: &DatabaseUrl, addresses: &[SocketAddr]) -> String {
    const USUAL: [(u16, &str); 2] = [(5432, "sessions"), (6543, "a pooler's transactions")];
    for (port, what) in USUAL.into_iter().filter(|(port, _)| *port != url.port()) {
        for address in addresses {
            let other = SocketAddr::new(address.ip(), port);
            if let Ok(Ok(_stream)) = timeout(Duration::from_millis(500), TcpStream::connect(other)).await {
                return format!("Port {port} ({what}) of this host accepts connections: correct the port in the URL.");
            }
        }
    }
    "Correct the port in the URL, or start the server.".to_owned()
}

/// Requests TLS as a Postgres client does. Postgres answers with one byte, S (yes) or N (no).
async fn request_tls(context: &Context<'_>, path: &UrlPath<'_>) -> Outcome {
    /// An SSLRequest: length 8 and a code (PostgreSQL, "Message Formats").
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let url = over_network(path)?;
    let place = place(url);
    let limit = context.config.database.connect_timeout;
    let mut answer = [0_u8; 1];
    let exchange = async {
        let mut stream = path.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(&SSL_REQUEST).await?;
        stream.read(&mut answer).await
    };
    match timeout(limit, exchange).await {
        Err(_elapsed) => {
            Err(SILENT.seen(format!("{place} accepts the connection and sends nothing for {} s", limit.as_secs_f64())))
        }
        Ok(Ok(1)) if answer == *b"S" => Ok("Postgres answers, with TLS".to_owned()),
        Ok(Ok(1)) if answer == *b"N" => Ok("Postgres answers, without TLS".to_owned()),
        Ok(_other) => Err(NOT_POSTGRES.seen(format!("the server on {place} does not speak the Postgres protocol"))),
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
}
