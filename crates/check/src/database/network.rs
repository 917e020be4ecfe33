//! The network path to the database: name, address family, port, and whether Postgres is what answers there.

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
    check::{Cause, Check, Context, Outcome, Problem, UrlPath, causes},
    configuration::SETTINGS,
};
use pg::{connect_error::ipv4_advice, url::DatabaseUrl};

pub(crate) static NAME: Check =
    Check::each_url("net.dns", "the database's host name resolves.", |context, path| Box::pin(resolve(context, path)))
        .after(&[&SETTINGS])
        .finds(NAME_CAUSES);
pub(crate) static FAMILY: Check =
    Check::each_url("net.family", "this machine has a route to one of its addresses.", |_context, path| {
        Box::pin(route(path))
    })
    .needs(&[&NAME])
    .finds(FAMILY_CAUSES);
pub(crate) static PORT: Check =
    Check::each_url("net.tcp", "something listens on the port.", |context, path| Box::pin(connect(context, path)))
        .needs(&[&FAMILY])
        .finds(PORT_CAUSES);
pub(crate) static PROTOCOL: Check =
    Check::each_url("net.protocol", "it speaks Postgres.", |context, path| Box::pin(speak(context, path)))
        .needs(&[&PORT])
        .finds(PROTOCOL_CAUSES);

causes! { NAME_CAUSES:
    NO_ADDRESS = error("no_address",
        "The database's host name has no address: it is misspelt, the project is paused or deleted, or DNS is down.",
        "Copy the URL again from the database's dashboard.").may_pass();
}

causes! { FAMILY_CAUSES:
    IPV6_ONLY = error("ipv6_only",
        "The database's host has IPv6 addresses only, and this machine has no route to them.");
}

causes! { PORT_CAUSES:
    REFUSED = error("refused",
        "The host is there, but nothing listens on this port: the port is wrong, or the server is down.").may_pass();
    TIMED_OUT = error("timed_out",
        "No answer from this host and port: a firewall drops the packets, or the host is down.",
        "Check that the database admits this machine's address (its allow-list or firewall), and that it runs.").may_pass();
    UNREACHABLE = error("unreachable",
        "This machine has no route to the address.",
        "Check this machine's network, and that the host in the URL is one that can be reached from here.").may_pass();
}

causes! { PROTOCOL_CAUSES:
    SILENT = error("silent",
        "Something takes the connection and says nothing: a proxy whose server is gone, or a server that hangs.",
        "Look at the server, or the pooler or proxy in front of it: it may be starting, overloaded, or cut off from its server.").may_pass();
    NOT_POSTGRES = error("not_postgres",
        "Something else than Postgres answers on this port.",
        "Correct host and port in the URL: this port belongs to another service.");
}

/// The URL, where it leads over the network: a socket has neither name nor address.
fn over_network<'a>(path: &UrlPath<'a>) -> Result<&'a DatabaseUrl, Problem> {
    let url = path.url()?;
    if url.is_socket() { Problem::skipped("a socket on this machine") } else { Ok(url) }
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
    let patience = context.config.database.connect_timeout;
    let problem = match timeout(patience, lookup_host((host.as_str(), url.port()))).await {
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
        Err(_elapsed) => format!("no answer within {} s", patience.as_secs_f64()),
    };
    let problem = NO_ADDRESS.seen(format!("{host}: {problem}"));
    Err(match url.project_ref() {
        Some(project) => problem.fix(format!(
            "See whether the project {project} is paused or deleted; else copy the URL again from Connect in its dashboard."
        )),
        None => problem,
    })
}

/// Keeps the addresses that this machine has a route to. Connecting a datagram socket sends nothing.
async fn route(path: &UrlPath<'_>) -> Outcome {
    let url = over_network(path)?;
    let has_route = |address: &SocketAddr| match address {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|s| s.connect(address)).is_ok(),
    };
    let (routed, lost): (Vec<_>, Vec<_>) = path.addresses.take().into_iter().partition(has_route);
    if routed.is_empty() {
        let observed = format!("{} has {} only, and there is no route to it", url.host(), list(&lost));
        return Err(IPV6_ONLY.seen(observed).fix(ipv4_advice(url)).expecting("an IPv4 address, or a way out by IPv6"));
    }
    let by_ipv4 = routed.iter().any(SocketAddr::is_ipv4);
    path.addresses.replace(routed);
    Ok(match (by_ipv4, lost.is_empty()) {
        (true, true) => "reachable by IPv4",
        (true, false) => "reachable by IPv4; there is no route to its IPv6 addresses",
        (false, _) => "reachable by IPv6",
    }
    .to_owned())
}

/// Tries the addresses in turn, as the driver does; the last error is told.
async fn connect(context: &Context<'_>, path: &UrlPath<'_>) -> Outcome {
    let url = over_network(path)?;
    let (place, patience) = (place(url), context.config.database.connect_timeout);
    let addresses = path.addresses.borrow().clone();
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in &addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                path.stream.set(Some(stream));
                return Ok(format!("{place} takes connections"));
            }
            Ok(Err(refused)) => error = refused,
            Err(_elapsed) => error = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            REFUSED.seen(format!("{place} refuses connections")).fix(port_advice(url, &addresses).await)
        }
        io::ErrorKind::TimedOut => {
            TIMED_OUT.seen(format!("{place} did not answer within {} s", patience.as_secs_f64()))
        }
        _ => UNREACHABLE.seen(format!("{place}: {error}")),
    })
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

/// Asks for TLS, as every Postgres client may: one byte says yes or no, and anything else is not Postgres.
async fn speak(context: &Context<'_>, path: &UrlPath<'_>) -> Outcome {
    /// Length 8 and the code of an SSLRequest. Source: PostgreSQL, "Message Formats".
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let url = over_network(path)?;
    let (place, patience) = (place(url), context.config.database.connect_timeout);
    let mut answer = [0_u8; 1];
    let talk = async {
        let mut stream = path.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(&SSL_REQUEST).await?;
        stream.read(&mut answer).await
    };
    match timeout(patience, talk).await {
        Err(_elapsed) => {
            Err(SILENT.seen(format!("{place} takes the connection and says nothing for {} s", patience.as_secs_f64())))
        }
        Ok(Ok(1)) if answer == *b"S" => Ok("Postgres answers, with TLS".to_owned()),
        Ok(Ok(1)) if answer == *b"N" => Ok("Postgres answers, without TLS".to_owned()),
        Ok(_other) => Err(NOT_POSTGRES.seen(format!("what listens on {place} does not speak Postgres"))),
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
}
