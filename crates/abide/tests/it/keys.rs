//! `abide keys`, through a running server and on a stopped store.

use serde_json::Value;

use crate::http::Api;
use crate::program::Site;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// P30: a named key with a secret shown once, in both forms; made while the server runs and while it does not.
#[test]
fn p30_keys_work_from_their_making_to_their_revoking() {
    let site = Site::new();
    let server = site.serve();
    let through_server = json(&site.ask(&["keys", "create", "--name", "shop", "--json"]));
    server.stop();
    let on_stopped_store = json(&site.ask(&["keys", "create", "--name", "till", "--json"]));

    let server = site.serve();
    let listed = site.ask(&["keys", "list"]);
    for key in [&through_server, &on_stopped_store] {
        let text = |field: &str| key[field].as_str().unwrap();
        let (id, api_key, secret) = (text("id"), text("api_key"), text("api_secret"));
        assert!(api_key.starts_with("abk_") && secret.starts_with("abs_"));
        assert!(text("bearer_token").starts_with("abt_"));
        let pair = Api::with_pair(server.address, api_key, secret);
        let token = server.api(key);
        assert_eq!((pair.get("/v1/webhooks").0, token.get("/v1/webhooks").0), (200, 200));
        let wrong = Api::with_pair(server.address, api_key, &format!("{}x", &secret[..46]));
        assert_eq!(wrong.get("/v1/webhooks").0, 401);
        assert!(listed.contains(id) && !listed.contains(&secret[4..]), "{listed}");

        site.ask(&["keys", "revoke", id]);
        assert_eq!((pair.get("/v1/webhooks").0, token.get("/v1/webhooks").0), (401, 401));
    }
    let listed = json(&site.ask(&["keys", "list", "--json"]));
    let revoked = listed.as_array().unwrap().iter().filter(|key| !key["revoked_at"].is_null());
    assert_eq!(revoked.count(), 2);
    server.stop();
    // Revoked on a stopped store, too.
    let admin = site.admin_key();
    site.ask(&["keys", "revoke", admin["id"].as_str().unwrap()]);
    let server = site.serve();
    assert_eq!(server.api(&admin).get("/v1/webhooks").0, 401);
}

/// P29: a key opens what its scopes say and nothing else.
#[test]
fn a_key_holds_the_scopes_it_was_given() {
    let site = Site::new();
    let server = site.serve();
    let scoped = [
        "keys",
        "create",
        "--name",
        "r",
        "--json",
        "--scopes",
        "webhooks:read,consent:read,webhooks:read",
    ];
    let reader = server.api(&json(&site.ask(&scoped)));
    let listed = json(&site.ask(&["keys", "list", "--json"]));
    assert_eq!(listed[1]["scopes"], serde_json::json!(["consent:read", "webhooks:read"]));
    assert_eq!(reader.get("/v1/webhooks").0, 200);
    let consent = serde_json::json!({"subject_id": "a", "consent_type": "b", "granted": true});
    assert_eq!(reader.post("/v1/consent", &consent).0, 403);
}

/// P33: a key's limit is set when it is made, listed, and held.
#[test]
fn p33_a_key_is_made_with_its_limit() {
    let site = Site::new();
    let server = site.serve();
    let create = ["keys", "create", "--name", "slow", "--rate-limit", "1", "--json"];
    let slow = server.api(&json(&site.ask(&create)));
    let listed = json(&site.ask(&["keys", "list", "--json"]));
    let limits: Vec<_> = listed.as_array().unwrap().iter().map(|key| &key["rate_limit"]).collect();
    assert_eq!(limits, [1_000_000, 1]);
    assert!(site.ask(&["keys", "list"]).contains("  1/min  slow"));
    // Three follow each other within two minutes of the clock.
    let statuses: Vec<_> = (0..3).map(|_| slow.get("/v1/webhooks").0).collect();
    assert_eq!((statuses[0], statuses.contains(&429)), (200, true), "{statuses:?}");
}

#[test]
fn what_is_asked_wrongly_is_refused_with_the_way_out() {
    let site = Site::new();
    let missing = site.refused(&["keys", "list"]);
    assert_eq!(missing.0, Some(1));
    assert!(missing.1.contains("no data folder") && missing.1.contains("--data"), "{}", missing.1);
    assert!(!site.data().exists(), "asking made a folder");
    let server = site.serve();
    for (args, code, named) in [
        (&["keys", "create", "--name", "x", "--scopes", "all"][..], 2, "known scopes are admin"),
        (&["keys", "create", "--name", "x", "--rate-limit", "0"], 2, "from 1 to 1000000000"),
        (&["keys", "revoke", "whk_1"], 2, "key_"),
        (&["keys", "create"], 2, "--name"),
        (&["keys", "create", "--name", ""], 3, "1 to 100 characters"),
        (&["keys", "list", "--organization", "nobody"], 3, "no organization `nobody`"),
        (&["subjects", "erase", "--reference", "nobody"], 3, "does not exist"),
        (&["master-key", "remove", "mk_1"], 3, "mk_"),
    ] {
        let refused = site.refused(args);
        assert_eq!(refused.0, Some(code), "{args:?}: {}", refused.1);
        assert!(refused.1.contains(named), "{args:?}: {}", refused.1);
    }
    drop(server);
}

#[test]
fn a_socket_left_by_a_crash_hinders_nobody() {
    let site = Site::new();
    site.serve().kill();
    assert!(site.data().join("control.sock").exists(), "the crash left it");
    assert_eq!(site.ask(&["keys", "list"]).lines().count(), 1, "on the stopped store");
    let server = site.serve();
    assert_eq!(site.ask(&["keys", "list"]).lines().count(), 1, "through the server");
    server.stop();
    assert!(!site.data().join("control.sock").exists());
}
