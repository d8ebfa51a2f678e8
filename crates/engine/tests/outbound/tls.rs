//! Receivers whose TLS is wrong, and one whose TLS is right.

use abide_engine::outbound::{Arrival, SendError, Target};

use super::receiver::{Act, Identity, Receiver, answer, raw, repeat};
use super::{BRIEF, FakeDns, PATIENT, courier, loopback_listed, post, send_once};

const NAME: &str = "hooks.test";

async fn refused_by_tls(presented: &Identity, trusted: &Identity) -> SendError {
    let script = vec![Act::Read, answer("200 OK", "")];
    let receiver = Receiver::start_tls(presented, vec![script]).await;
    let courier = courier(loopback_listed(), FakeDns::answering(&[&[receiver.addr()]]), trusted);
    let url = format!("https://{NAME}:{}/", receiver.addr().port());
    let target = Target::parse(&url, courier.guard()).unwrap();
    let why = send_once(&courier, &target, PATIENT).await.result.unwrap_err();
    assert!(receiver.requests().is_empty(), "the request was sent to an unproven receiver");
    why
}

/// I10: the connection goes to a checked address, but the receiver must prove the original name.
#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let other = Identity::of("other.test");
    let why = refused_by_tls(&other, &other).await;
    assert_eq!(why, SendError::Tls("the certificate is for another name", Arrival::NotArrived));
    assert_eq!(why.class().as_str(), "tls");
}

/// I10: a certificate nobody vouches for is refused.
#[tokio::test]
async fn a_self_signed_certificate_is_refused() {
    let why = refused_by_tls(&Identity::of(NAME), &Identity::of("nobody.test")).await;
    let expected = "the certificate's issuer is not trusted";
    assert_eq!(why, SendError::Tls(expected, Arrival::NotArrived));
}

/// I10: an address is proven too, when the URL names one.
#[tokio::test]
async fn a_literal_address_needs_a_certificate_for_it() {
    let identity = Identity::of("127.0.0.1");
    let script = vec![Act::Read, answer("200 OK", "")];
    let receiver = Receiver::start_tls(&identity, vec![script]).await;
    let courier = courier(loopback_listed(), FakeDns::default(), &identity);
    let url = format!("https://{}/", receiver.addr());
    let target = Target::parse(&url, courier.guard()).unwrap();
    assert_eq!(send_once(&courier, &target, PATIENT).await.result.unwrap().status, 200);
}

/// I8: a receiver that accepts and never speaks TLS costs one deadline, and cannot have seen the request.
#[tokio::test]
async fn a_silent_handshake_ends_at_the_deadline() {
    let receiver = Receiver::start(vec![vec![Act::Hang]]).await;
    let dns = FakeDns::answering(&[&[receiver.addr()]]);
    let courier = courier(loopback_listed(), dns, &Identity::of(NAME));
    let url = format!("https://{NAME}:{}/", receiver.addr().port());
    let target = Target::parse(&url, courier.guard()).unwrap();
    let why = send_once(&courier, &target, BRIEF).await.result.unwrap_err();
    assert_eq!(why, SendError::Timeout(Arrival::NotArrived));
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn something_other_than_tls_is_a_tls_failure() {
    for script in [vec![raw("HTTP/1.1 400 Bad Request\r\n\r\n"), Act::Hang], vec![]] {
        let receiver = Receiver::start(vec![script]).await;
        let dns = FakeDns::answering(&[&[receiver.addr()]]);
        let courier = courier(loopback_listed(), dns, &Identity::of(NAME));
        let url = format!("https://{NAME}:{}/", receiver.addr().port());
        let target = Target::parse(&url, courier.guard()).unwrap();
        let why = send_once(&courier, &target, PATIENT).await.result.unwrap_err();
        assert_eq!((why.class().as_str(), why.arrival()), ("tls", Arrival::NotArrived), "{why}");
    }
}

/// Several sends over one TLS connection, with bodies too large for one record or one write.
#[tokio::test]
async fn a_tls_connection_carries_large_bodies_and_is_reused() {
    let identity = Identity::of(NAME);
    let script = repeat(3, &[Act::Read, answer("200 OK", "ok")]);
    let receiver = Receiver::start_tls(&identity, vec![script]).await;
    let dns = FakeDns::answering(&[&[receiver.addr()]]);
    let courier = courier(loopback_listed(), dns, &identity);
    let url = format!("https://{NAME}:{}/", receiver.addr().port());
    let target = Target::parse(&url, courier.guard()).unwrap();
    let body = "0123456789abcdef".repeat(20_000);
    let mut slot = None;
    for turn in 0..3 {
        let sent = courier.send(&mut slot, &target, post(&body), PATIENT).await;
        assert_eq!((sent.result.unwrap().status, sent.reused), (200, turn > 0));
    }
    assert_eq!(receiver.connections(), 1);
    assert!(receiver.requests().iter().all(|seen| seen.body == body.as_bytes()));
}
