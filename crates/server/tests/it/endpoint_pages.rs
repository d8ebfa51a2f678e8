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
    let deeds = [
        "",
        "/authentication",
        "/authentication/remove",
        "/delete",
        "/end-replaced-secrets",
        "/pause",
        "/resume",
        "/rotate",
        "/test",
    ];
    for role in [Role::PrivacyOfficer, Role::ReadOnly] {
        let mut browser = world.browser_of(&format!("{}@example.org", role.as_str()), role).await;
        let before = world.facts().await;
        let page = browser.get(&format!("/endpoints/{id}")).await;
        assert_eq!(page.status, 200);
        assert!(!page.text.contains(&format!("action=\"/endpoints/{id}")), "{}", page.text);
        assert!(!browser.get("/endpoints").await.text.contains("/endpoints/new"));
        assert!(!browser.get("/deliveries").await.text.contains("/jobs/new"));
        for path in ["/endpoints/new", "/jobs/new", "/jobs/new?kind=discard", "/keys", "/keys/new"]
        {
            assert_eq!(browser.get(path).await.status, 403, "{path}");
        }
        for path in ["authentication", "secret"] {
            let reply = browser.get(&format!("/endpoints/{id}/{path}")).await;
            assert_eq!(reply.status, 403, "{path}");
        }
        assert!(!page.text.contains("/jobs/new"));
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
    let made = world.store.endpoints().before(world.us.id, None, None, 9).await.unwrap();
    let [made] = made.as_slice() else { panic!("one endpoint") };
    let shows = format!("/endpoints/{}/secret", made.id);
    assert_eq!(location(&reply), shows, "the address holds no secret");
    let reply = browser.get(&shows).await;
    assert_eq!(reply.status, 200);
    let secret = secret_in(&reply.text);
    assert_eq!(reply.text.matches(&secret).count(), 4, "alone, and in three programs");
    let test = format!("action=\"/endpoints/{}/test\"", made.id);
    let elsewhere = format!("{test} target=\"_blank\"");
    assert!(reply.text.contains(&elsewhere), "a test leads away from no secret: {}", reply.text);
    let wanted = abide_storage::endpoints::EndpointView {
        description: Some("The shop".to_owned()),
        url: "https://example.com/hook".to_owned(),
        ..made.clone()
    };
    assert_eq!(*made, wanted);
    let reloaded = browser.get(&shows).await;
    assert_eq!(reloaded.status, 410);
    assert!(!reloaded.text.contains(&secret) && reloaded.text.contains("is not shown again"));
    let all = world.store.endpoints().before(world.us.id, None, None, 9).await.unwrap();
    assert_eq!(all.len(), 1, "reloading made nothing");
    let one = browser.get(&format!("/endpoints/{}", made.id)).await.text;
    assert!(!one.contains(&secret) && one.contains(&test) && !one.contains(&elsewhere));
    let rotate = format!("/endpoints/{}/rotate", made.id);
    let rotated = browser.post_through(&rotate, &[("overlap", "3600")]).await;
    assert!(rotated.text.contains("The new secret") && !rotated.text.contains(&secret));
    assert_eq!(browser.get(&shows).await.status, 410);
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

fn secret_in(page: &str) -> String {
    let (_, rest) = page.split_once("<code data-copy>whs").expect(page);
    rest.split('<').next().unwrap().to_owned()
}

/// I12: what was made in one session is shown in no other one, also not to the same person.
#[tokio::test]
async fn i12_a_secret_is_shown_in_the_session_that_made_it() {
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::Developer).await;
    let form = [("url", "https://a.example/"), ("dialect", "consentproof"), ("scope", "all")];
    let shows = location(&browser.post("/endpoints", &form).await).to_owned();
    let mut other = crate::browser::Browser::new(&world);
    other.sign_in(ADA, crate::browser::PASSWORD).await;
    let carried = "__Host-abide-shown-once";
    other.cookies.insert(carried.to_owned(), browser.cookies[carried].clone());
    assert_eq!(other.get(&shows).await.status, 410);
    assert_eq!(browser.get(&shows).await.status, 200);
    assert!(!browser.cookies.contains_key(carried), "taken back");
}

type Form = &'static [(&'static str, &'static str)];

/// The whole form of a new endpoint, and what a call of the API would say of the same.
#[tokio::test]
async fn a_new_endpoint_is_given_all_that_the_api_gives_it() {
    const HIDDEN: &str = "hidden-marker";
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::Developer).await;
    browser.get("/endpoints/new").await;
    let base = [("url", "https://a.example/"), ("dialect", "standard_webhooks"), ("scope", "all")];
    let with = |more: &[(&'static str, &'static str)]| [&base[..], more].concat();
    let cases: [(Form, &str, &str); 11] = [
        (&[("secret_form", "brought"), ("secret", "hidden-marker")], "secret-problem", "whsec_"),
        (&[("secret_form", "x")], "secret_form-problem", "`key_pair`"),
        (&[("auth.kind", "x")], "auth.kind-problem", "Choose one"),
        (&[("auth.kind", "bearer")], "auth.bearer.token-problem", "Must be 1 to"),
        (
            &[
                ("auth.kind", "basic"),
                ("auth.basic.username", "a:b"),
                ("auth.basic.password", HIDDEN),
            ],
            "auth.basic.username-problem",
            "value=\"a:b\"",
        ),
        (
            &[
                ("auth.kind", "oauth2"),
                ("auth.oauth2.token_url", "ftp://id.example"),
                ("auth.oauth2.client_id", "me"),
                ("auth.oauth2.client_secret", HIDDEN),
            ],
            "auth.oauth2.token_url-problem",
            "value=\"me\"",
        ),
        (
            &[("auth.headers", "webhook-id: hidden-marker\r\nX-Key: hidden-marker")],
            "auth.headers-problem",
            "`webhook-id` is set by Abide itself",
        ),
        (&[("auth.headers", "hidden-marker")], "auth.headers-problem", "X-Api-Key: value"),
        (
            &[
                ("auth.client_certificate.chain", "-----BEGIN CERTIFICATE-----"),
                ("auth.client_certificate.key", HIDDEN),
            ],
            "auth.client_certificate.key-problem",
            "-----BEGIN CERTIFICATE-----",
        ),
        (&[("retry_delays", "5, soon")], "retry_delays-problem", "value=\"5, soon\""),
        (&[("deadline_seconds", "0")], "deadline_seconds-problem", "value=\"0\""),
    ];
    for (more, problem, shows) in cases {
        let reply = browser.post("/endpoints", &with(more)).await;
        assert_eq!(reply.status, 400, "{problem}");
        assert!(reply.text.contains(&format!("id=\"{problem}\"")), "{problem}: {}", reply.text);
        assert!(reply.text.contains(shows), "{problem} {shows}: {}", reply.text);
        assert!(!reply.text.contains(HIDDEN), "{problem}");
        assert!(reply.text.contains("<details class=\"extra\" open>"), "{problem}");
    }
    let both = [
        ("dialect", "consentproof"),
        ("url", "https://a.example/"),
        ("scope", "all"),
        ("secret_form", "key_pair"),
    ];
    let reply = browser.post("/endpoints", &both).await;
    assert!(reply.text.contains("`shared` in this dialect."), "{}", reply.text);
    let endpoints = world.store.endpoints();
    assert!(endpoints.before(world.us.id, None, None, 9).await.unwrap().is_empty());

    let whole = with(&[
        ("secret_form", "key_pair"),
        ("auth.kind", "oauth2"),
        ("auth.oauth2.token_url", "https://id.example/token"),
        ("auth.oauth2.client_id", "me"),
        ("auth.oauth2.client_secret", HIDDEN),
        ("auth.oauth2.client_auth", "post"),
        ("auth.headers", "X-Key: hidden-marker"),
        ("retry_delays", "5, 300"),
        ("deadline_seconds", "7"),
    ]);
    let page = browser.post_through("/endpoints", &whole).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Public key") && page.text.contains("whpk_"), "{}", page.text);
    assert!(!page.text.contains(HIDDEN));
    let made = endpoints.before(world.us.id, None, None, 9).await.unwrap().remove(0);
    assert_eq!(made.overrides.retry_delays.as_deref(), Some(&[5, 300][..]));
    assert_eq!(made.overrides.deadline_seconds, Some(7));
    assert_eq!(made.auth.headers, ["x-key"]);
    assert_eq!(made.auth.authorization.as_deref(), Some("oauth2"));
    let page = browser.get(&format!("/endpoints/{}", made.id)).await.text;
    assert!(
        page.contains("whpk_") && page.contains("header x-key, oauth2 authorization"),
        "{page}"
    );
    assert!(page.contains("value=\"5, 300\"") && !page.contains(HIDDEN));
}

/// I12: credentials are replaced as a whole or removed, never shown; retries change with the other settings.
#[tokio::test]
async fn i12_credentials_are_replaced_and_removed_unseen() {
    let world = World::start().await;
    let id = world.endpoint("standard_webhooks").await;
    let mut browser = world.browser_of(ADA, Role::Developer).await;
    let path = format!("/endpoints/{id}");
    let auth = format!("{path}/authentication");
    assert!(browser.get(&auth).await.text.contains("Nothing is sent beside the signature now."));
    let nothing = browser.post(&auth, &[("auth.kind", "none")]).await;
    assert_eq!(nothing.status, 400);
    let given = [
        ("auth.kind", "bearer"),
        ("auth.bearer.token", "hidden-marker"),
        ("auth.headers", "X-Key: hidden-marker"),
    ];
    let shown = browser.post_through(&auth, &given).await.text;
    assert!(shown.contains("The authentication was replaced."), "{shown}");
    for page in [shown, browser.get(&auth).await.text] {
        assert!(page.contains("header x-key, bearer authorization"), "{page}");
        assert!(!page.contains("hidden-marker"));
    }
    let now = || world.store.endpoints().get(world.us.id, id);
    let bad = browser.post(&auth, &[("auth.kind", "bearer")]).await;
    assert_eq!(bad.status, 400);
    assert_eq!(now().await.unwrap().unwrap().auth.headers, ["x-key"], "nothing half replaced");
    let shown = browser.post_through(&format!("{auth}/remove"), &[]).await.text;
    assert!(shown.contains("The authentication was removed."), "{shown}");
    assert_eq!(now().await.unwrap().unwrap().auth, abide_core::endpoint::ShownAuth::default());

    let settings = [
        ("url", "https://receiver.example/hooks"),
        ("scope", "all"),
        ("retry_delays", "none"),
        ("deadline_seconds", "9"),
    ];
    let shown = browser.post_through(&path, &settings).await.text;
    assert!(shown.contains("The endpoint was changed."), "{shown}");
    let overrides = now().await.unwrap().unwrap().overrides;
    assert_eq!((overrides.retry_delays, overrides.deadline_seconds), (Some(Vec::new()), Some(9)));
    let bad = [("url", "https://receiver.example/hooks"), ("scope", "all"), ("retry_delays", "x")];
    let reply = browser.post(&path, &bad).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("retry_delays-problem") && reply.text.contains("value=\"x\""));
    let pair = [("secret_form", "key_pair"), ("overlap", "0")];
    let shown = browser.post_through(&format!("{path}/rotate"), &pair).await;
    assert!(shown.text.contains("whpk_"), "{}", shown.text);
    assert!(browser.get(&path).await.text.contains("value=\"key_pair\" checked"));
}

/// Jobs of each kind are counted, asked about and begun; giving up waits for a second word.
#[tokio::test]
async fn jobs_are_begun_after_a_count_and_giving_up_after_a_confirmation() {
    let world = World::start().await;
    let id = world.endpoint("standard_webhooks").await;
    let mut browser = world.browser_of(ADA, Role::Developer).await;
    let log = browser.get("/deliveries?state=waiting&type=consent.created").await.text;
    let discard = "/jobs/new?kind=discard&#38;state=waiting&#38;type=consent.created";
    assert!(log.contains(discard), "{log}");
    assert!(!log.contains("kind=retry_failed") && !log.contains("kind=replay_missing"));
    let choose = browser.get("/jobs/new?kind=discard&type=consent.created").await.text;
    assert!(choose.contains("Count them") && choose.contains(&format!("value=\"{id}\"")));
    assert!(choose.contains("name=\"type\" value=\"consent.created\""), "{choose}");
    let decision = json!({"subject_id": "user-1", "consent_type": "news", "granted": true});
    assert_eq!(world.post("/v1/consent", &decision).await.status, 201);
    let of = format!("endpoint={id}&state=waiting");
    let asked = browser.get(&format!("/jobs/new?kind=discard&{of}")).await.text;
    assert!(asked.contains("1 delivery would be given up"), "{asked}");
    assert!(asked.contains("This cannot be undone."));
    let id = id.to_string();
    let form = [("kind", "discard"), ("endpoint", id.as_str()), ("state", "waiting")];
    let unsure = browser.post("/jobs", &form).await;
    assert_eq!(unsure.status, 400);
    assert!(unsure.text.contains("confirm-problem"), "{}", unsure.text);
    assert!(world.store.jobs().list(world.us.id, None, 9).await.unwrap().is_empty());
    let begun = browser.post_through("/jobs", &[&form[..], &[("confirm", "yes")]].concat()).await;
    assert!(begun.text.contains("Give up waiting deliveries"), "{}", begun.text);
    let again = browser.post_through("/jobs", &[&form[..], &[("confirm", "yes")]].concat()).await;
    assert!(again.text.contains("under way already"), "{}", again.text);
    let replay = [("kind", "replay_missing"), ("endpoint", id.as_str())];
    let begun = browser.post_through("/jobs", &replay).await;
    assert!(begun.text.contains("Send missed events"), "{}", begun.text);
    assert_eq!(browser.post("/jobs", &[("kind", "discard")]).await.status, 400);
    assert_eq!(world.store.jobs().list(world.us.id, None, 9).await.unwrap().len(), 2);
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
