//! `kill -9` under load, again and again on one data folder.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::program::{Dice, PATIENCE, Site, times};
use crate::receiver::{Receiver, SECRET, collect_until};

const CALLERS: u64 = 4;

/// I3: of what was answered with success nothing is lost, however often the server is killed under load, and every
/// duplicate carries the id of its event. P13: one id per event.
#[test]
fn killed_under_load_nothing_accepted_is_lost_and_duplicates_carry_their_id() {
    let site = Site::new();
    let receiver = Receiver::start();
    let server = site.serve();
    server.api(&site.admin_key()).subscribe(receiver.address, SECRET);
    server.stop();
    let (mut accepted, mut seen) = (HashSet::new(), Vec::new());
    let mut dice = Dice(42);
    for round in 0..times(20, 5) {
        // Every other time the receiver has stopped answering: then all that was accepted is lost from memory, and
        // what it has had already comes again.
        if round % 2 == 1 {
            receiver.shut();
        }
        let server = site.serve();
        let api = server.api(&site.admin_key());
        let stopped = AtomicBool::new(false);
        let next = AtomicU64::new(0);
        let (sender, answered) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                let (api, sender, next, stopped) = (api.clone(), sender.clone(), &next, &stopped);
                scope.spawn(move || {
                    while !stopped.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let consent = format!(
                            r#"{{"subject_id":"s{round}-{number}","consent_type":"m","granted":true}}"#
                        );
                        // An error is no answer: the decision may be there or not.
                        if let Ok((201, answer)) = api.call("POST", "/v1/consent", &consent) {
                            let id = answer["data"]["id"].as_str().unwrap().to_owned();
                            sender.send(id).unwrap();
                        }
                    }
                });
            }
            for _ in 0..20 + dice.below(200) {
                accepted.insert(answered.recv_timeout(PATIENCE).expect("nothing is accepted"));
            }
            server.kill();
            receiver.open();
            stopped.store(true, Ordering::Relaxed);
        });
        drop(sender);
        accepted.extend(answered);
        seen.extend(receiver.so_far());
    }
    let server = site.serve();
    let last = server.api(&site.admin_key()).consent("the-last");
    accepted.insert(last);
    collect_until(&receiver, &mut seen, |seen| {
        let arrived: HashSet<&String> = seen.iter().map(|arrival| &arrival.object).collect();
        accepted.iter().all(|consent| arrived.contains(consent))
    });
    let mut events: HashMap<&str, HashSet<&str>> = HashMap::new();
    for arrival in &seen {
        assert_eq!(arrival.event_type, "consent.created");
        events.entry(&arrival.object).or_default().insert(&arrival.event_id);
    }
    let lost: Vec<_> = accepted.iter().filter(|id| !events.contains_key(id.as_str())).collect();
    assert!(lost.is_empty(), "{} of {} accepted are lost: {lost:?}", lost.len(), accepted.len());
    let renamed: Vec<_> = events.iter().filter(|(_, ids)| ids.len() != 1).collect();
    assert!(renamed.is_empty(), "told under several ids: {renamed:?}");
    assert!(seen.len() > events.len(), "no duplicate came, so nothing was said about them");
    server.stop();
}
