//! One connection for many sends, and a new one when it is gone.

use abide_engine::outbound::{Arrival, Connection, Courier, SendError, Target};

use super::receiver::{Act, Receiver, answer, raw, repeat};
use super::{BRIEF, PATIENT, dev_courier, http_target, post};

async fn status(courier: &Courier, slot: &mut Option<Connection>, target: &Target) -> (u16, bool) {
    let sent = courier.send(slot, target, post("x"), PATIENT).await;
    (sent.result.unwrap().status, sent.reused)
}

#[tokio::test]
async fn sends_share_one_connection() {
    let chunked =
        raw("HTTP/1.1 201 Made\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let empty = raw("HTTP/1.1 204 No Content\r\n\r\n");
    let script =
        repeat(3, &[Act::Read, answer("200 OK", "body"), Act::Read, chunked, Act::Read, empty]);
    let receiver = Receiver::start(vec![script]).await;
    let (courier, target) = (dev_courier(), http_target(&receiver, "/"));
    let mut slot = None;
    for turn in 0..9 {
        let expected = [200, 201, 204][turn % 3];
        assert_eq!(status(&courier, &mut slot, &target).await, (expected, turn > 0));
    }
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 9));
}

#[tokio::test]
async fn a_receiver_that_says_close_is_dialled_anew() {
    for head in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        let receiver = Receiver::start(vec![vec![Act::Read, raw(head), Act::Hang]]).await;
        let (courier, target) = (dev_courier(), http_target(&receiver, "/"));
        let mut slot = None;
        for _ in 0..2 {
            assert_eq!(status(&courier, &mut slot, &target).await, (200, false));
            assert!(slot.is_none());
        }
        assert_eq!(receiver.connections(), 2);
    }
}

/// A receiver that closes between two sends, quietly, with a reset or with a parting word, costs nothing.
#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let ok = || vec![Act::Read, answer("200 OK", "")];
    let parting = raw("HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n");
    for end in [vec![], vec![Act::Reset], vec![parting]] {
        let first = [ok(), end].concat();
        let receiver = Receiver::start(vec![first, ok()]).await;
        let (courier, target) = (dev_courier(), http_target(&receiver, "/"));
        let mut slot = None;
        assert_eq!(status(&courier, &mut slot, &target).await, (200, false));
        receiver.ended(1).await;
        nudge().await;
        assert_eq!(status(&courier, &mut slot, &target).await, (200, false));
        assert_eq!(receiver.requests().len(), 2);
    }
}

/// What was written to a reused connection may have arrived: it is not sent again behind the caller's back.
#[tokio::test]
async fn a_reused_connection_that_breaks_in_use_is_a_failure() {
    for (end, class) in
        [(vec![], "reset"), (vec![Act::Reset], "reset"), (vec![Act::Hang], "timeout")]
    {
        let script = [vec![Act::Read, answer("200 OK", ""), Act::Read], end].concat();
        let receiver = Receiver::start(vec![script]).await;
        let (courier, target) = (dev_courier(), http_target(&receiver, "/"));
        let mut slot = None;
        assert_eq!(status(&courier, &mut slot, &target).await, (200, false));
        let sent = courier.send(&mut slot, &target, post("x"), BRIEF).await;
        let why: SendError = sent.result.unwrap_err();
        assert_eq!(
            (why.class().as_str(), why.arrival(), sent.reused),
            (class, Arrival::Unknown, true)
        );
        assert!(slot.is_none());
        assert_eq!((receiver.connections(), receiver.requests().len()), (1, 2));
    }
}

/// I10: a kept connection serves only the origin it was opened to: changing an endpoint's URL reaches the new one.
#[tokio::test]
async fn a_kept_connection_never_serves_another_target() {
    let ok = || vec![repeat(3, &[Act::Read, answer("200 OK", "")])];
    let (old, new) = (Receiver::start(ok()).await, Receiver::start(ok()).await);
    let courier = dev_courier();
    let mut slot = None;
    assert_eq!(status(&courier, &mut slot, &http_target(&old, "/a")).await, (200, false));
    assert_eq!(status(&courier, &mut slot, &http_target(&old, "/b")).await, (200, true));
    assert_eq!(status(&courier, &mut slot, &http_target(&new, "/b")).await, (200, false));
    assert_eq!((old.requests().len(), new.requests().len()), (2, 1));
}

/// Lets the runtime hear from the network once more: events that came before this exchange are known after it.
async fn nudge() {
    let receiver = Receiver::start(vec![vec![Act::Read, answer("200 OK", "")]]).await;
    let target = http_target(&receiver, "/");
    assert_eq!(status(&dev_courier(), &mut None, &target).await.0, 200);
}
