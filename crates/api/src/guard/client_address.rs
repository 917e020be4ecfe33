//! The address that a request comes from, and the one that it was sent to: of what proxies say, no more is believed than
//! our own can have written.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::{
    HttpRequest,
    http::{
        header::{self, HeaderMap},
        uri::Authority,
    },
};

/// The client's address, behind `proxies` proxies that each append the address of their client to `X-Forwarded-For`.
///
/// Only the header's last `proxies` entries come from these proxies; the client may have written those before. With 0
/// the header is not read. An IPv6 address is cut to its /64, which is what one customer has. `None`: the connection has
/// no address (tests), or the header has none at that place.
pub fn client_address(request: &HttpRequest, proxies: usize) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let forwarded = if proxies == 0 { None } else { forwarded(request.headers(), proxies) };
    forwarded.or(peer).map(network)
}

fn forwarded(headers: &HeaderMap, proxies: usize) -> Option<IpAddr> {
    let entries = entries(headers, "x-forwarded-for");
    // The last proxy is the peer, and not in the header; the one that it answered is the header's last entry.
    let at = entries.len().checked_sub(proxies)?;
    address(entries.get(at)?)
}

fn entries<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let lines = headers.get_all(name).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).collect()
}

/// What the outermost of our proxies says of a request in a header of its own. A proxy may replace the header or append
/// to it, so fewer entries than proxies are one that all of them agree on.
fn said_by_proxies<'a>(headers: &'a HeaderMap, name: &str, proxies: usize) -> Option<&'a str> {
    let entries = entries(headers, name);
    (proxies > 0).then(|| entries.get(entries.len().saturating_sub(proxies)).copied()).flatten()
}

/// Whether the client reached us, or the outermost of our `proxies`, by TLS. This server speaks none itself.
pub fn is_https(headers: &HeaderMap, proxies: usize) -> bool {
    said_by_proxies(headers, "x-forwarded-proto", proxies).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// The address to which the client sent its request: `https://host:port`. `None`: its host is none.
pub fn own_address(headers: &HeaderMap, proxies: usize) -> Option<String> {
    let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = said_by_proxies(headers, "x-forwarded-host", proxies).or(named)?;
    let authority: Authority = host.parse().ok()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let fits = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(is_name),
    };
    // What is left besides name and port would be a user and a password, or a port that is none.
    let port = authority.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    let scheme = if is_https(headers, proxies) { "https" } else { "http" };
    (fits && authority.as_str() == format!("{name}{port}")).then(|| format!("{scheme}://{authority}"))
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]:5`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => text.split_once(':').filter(|(_, port)| !port.contains(':')).map_or(text, |(host, _)| host),
    };
    bare.parse().ok()
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        },
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seen(forwarded: &[&str], proxies: usize) -> String {
        let mut request = TestRequest::default().peer_addr("10.0.0.9:1000".parse().unwrap());
        for line in forwarded {
            request = request.append_header(("X-Forwarded-For", *line));
        }
        client_address(&request.to_http_request(), proxies).unwrap().to_string()
    }

    #[test]
    fn only_what_our_own_proxies_wrote_is_believed() {
        assert_eq!(seen(&["6.6.6.6"], 0), "10.0.0.9");
        assert_eq!(seen(&["1.1.1.1"], 1), "1.1.1.1");
        assert_eq!(seen(&["6.6.6.6, 1.1.1.1"], 1), "1.1.1.1");
        assert_eq!(seen(&["6.6.6.6", "1.1.1.1"], 1), "1.1.1.1");
        assert_eq!(seen(&["6.6.6.6, 1.1.1.1, 104.22.17.40"], 2), "1.1.1.1");
        // Fewer entries than proxies: the request came another way.
        assert_eq!(seen(&["6.6.6.6"], 2), "10.0.0.9");
        assert_eq!(seen(&[], 1), "10.0.0.9");
        assert_eq!(seen(&["1.1.1.1, unknown"], 1), "10.0.0.9");
    }

    #[test]
    fn an_address_may_have_a_port_and_an_ipv6_one_stands_for_its_network() {
        assert_eq!(seen(&["1.1.1.1:443"], 1), "1.1.1.1");
        assert_eq!(seen(&["[2001:db8:1:2:3::4]:443"], 1), "2001:db8:1:2::");
        assert_eq!(seen(&["2001:db8:1:2:3::5"], 1), "2001:db8:1:2::");
        assert_eq!(seen(&["::ffff:1.1.1.1"], 1), "1.1.1.1");
    }

    fn addressed(headers: &[(&str, &str)], proxies: usize) -> Option<String> {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header(*header);
        }
        own_address(request.to_http_request().headers(), proxies)
    }

    #[test]
    fn an_address_of_our_own_is_what_our_proxies_say_and_else_the_host() {
        let host = ("Host", "api.example.com:8000");
        let forged = [host, ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https")];
        assert_eq!(addressed(&forged, 0).unwrap(), "http://api.example.com:8000");
        assert_eq!(addressed(&forged, 1).unwrap(), "https://evil.example");
        assert_eq!(addressed(&[host, ("X-Forwarded-Proto", "https")], 2).unwrap(), "https://api.example.com:8000");
        assert_eq!(
            addressed(&[host, ("X-Forwarded-Proto", "http, https")], 1).unwrap(),
            "https://api.example.com:8000"
        );
        assert_eq!(addressed(&[host, ("X-Forwarded-Proto", "javascript")], 1).unwrap(), "http://api.example.com:8000");
        assert_eq!(addressed(&[("Host", "[::1]:8000")], 0).unwrap(), "http://[::1]:8000");
    }

    #[test]
    fn a_host_that_is_none_makes_no_address() {
        for host in ["", "a b", "user@host", "host/path", "host:99999", "host:x", "h%00st", "[::x]", "ho\"st", "?x"] {
            assert_eq!(addressed(&[("Host", host)], 0), None, "{host}");
        }
        assert_eq!(addressed(&[], 0), None);
    }
}
