//! The table of addresses.

use std::net::IpAddr;

use abide_engine::outbound::{Guard, Scheme};

/// First and last address of each refused range, and the neighbours on either side: `SHUT` where a neighbour belongs to
/// another refused range.
const RANGES: &[(&str, &str, Neighbour, Neighbour)] = &[
    ("0.0.0.0", "0.255.255.255", None, Some(("1.0.0.0", OPEN))),
    ("10.0.0.0", "10.255.255.255", Some(("9.255.255.255", OPEN)), Some(("11.0.0.0", OPEN))),
    ("100.64.0.0", "100.127.255.255", Some(("100.63.255.255", OPEN)), Some(("100.128.0.0", OPEN))),
    ("127.0.0.0", "127.255.255.255", Some(("126.255.255.255", OPEN)), Some(("128.0.0.0", OPEN))),
    (
        "169.254.0.0",
        "169.254.255.255",
        Some(("169.253.255.255", OPEN)),
        Some(("169.255.0.0", OPEN)),
    ),
    ("172.16.0.0", "172.31.255.255", Some(("172.15.255.255", OPEN)), Some(("172.32.0.0", OPEN))),
    ("192.0.0.0", "192.0.0.255", Some(("191.255.255.255", OPEN)), Some(("192.0.1.0", OPEN))),
    ("192.0.0.9", "192.0.0.10", None, None),
    ("192.0.2.0", "192.0.2.255", Some(("192.0.1.255", OPEN)), Some(("192.0.3.0", OPEN))),
    (
        "192.31.196.0",
        "192.31.196.255",
        Some(("192.31.195.255", OPEN)),
        Some(("192.31.197.0", OPEN)),
    ),
    (
        "192.52.193.0",
        "192.52.193.255",
        Some(("192.52.192.255", OPEN)),
        Some(("192.52.194.0", OPEN)),
    ),
    ("192.88.99.0", "192.88.99.255", Some(("192.88.98.255", OPEN)), Some(("192.88.100.0", OPEN))),
    (
        "192.168.0.0",
        "192.168.255.255",
        Some(("192.167.255.255", OPEN)),
        Some(("192.169.0.0", OPEN)),
    ),
    (
        "192.175.48.0",
        "192.175.48.255",
        Some(("192.175.47.255", OPEN)),
        Some(("192.175.49.0", OPEN)),
    ),
    ("198.18.0.0", "198.19.255.255", Some(("198.17.255.255", OPEN)), Some(("198.20.0.0", OPEN))),
    ("198.51.100.0", "198.51.100.255", Some(("198.51.99.255", OPEN)), Some(("198.51.101.0", OPEN))),
    ("203.0.113.0", "203.0.113.255", Some(("203.0.112.255", OPEN)), Some(("203.0.114.0", OPEN))),
    ("224.0.0.0", "239.255.255.255", Some(("223.255.255.255", OPEN)), Some(("240.0.0.0", SHUT))),
    ("240.0.0.0", "255.255.255.254", None, Some(("255.255.255.255", SHUT))),
    ("255.255.255.255", "255.255.255.255", None, None),
    ("::", "::", None, Some(("::1", SHUT))),
    ("::1", "::1", None, None),
    ("::", "::ffff:ffff", None, Some(("::1:0:0", SHUT))),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", None, Some(("64:ff9b:2::", SHUT))),
    ("100::", "100::ffff:ffff:ffff:ffff", None, None),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", None, Some(("100:0:0:2::", SHUT))),
    (
        "2001::",
        "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some(("2000:ffff::1", OPEN)),
        Some(("2001:200::", OPEN)),
    ),
    (
        "2001:db8::",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        Some(("2001:db7:ffff::", OPEN)),
        Some(("2001:db9::", OPEN)),
    ),
    (
        "2620:4f:8000::",
        "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
        Some(("2620:4f:7fff::", OPEN)),
        Some(("2620:4f:8001::", OPEN)),
    ),
    (
        "3fff::",
        "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some(("3ffe:ffff::", OPEN)),
        Some(("3fff:1000::", OPEN)),
    ),
    (
        "4000::",
        "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some(("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", OPEN)),
        None,
    ),
    ("200::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, Some(("2000::", OPEN))),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, Some(("5f01::", SHUT))),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
];

type Neighbour = Option<(&'static str, bool)>;
const OPEN: bool = true;
const SHUT: bool = false;

/// An address and whether it may be called: forms that carry an IPv4 address.
const CARRIERS: &[(&str, bool)] = &[
    ("::ffff:8.8.8.8", OPEN),
    ("::ffff:0.0.0.0", SHUT),
    ("::ffff:10.0.0.1", SHUT),
    ("::ffff:127.0.0.1", SHUT),
    ("::ffff:169.254.169.254", SHUT),
    ("::ffff:255.255.255.255", SHUT),
    ("::8.8.8.8", SHUT),
    ("::127.0.0.1", SHUT),
    ("::ffff:0:8.8.8.8", SHUT), // SIIT, not mapped
    ("64:ff9b::8.8.8.8", OPEN),
    ("64:ff9b::10.0.0.1", SHUT),
    ("64:ff9b::127.0.0.1", SHUT),
    ("64:ff9b::192.168.255.255", SHUT),
    ("64:ff9b:0:0:0:1:808:808", SHUT), // outside the /96
    ("64:ff9b:1::8.8.8.8", SHUT),
    ("2002:808:808::1", OPEN),
    ("2002:a00:1::1", SHUT),
    ("2002:7f00:1::", SHUT),
    ("2002:c0a8:101::c0a8:101", SHUT),
    ("2001:0:808:808::f7f7:f7f7", SHUT), // Teredo, global server and client
    ("2001:0:a00:1::", SHUT),
    ("2001:2::1", SHUT),
    ("2001:10::1", SHUT),
    ("2001:20::1", SHUT),
    ("2606:4700:4700::1111", OPEN),
    ("1.1.1.1", OPEN),
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// I10: no special-purpose range can be called, at either edge, and the guard stops where the range does.
#[test]
fn every_special_range_is_refused_from_edge_to_edge() {
    let guard = Guard::default();
    for (first, last, before, after) in RANGES {
        for addr in [first, last] {
            assert!(guard.check(ip(addr)).is_err(), "{addr} was let through");
        }
        for (addr, open) in [before, after].into_iter().flatten() {
            assert_eq!(guard.check(ip(addr)).is_ok(), *open, "{addr} beside {first}");
        }
    }
}

/// I10: an address that carries an IPv4 address is judged by the one it carries.
#[test]
fn carriers_are_judged_by_what_they_carry() {
    for (addr, open) in CARRIERS {
        let judged = Guard::default().check(ip(addr));
        assert_eq!(judged.is_ok(), *open, "{addr}: {judged:?}");
    }
}

/// I10: every refused IPv4 range is refused inside each carrier too.
#[test]
fn refused_v4_ranges_are_refused_in_every_carrier() {
    for (first, last, ..) in RANGES {
        for v4 in [first, last] {
            let IpAddr::V4(v4) = ip(v4) else { continue };
            let [a, b, c, d] = v4.octets();
            for carrier in [
                format!("::ffff:{v4}"),
                format!("64:ff9b::{v4}"),
                format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
            ] {
                let refused = Guard::default().check(ip(&carrier)).unwrap_err();
                assert!(refused.to_string().contains("carries an IPv4 address"), "{refused}");
            }
        }
    }
}

/// I10: an operator's list opens what it names, directly or carried, and nothing beside it.
#[test]
fn the_allow_list_opens_exactly_what_it_names() {
    let allow = ["10.1.0.0/16", "fd00:1::/32", "2001:0:a00::/48"];
    let allow = allow.iter().map(|net| net.parse().unwrap()).collect();
    let guard = Guard { allow, dev_loopback_http: false };
    for (addr, open) in [
        ("10.1.0.0", OPEN),
        ("10.1.255.255", OPEN),
        ("10.0.255.255", SHUT),
        ("10.2.0.0", SHUT),
        ("::ffff:10.1.2.3", OPEN),
        ("64:ff9b::10.1.2.3", OPEN),
        ("2002:a01:203::1", OPEN),
        ("::ffff:10.2.0.0", SHUT),
        ("::10.1.2.3", SHUT), // v4-compatible goes nowhere, whatever it embeds
        ("fd00:1::5", OPEN),
        ("fd00:2::5", SHUT),
        ("2001:0:a00::1", OPEN),
        ("2001:0:a01::1", SHUT),
        ("127.0.0.1", SHUT),
    ] {
        assert_eq!(guard.check(ip(addr)).is_ok(), open, "{addr}");
    }
}

/// I10: dev mode opens plain http to loopback and nothing else; an allow-list never opens plain http.
#[test]
fn plain_http_reaches_loopback_in_dev_mode_only() {
    let listed = vec!["10.0.0.0/8".parse().unwrap()];
    let dev = Guard { allow: listed.clone(), dev_loopback_http: true };
    for (addr, open) in [("127.0.0.1", OPEN), ("127.9.9.9", OPEN), ("::1", OPEN)] {
        assert_eq!(dev.check_for(Scheme::Http, ip(addr)).is_ok(), open, "{addr}");
        assert!(dev.check_for(Scheme::Https, ip(addr)).is_err(), "{addr} by https");
    }
    for addr in ["10.0.0.1", "8.8.8.8", "::ffff:127.0.0.1", "0.0.0.0", "::"] {
        assert!(dev.check_for(Scheme::Http, ip(addr)).is_err(), "{addr}");
    }
    let production = Guard { allow: listed, dev_loopback_http: false };
    assert!(production.check_for(Scheme::Http, ip("127.0.0.1")).is_err());
}

/// The reason names the range and never the address.
#[test]
fn the_reason_is_in_words_without_the_address() {
    let why = Guard::default().check(ip("10.20.30.40")).unwrap_err().to_string();
    assert_eq!(why, "the address is in private 10.0.0.0/8");
    let why = Guard::default().check(ip("::ffff:192.168.7.7")).unwrap_err().to_string();
    assert_eq!(why, "the address carries an IPv4 address that is in private 192.168.0.0/16");
}
