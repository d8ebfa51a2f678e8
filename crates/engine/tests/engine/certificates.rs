//! Endpoints with a TLS of their own: a client certificate, an authority of their own.

use std::sync::Arc;
use std::time::Duration;

use abide_core::delivery::DeliveryState;
use abide_core::endpoint::{ClientCertificate, EndpointAuth};
use abide_engine::outbound::TlsRoots;

use crate::receiver::{Act, Identity, Receiver, answer, repeat};
use crate::test_dialects::SNAPSHOT;
use crate::world::{PATIENT, World, requests};

const HERE: &str = "127.0.0.1";

fn well(times: usize) -> Vec<Act> {
    repeat(times, &[Act::Read, answer("200 OK", "")])
}

fn showing(identity: &Identity) -> EndpointAuth {
    EndpointAuth {
        client_certificate: Some(ClientCertificate {
            chain: identity.chain(),
            key: identity.key(),
        }),
        ..EndpointAuth::default()
    }
}

fn trusting(identity: &Identity) -> EndpointAuth {
    EndpointAuth { trusted_roots: Some(identity.chain()), ..EndpointAuth::default() }
}

/// A world whose machine trusts that one.
async fn world_trusting(identity: &Identity) -> World {
    World::made_of(World::store(), |parts| {
        parts.guard.allow = vec!["127.0.0.0/8".parse().unwrap()];
        parts.roots = TlsRoots::Only(vec![identity.certificate()]);
    })
    .await
}

/// I10, I12: a receiver that asks for a certificate gets the endpoint's, and nothing is told to it without the right one.
#[tokio::test(flavor = "multi_thread")]
async fn i12_a_receiver_is_shown_the_endpoints_certificate_and_nobody_elses() {
    let (server, client) = (Identity::of(HERE), Identity::of("client.test"));
    let world = world_trusting(&server).await;
    let mut both = showing(&client);
    both.trusted_roots = Some(server.chain());
    let table = [
        (showing(&client), None),
        (both, None),
        (EndpointAuth::default(), Some("tls")),
        (trusting(&server), Some("tls")),
        (showing(&Identity::of("client.test")), Some("tls")),
        (showing(&Identity::expired("client.test")), Some("tls")),
    ];
    let mut expected = Vec::new();
    for (auth, error) in table {
        let receiver = Receiver::start_mutual(&server, &client, vec![well(1)]).await;
        let url = format!("https://{}/", receiver.addr());
        expected.push((world.endpoint_proving(&SNAPSHOT, url, auth).await, receiver, error));
    }
    world.record("ada", "marketing").await;
    let all = world
        .until("tried", |all| {
            all.len() == expected.len() && all.iter().all(|one| one.attempts.len() == 1)
        })
        .await;
    for (endpoint, receiver, error) in expected {
        let one = all.iter().find(|one| one.endpoint == endpoint).unwrap();
        assert_eq!(one.attempts[0].error.as_deref(), error);
        assert_eq!(one.state == DeliveryState::Delivered, error.is_none());
        assert_eq!(receiver.requests().len(), usize::from(error.is_none()));
    }
}

/// I10: an authority that an endpoint brings is trusted for that endpoint alone, and in place of the machine's.
#[tokio::test(flavor = "multi_thread")]
async fn i10_an_own_authority_is_trusted_for_its_endpoint_alone() {
    let (machines, own) = (Identity::of(HERE), Identity::of(HERE));
    let world = world_trusting(&machines).await;
    let table = [
        (&own, trusting(&own), None),
        (&own, EndpointAuth::default(), Some("tls")),
        (&machines, EndpointAuth::default(), None),
        (&machines, trusting(&own), Some("tls")),
        (&Identity::expired(HERE), EndpointAuth::default(), Some("tls")),
    ];
    let expired = Identity::expired(HERE);
    let mut expected = Vec::new();
    for (server, auth, error) in
        table.into_iter().chain([(&expired, trusting(&expired), Some("tls"))])
    {
        let receiver = Receiver::start_tls(server, vec![well(1)]).await;
        let url = format!("https://{}/", receiver.addr());
        expected.push((world.endpoint_proving(&SNAPSHOT, url, auth).await, receiver, error));
    }
    world.record("ada", "marketing").await;
    let all = world
        .until("tried", |all| {
            all.len() == expected.len() && all.iter().all(|one| one.attempts.len() == 1)
        })
        .await;
    for (endpoint, receiver, error) in expected {
        let one = all.iter().find(|one| one.endpoint == endpoint).unwrap();
        assert_eq!(one.attempts[0].error.as_deref(), error);
        assert_eq!(receiver.requests().len(), usize::from(error.is_none()));
    }
}

/// I12: a connection that was made with one certificate is not used after another was set, also where the receiver
/// would have gone on with it.
#[tokio::test(flavor = "multi_thread")]
async fn i12_a_connection_made_with_another_certificate_is_not_used() {
    let (server, client) = (Identity::of(HERE), Identity::of("client.test"));
    let world = world_trusting(&server).await;
    let receiver = Arc::new(Receiver::start_mutual(&server, &client, vec![well(100)]).await);
    let url = format!("https://{}/", receiver.addr());
    let endpoint = world.endpoint_proving(&SNAPSHOT, url, showing(&client)).await;
    for n in 0..3 {
        world.record(&format!("person {n}"), "marketing").await;
        requests(&receiver, n + 1).await;
        world
            .until("recorded", |all| all.iter().all(|one| one.state == DeliveryState::Delivered))
            .await;
    }
    assert_eq!(receiver.connections(), 1);
    world.change_auth(endpoint, showing(&Identity::of("client.test"))).await;
    let deadline = tokio::time::Instant::now() + PATIENT;
    for n in 3.. {
        // Whatever was told before the change was seen went over the old connection, and the rest fails.
        world.record(&format!("person {n}"), "marketing").await;
        let all =
            world.until("recorded", |all| all.iter().all(|one| !one.attempts.is_empty())).await;
        let told = all.iter().filter(|one| one.state == DeliveryState::Delivered).count();
        assert_eq!(receiver.requests().len(), told);
        if told < all.len() {
            let failed = all.iter().find(|one| one.state != DeliveryState::Delivered).unwrap();
            assert_eq!(failed.attempts[0].error.as_deref(), Some("tls"));
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the change is never seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
