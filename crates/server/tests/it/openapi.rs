//! The OpenAPI document against what is really asked and answered.

use std::collections::BTreeSet;

use abide_core::access::Scope;
use abide_core::user::Role;
use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{Reply, World};

/// The document with its schemas closed: an answer with a field that is not described does not pass.
struct Contract {
    document: Value,
}

/// One operation of the document.
struct Described {
    id: String,
    method: Method,
    path: String,
    told: Value,
}

impl Described {
    /// How its body is written.
    fn media(&self) -> &str {
        let content = self.told["requestBody"]["content"].as_object();
        content.and_then(|content| content.keys().next()).map_or(JSON, String::as_str)
    }

    /// Calls it with a body as it is.
    async fn call_as(&self, world: &World, token: &str, path: &str, body: &str) -> Reply {
        let request = Request::builder().method(&self.method).uri(path).header("x-api-key", token);
        let request = request.header("content-type", self.media());
        world.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
}

const JSON: &str = "application/json";

impl Contract {
    fn new() -> Self {
        let mut document: Value = serde_json::from_str(&abide_server::openapi_json()).unwrap();
        close(&mut document);
        Self { document }
    }

    fn operations(&self) -> Vec<Described> {
        let paths = self.document["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().iter().map(|(method, told)| Described {
                    id: told["operationId"].as_str().unwrap().to_owned(),
                    method: method.to_ascii_uppercase().parse().unwrap(),
                    path: path.clone(),
                    told: told.clone(),
                })
            })
            .collect()
    }

    /// Holds an answer against what the operation says of its status.
    #[track_caller]
    fn check(&self, operation: &Described, reply: &Reply) {
        let id = &operation.id;
        let told = &operation.told["responses"][reply.status.as_str()];
        assert!(told.is_object(), "{id} does not tell of {reply:?}");
        let content_type = reply.headers["content-type"].to_str().unwrap();
        let schema = &told["content"][content_type]["schema"];
        assert!(schema.is_object(), "{id} does not tell of {content_type}: {reply:?}");
        if content_type == "application/x-ndjson" {
            for line in reply.text.lines() {
                self.validate(schema, &serde_json::from_str(line).unwrap(), id);
            }
        } else {
            self.validate(schema, &reply.json(), id);
        }
        if reply.status == 201 {
            let location = reply.headers["location"].to_str().unwrap();
            assert!(location.starts_with("/abide/v1/"), "{id}: {location}");
        }
    }

    #[track_caller]
    fn validate(&self, schema: &Value, instance: &Value, what: &str) {
        let root = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.document["components"],
            "allOf": [schema],
        });
        let validator = jsonschema::validator_for(&root).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(instance).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{what}: {errors:?} in {instance}");
    }
}

/// Closes every object schema.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object) {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            object.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

/// The committed document is the code's. `cargo xtask openapi` writes it anew.
#[test]
fn the_committed_document_is_the_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == abide_server::openapi_json(), "run `cargo xtask openapi`");
}

#[tokio::test]
async fn the_document_is_served() {
    let world = World::start().await;
    let reply = world.send(Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!((reply.status.as_u16(), reply.text), (200, abide_server::openapi_json()));
}

#[test]
fn every_schema_is_a_schema_and_every_operation_has_a_name() {
    let contract = Contract::new();
    let schemas = contract.document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let ids: BTreeSet<_> = contract.operations().into_iter().map(|found| found.id).collect();
    assert_eq!(ids.len(), contract.operations().len());
    assert!(!abide_server::openapi_json().contains("$name"), "a marker was left");
}

/// Each documented path knows exactly the documented methods.
#[tokio::test]
async fn the_router_and_the_document_know_the_same() {
    let world = World::start().await;
    let contract = Contract::new();
    for (path, methods) in contract.document["paths"].as_object().unwrap() {
        let request = Request::builder().method(Method::TRACE).uri(path.replace("{id}", "x"));
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 405, "{path}");
        let allowed: BTreeSet<String> = reply.headers["allow"]
            .to_str()
            .unwrap()
            .split(',')
            .map(|method| method.trim().to_ascii_lowercase())
            .filter(|method| method != "head")
            .collect();
        let told: BTreeSet<String> = methods.as_object().unwrap().keys().cloned().collect();
        assert_eq!(allowed, told, "{path}");
    }
}

/// Every kind of event, one of a person erased since, and a consent of `u`.
async fn make_history(world: &World) {
    let consent = |who: &str| json!({"subject_id": who, "consent_type": "news", "granted": true, "metadata": {"a": 1}});
    for who in ["gone", "u"] {
        world.post("/v1/consent", &consent(who)).await;
    }
    world.post("/v1/consent/batch", &json!({"consents": [consent("v"), consent("w")]})).await;
    let version = world.chance_text();
    let policy = json!({"policy_type": "custom", "version": version, "title": "T", "content": "C"});
    world.post("/v1/policies", &policy).await.data();
    world.post("/abide/v1/subjects/erase", &json!({"reference": "gone"})).await;
}

async fn make_endpoint(world: &World) -> String {
    let new = json!({"url": "https://example.com/hook", "events": ["*"]});
    world.post("/v1/webhooks", &new).await.data()["id"].as_str().unwrap().to_owned()
}

/// A delivery that waits, since there is no engine.
async fn make_delivery(world: &World) -> String {
    make_endpoint(world).await;
    let who = world.chance_text();
    let consent = json!({"subject_id": who, "consent_type": "news", "granted": true});
    world.post("/v1/consent", &consent).await.data();
    let listed = world.get("/abide/v1/deliveries?limit=1").await.json();
    listed["items"][0]["id"].as_str().unwrap().to_owned()
}

async fn make_job(world: &World) -> String {
    let reply = world.post("/abide/v1/jobs", &json!({"kind": "retry_failed"})).await;
    reply.json()["job"]["id"].as_str().unwrap().to_owned()
}

/// A good call of an operation: path and body.
async fn good(world: &World, id: &str) -> (String, Option<Value>) {
    match id {
        "create_key" => {
            ("/abide/v1/keys".to_owned(), Some(json!({"name": "shop", "scopes": ["admin"]})))
        }
        "list_keys" => ("/abide/v1/keys?limit=1".to_owned(), None),
        "get_key" | "revoke_key" => {
            (format!("/abide/v1/keys/{}", world.key(&[Scope::ConsentRead]).await.id), None)
        }
        "create_endpoint" => {
            let body = json!({
                "url": "https://receiver.example/hooks",
                "dialect": "standard_webhooks",
                "events": ["consent.created"],
                "description": "the shop",
                "secret_form": "key_pair",
                "auth": {
                    "headers": {"X-Key": "value"},
                    "oauth2": {
                        "token_url": "https://id.example/token",
                        "client_id": "abide",
                        "client_secret": "secret",
                        "scope": "hooks",
                        "client_auth": "post",
                    },
                },
                "retry_delays": [5, 60],
                "deadline_seconds": 20,
            });
            ("/abide/v1/endpoints".to_owned(), Some(body))
        }
        "list_endpoints" => {
            world.endpoint("standard_webhooks").await;
            ("/abide/v1/endpoints?limit=1&dialect=standard_webhooks".to_owned(), None)
        }
        "get_endpoint"
        | "delete_endpoint"
        | "pause_endpoint"
        | "resume_endpoint"
        | "end_replaced_endpoint_secrets" => (endpoint_path(world, id).await, None),
        "change_endpoint" => {
            let body =
                json!({"events": ["*"], "auth": {"bearer": {"token": "t"}}, "description": null});
            (endpoint_path(world, id).await, Some(body))
        }
        "rotate_endpoint_secret" => {
            (endpoint_path(world, id).await, Some(json!({"overlap_seconds": 60})))
        }
        "test_endpoint" => {
            world.answering().await;
            (endpoint_path(world, id).await, Some(json!({"type": "consent.withdrawn"})))
        }
        "list_events" => ("/abide/v1/events?type=consent.created".to_owned(), {
            make_history(world).await;
            None
        }),
        "get_event" => {
            make_history(world).await;
            let events = world.get("/abide/v1/events").await.json();
            (format!("/abide/v1/events/{}", events["items"][0]["id"].as_str().unwrap()), None)
        }
        "list_event_kinds" => ("/abide/v1/event-kinds".to_owned(), None),
        "list_decisions" => {
            make_history(world).await;
            ("/abide/v1/decisions".to_owned(), None)
        }
        "invite_user" => {
            let email = format!("{}@example.com", world.chance_text());
            let body = json!({"email": email, "name": "Ada", "role": "developer"});
            ("/abide/v1/users".to_owned(), Some(body))
        }
        "list_users" => {
            world.invited(&format!("{}@example.com", world.chance_text()), Role::ReadOnly).await;
            ("/abide/v1/users?limit=1".to_owned(), None)
        }
        "get_user" | "disable_user" | "enable_user" | "change_user" | "issue_user_link" => {
            let email = format!("{}@example.com", world.chance_text());
            let (user, _) = world.invited(&email, Role::ReadOnly).await;
            let verb = match id {
                "disable_user" => "/disable",
                "enable_user" => "/enable",
                "issue_user_link" => "/link",
                _ => "",
            };
            let body = (id == "change_user").then(|| json!({"role": "developer", "name": "Bea"}));
            (format!("/abide/v1/users/{user}{verb}"), body)
        }
        "create_purpose" => {
            let name = world.chance_text();
            ("/abide/v1/purposes".to_owned(), Some(json!({"name": name})))
        }
        "list_purposes" => {
            make_history(world).await;
            ("/abide/v1/purposes".to_owned(), None)
        }
        "get_purpose" => {
            make_history(world).await;
            let purposes = world.get("/abide/v1/purposes").await.json();
            (format!("/abide/v1/purposes/{}", purposes["items"][0]["id"].as_str().unwrap()), None)
        }
        "erase_subject" => {
            make_history(world).await;
            ("/abide/v1/subjects/erase".to_owned(), Some(json!({"reference": "u"})))
        }
        "list_audit_entries" => ("/abide/v1/audit?actor=operator".to_owned(), None),
        "get_organization" => ("/abide/v1/organization".to_owned(), None),
        "change_organization" => {
            let body = json!({"name": "Us", "strict_purposes": true});
            ("/abide/v1/organization".to_owned(), Some(body))
        }
        "delete_organization" => {
            // Whoever called before has asked for it already.
            world.restore().await;
            let body = json!({"confirm": "us", "grace_days": 1});
            ("/abide/v1/organization".to_owned(), Some(body))
        }
        "restore_organization" => ("/abide/v1/organization/restore".to_owned(), None),
        "get_retention" => ("/abide/v1/organization/retention".to_owned(), None),
        "change_retention" => {
            let body = json!({"events_days": 90, "audit_days": null});
            ("/abide/v1/organization/retention".to_owned(), Some(body))
        }
        "export_organization" => {
            make_history(world).await;
            world.endpoint("standard_webhooks").await;
            ("/abide/v1/export".to_owned(), None)
        }
        "import" => {
            let version = world.chance_text();
            let policy =
                json!({"policy_type": "custom", "version": version, "title": "T", "content": "C"});
            let line = json!({"type": "policy", "data": policy});
            ("/abide/v1/import?webhooks=none&dry_run=false".to_owned(), Some(line))
        }
        "create_organization" => {
            let uri = world.chance_text();
            ("/abide/v1/organizations".to_owned(), Some(json!({"uri": uri})))
        }
        "list_deliveries" => {
            make_delivery(world).await;
            let query = "state=pending,failed&type=consent.created&from=1970-01-02T00:00:00Z";
            (format!("/abide/v1/deliveries?{query}"), None)
        }
        "get_delivery" => (format!("/abide/v1/deliveries/{}", make_delivery(world).await), None),
        "retry_delivery" => {
            let path = format!("/abide/v1/deliveries/{}/retry", make_delivery(world).await);
            (path, Some(json!({"run": "single"})))
        }
        "create_job" => {
            ("/abide/v1/jobs".to_owned(), Some(json!({"kind": "retry_failed", "rate": 5})))
        }
        "list_jobs" => {
            make_job(world).await;
            ("/abide/v1/jobs?limit=1".to_owned(), None)
        }
        "get_job" => (format!("/abide/v1/jobs/{}", make_job(world).await), None),
        "cancel_job" => (format!("/abide/v1/jobs/{}/cancel", make_job(world).await), None),
        "get_endpoint_stats" => {
            (format!("/abide/v1/endpoints/{}/stats", make_endpoint(world).await), None)
        }
        "get_stats" => ("/abide/v1/stats?step=1h".to_owned(), None),
        "list_nodes" => ("/abide/v1/nodes".to_owned(), None),
        "list_organizations" => ("/abide/v1/organizations?limit=1".to_owned(), None),
        other => panic!("no good call of {other}: add one"),
    }
}

async fn endpoint_path(world: &World, id: &str) -> String {
    let endpoint = world.endpoint("standard_webhooks").await;
    let verb = match id {
        "pause_endpoint" => "/pause",
        "resume_endpoint" => "/resume",
        "rotate_endpoint_secret" => "/rotate-secret",
        "end_replaced_endpoint_secrets" => "/end-replaced-secrets",
        "test_endpoint" => "/test",
        _ => "",
    };
    format!("/abide/v1/endpoints/{endpoint}{verb}")
}

/// Each type's example has the shape that its schema says, and the `data` of the feed.
#[tokio::test]
async fn each_kinds_example_has_its_shape() {
    let world = World::start().await;
    let contract = Contract::new();
    let kinds = world.get("/abide/v1/event-kinds").await.json();
    for kind in kinds["items"].as_array().unwrap() {
        let (schema, example) = (&kind["schema"], &kind["example"]);
        assert_eq!(example["type"], kind["type"]);
        assert!(jsonschema::validator_for(schema).unwrap().is_valid(example), "{example}");
        let of_feed = &contract.document["components"]["schemas"]["WholeEvent"];
        contract.validate(&of_feed["properties"]["data"], &example["data"], "the feed's data");
    }
}

/// The scope that an operation says it asks for.
fn scope_of(operation: &Described) -> Option<Scope> {
    let text = operation.told["description"].as_str().unwrap();
    let (_, scope) = text.rsplit_once("Scope: `")?;
    Scope::parse(scope.split('`').next().unwrap())
}

/// What succeeds answers what is described, and asks for the scope that is described.
#[tokio::test]
async fn each_operation_answers_as_it_is_described() {
    let contract = Contract::new();
    for operation in contract.operations() {
        let world = World::start().await;
        let scope = scope_of(&operation);
        for held in Scope::ALL {
            world.restore().await;
            let (path, body) = good(&world, &operation.id).await;
            let body = body.map_or_else(String::new, |body| body.to_string());
            let key = world.key(&[held]).await;
            let token = key.bearer_token.reveal();
            let reply = operation.call_as(&world, token, &path, &body).await;
            contract.check(&operation, &reply);
            let id = &operation.id;
            if scope.is_none_or(|scope| held.covers(scope)) {
                assert!(reply.status.is_success(), "{id} with {held:?}: {reply:?}");
            } else {
                assert_eq!(reply.problem(), "missing-scope", "{id} with {held:?}: {reply:?}");
                assert!(reply.text.contains(scope.unwrap().as_str()), "{id}: {reply:?}");
            }
        }
    }
}

/// What fails answers a problem that is described: without a key, for nothing, with a body or a query that is wrong.
#[tokio::test]
async fn each_operation_fails_as_it_is_described() {
    let mut world = World::start().await;
    world.us.token = world.key(&Scope::ALL).await.bearer_token.reveal().to_owned();
    let contract = Contract::new();
    for operation in contract.operations() {
        let (id, method) = (&operation.id, &operation.method);
        let (path, body) = good(&world, id).await;
        let nobody = Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
        let reply = world.send(nobody).await;
        contract.check(&operation, &reply);
        assert_eq!(reply.problem(), "unauthenticated", "{id}");
        assert_eq!(reply.headers["www-authenticate"], "Bearer");

        if operation.path.contains("{id}") {
            let body = body.as_ref().map_or_else(String::new, Value::to_string);
            let reply =
                world.call(method.clone(), &operation.path.replace("{id}", "x"), body).await;
            contract.check(&operation, &reply);
            assert_eq!(reply.problem(), "not-found", "{id}");
        }
        // Lines have a test of their own.
        if body.is_some() && operation.media() == JSON {
            wrong_bodies(&world, &contract, &operation, &path).await;
        }
        wrong_queries(&world, &contract, &operation, &path).await;
    }
}

/// Every described field is read, and refused where it is odd; every other is refused by name, with what there is.
async fn wrong_bodies(world: &World, contract: &Contract, operation: &Described, path: &str) {
    let id = &operation.id;
    let schema = &operation.told["requestBody"]["content"]["application/json"]["schema"];
    let described: BTreeSet<String> =
        schema["properties"].as_object().unwrap().keys().cloned().collect();
    let odd: serde_json::Map<String, Value> =
        described.iter().map(|name| (name.clone(), json!({"odd": [[]]}))).collect();
    let reply = world.call(operation.method.clone(), path, Value::Object(odd).to_string()).await;
    contract.check(operation, &reply);
    // Problems inside of a field name their place there.
    let wrong = reply.wrong();
    let wrong = wrong.iter().map(|field| field.split(['.', '[']).next().unwrap_or_default());
    assert_eq!(wrong.map(str::to_owned).collect::<BTreeSet<_>>(), described, "{id}");

    let reply = world.call(operation.method.clone(), path, r#"{"nothing_of_ours":1}"#).await;
    contract.check(operation, &reply);
    let reply_json = reply.json();
    let errors = reply_json["errors"].as_array().unwrap();
    let of_unknown = |error: &&Value| error["field"] == "nothing_of_ours";
    let problem = errors.iter().find(of_unknown).unwrap()["problem"].as_str().unwrap();
    let listed: BTreeSet<String> =
        problem.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(listed, described, "{id}");

    for text in ["", "[]", "{", "null", "\"x\""] {
        let reply = world.call(operation.method.clone(), path, text).await;
        contract.check(operation, &reply);
        assert_eq!(reply.problem(), "invalid-body", "{id} {text}");
    }
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(1024 * 1024));
    let reply = world.call(operation.method.clone(), path, large).await;
    contract.check(operation, &reply);
    assert_eq!(reply.problem(), "body-too-large", "{id}");
    let request = Request::builder().method(&operation.method).uri(path);
    let request = request.header("x-api-key", &world.us.token).header("content-type", "text/plain");
    let reply = world.send(request.body(Body::from("{}")).unwrap()).await;
    contract.check(operation, &reply);
    assert_eq!(reply.problem(), "not-json", "{id}");
}

/// The same for the parameters of a query.
async fn wrong_queries(world: &World, contract: &Contract, operation: &Described, path: &str) {
    let id = &operation.id;
    let (path, given) = path.split_once('?').unwrap_or((path, ""));
    let parameters = operation.told["parameters"].as_array().unwrap().iter();
    let parameters = parameters.filter(|parameter| parameter["in"] == "query");
    let name_of = |parameter: &Value| parameter["name"].as_str().unwrap().to_owned();
    let described: BTreeSet<String> = parameters.clone().map(name_of).collect();
    let required: BTreeSet<String> =
        parameters.filter(|parameter| parameter["required"] == true).map(name_of).collect();
    if described.is_empty() {
        return;
    }
    // What has to be there is, as in the good call, but for what is asked wrongly.
    let call = async |query: &str| {
        let (asked, _) = query.split_once('=').unwrap();
        let name = |pair: &&str| pair.split('=').next().unwrap_or_default().to_owned();
        let others = given.split('&').filter(|pair| required.contains(&name(pair)));
        let asked: Vec<&str> =
            [query].into_iter().chain(others.filter(|pair| name(pair) != asked)).collect();
        let path = format!("{path}?{}", asked.join("&"));
        let reply = operation.call_as(world, &world.us.token, &path, "").await;
        contract.check(operation, &reply);
        reply
    };
    let reply = call("nothing_of_ours=1").await;
    assert_eq!(reply.wrong(), ["nothing_of_ours"], "{id}");
    let json = reply.json();
    let problem = json["errors"][0]["problem"].as_str().unwrap();
    let listed: BTreeSet<String> =
        problem.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(listed, described, "{id}");
    for name in described {
        let reply = call(&format!("{name}=%00%ff%20odd")).await;
        if name == "cursor" {
            assert_eq!(reply.problem(), "invalid-cursor", "{id}");
        } else {
            assert_eq!(reply.wrong(), [name], "{id}");
        }
    }
}
