//! The address that a request comes from.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::{HttpRequest, http::header::HeaderMap};

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
    let lines = headers.get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let entries: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    // The last proxy is the peer, and not in the header; the one that it answered is the header's last entry.
    let at = entries.len().checked_sub(proxies)?;
    address(entries.get(at)?)
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
}
