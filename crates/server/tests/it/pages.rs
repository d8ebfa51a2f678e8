//! What holds on every page.

use abide_core::user::Role;
use axum::body::Body;
use http::{Method, Request};

use crate::browser::Browser;
use crate::support::{Reply, World};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

fn is_guarded(reply: &Reply) {
    assert_eq!(reply.headers["content-security-policy"], POLICY);
    assert_eq!(reply.headers["referrer-policy"], "same-origin");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    assert_eq!(reply.headers["cache-control"], "no-store");
}

/// Every page, also one that says what went wrong, is kept by nobody, framed by nobody, and loads nothing from elsewhere.
#[tokio::test]
async fn every_page_is_guarded() {
    let world = World::start().await;
    let mut browser = world.browser_of("ada@example.org", Role::Owner).await;
    for (path, status) in [
        ("/", 200),
        ("/account", 200),
        ("/endpoints", 200),
        ("/endpoints/new", 200),
        ("/deliveries", 200),
        ("/jobs", 200),
        ("/jobs/new", 200),
        ("/jobs/new?kind=replay_missing", 200),
        ("/jobs/new?kind=discard", 200),
        ("/jobs/new?kind=x", 404),
        ("/keys", 200),
        ("/keys/new", 200),
        ("/audit", 200),
        ("/users", 200),
        ("/users/new", 200),
        ("/users/x", 404),
        ("/nothing", 404),
        ("/assets/nothing.css", 404),
        ("/sign-in", 303),
        ("/sign-out", 405),
        ("/link/x", 410),
    ] {
        let reply = browser.get(path).await;
        assert_eq!(reply.status, status, "{path}");
        is_guarded(&reply);
        // No style and no script within the page: the policy would refuse them.
        for inline in [" style=", "<style", " onclick=", "javascript:", "http://", "//cdn"] {
            let text = reply.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains(inline), "{path}: {inline}");
        }
        assert!(status == 303 || reply.text.contains("<main id=\"main\""), "{path}");
    }
    is_guarded(&browser.post_with("/account/name", &[("name", "x")], "wrong", &[]).await);
    let large = "x".repeat(600_000);
    let reply = browser.post("/account/name", &[("name", &large)]).await;
    assert_eq!(reply.status, 413);
    is_guarded(&reply);
    let visitor = Browser::new(&world).get("/sign-in").await;
    is_guarded(&visitor);
    world.store.close();
    let closed = browser.get("/").await;
    assert_eq!(
        (closed.status.as_u16(), &closed.headers["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    assert!(!closed.text.contains("closed"));
    is_guarded(&closed);
}

/// Style sheet and script are named by their content and kept for good.
#[tokio::test]
async fn assets_are_kept_for_good() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    let page = browser.get("/sign-in").await.text;
    let paths: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(paths.len(), 2, "{page}");
    for (path, kind) in
        paths.iter().zip(["text/css; charset=utf-8", "text/javascript; charset=utf-8"])
    {
        let reply = browser.get(path).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.headers["content-type"]),
            (200, &kind.parse().unwrap())
        );
        assert_eq!(reply.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    }
}

/// The other methods of a page are refused as pages.
#[tokio::test]
async fn another_method_is_refused() {
    let world = World::start().await;
    for (method, path) in
        [(Method::DELETE, "/users"), (Method::PUT, "/"), (Method::GET, "/sign-out")]
    {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let reply = world.send(request).await;
        assert_eq!(reply.status, 405, "{path}");
        assert!(
            reply.headers.contains_key("allow") && reply.text.contains("Not possible"),
            "{path}"
        );
    }
}
