//! The nodes of the installation.

use abide_core::access::Scope;
use abide_core::shell::Clock as _;
use http::Method;
use serde_json::json;

use crate::support::World;

const ALL: &str = "/abide/v1/nodes";

/// Whoever runs the installation sees who works on it; an organization's admin does not.
#[tokio::test]
async fn an_operator_sees_the_nodes() {
    let world = World::start().await;
    let reply = world.call(Method::GET, ALL, "").await;
    assert_eq!(reply.problem(), "missing-scope", "an admin is none of the installation");
    let operator = world.key(&[Scope::OrganizationsWrite]).await;
    let read = async || {
        let token = operator.bearer_token.reveal();
        world.call_as(token, Method::GET, ALL, "").await.json()
    };
    let idle = read().await;
    assert_eq!(idle["next_cursor"], json!(null));
    assert_eq!(idle["items"].as_array().unwrap().len(), 1, "{idle}");
    assert_eq!(idle["items"][0]["leases"], json!([]));
    let now = world.clock.now();
    let lease = world.store.leases().open(now).await.unwrap();
    let node = &read().await["items"][0];
    assert_eq!((&node["state"], &node["number"]), (&json!("alive"), &json!(0)));
    let held = json!({
        "id": lease.to_string(), "epoch": 1, "opened_at": node["leases"][0]["opened_at"],
        "claimed": 0, "hot": 0, "at_least": false,
    });
    assert_eq!(node["leases"], json!([held]));
}
