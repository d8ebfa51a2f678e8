//! Pages about endpoints, deliveries, keys and the audit log: what each role sees and may do, and what is refused.

use abide_core::ids::EndpointId;
use abide_core::user::Role;
use serde_json::json;

use crate::browser::location;
use crate::support::World;

const ADA: &str = "ada@example.org";

/// What a role may not do is not offered, and is refused by the server.
#[tokio::test]
async fn a_role_sees_and_does_what_it_may() {
    let world = World::start().await;
    let id = world.endpoint("standard_webhooks").await;
    let deeds = ["", "/delete", "/end-replaced-secrets", "/pause", "/resume", "/rotate", "/test"];
    for role in [Role::PrivacyOfficer, Role::ReadOnly] {
        let mut browser = world.browser_of(&format!("{}@example.org", role.as_str()), role).await;
        let before = world.facts().await;
        let page = browser.get(&format!("/endpoints/{id}")).await;
        assert_eq!(page.status, 200);
        assert!(!page.text.contains(&format!("action=\"/endpoints/{id}")), "{}", page.text);
        assert!(!browser.get("/endpoints").await.text.contains("/endpoints/new"));
        assert!(!browser.get("/deliveries").await.text.contains("/jobs/new"));
        for path in ["/endpoints/new", "/jobs/new", "/keys", "/keys/new"] {
            assert_eq!(browser.get(path).await.status, 403, "{path}");
        }
        for deed in deeds {
            let reply = browser.post(&format!("/endpoints/{id}{deed}"), &[]).await;
            assert_eq!(reply.status, 403, "{deed}");
        }
        for path in ["/endpoints", "/jobs", "/keys", "/jobs/x/cancel", "/deliveries/x/retry"] {
            assert_eq!(browser.post(path, &[]).await.status, 403, "{path}");
        }
        assert_eq!(browser.get("/audit").await.status, 200);
        assert_eq!(world.facts().await, before);
    }
    let mut developer = world.browser_of("dev@example.org", Role::Developer).await;
    assert_eq!(developer.get("/audit").await.status, 403);
    assert!(developer.get(&format!("/endpoints/{id}")).await.text.contains("Send test"));
}

/// I12: a secret is on the page that made it, and on no other one; what was wrong comes back at its field, as typed.
#[tokio::test]
async fn i12_an_endpoint_is_made_and_its_secret_shown_once() {
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::Developer).await;
    browser.get("/endpoints/new").await;
    let bad = [("url", "ftp://\"x"), ("dialect", "smoke"), ("scope", "some"), ("note", "\u{7}")];
    let reply = browser.post("/endpoints", &bad).await;
    assert_eq!(reply.status, 400);
    for part in ["url-problem", "dialect-problem", "events-problem", "note-problem", "ftp://&#34;x"]
    {
        assert!(reply.text.contains(part), "{part}: {}", reply.text);
    }
    assert!(world.store.endpoints().before(world.us.id, None, None, 9).await.unwrap().is_empty());
    let good = [
        ("url", "https://example.com/hook"),
        ("dialect", "standard_webhooks"),
        ("scope", "some"),
        ("event", "consent.withdrawn"),
        ("event", "consent.created"),
        ("note", "The shop"),
    ];
    let reply = browser.post("/endpoints", &good).await;
    assert_eq!(reply.status, 200);
    let (_, rest) = reply.text.split_once("<code data-copy>whsec_").unwrap();
    let secret = rest.split('<').next().unwrap().to_owned();
    assert_eq!(reply.text.matches(&secret).count(), 4, "alone, and in three programs");
    let made = world.store.endpoints().before(world.us.id, None, None, 9).await.unwrap();
    let [made] = made.as_slice() else { panic!("one endpoint") };
    let wanted = abide_storage::endpoints::EndpointView {
        description: Some("The shop".to_owned()),
        url: "https://example.com/hook".to_owned(),
        ..made.clone()
    };
    assert_eq!(*made, wanted);
    assert!(!browser.get(&format!("/endpoints/{}", made.id)).await.text.contains(&secret));
    let rotate = format!("/endpoints/{}/rotate", made.id);
    let rotated = browser.post(&rotate, &[("overlap", "3600")]).await;
    assert!(rotated.text.contains("The new secret") && !rotated.text.contains(&secret));
    let odd = browser.post(&rotate, &[("overlap", "77")]).await;
    assert_eq!(odd.status, 400);
}

/// I12: the public keys of an endpoint with a key pair are shown for as long as they sign, with their address; the private
/// ones are not, and of a shared secret nothing is.
#[tokio::test]
async fn i12_public_keys_are_shown_with_the_endpoint() {
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::ReadOnly).await;
    let body = json!({"url": "https://example.com/hook", "secret_form": "key_pair"});
    let pair = world.post("/abide/v1/endpoints", &body).await.json();
    let id = pair["id"].as_str().unwrap();
    let page = browser.get(&format!("/endpoints/{id}")).await.text;
    assert!(page.contains(pair["public_key"].as_str().unwrap()), "{page}");
    let address = format!("https://abide.example.org/.well-known/webhook-keys/{id}");
    assert!(page.contains(&address) && !page.contains(pair["secret"].as_str().unwrap()), "{page}");
    let body = json!({"url": "https://example.com/hook"});
    let shared = world.post("/abide/v1/endpoints", &body).await.json();
    let page = browser.get(&format!("/endpoints/{}", shared["id"].as_str().unwrap())).await.text;
    let secret = shared["secret"].as_str().unwrap();
    assert!(!page.contains("webhook-keys") && !page.contains(secret), "{page}");
}

/// I13: another organization's endpoints, deliveries, jobs and keys are not there; nor is what cannot be.
#[tokio::test]
async fn i13_what_is_elsewhere_is_not_found() {
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::Owner).await;
    let other = EndpointId::from_key(99);
    for path in [
        format!("/endpoints/{other}"),
        "/endpoints/x".to_owned(),
        "/deliveries/x".to_owned(),
        "/jobs/x".to_owned(),
        "/keys/x/revoke".to_owned(),
    ] {
        assert_eq!(browser.get(&path).await.status, 404, "{path}");
    }
    let odd = "/deliveries?endpoint=x&state=x&type=x&from=x&until=x&before=x";
    let reply = browser.get(odd).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text.contains("id=\"from-problem\"") && reply.text.contains("until-problem"));
    assert_eq!(browser.get("/jobs/new?from=2026-02-01&until=2026-01-01").await.status, 200);
}

/// An endpoint is deleted only once its host was typed.
#[tokio::test]
async fn deleting_is_confirmed_by_typing() {
    let world = World::start().await;
    let id = world.endpoint("standard_webhooks").await;
    let mut browser = world.browser_of(ADA, Role::Owner).await;
    let path = format!("/endpoints/{id}");
    let page = browser.get(&path).await.text;
    let (_, rest) = page.split_once("To confirm, type <code>").unwrap();
    let host = rest.split('<').next().unwrap().to_owned();
    let reply = browser.post(&format!("{path}/delete"), &[("confirm", "something")]).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("confirm-problem"));
    assert_eq!(browser.get(&path).await.status, 200);
    let reply = browser.post(&format!("{path}/delete"), &[("confirm", &host)]).await;
    assert_eq!(location(&reply), "/endpoints");
    assert_eq!(browser.get(&path).await.status, 404);
}
