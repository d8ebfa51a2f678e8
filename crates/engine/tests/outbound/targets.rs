//! The table of URLs.

use std::net::IpAddr;

use abide_engine::outbound::{Guard, Host, MAX_URL_LEN, Target, TargetProblem};
use proptest::prelude::*;

use super::{dev_guard, loopback_listed};

fn problem(url: &str, guard: &Guard) -> TargetProblem {
    match Target::parse(url, guard) {
        Ok(target) => panic!("{url} was accepted as {target:?}"),
        Err(problem) => problem,
    }
}

/// I10: whatever is not plainly an https URL to a name or a public address is refused, and for its own reason.
#[test]
fn doubtful_urls_are_refused() {
    let long = format!("https://example.com/{}", "a".repeat(MAX_URL_LEN));
    let label = format!("https://{}.com/", "a".repeat(64));
    for (url, expected) in [
        ("", TargetProblem::HttpsRequired),
        ("example.com", TargetProblem::HttpsRequired),
        ("http://example.com/", TargetProblem::HttpsRequired),
        ("http://127.0.0.1/", TargetProblem::HttpsRequired),
        ("ftp://example.com/", TargetProblem::HttpsRequired),
        ("file:///etc/passwd", TargetProblem::HttpsRequired),
        ("javascript://example.com/", TargetProblem::HttpsRequired),
        ("https:example.com", TargetProblem::HttpsRequired),
        ("https:/example.com", TargetProblem::HttpsRequired),
        ("https:///path", TargetProblem::NoHost),
        ("https://", TargetProblem::NoHost),
        ("https://?q", TargetProblem::NoHost),
        ("https://:443/", TargetProblem::NoHost),
        ("https://user@example.com/", TargetProblem::Userinfo),
        ("https://user:pass@example.com/", TargetProblem::Userinfo),
        ("https://example.com@127.0.0.1/", TargetProblem::Userinfo),
        ("https://@example.com/", TargetProblem::Userinfo),
        ("https://example.com/#f", TargetProblem::Fragment),
        ("https://example.com#@127.0.0.1/", TargetProblem::Fragment),
        ("https://example.com:0/", TargetProblem::BadPort),
        ("https://example.com:/", TargetProblem::BadPort),
        ("https://example.com:65536/", TargetProblem::BadPort),
        ("https://example.com:+443/", TargetProblem::BadPort),
        ("https://example.com:0443/", TargetProblem::BadPort),
        ("https://example.com:80:80/", TargetProblem::BadPort),
        ("https://exa mple.com/", TargetProblem::BadCharacter),
        ("https://example.com/\r\nHost: x", TargetProblem::BadCharacter),
        ("https://exa\tmple.com/", TargetProblem::BadCharacter),
        ("https://example.com\\@127.0.0.1/", TargetProblem::BadCharacter),
        ("https://bücher.example/", TargetProblem::NotAscii),
        ("https://\u{ff11}27.0.0.1/", TargetProblem::NotAscii),
        ("https://example.com/é", TargetProblem::NotAscii),
        ("https://example%2ecom/", TargetProblem::BadHost),
        ("https://a..b/", TargetProblem::BadHost),
        ("https://.example.com/", TargetProblem::BadHost),
        ("https://./", TargetProblem::BadHost),
        (&label, TargetProblem::BadHost),
        ("https://[::1/", TargetProblem::BadHost),
        ("https://[::1]x/", TargetProblem::BadHost),
        ("https://[fe80::1%25eth0]/", TargetProblem::BadHost),
        ("https://[127.0.0.1]/", TargetProblem::BadHost),
        ("https://::1/", TargetProblem::NoHost),
        (&long, TargetProblem::TooLong),
    ] {
        assert_eq!(problem(url, &Guard::default()), expected, "{url}");
    }
}

/// I10: no other spelling of a number reaches the address it means, not even one an operator has listed.
#[test]
fn alternate_number_forms_never_slip_through() {
    for host in [
        "0x7f.1",
        "0x7f000001",
        "0X7F.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.0x1",
        "127.0.0.1.",
        "127.0.0.256",
        "1.2.3.4.5",
        "0",
        "0x",
        "example.0x7f",
        "example.1",
        "010.8.8.8",
        "3232235777",
    ] {
        for guard in [Guard::default(), loopback_listed()] {
            let problem = problem(&format!("https://{host}/"), &guard);
            assert_eq!(problem, TargetProblem::AmbiguousHost, "{host}");
        }
    }
}

/// I10: a literal address is judged when it is typed.
#[test]
fn literal_addresses_are_judged_at_once() {
    for host in
        ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:7f00:1]", "[fd00::1]"]
    {
        let problem = problem(&format!("https://{host}/"), &Guard::default());
        assert!(matches!(problem, TargetProblem::Forbidden(_)), "{host}: {problem}");
    }
    for host in ["8.8.8.8", "[2606:4700:4700::1111]", "[::ffff:8.8.8.8]"] {
        assert!(Target::parse(&format!("https://{host}/"), &Guard::default()).is_ok(), "{host}");
    }
    assert!(Target::parse("https://127.0.0.1/", &loopback_listed()).is_ok());
}

/// I10: dev mode accepts plain http to this machine by literal address or as `localhost`, by no other name.
#[test]
fn dev_mode_accepts_http_to_this_machine_only() {
    for url in
        ["http://localhost:8080/x", "http://127.0.0.1/", "http://[::1]:9/", "HTTP://LOCALHOST"]
    {
        assert!(Target::parse(url, &dev_guard()).is_ok(), "{url}");
    }
    for url in [
        "http://example.com/",
        "http://localhost.example.com/",
        "http://10.0.0.1/",
        "http://8.8.8.8/",
    ] {
        assert_eq!(problem(url, &dev_guard()), TargetProblem::HttpsRequired, "{url}");
    }
    assert!(matches!(problem("https://127.0.0.1/", &dev_guard()), TargetProblem::Forbidden(_)));
}

/// What a receiver's owner typed is what goes on the wire: nothing is tidied.
#[test]
fn port_path_and_query_are_kept_as_given() {
    for (url, port, path) in [
        ("https://example.com", 443, "/"),
        ("https://example.com?a=b", 443, "/?a=b"),
        ("https://example.com:8443/a/../b/./c//d", 8443, "/a/../b/./c//d"),
        (
            "https://example.com:443/%2e%2E/%7euser?x=%20+&y=a/b?c",
            443,
            "/%2e%2E/%7euser?x=%20+&y=a/b?c",
        ),
        ("https://example.com:65535/a;b=c,d'e(f)*", 65535, "/a;b=c,d'e(f)*"),
    ] {
        let target = Target::parse(url, &Guard::default()).unwrap();
        assert_eq!((target.port(), target.path_and_query()), (port, path), "{url}");
    }
}

#[test]
fn hosts_are_read_as_names_or_addresses() {
    let host = |url| Target::parse(url, &Guard::default()).unwrap().host().clone();
    assert_eq!(host("https://Hooks.EXAMPLE.com/"), Host::Name("hooks.example.com".to_owned()));
    assert_eq!(host("https://example.com./"), Host::Name("example.com.".to_owned()));
    assert_eq!(
        host("https://xn--bcher-kva.example/"),
        Host::Name("xn--bcher-kva.example".to_owned())
    );
    assert_eq!(host("https://1.1.1.1:8/"), Host::Ip("1.1.1.1".parse::<IpAddr>().unwrap()));
}

/// Tokens live in paths and queries: a target must be safe to log.
#[test]
fn debug_shows_no_path_and_no_query() {
    let target =
        Target::parse("https://example.com/secret?token=secret", &Guard::default()).unwrap();
    assert_eq!(format!("{target:?}"), "Target(Https example.com:443)");
}

proptest! {
    /// I10: whatever is typed, parsing does not panic, and a literal it accepts has passed the guard.
    #[test]
    fn an_accepted_literal_has_passed_the_guard(host in "[0-9a-fx.:\\[\\]%@]{1,24}") {
        if let Ok(target) = Target::parse(&format!("https://{host}/"), &Guard::default())
            && let Host::Ip(addr) = target.host()
        {
            prop_assert!(Guard::default().check(*addr).is_ok());
        }
    }
}
