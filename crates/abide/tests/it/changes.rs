//! What is changed at one node every other goes by within two seconds: nothing more is sent that was stopped, and nobody gets
//! in who was kept out.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Api;
use crate::nodes::Nodes;
use crate::program::{PATIENCE, Server, pause};
use crate::receiver::{Receiver, SECRET};

/// How long a change may take.
const REACHED: Duration = Duration::from_secs(2);
/// More than a new endpoint is sent at once: the rest waits in the memory of the node that took it.
const MANY: u32 = 20;

/// What is in a node's hands, or due.
const UNDER_WAY: &str =
    "SELECT count(*) FROM deliveries WHERE state IN ('hot', 'claimed', 'pending')";

/// Waits until everything has ended.
fn settled(nodes: &Nodes) {
    let begun = Instant::now();
    while nodes.ask(UNDER_WAY) > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} are still under way", nodes.ask(UNDER_WAY));
        pause(Duration::from_millis(20));
    }
}

fn endpoint_of(api: &Api, receiver: &Receiver) -> String {
    let url = json!(format!("http://{}/hook", receiver.address));
    let (status, answer) = api.get("/abide/v1/endpoints");
    assert_eq!(status, 200, "{answer}");
    let all = answer["items"].as_array().unwrap();
    let found = all.iter().find(|endpoint| endpoint["url"] == url).unwrap();
    found["id"].as_str().unwrap().to_owned()
}

fn consents(api: &Api, name: &str) -> Vec<String> {
    (0..MANY).map(|number| api.consent(&format!("{name}-{number}"))).collect()
}

/// I8: an endpoint that is paused or deleted at one node is sent nothing more by another, neither what waits in its memory nor
/// what it takes afterwards.
#[test]
fn i8_an_endpoint_stopped_at_one_node_is_stopped_at_every_other() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.serve(&[]), nodes.serve(&[]));
    let key = nodes.admin_key();
    let (here, there) = (one.api(&key), two.api(&key));
    let [paused, deleted, kept] = [Receiver::start(), Receiver::start(), Receiver::start()];
    let all = [&paused, &deleted, &kept];
    for receiver in all {
        here.subscribe(receiver.address, SECRET);
    }
    // The other node knows all three before.
    pause(REACHED);
    there.consent("before");
    for receiver in all {
        receiver.next();
    }
    settled(&nodes);

    paused.shut();
    deleted.shut();
    consents(&there, "waiting");
    let path = |receiver| format!("/abide/v1/endpoints/{}", endpoint_of(&here, receiver));
    let (status, answer) = here.post(&format!("{}/pause", path(&paused)), &json!({}));
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = here.call("DELETE", &path(&deleted), "").unwrap();
    assert!([200, 204].contains(&status), "{status} {answer}");
    pause(REACHED);
    for receiver in all {
        receiver.so_far();
    }
    paused.open();
    deleted.open();
    let after = there.consent("after");
    while kept.next().object != after {}
    settled(&nodes);
    for (receiver, what) in [(&paused, "paused"), (&deleted, "deleted")] {
        let sent = receiver.so_far();
        assert!(sent.is_empty(), "{} were sent to the {what} endpoint", sent.len());
    }
    let stopped = "SELECT count(*) FROM deliveries WHERE state = 'cancelled'";
    let waited = nodes.ask(stopped);
    assert!(waited > i64::from(MANY), "{waited}: nothing waited at the other node");
    [one, two].into_iter().for_each(Server::stop);
}

/// I11: of a person who is erased at one node another sends nothing more, also what it has in its memory.
#[test]
fn i11_who_is_erased_at_one_node_is_told_of_by_no_other() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.serve(&[]), nodes.serve(&[]));
    let key = nodes.admin_key();
    let receiver = Receiver::start();
    one.api(&key).subscribe(receiver.address, SECRET);
    pause(REACHED);
    receiver.shut();
    let all = consents(&two.api(&key), "person");
    let (last, others) = all.split_last().unwrap();
    let person = format!("person-{}", MANY - 1);
    let mut seen = receiver.so_far();
    assert!(seen.iter().all(|arrival| arrival.object != *last), "it does not wait");
    nodes.sites()[0].ask(&["subjects", "erase", "--reference", &person]);
    pause(REACHED);
    receiver.open();
    settled(&nodes);
    seen.extend(receiver.so_far());
    assert!(seen.iter().all(|arrival| arrival.object != *last), "it was sent");
    for other in others {
        assert!(seen.iter().any(|arrival| arrival.object == *other), "{other} was not sent");
    }
    assert_eq!(nodes.ask("SELECT count(*) FROM deliveries WHERE state = 'erased'"), 1);
    [one, two].into_iter().for_each(Server::stop);
}

/// I12: a key that is revoked at one node opens nothing at another.
#[test]
fn i12_a_key_revoked_at_one_node_is_good_at_no_other() {
    let mut nodes = Nodes::new();
    let (one, two) = (nodes.serve(&[]), nodes.serve(&[]));
    let site = &nodes.sites()[0];
    let minted = site.ask(&["keys", "create", "--name", "passing", "--json"]);
    let key: Value = serde_json::from_str(&minted).unwrap();
    let known = |server: &Server| server.api(&key).get("/v1/policies").0;
    assert_eq!([&one, &two].map(known), [200, 200]);
    site.ask(&["keys", "revoke", key["id"].as_str().unwrap()]);
    assert_eq!(known(&one), 401);
    pause(REACHED);
    assert_eq!(known(&two), 401);
    [one, two].into_iter().for_each(Server::stop);
}
