//! Policies, from request to answer.

use http::Method;
use serde_json::{Value, json};

use crate::support::{World, data_text, keys_in_order};

fn version(name: &str) -> Value {
    json!({"policyType": "privacy_policy", "version": name, "title": "Privacy", "content": "We ...",
        "effectiveDate": "2024-02-01"})
}

/// P36: created as the vendor spells it, shown as we do, with hash and text.
#[tokio::test]
async fn p36_a_version_is_created() {
    let world = World::start().await;
    let reply = world.post("/v1/policies", &version("1.0")).await;
    assert_eq!(reply.status, 201);
    let data = reply.data();
    assert!(data["id"].as_str().unwrap().starts_with("pol_"));
    assert_eq!(data["policy_type"], "privacy_policy");
    assert_eq!(data["is_active"], true);
    assert_eq!(data["effective_date"], "2024-02-01T00:00:00Z");
    assert_eq!(data["created_at"], "2024-01-15T10:30:00Z");
    assert!(data["content_hash"].as_str().unwrap().starts_with("sha256:"));
    let keys = keys_in_order(&data_text(&reply));
    assert_eq!(keys[..4], ["id", "policy_type", "version", "title"]);

    let read = world.get(&format!("/v1/policies/{}", data["id"].as_str().unwrap())).await;
    assert_eq!(read.data()["content"], "We ...");
    let again = world.post("/v1/policies", &version("1.0")).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "CONFLICT"));
}

/// P32: policies come in pages; one beyond the end is empty, and a limit has its bounds.
#[tokio::test]
async fn p32_versions_come_in_pages() {
    let world = World::start().await;
    for name in ["1", "2", "3"] {
        world.post("/v1/policies", &version(name)).await.data();
        world.clock.pass(1_000);
    }
    let page = async |query: &str| {
        let reply = world.get(&format!("/v1/policies?{query}")).await;
        let data = reply.data();
        let names = data.as_array().unwrap().iter().map(|item| item["version"].clone());
        (names.collect::<Vec<_>>(), reply.json()["pagination"].clone())
    };
    let told = |page: u32| json!({"page": page, "limit": 2, "total": 3, "pages": 2});
    assert_eq!(page("limit=2").await, (vec![json!("3"), json!("2")], told(1)));
    assert_eq!(page("limit=2&page=2").await, (vec![json!("1")], told(2)));
    assert_eq!(page("limit=2&page=3").await, (vec![], told(3)));
    for (bad, field) in [("page=0", "page"), ("limit=0", "limit"), ("limit=101", "limit")] {
        let reply = world.get(&format!("/v1/policies?{bad}")).await;
        assert_eq!((reply.status.as_u16(), reply.fields()), (400, vec![field.to_owned()]));
    }
}

/// P36: list with filters, change, delete.
#[tokio::test]
async fn p36_versions_are_listed_changed_and_deleted() {
    let world = World::start().await;
    let id =
        world.post("/v1/policies", &version("1.0")).await.data()["id"].as_str().unwrap().to_owned();
    world.clock.pass(1_000);
    let mut custom = version("1.0");
    custom["policyType"] = json!("custom");
    world.post("/v1/policies", &custom).await.data();
    let path = format!("/v1/policies/{id}");

    let changed = world.patch(&path, &json!({"title": "Data", "isActive": false})).await;
    assert_eq!(
        (changed.data()["title"].clone(), changed.data()["is_active"].clone()),
        (json!("Data"), json!(false))
    );
    for fixed in ["content", "version", "policy_type", "policyType"] {
        let reply = world.patch(&path, &json!({fixed: "x", "title": "y"})).await;
        assert_eq!(reply.status, 400, "{fixed}");
    }
    let total = async |query: &str| {
        let reply = world.get(&format!("/v1/policies{query}")).await;
        assert!(!reply.text.contains("We ..."), "lists carry no texts");
        reply.json()["pagination"]["total"].clone()
    };
    assert_eq!(total("").await, 2);
    assert_eq!(total("?policy_type=custom").await, 1);
    assert_eq!(total("?policyType=privacy_policy&isActive=true").await, 0);
    assert_eq!(total("?is_active=false").await, 1);
    for bad in ["policy_type=x", "is_active=1", "policyType=custom&policy_type=cookie_policy"] {
        assert_eq!(world.get(&format!("/v1/policies?{bad}")).await.code(), "VALIDATION_ERROR");
    }

    let gone = world.call(Method::DELETE, &path, "").await;
    assert!(gone.data()["message"].is_string());
    assert_eq!(world.get(&path).await.status, 404);
    assert_eq!(total("").await, 1);
}
