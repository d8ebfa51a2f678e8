//! From where a request came: the other end of its connection, or what a proxy that is trusted says of it.

use std::net::{IpAddr, SocketAddr};

use http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// The other end of a connection; stands in each request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The caller's address: the last one that no trusted proxy has, going from here outwards. What stands in front of it in
/// the header is the caller's own word. `None` where the request came through no connection, as in tests.
pub(crate) fn address(
    extensions: &Extensions,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let Peer(peer) = extensions.get::<Peer>()?;
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut address = peer.ip().to_canonical();
    let forwarded = headers.get_all("x-forwarded-for").iter().rev();
    let hops = forwarded.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    for hop in hops {
        if !is_trusted(&address) {
            break;
        }
        let Some(next) = read(hop.trim()) else { break };
        address = next.to_canonical();
    }
    Some(address)
}

/// An address as proxies write it: some add the port, and then brackets around one of IPv6.
fn read(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse().ok().map(|address: SocketAddr| address.ip());
    hop.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted: Vec<IpNet> =
            ["127.0.0.0/8", "::1/128", "10.0.0.0/8"].map(|text| text.parse().unwrap()).into();
        let told = |peer: &str, forwarded: &[&'static str]| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.parse().unwrap()));
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            address(&extensions, &headers, &trusted).unwrap().to_string()
        };
        assert_eq!(told("192.0.2.1:9", &[]), "192.0.2.1");
        assert_eq!(told("192.0.2.1:9", &["203.0.113.7"]), "192.0.2.1", "anybody can say that");
        assert_eq!(told("127.0.0.1:9", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(told("[::1]:9", &["1.1.1.1, 203.0.113.7 , 10.0.0.9"]), "203.0.113.7");
        assert_eq!(told("[::ffff:127.0.0.1]:9", &["1.1.1.1", "203.0.113.7"]), "203.0.113.7");
        assert_eq!(told("127.0.0.1:9", &["1.1.1.1, nonsense"]), "127.0.0.1");
        assert_eq!(told("127.0.0.1:9", &["1.1.1.1, 203.0.113.7:4711"]), "203.0.113.7");
        assert_eq!(told("127.0.0.1:9", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(told("127.0.0.1:9", &["10.1.1.1"]), "10.1.1.1");
        assert_eq!(address(&Extensions::new(), &HeaderMap::new(), &trusted), None);
    }
}
