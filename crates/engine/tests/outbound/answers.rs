//! What goes out, byte for byte, and what is made of the answers.

use abide_engine::outbound::{
    Answer, ByteBudget, Courier, MAX_ANSWER, TlsRoots, UserAgent, WireRequest, is_courier_header,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

use super::receiver::{Act, Identity, Receiver, answer, raw};
use super::{BUDGET, FakeDns, PATIENT, dev_courier, dev_guard, http_target, post, send_once};

async fn answer_to(script: Vec<Act>) -> Answer {
    let receiver = Receiver::start(vec![script]).await;
    send_once(&dev_courier(), &http_target(&receiver, "/"), PATIENT).await.result.unwrap()
}

#[tokio::test]
async fn the_request_on_the_wire() {
    let ok = vec![Act::Read, answer("200 OK", "")];
    let receiver = Receiver::start(vec![ok]).await;
    let header = |name: &'static str, value: &'static str| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let request = WireRequest {
        headers: vec![
            header("content-type", "application/json"),
            header("x-signature", "abc="),
            header("x-signature", "def="),
        ],
        body: Bytes::from_static(b"{\"a\":1}").into(),
        user_agent: UserAgent::Abide,
    };
    let target = http_target(&receiver, "/a/../b?c=%20");
    let sent = dev_courier().send(&mut None, &target, request, PATIENT).await;
    assert_eq!(sent.result.unwrap().status, 200);
    let seen = receiver.requests().remove(0);
    let expected = format!(
        "POST /a/../b?c=%20 HTTP/1.1\r\nhost: {}\r\nuser-agent: Abide/{}\r\n\
         content-type: application/json\r\nx-signature: abc=\r\nx-signature: def=\r\n\
         content-length: 7\r\n\r\n",
        receiver.addr(),
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(seen.head, expected);
    assert_eq!(seen.body, b"{\"a\":1}");
}

/// Headers that frame the message or name the receiver are the courier's alone; an empty body has a length too.
#[tokio::test]
async fn framing_headers_of_others_are_left_out() {
    let ok = vec![Act::Read, answer("200 OK", "")];
    let receiver = Receiver::start(vec![ok]).await;
    let names = ["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"];
    let given = names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("99")));
    assert!(given.iter().all(|(name, _)| is_courier_header(name)));
    let request = WireRequest {
        headers: given.to_vec(),
        body: Bytes::new().into(),
        user_agent: UserAgent::Absent,
    };
    let target = http_target(&receiver, "/");
    let sent = dev_courier().send(&mut None, &target, request, PATIENT).await;
    assert_eq!(sent.result.unwrap().status, 200);
    let expected =
        format!("POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n\r\n", receiver.addr());
    assert_eq!(receiver.requests()[0].head, expected);
}

#[tokio::test]
async fn statuses_are_answers_whatever_they_say() {
    for (text, status) in
        [("200 OK", 200), ("204 No Content", 204), ("410 Gone", 410), ("500 Oops", 500)]
    {
        let script = if status == 204 {
            vec![Act::Read, raw("HTTP/1.1 204 No Content\r\n\r\n")]
        } else {
            vec![Act::Read, answer(text, "why")]
        };
        let answer = answer_to(script).await;
        let body: &[u8] = if status == 204 { b"" } else { b"why" };
        assert_eq!((answer.status, &*answer.body, answer.truncated), (status, body, false));
    }
}

#[tokio::test]
async fn retry_after_is_handed_on_if_it_is_sensible() {
    let with = |value: &str| {
        let head =
            format!("HTTP/1.1 429 Slow\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n");
        vec![Act::Read, raw(&head)]
    };
    assert_eq!(answer_to(with("120")).await.retry_after.as_deref(), Some("120"));
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    assert_eq!(answer_to(with(date)).await.retry_after.as_deref(), Some(date));
    let answer = answer_to(with(&"9".repeat(1000))).await;
    assert_eq!((answer.status, answer.retry_after), (429, None));
}

/// I10: a redirect into a private place is an answer, and nobody goes there.
#[tokio::test]
async fn redirects_are_not_followed() {
    let inside = Receiver::start(vec![vec![Act::Read, answer("200 OK", "secret")]]).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("http://{}/", inside.addr());
        let head =
            format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let answer = answer_to(vec![Act::Read, raw(&head)]).await;
        assert_eq!(answer.status.to_string(), status[..3]);
    }
    assert_eq!(inside.connections(), 0);
}

/// Interim answers are passed over; the final one counts.
#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n");
    let answer = answer_to(vec![Act::Read, interim, answer("200 OK", "done")]).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"done"[..]));
}

/// I9: an answer is cut while it is read, counts against the budget while it is held, and is still classified by
/// its status. The endless one proves that reading stops: a receiver that waits to be read whole never ends.
#[tokio::test]
async fn a_huge_answer_is_cut_and_its_connection_dropped() {
    let five_megabytes = 5 << 20;
    let declared = raw(&format!("HTTP/1.1 200 OK\r\ncontent-length: {five_megabytes}\r\n\r\n"));
    let endless = raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 4096, "x".repeat(4096)).into_bytes();
    for (head, rest) in
        [(declared, Act::Write(vec![b'x'; five_megabytes])), (endless, Act::Flood(chunk))]
    {
        let receiver = Receiver::start(vec![vec![Act::Read, head, rest, Act::AwaitClose]]).await;
        let courier = dev_courier();
        let target = http_target(&receiver, "/");
        let mut slot = None;
        let sent = courier.send(&mut slot, &target, post(""), PATIENT).await;
        let answer = sent.result.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, MAX_ANSWER));
        assert!(answer.truncated && slot.is_none());
        assert_eq!(courier.budget().free(), BUDGET as usize - MAX_ANSWER);
        receiver.ended(1).await;
        drop(answer);
        assert_eq!(courier.budget().free(), BUDGET as usize);
    }
}

/// I9: an answer of exactly the limit is whole, one byte more is not.
#[tokio::test]
async fn the_limit_is_exact() {
    for (length, truncated) in [(MAX_ANSWER, false), (MAX_ANSWER + 1, true)] {
        let answer = answer_to(vec![Act::Read, answer("200 OK", &"y".repeat(length))]).await;
        assert_eq!((answer.body.len(), answer.truncated), (MAX_ANSWER, truncated));
    }
}

/// I9: the head of an answer is bounded too.
#[tokio::test]
async fn a_head_is_read_up_to_its_limit() {
    for (length, accepted) in [(30 * 1024, true), (34 * 1024, false)] {
        let padding = "p".repeat(length);
        let head = format!("HTTP/1.1 200 OK\r\nx: {padding}\r\ncontent-length: 0\r\n\r\n");
        let receiver = Receiver::start(vec![vec![Act::Read, raw(&head), Act::Hang]]).await;
        let sent = send_once(&dev_courier(), &http_target(&receiver, "/"), PATIENT).await;
        assert_eq!(sent.result.is_ok(), accepted, "{length}: {:?}", sent.result);
    }
}

/// I9: with no byte free the body is left unread, and the status is still known. I8: nobody waits for the room
/// that others hold.
#[tokio::test]
async fn an_answer_without_room_keeps_its_status() {
    let receiver =
        Receiver::start(vec![vec![Act::Read, answer("410 Gone", "reason"), Act::Hang]]).await;
    let budget = ByteBudget::new(1000);
    let roots = TlsRoots::Only(vec![Identity::of("nobody.test").certificate()]);
    let courier =
        Courier::new(dev_guard(), Arc::new(FakeDns::default()), roots, budget.clone()).unwrap();
    let held = budget.try_take(1000).unwrap();
    let mut slot = None;
    let target = http_target(&receiver, "/");
    let sent = courier.send(&mut slot, &target, post(""), PATIENT).await;
    let answer = sent.result.unwrap();
    assert_eq!((answer.status, answer.body.len(), answer.truncated), (410, 0, true));
    assert!(slot.is_none());
    assert_eq!(held.len(), 1000);
}
