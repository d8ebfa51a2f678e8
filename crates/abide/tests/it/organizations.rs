//! `abide organizations`, through a running server and on a stopped store.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Api;
use crate::program::{PATIENCE, Site, pause};

fn listed(site: &Site) -> Vec<Value> {
    let text = site.ask(&["organizations", "list", "--json"]);
    serde_json::from_str(&text).unwrap()
}

/// Founds an organization and answers its first key.
fn found(site: &Site, address: std::net::SocketAddr, uri: &str) -> Value {
    let create =
        ["keys", "create", "--name", "founder", "--scopes", "organizations:write", "--json"];
    let founder: Value = serde_json::from_str(&site.ask(&create)).unwrap();
    let founder = Api::new(address, founder["bearer_token"].as_str().unwrap());
    let (status, founded) = founder.post("/abide/v1/organizations", &json!({"uri": uri}));
    assert_eq!(status, 201, "{founded}");
    founded["key"].clone()
}

/// Waits until the organization is a mark.
fn wait_until_deleted(site: &Site, uri: &str) {
    let begun = Instant::now();
    // A name is free once its organization was deleted: there may be others of it, deleted before.
    while listed(site).iter().any(|one| one["uri"] == uri && one["state"] != "deleted") {
        assert!(begun.elapsed() < PATIENCE, "it was not deleted: {:?}", listed(site));
        pause(Duration::from_millis(50));
    }
}

/// A deletion holds writes up until it is taken back, whether a server runs or not; one without grace is carried out by
/// the server that runs, or by the next that starts, and nobody else's organization notices.
#[test]
fn an_organization_is_deleted_and_restored() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    let record = api.consent("ada");
    let key = found(&site, server.address, "they");
    let theirs = server.api(&key);
    theirs.consent("ada");

    let said = site.ask(&[
        "organizations",
        "delete",
        "default",
        "--confirm",
        "default",
        "--grace-days",
        "7",
    ]);
    assert!(said.contains("deleting") && said.contains("organizations restore default"), "{said}");
    let consent = json!({"subject_id": "bob", "consent_type": "marketing", "granted": true});
    let (status, answer) = api.post("/v1/consent", &consent);
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("CONFLICT")), "{answer}");
    assert_eq!(api.get(&format!("/v1/consent/{record}")).0, 200);
    server.stop();
    let said = site.ask(&["organizations", "restore", "default"]);
    assert!(said.contains("active"), "{said}");
    let server = site.serve();
    server.api(&site.admin_key()).consent("bob");

    site.ask(&["organizations", "delete", "they", "--confirm", "they", "--grace-days", "0"]);
    wait_until_deleted(&site, "they");
    assert_eq!(server.api(&key).get("/abide/v1/organization").0, 401);
    assert_eq!(server.api(&site.admin_key()).get(&format!("/v1/consent/{record}")).0, 200);
    let key = found(&site, server.address, "they");
    server.api(&key).consent("ada");
    server.stop();

    site.ask(&["organizations", "delete", "they", "--confirm", "they", "--grace-days", "0"]);
    let server = site.serve();
    wait_until_deleted(&site, "they");
    assert_eq!(server.api(&key).get("/abide/v1/organization").0, 401);
    let states: Vec<_> = listed(&site).iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["active", "deleted", "deleted"]);
    assert!(site.ask(&["organizations", "list"]).lines().count() == 3);
}

/// Whoever deleted the first organization and works in another does not get it back with the next start.
#[test]
fn a_start_does_not_bring_the_first_organization_back() {
    let site = Site::new();
    let server = site.serve();
    found(&site, server.address, "they");
    site.ask(&["organizations", "delete", "default", "--confirm", "default", "--grace-days", "0"]);
    wait_until_deleted(&site, "default");
    server.stop();
    let server = site.serve();
    let uris: Vec<_> = listed(&site).iter().map(|one| one["uri"].clone()).collect();
    assert_eq!(uris, ["default", "they"]);
    drop(server);
}

#[test]
fn what_is_asked_wrongly_deletes_nothing() {
    let site = Site::new();
    let server = site.serve();
    for (args, code, named) in [
        (&["organizations", "delete", "default", "--confirm", "they"][..], 3, "`confirm`"),
        (&["organizations", "delete", "default"], 2, "--confirm"),
        (
            &["organizations", "delete", "nobody", "--confirm", "nobody"],
            3,
            "no organization `nobody`",
        ),
        (
            &["organizations", "delete", "default", "--confirm", "default", "--grace-days", "91"],
            2,
            "90",
        ),
        (&["organizations", "restore", "nobody"], 3, "no organization `nobody`"),
    ] {
        let refused = site.refused(args);
        assert_eq!(refused.0, Some(code), "{args:?}: {}", refused.1);
        assert!(refused.1.contains(named), "{args:?}: {}", refused.1);
    }
    assert_eq!(listed(&site)[0]["state"], "active");
    drop(server);
}

/// Rules of retention are shown and changed, whether a server runs or not, and a wrong one is refused by its name.
#[test]
fn rules_of_retention_are_shown_and_changed() {
    let site = Site::new();
    let server = site.serve();
    let rules = |args: &[&str]| -> Value {
        let args = [&["organizations", "retention", "--json"], args].concat();
        serde_json::from_str(&site.ask(&args)).unwrap()
    };
    let forever = json!({"deliveries_days": null, "events_days": null, "audit_days": null});
    assert_eq!(rules(&[]), forever);
    rules(&["--events", "90"]);
    let expected = json!({"deliveries_days": 30, "events_days": 90, "audit_days": null});
    assert_eq!(rules(&["--deliveries", "30"]), expected);
    let api = server.api(&site.admin_key());
    assert_eq!(api.get("/abide/v1/organization/retention"), (200, expected.clone()));
    server.stop();
    let (code, problem) = site.refused(&["organizations", "retention", "--events", "20"]);
    assert!(code == Some(3) && problem.contains("`deliveries_days` must not be more"), "{problem}");
    assert_eq!(site.refused(&["organizations", "retention", "--events", "soon"]).0, Some(2));
    assert_eq!(site.refused(&["organizations", "retention", "nobody"]).0, Some(3));
    assert_eq!(rules(&[]), expected);
    assert_eq!(rules(&["--events", "forever", "--deliveries", "forever"]), forever);
}
