//! Signals: the first lets what is open end, the second does not.

use std::time::{Duration, Instant};

use crate::program::Site;
use crate::receiver::{Receiver, SECRET};

/// I3: what was being sent when the server stopped is neither lost nor sent again.
#[test]
fn sigterm_lets_an_open_send_end_and_exits_0() {
    let site = Site::new();
    let receiver = Receiver::start();
    for name in ["TERM", "INT"] {
        let server = site.serve();
        let api = server.api(&site.admin_key());
        if name == "TERM" {
            api.subscribe(receiver.address, SECRET);
        }
        receiver.shut();
        let consent = api.consent(&format!("stopped-by-{name}"));
        let sent = receiver.next();
        assert_eq!(sent.object, consent);
        server.signal(name);
        server.lines.wait_for_text("stopping");
        receiver.open();
        assert_eq!(server.wait().code(), Some(0));

        let server = site.serve();
        let next = server.api(&site.admin_key()).consent(&format!("after-{name}"));
        let sent = receiver.next();
        assert_eq!(sent.object, next, "the send had ended, so nothing is repeated");
        server.stop();
    }
}

#[test]
fn draining_ends_at_its_bound() {
    let site = Site::new();
    let receiver = Receiver::start();
    let server = site.serve_with(&["--drain-seconds", "1"]);
    let api = server.api(&site.admin_key());
    api.subscribe(receiver.address, SECRET);
    receiver.shut();
    let consent = api.consent("hung");
    assert_eq!(receiver.next().object, consent);
    let told = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let took = told.elapsed();
    // The send's own deadline is 10 s.
    assert!(took < Duration::from_secs(7), "{took:?}");
    let server = site.serve();
    assert_eq!(server.api(&site.admin_key()).get(&format!("/v1/consent/{consent}")).0, 200);
}

#[test]
fn a_second_signal_stops_at_once() {
    let site = Site::new();
    let receiver = Receiver::start();
    let server = site.serve_with(&["--drain-seconds", "600"]);
    let api = server.api(&site.admin_key());
    api.subscribe(receiver.address, SECRET);
    receiver.shut();
    api.consent("hung");
    receiver.next();
    server.signal("TERM");
    server.lines.wait_for_text("stopping");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1));
}
