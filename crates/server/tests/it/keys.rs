//! Who may do what, and who sees what.

use abide_core::access::{Actor, Caller, Scope};
use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::support::{Reply, World};

/// Every operation with the scope it asks for. Ids are filled in for `{consent}`, `{policy}`, `{webhook}`.
const OPERATIONS: [(Method, &str, Scope); 19] = [
    (Method::POST, "/v1/consent", Scope::ConsentWrite),
    (Method::POST, "/v1/consent/batch", Scope::ConsentWrite),
    (Method::GET, "/v1/consent", Scope::ConsentRead),
    (Method::GET, "/v1/consent/user/u", Scope::ConsentRead),
    (Method::GET, "/v1/consent/verify?subject_id=u&consent_type=m", Scope::ConsentRead),
    (Method::GET, "/v1/consent/{consent}", Scope::ConsentRead),
    (Method::PATCH, "/v1/consent/{consent}", Scope::ConsentWrite),
    (Method::POST, "/v1/consent/{consent}/withdraw", Scope::ConsentWrite),
    (Method::POST, "/v1/policies", Scope::PoliciesWrite),
    (Method::GET, "/v1/policies", Scope::ConsentRead),
    (Method::GET, "/v1/policies/{policy}", Scope::ConsentRead),
    (Method::PATCH, "/v1/policies/{policy}", Scope::PoliciesWrite),
    (Method::DELETE, "/v1/policies/{policy}", Scope::PoliciesWrite),
    (Method::POST, "/v1/webhooks", Scope::WebhooksWrite),
    (Method::GET, "/v1/webhooks", Scope::WebhooksRead),
    (Method::GET, "/v1/webhooks/{webhook}", Scope::WebhooksRead),
    (Method::PATCH, "/v1/webhooks/{webhook}", Scope::WebhooksWrite),
    (Method::PUT, "/v1/webhooks/{webhook}", Scope::WebhooksWrite),
    (Method::DELETE, "/v1/webhooks/{webhook}", Scope::WebhooksWrite),
];

/// A consent, a policy and a webhook of ours: their ids.
async fn things(world: &World) -> [String; 3] {
    let id = |reply: Reply| reply.data()["id"].as_str().unwrap().to_owned();
    let consent = json!({"subject_id": "u", "consent_type": "m", "granted": true});
    let policy = json!({"policy_type": "custom", "version": "1", "title": "T", "content": "C"});
    let webhook = json!({"url": "https://example.com/", "events": ["*"]});
    [
        id(world.post("/v1/consent", &consent).await),
        id(world.post("/v1/policies", &policy).await),
        id(world.post("/v1/webhooks", &webhook).await),
    ]
}

fn filled(path: &str, [consent, policy, webhook]: &[String; 3]) -> String {
    path.replace("{consent}", consent).replace("{policy}", policy).replace("{webhook}", webhook)
}

/// P29: every operation asks for a key, and for its scope; both before it looks at the body.
#[tokio::test]
async fn p29_every_operation_asks_for_its_scope() {
    let world = World::start().await;
    let things = things(&world).await;
    for (method, path, scope) in OPERATIONS {
        let path = filled(path, &things);
        let nobody = Request::builder().method(&method).uri(&path).body(Body::empty()).unwrap();
        let reply = world.send(nobody).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (401, "UNAUTHORIZED"), "{path}");
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
        for held in Scope::ALL {
            let key = world.key(&[held]).await;
            let token = key.bearer_token.reveal();
            // A body that no operation takes: what is allowed is then told as 400, and changes nothing.
            let body = if method == Method::GET { "" } else { "?" };
            if method == Method::DELETE && held.covers(scope) {
                continue;
            }
            let reply = world.call_as(token, method.clone(), &path, body).await;
            if held.covers(scope) {
                assert!([200, 400].contains(&reply.status.as_u16()), "{path} {held:?} {reply:?}");
            } else {
                assert_eq!((reply.status.as_u16(), reply.code().as_str()), (403, "FORBIDDEN"));
                assert!(reply.text.contains(scope.as_str()), "{reply:?}");
            }
        }
    }
}

/// P1, P30: each form of a key opens; every other combination gets one and the same 401.
#[tokio::test]
async fn p1_p30_the_forms_of_a_key() {
    let world = World::start().await;
    let key = world.key(&[Scope::WebhooksRead]).await;
    let other = world.key(&[Scope::WebhooksRead]).await;
    let (name, secret) = (key.api_key.as_str(), key.api_secret.reveal());
    let token = key.bearer_token.reveal();
    let bearer = format!("Bearer {token}");
    let other_bearer = format!("Bearer {}", other.bearer_token.reveal());
    let wrong = {
        let end = if token.ends_with('A') { "E" } else { "A" };
        format!("{}{end}", &token[..token.len() - 1])
    };
    let unknown = abide_storage::KeySecret::mint(&[9; 32])
        .issue(abide_core::ids::KeyId::from_key(9))
        .bearer_token;
    let send = async |headers: &[(&str, &str)]| {
        let mut request = Request::builder().uri("/v1/webhooks");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        world.send(request.body(Body::empty()).unwrap()).await
    };
    for opens in [
        &[("x-api-key", name), ("x-api-secret", secret)][..],
        &[("x-api-key", token)],
        &[("authorization", &bearer)],
        &[("x-api-key", name), ("x-api-secret", secret), ("authorization", &bearer)],
    ] {
        assert_eq!(send(opens).await.status, 200);
    }
    let mut answers = Vec::new();
    for shut in [
        &[("x-api-key", name)][..],
        &[("x-api-key", name), ("x-api-secret", other.api_secret.reveal())],
        &[("x-api-key", &wrong)],
        &[("x-api-key", unknown.reveal())],
        &[("x-api-key", "cp_live_0123456789"), ("x-api-secret", "cs_live_0123456789")],
        &[("x-api-key", token), ("authorization", &other_bearer)],
        &[("x-api-key", name), ("x-api-secret", secret), ("authorization", "Basic dTpw")],
        &[("x-api-key", token), ("x-api-key", other.bearer_token.reveal())],
    ] {
        let reply = send(shut).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (401, "UNAUTHORIZED"));
        answers.push(reply.text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let cookie = send(&[("cookie", &format!("token={token}; session={token}"))]).await;
    assert_eq!(cookie.status, 401, "a cookie opens nothing");
}

/// P30: a revoked key opens nothing, from the answer on.
#[tokio::test]
async fn p30_revoked_is_revoked() {
    let world = World::start().await;
    let key = world.key(&[Scope::Admin]).await;
    let token = key.bearer_token.reveal();
    let list = async || world.call_as(token, Method::GET, "/v1/webhooks", "").await.status;
    assert_eq!(list().await, 200);
    let by = Caller::new(world.us.id, Actor::Operator);
    let now = abide_core::Timestamp::from_millis(1_705_314_600_000);
    world.store.accounts().revoke_key(&by, key.id, now).await.unwrap();
    assert_eq!(list().await, 401);
}

/// I13: another organization's ids are not found, its lists are empty, and its calls change nothing of ours.
#[tokio::test]
async fn i13_organizations_do_not_see_each_other() {
    let world = World::start().await;
    let things = things(&world).await;
    let them = world.tenant("them").await;
    let before = world.facts().await;
    for (method, path, _) in OPERATIONS.into_iter().filter(|(_, path, _)| path.contains('{')) {
        let path = filled(path, &things);
        let body = match (&method, path.contains("consent")) {
            (&Method::PATCH, true) => r#"{"granted":false}"#,
            (&Method::PATCH, false) => r#"{"is_active":false}"#,
            (&Method::PUT, _) => r#"{"url":"https://example.com/","events":["*"]}"#,
            _ => "{}",
        };
        let reply = world.call_as(&them.token, method, &path, body).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (404, "NOT_FOUND"), "{path}");
    }
    for list in ["/v1/webhooks", "/v1/policies"] {
        let reply = world.call_as(&them.token, Method::GET, list, "").await;
        assert_eq!(reply.json()["pagination"]["total"], 0);
    }
    let foreign =
        json!({"subject_id": "u", "consent_type": "m", "granted": true, "policy_id": things[1]});
    let reply = world.call_as(&them.token, Method::POST, "/v1/consent", foreign.to_string()).await;
    assert_eq!(reply.fields(), ["policy_id"]);
    assert_eq!(world.facts().await, before);
}
