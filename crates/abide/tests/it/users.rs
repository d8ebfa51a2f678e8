//! `abide users`, through a running server and on a stopped store.

use serde_json::Value;

use crate::program::{Server, Site};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

const CREATE: [&str; 8] =
    ["users", "create", "--email", "ada@example.org", "--name", "Ada", "--role", "owner"];

/// The status of a link's page at the server itself, wherever the link says that is.
fn page(server: &Server, site: &Site, link: &Value) -> u16 {
    let link = link["link"].as_str().unwrap();
    let (_, path) = link.split_once("/link/").unwrap();
    server.api(&site.admin_key()).call("GET", &format!("/link/{path}"), "").unwrap().0
}

/// I12: a user's link is printed once, works at the server, and a newer one voids it; shutting out voids it too.
#[test]
fn i12_links_are_made_replaced_and_voided() {
    let site = Site::new();
    let server = site.serve();
    let made = json(&site.ask(&[&CREATE[..], &["--json"]].concat()));
    let id = made["id"].as_str().unwrap();
    assert_eq!((&made["state"], &made["role"]), (&"invited".into(), &"owner".into()));
    let base = format!("http://{}/link/", server.address);
    assert!(made["link"].as_str().unwrap().starts_with(&base), "{made}");
    assert_eq!(page(&server, &site, &made), 200);
    let again = json(&site.ask(&["users", "reset", "ADA@example.org", "--json"]));
    assert_eq!((page(&server, &site, &made), page(&server, &site, &again)), (410, 200));
    let listed = site.ask(&["users", "list"]);
    assert!(listed.contains(id) && listed.contains("ada@example.org"), "{listed}");
    let secret = again["link"].as_str().unwrap().split("/link/").nth(1).unwrap();
    assert!(!listed.contains(secret) && !site.log().contains(secret));
    assert!(!site.log().contains("ada@example.org"), "I11: not in the log");
    assert!(site.ask(&["users", "disable", id]).contains("disabled"));
    assert_eq!(page(&server, &site, &again), 410);
    assert!(site.refused(&["users", "reset", id]).1.contains("enable them first"));
    assert!(site.ask(&["users", "enable", "ada@example.org"]).contains("invited"));
    server.stop();

    // On a stopped store the link is for where a server will be.
    let url = ["--public-url", "https://abide.example.org/", "--json"];
    let stopped = json(&site.ask(&[&["users", "reset", id][..], &url].concat()));
    assert!(stopped["link"].as_str().unwrap().starts_with("https://abide.example.org/link/"));
    let server = site.serve_with(&["--public-url", "https://abide.example.org"]);
    assert_eq!(page(&server, &site, &stopped), 200);
    let served = json(&site.ask(&["users", "reset", id, "--json"]));
    assert!(served["link"].as_str().unwrap().starts_with("https://abide.example.org/link/"));
}

#[test]
fn what_is_asked_wrongly_is_refused_with_the_way_out() {
    let site = Site::new();
    let _server = site.serve();
    site.ask(&CREATE);
    let create =
        |email, name, role| ["users", "create", "--email", email, "--name", name, "--role", role];
    for (args, code, named) in [
        (&create("ada@example.org", "Ada", "owner")[..], 3, "belongs to a user"),
        (&create("ada", "Ada", "owner"), 3, "e-mail address"),
        (&create("b@example.org", "", "owner"), 3, "1 to 100 characters"),
        (&create("b@example.org", "B", "king"), 2, "known roles are owner"),
        (&["users", "disable", "nobody@example.org"], 3, "there is no such user"),
        (&["users", "list", "--organization", "nobody"], 3, "no organization `nobody`"),
        (&["users", "reset", "ada@example.org", "--public-url", "x"], 2, "public URL"),
    ] {
        let refused = site.refused(args);
        assert_eq!(refused.0, Some(code), "{args:?}: {}", refused.1);
        assert!(refused.1.contains(named), "{args:?}: {}", refused.1);
    }
    assert_eq!(site.ask(&["users", "list", "--json"]).matches("usr_").count(), 1);
}
