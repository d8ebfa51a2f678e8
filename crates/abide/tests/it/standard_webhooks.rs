//! Standard Webhooks through the whole of the sender: what a receiver's answer and address come to.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use abide_core::delivery::{DeliveryState, Reason};
use abide_core::endpoint::EndpointState;
use abide_core::shell::draw;
use abide_dialects::standard_webhooks::StandardWebhooks;
use abide_dialects::{Dialect as _, SecretForm};
use abide_engine::outbound::Guard;
use abide_storage::history::DeliveryView;

use crate::world::{Dice, World};

/// A receiver that answers everything with that status line and these headers.
fn answering(head: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = vec![0; 64 * 1024];
            drop(stream.read(&mut request));
            let answer =
                format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    address
}

fn secret() -> String {
    StandardWebhooks.new_secret(SecretForm::Shared, &draw(&Dice))
}

/// SW-13: 410 stops the endpoint, and nothing is lost by it: what was being sent and what comes later is held.
#[tokio::test]
async fn sw13_410_stops_the_endpoint_and_holds_what_waits() {
    let world = World::new().await;
    let to = answering("410 Gone");
    let endpoint = world.endpoint(&StandardWebhooks, to, &secret()).await;
    world.record().await;
    let first = world.settled(endpoint, 1).await;
    assert_eq!(first.attempts[0].status, Some(410));
    assert_eq!((first.state, first.reason), (DeliveryState::Held, Some(Reason::EndpointGone)));
    world.until_state(endpoint, EndpointState::Gone).await;
    world.record().await;
    let held = |all: &[DeliveryView]| all.len() == 2 && all[1].state == DeliveryState::Held;
    let all = world.until(endpoint, held).await;
    assert!(all[1].attempts.is_empty(), "nothing is sent to an endpoint that is gone");
}

/// SW-13: a redirect is not followed and delivers nothing; a receiver's wish to wait longer is heard.
#[tokio::test]
async fn sw13_redirects_fail_and_retry_after_is_heard() {
    let world = World::new().await;
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let location: &'static str =
        format!("307 Temporary Redirect\r\nlocation: http://{}/", trap.local_addr().unwrap())
            .leak();
    for (head, status, least) in
        [(location, 307, 5), ("429 Too Many Requests\r\nretry-after: 3600", 429, 3_600)]
    {
        let endpoint = world.endpoint(&StandardWebhooks, answering(head), &secret()).await;
        world.record().await;
        let delivery = world.settled(endpoint, 1).await;
        let attempt = &delivery.attempts[0];
        assert_eq!((attempt.status, delivery.state), (Some(status), DeliveryState::Pending));
        let waits = delivery.due_at.unwrap().millis_since(attempt.started_at);
        assert!(waits >= least * 1_000, "{waits} ms after {status}");
        world.delete(endpoint).await;
    }
    assert_eq!(trap.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "it was followed");
}

/// SW-15, SW-17: outside of development no request goes out by plain http, nor to an address that only a private
/// network knows; the attempt on record says why.
#[tokio::test]
async fn sw15_sw17_neither_plain_http_nor_private_addresses_are_called() {
    let world = World::guarded_by(Guard::default()).await;
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    let address = receiver.local_addr().unwrap();
    for url in [
        format!("http://{address}/webhooks"),
        format!("https://{address}/webhooks"),
        format!("https://localhost:{}/webhooks", address.port()),
        "https://10.0.0.1/webhooks".to_owned(),
        "https://169.254.169.254/webhooks".to_owned(),
        "https://[::ffff:127.0.0.1]/webhooks".to_owned(),
    ] {
        let endpoint = world.endpoint_at(&StandardWebhooks, url.clone(), &secret()).await;
        world.record().await;
        let delivery = world.settled(endpoint, 1).await;
        let attempt = &delivery.attempts[0];
        assert_eq!(attempt.status, None, "{url}");
        let error = attempt.error.as_deref();
        assert!(matches!(error, Some("forbidden_url" | "forbidden_address")), "{url}: {error:?}");
        world.delete(endpoint).await;
    }
    assert_eq!(receiver.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "it was called");
}
