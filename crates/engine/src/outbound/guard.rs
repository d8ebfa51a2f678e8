//! Which addresses may be called (I10): those that are globally routable, and those an operator listed.
//!
//! Every entry of the IANA special-purpose registries is refused, also the few that are globally reachable
//! (192.0.0.9, AS112, AMT ...): nobody's webhook lives there. An IPv6 address that only carries an IPv4 one
//! (v4-mapped, NAT64, 6to4) is judged by what it carries, because that is where the packets go.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Scheme;

/// What this process may call.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Networks an operator opened although they are not globally routable.
    pub allow: Vec<IpNet>,
    /// `--dev`: plain http to this machine itself, and nothing more.
    pub dev_loopback_http: bool,
}

/// Why an address may not be called: in words, naming the range and never the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forbidden {
    range: &'static str,
    embedded: bool,
}

impl Guard {
    /// May this address be called over TLS?
    pub fn check(&self, addr: IpAddr) -> Result<(), Forbidden> {
        if self.lists(addr) {
            return Ok(());
        }
        let v6 = match addr {
            IpAddr::V4(v4) => return refuse_special_v4(v4),
            IpAddr::V6(v6) => v6,
        };
        match carried_v4(v6) {
            Some(v4) if self.lists(IpAddr::V4(v4)) => Ok(()),
            Some(v4) => refuse_special_v4(v4).map_err(|why| Forbidden { embedded: true, ..why }),
            None => refuse_special_v6(v6),
        }
    }

    /// May this address be called by this scheme? Plain http reaches loopback in dev mode, nothing else:
    /// not even a listed network.
    pub fn check_for(&self, scheme: Scheme, addr: IpAddr) -> Result<(), Forbidden> {
        match scheme {
            Scheme::Https => self.check(addr),
            Scheme::Http if self.dev_loopback_http && addr.is_loopback() => Ok(()),
            Scheme::Http => Err(Forbidden {
                range: "outside loopback, the only place plain http may reach",
                embedded: false,
            }),
        }
    }

    fn lists(&self, addr: IpAddr) -> bool {
        self.allow.iter().any(|net| net.contains(&addr))
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carrier = if self.embedded { "carries an IPv4 address that " } else { "" };
        write!(f, "the address {carrier}is {}", self.range)
    }
}

impl std::error::Error for Forbidden {}

/// The IPv4 address that packets to this one end up at. Teredo and v4-compatible addresses are not here: they
/// are refused whatever they embed.
fn carried_v4(addr: Ipv6Addr) -> Option<Ipv4Addr> {
    match addr.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

fn refuse_special_v4(addr: Ipv4Addr) -> Result<(), Forbidden> {
    match SPECIAL_V4.iter().find(|(net, _)| net.contains(&addr)) {
        Some((_, range)) => Err(Forbidden { range, embedded: false }),
        None => Ok(()),
    }
}

fn refuse_special_v6(addr: Ipv6Addr) -> Result<(), Forbidden> {
    let named = SPECIAL_V6.iter().find(|(net, _)| net.contains(&addr));
    match named {
        Some((_, range)) => Err(Forbidden { range, embedded: false }),
        None if GLOBAL_UNICAST_V6.contains(&addr) => Ok(()),
        None => Err(Forbidden { range: "not in global unicast 2000::/3", embedded: false }),
    }
}

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>, and multicast and reserved space.
static SPECIAL_V4: [(Ipv4Net, &str); 19] = [
    (v4([0, 0, 0, 0], 8), "in \"this network\" 0.0.0.0/8"),
    (v4([10, 0, 0, 0], 8), "in private 10.0.0.0/8"),
    (v4([100, 64, 0, 0], 10), "in shared (carrier) space 100.64.0.0/10"),
    (v4([127, 0, 0, 0], 8), "in loopback 127.0.0.0/8"),
    (v4([169, 254, 0, 0], 16), "in link-local 169.254.0.0/16"),
    (v4([172, 16, 0, 0], 12), "in private 172.16.0.0/12"),
    (v4([192, 0, 0, 0], 24), "in protocol assignments 192.0.0.0/24"),
    (v4([192, 0, 2, 0], 24), "in documentation 192.0.2.0/24"),
    (v4([192, 31, 196, 0], 24), "in AS112 192.31.196.0/24"),
    (v4([192, 52, 193, 0], 24), "in AMT 192.52.193.0/24"),
    (v4([192, 88, 99, 0], 24), "in 6to4 relay 192.88.99.0/24"),
    (v4([192, 168, 0, 0], 16), "in private 192.168.0.0/16"),
    (v4([192, 175, 48, 0], 24), "in AS112 192.175.48.0/24"),
    (v4([198, 18, 0, 0], 15), "in benchmarking 198.18.0.0/15"),
    (v4([198, 51, 100, 0], 24), "in documentation 198.51.100.0/24"),
    (v4([203, 0, 113, 0], 24), "in documentation 203.0.113.0/24"),
    (v4([224, 0, 0, 0], 4), "in multicast 224.0.0.0/4"),
    (v4([255, 255, 255, 255], 32), "the broadcast address"),
    (v4([240, 0, 0, 0], 4), "in reserved 240.0.0.0/4"),
];

/// <https://www.iana.org/assignments/iana-ipv6-special-registry>, and what lies outside global unicast under a
/// name of its own. The forms of [`carried_v4`] never get here.
static SPECIAL_V6: [(Ipv6Net, &str); 16] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "the unspecified address ::"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback ::1"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "in v4-compatible ::/96"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "in local NAT64 64:ff9b:1::/48"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "in discard-only 100::/64"),
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), "in the dummy prefix 100:0:0:1::/64"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "in Teredo 2001::/32"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "in protocol assignments 2001::/23"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "in documentation 2001:db8::/32"),
    (v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), "in AS112 2620:4f:8000::/48"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "in documentation 3fff::/20"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "in segment routing 5f00::/16"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "in unique local fc00::/7"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "in link-local fe80::/10"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "in site-local fec0::/10"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "in multicast ff00::/8"),
];

static GLOBAL_UNICAST_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix)
}
