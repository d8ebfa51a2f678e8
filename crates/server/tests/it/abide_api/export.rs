//! The export of an organization.

use std::collections::BTreeMap;

use abide_core::consent::hash::{hex, sha256};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, World};

const EXPORT: &str = "/abide/v1/export";

/// The lines of a whole export by their type, held against its trailer.
fn lines(reply: &Reply) -> BTreeMap<String, Vec<Value>> {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.headers["content-type"], "application/x-ndjson");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let end = reply.text.trim_end_matches('\n').rfind('\n').unwrap() + 1;
    let mut by_type: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in reply.text.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let data = line["data"].take();
        by_type.entry(line["type"].as_str().unwrap().to_owned()).or_default().push(data);
    }
    assert!(reply.text.starts_with("{\"type\":\"header\""), "the header is first");
    assert!(reply.text[end..].starts_with("{\"type\":\"trailer\""), "the trailer is last");
    let trailer = &by_type["trailer"][0];
    assert_eq!(trailer["sha256"], hex(&sha256(&reply.text.as_bytes()[..end])));
    for (kind, count) in trailer["counts"].as_object().unwrap() {
        let found = by_type.get(kind).map_or(0, Vec::len);
        assert_eq!(count.as_u64().unwrap(), found as u64, "{kind}");
    }
    by_type
}

/// I11, I12: an export has all that was recorded, more than a page of it too, and nothing of erased people or of secrets;
/// it is written down who had it. Metadata with ends of lines stays in its line.
#[tokio::test]
async fn i11_an_export_is_whole_and_holds_no_secret() {
    let world = World::start().await;
    let policy =
        json!({"policy_type": "custom", "version": "1", "title": "T", "content": "We ask."});
    world.post("/v1/policies", &policy).await.data();
    world.endpoint("standard_webhooks").await;
    for number in 0..120 {
        let consent =
            json!({"subject_id": format!("u{number}"), "consent_type": "news", "granted": true});
        world.post("/v1/consent", &consent).await.data();
    }
    let body = "{\"subject_id\": \"ada\", \"subject_email\": \"ada@example.com\", \"consent_type\": \"mail\", \
                \"granted\": true, \"metadata\": {\n  \"form\":\r\n \"7\"}}";
    world.call(Method::POST, "/v1/consent", body).await.data();
    world.post("/abide/v1/subjects/erase", &json!({"reference": "u7"})).await;

    let reply = world.get(EXPORT).await;
    let lines = lines(&reply);
    assert_eq!(reply.headers["content-disposition"], "attachment; filename=\"abide-us.ndjson\"");
    assert_eq!(lines["policy"][0]["content"], "We ask.");
    assert_eq!((lines["decision"].len(), lines["consent"].len()), (121, 121));
    let numbers: Vec<u64> =
        lines["decision"].iter().map(|line| line["log_index"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=121).collect::<Vec<_>>());
    let erased = &lines["decision"][7];
    assert_eq!(
        (&erased["decision"]["subject"]["erased"], &erased["said"]),
        (&json!(true), &Value::Null)
    );
    let commitment = erased["decision"]["commitment"].as_str().unwrap();
    assert!(commitment.starts_with("sha256:"));
    assert!(!reply.text.contains("\"u7\""), "nothing of an erased person");
    let told = &lines["decision"][120];
    assert_eq!(told["decision"]["subject"]["reference"], "ada");
    assert_eq!(told["said"]["metadata"], json!({"form": "7"}));
    assert_eq!((lines["purpose"].len(), lines["endpoint"].len(), lines["key"].len()), (2, 1, 1));
    assert_eq!(lines["audit_entry"][0]["action"], "organization.export");
    let token = &world.us.token;
    assert!(!reply.text.contains(token) && !reply.text.contains("whsec_"), "no secret");
    assert_eq!(reply.text.matches("ada@example.com").count(), 1);
}

/// I13: an export holds nothing of another organization; an empty one is whole, too. What is asked wrongly is refused.
#[tokio::test]
async fn i13_an_export_is_the_organizations_own() {
    let world = World::start().await;
    let consent = json!({"subject_id": "ada", "consent_type": "news", "granted": true});
    world.post("/v1/consent", &consent).await.data();
    let them = world.tenant("them").await;
    let theirs = world.call_as(&them.token, Method::GET, EXPORT, "").await;
    let found = lines(&theirs);
    assert_eq!(found["header"][0]["organization"]["uri"], "them");
    assert!(!found.contains_key("decision") && !theirs.text.contains("ada"), "{theirs:?}");
    let refused = world.get("/abide/v1/export?secrets=include").await;
    assert_eq!(refused.wrong(), ["secrets"]);
    let read_only = world.key(&[abide_core::access::Scope::AuditRead]).await;
    let refused = world.call_as(read_only.bearer_token.reveal(), Method::GET, EXPORT, "").await;
    assert_eq!(refused.problem(), "missing-scope");
}
