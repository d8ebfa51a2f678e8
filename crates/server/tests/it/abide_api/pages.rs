//! Lists by cursor, at their edges; and the reference as pages.

use abide_core::access::Scope;
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::support::World;

/// Reads a list to its end by pages of `limit`; answers the ids and how many each page held.
async fn walk(world: &World, path: &str, limit: usize) -> (Vec<String>, Vec<usize>) {
    let (mut ids, mut sizes, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = world.get(&format!("{path}?limit={limit}{cursor}")).await.json();
        let items = page["items"].as_array().unwrap();
        sizes.push(items.len());
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            Value::Null => return (ids, sizes),
            other => panic!("{other}"),
        }
    }
}

/// Every list read by pages of any size is the list read at once, without an empty page at its end.
#[tokio::test]
async fn pages_of_any_size_are_the_whole() {
    let world = World::start().await;
    for who in ["a", "b", "c", "d"] {
        world.key(&[Scope::ConsentRead]).await;
        world.tenant(&format!("t-{who}")).await;
        let consent = json!({"subject_id": who, "consent_type": who, "granted": true});
        world.post("/v1/consent", &consent).await.data();
    }
    for list in ["keys", "events", "decisions", "purposes", "audit"] {
        let path = format!("/abide/v1/{list}");
        let (whole, _) = walk(&world, &path, 100).await;
        assert!(whole.len() >= 4, "{list}");
        for limit in 1..=whole.len() + 1 {
            let (ids, sizes) = walk(&world, &path, limit).await;
            assert_eq!(ids, whole, "{list} by {limit}");
            assert_eq!(sizes.len(), whole.len().div_ceil(limit), "{list} by {limit}");
        }
    }
}

/// A cursor belongs to the list that answered it.
#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let world = World::start().await;
    world.key(&[Scope::ConsentRead]).await;
    let page = world.get("/abide/v1/keys?limit=1").await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    for list in ["events", "decisions", "purposes", "audit"] {
        let reply = world.get(&format!("/abide/v1/{list}?cursor={cursor}")).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (400, "invalid-cursor"));
    }
    let twice = world.get(&format!("/abide/v1/keys?cursor={cursor}&cursor=x")).await;
    assert_eq!(twice.status, 400);
}

/// An empty list is a page without items.
#[tokio::test]
async fn empty_lists_are_lists() {
    let world = World::start().await;
    let them = world.tenant("them").await;
    for list in ["events", "decisions", "purposes"] {
        let path = format!("/abide/v1/{list}");
        let reply = world.call_as(&them.token, http::Method::GET, &path, "").await;
        assert_eq!(reply.json()["items"], json!([]), "{list}");
        assert_eq!(reply.json()["next_cursor"], Value::Null, "{list}");
    }
}

/// The pages hold every operation and every problem, load nothing from elsewhere, and run nothing.
#[tokio::test]
async fn the_reference_is_whole_and_loads_nothing() {
    let world = World::start().await;
    let read = async |path: &str| {
        let reply = world.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        let policy = reply.headers["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        for foreign in ["<script", "http://", "https://", "src=", "@import", "url("] {
            assert!(!reply.text.contains(foreign), "{path} has {foreign}");
        }
        reply.text
    };
    let reference = read("/docs").await;
    let document: Value = serde_json::from_str(&abide_server::openapi_json()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        assert!(reference.contains(path.as_str()), "{path}");
        for told in methods.as_object().unwrap().values() {
            let id = told["operationId"].as_str().unwrap();
            assert!(reference.contains(&format!("<article id=\"{id}\">")), "{id}");
        }
    }
    let problems = read("/docs/problems").await;
    let schemas = &document["components"]["schemas"];
    for kind in schemas["Problem"]["properties"]["type"]["enum"].as_array().unwrap() {
        let name = kind.as_str().unwrap().strip_prefix("/docs/problems#").unwrap();
        assert!(problems.contains(&format!("<section id=\"{name}\">")), "{name}");
    }
    for link in reference.split("href=\"").skip(1) {
        let link = link.split('"').next().unwrap();
        let target = link.strip_prefix('#').map(|id| (&reference, id));
        let target = target.or_else(|| Some((&problems, link.strip_prefix("/docs/problems#")?)));
        match target {
            Some((page, id)) => assert!(page.contains(&format!("id=\"{id}\"")), "{link}"),
            None => assert!(["/docs/problems", "/openapi.json"].contains(&link), "{link}"),
        }
    }
}
