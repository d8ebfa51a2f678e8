//! Receivers that give no whole answer, and what is known afterwards.

use std::time::Duration;

use abide_engine::outbound::{Arrival, SendError};
use futures_util::future::join_all;

use super::receiver::{Act, Receiver, answer, raw};
use super::{BRIEF, PATIENT, dev_courier, http_target, post, send_once};

async fn failure_of(script: Vec<Act>, deadline: Duration) -> SendError {
    let receiver = Receiver::start(vec![script]).await;
    let courier = dev_courier();
    let mut slot = None;
    let sent = courier.send(&mut slot, &http_target(&receiver, "/"), post("x"), deadline).await;
    assert!(slot.is_none(), "a failed connection was kept");
    assert_eq!(receiver.connections(), 1, "an unknown outcome was sent again");
    sent.result.unwrap_err()
}

/// I8: one deadline covers everything to the last byte of the body, however the receiver spends it.
#[tokio::test]
async fn the_deadline_covers_head_and_body() {
    let tick = Duration::from_millis(20);
    let head = raw("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
    let open_head = raw("HTTP/1.1 200 OK\r\nx-slow: ");
    for script in [
        vec![Act::Hang],
        vec![Act::Read, Act::Hang],
        vec![Act::Read, open_head, Act::Drip(b'a', tick)],
        vec![Act::Read, head.clone(), Act::Hang],
        vec![Act::Read, head, Act::Drip(b'a', tick)],
    ] {
        let why = failure_of(script.clone(), BRIEF).await;
        assert_eq!(why, SendError::Timeout(Arrival::Unknown), "{script:?}");
    }
}

/// I8: a receiver that answers in full but never reads the request does not hold it past the deadline.
#[tokio::test]
async fn a_receiver_that_does_not_read_ends_at_the_deadline() {
    let receiver = Receiver::start(vec![vec![Act::Hang]]).await;
    let large = "z".repeat(32 << 20);
    let target = http_target(&receiver, "/");
    let sent = dev_courier().send(&mut None, &target, post(&large), BRIEF).await;
    assert_eq!(sent.result.unwrap_err(), SendError::Timeout(Arrival::Unknown));
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_the_outcome_unknown() {
    let head = raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    let chunked = raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel");
    for script in [
        vec![Act::Read, Act::Reset],
        vec![Act::Read],
        vec![Act::Read, raw("HTTP/1.1 200 OK\r\nx-half: ")],
        vec![Act::Read, head.clone()],
        vec![Act::Read, head, Act::Reset],
        vec![Act::Read, chunked],
    ] {
        let why = failure_of(script.clone(), PATIENT).await;
        assert_eq!(why, SendError::Reset(Arrival::Unknown), "{script:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_named_so() {
    let endless_head = vec![Act::Read, raw("HTTP/1.1 200 OK\r\nx: "), Act::Flood(vec![b'a'; 4096])];
    let many_headers = raw(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(1000)));
    for script in [
        vec![Act::Read, raw("SSH-2.0-OpenSSH_9.9\r\n"), Act::Hang],
        vec![Act::Read, raw("HTTP/1.1 twohundred OK\r\n\r\n"), Act::Hang],
        vec![
            Act::Read,
            raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
            Act::Hang,
        ],
        vec![
            Act::Read,
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            Act::Hang,
        ],
        vec![Act::Read, many_headers, Act::Hang],
        endless_head, // I9 too: the head is bounded
    ] {
        let why = failure_of(script.clone(), PATIENT).await;
        assert_eq!(
            (why, why.class().as_str()),
            (SendError::InvalidHttp, "invalid_http"),
            "{script:?}"
        );
    }
}

/// I8: many receivers that hang delay a healthy one by nothing: its answer is there while all of them still wait.
#[tokio::test]
async fn hanging_receivers_delay_no_other() {
    let hanging = Receiver::start(vec![vec![Act::Read, Act::Hang]]).await;
    let healthy = Receiver::start(vec![vec![Act::Read, answer("200 OK", "")]]).await;
    let courier = dev_courier();
    let stuck = http_target(&hanging, "/");
    let all_stuck = join_all((0..50).map(|_| send_once(&courier, &stuck, PATIENT)));
    let well = async {
        hanging.accepted(50).await;
        send_once(&courier, &http_target(&healthy, "/"), PATIENT).await
    };
    tokio::select! {
        biased;
        sent = well => assert_eq!(sent.result.unwrap().status, 200),
        _ = all_stuck => panic!("the hanging receivers ended first"),
    }
}
