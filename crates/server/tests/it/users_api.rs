//! The people who sign in, through Abide's own API.

use abide_core::user::Role;
use http::Method;
use serde_json::json;

use crate::browser::Browser;
use crate::support::World;

const PATH: &str = "/abide/v1/users";

/// I12: an invitation's link is shown once, opens the dashboard to its holder, and is void once another was issued.
#[tokio::test]
async fn i12_an_invited_user_comes_in_by_the_link_shown_once() {
    let world = World::start().await;
    let body = json!({"email": "ada@example.com", "name": "Ada", "role": "owner"});
    let made = world.post(PATH, &body).await;
    assert_eq!(
        (made.status.as_u16(), &made.headers["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    let user = made.json();
    let path = format!("{PATH}/{}", user["id"].as_str().unwrap());
    assert_eq!(made.headers["location"], path.as_str());
    let link_path = |link: &serde_json::Value| {
        let link = link.as_str().unwrap();
        link[link.find("/link/").unwrap()..].to_owned()
    };
    let first = link_path(&user["link"]);
    for shown in [world.get(&path).await, world.get(PATH).await] {
        assert!(
            !shown.text.contains(&first) && !shown.text.contains("\"link\""),
            "the link is shown again"
        );
    }
    let second = world.call(Method::POST, &format!("{path}/link"), "").await.json();
    assert_eq!(Browser::new(&world).get(&first).await.status, 410);
    assert_eq!(Browser::new(&world).get(&link_path(&second["link"])).await.status, 200);
    let disabled = world.call(Method::POST, &format!("{path}/disable"), "").await.json();
    assert_eq!(disabled["state"], "disabled");
    assert_eq!(world.call(Method::POST, &format!("{path}/link"), "").await.problem(), "conflict");
    assert_eq!(Browser::new(&world).get(&link_path(&second["link"])).await.status, 410);
    let enabled = world.call(Method::POST, &format!("{path}/enable"), "").await.json();
    assert_eq!(enabled["state"], "invited");
}

/// Bad input names its field; an address that is taken is refused; the last owner stays; others' users are not there.
#[tokio::test]
async fn what_cannot_be_is_refused() {
    let world = World::start().await;
    let owner = world.user("owner@example.com", Role::Owner).await;
    for (body, wrong) in [
        (json!({"name": "A", "role": "owner"}), "email"),
        (json!({"email": "nobody", "name": "A", "role": "owner"}), "email"),
        (json!({"email": "OWNER@example.com", "name": "A", "role": "owner"}), "email"),
        (json!({"email": "a@example.com", "name": "\u{7}", "role": "owner"}), "name"),
        (json!({"email": "a@example.com", "name": "A", "role": "king"}), "role"),
    ] {
        let reply = world.post(PATH, &body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.wrong()),
            (400, vec![wrong.to_owned()]),
            "{wrong}"
        );
    }
    let path = format!("{PATH}/{owner}");
    assert_eq!(world.patch(&path, &json!({})).await.wrong(), ["body"]);
    assert_eq!(world.patch(&path, &json!({"email": "b@example.com"})).await.wrong(), ["email"]);
    assert_eq!(world.patch(&path, &json!({"role": "read_only"})).await.problem(), "conflict");
    assert_eq!(
        world.call(Method::POST, &format!("{path}/disable"), "").await.problem(),
        "conflict"
    );
    let changed = world.patch(&path, &json!({"name": "Bea"})).await.json();
    assert_eq!((&changed["name"], &changed["role"]), (&json!("Bea"), &json!("owner")));
    let they = world.tenant("they").await;
    for verb in ["", "/disable", "/enable", "/link"] {
        let method = if verb.is_empty() { Method::GET } else { Method::POST };
        let reply = world.call_as(&they.token, method, &format!("{path}{verb}"), "").await;
        assert_eq!(reply.problem(), "not-found", "{verb}");
    }
    let theirs = world.call_as(&they.token, Method::GET, PATH, "").await;
    assert_eq!(theirs.json()["items"], json!([]));
}
