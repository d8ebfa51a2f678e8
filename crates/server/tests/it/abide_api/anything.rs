//! Whatever is sent to Abide's own API: never a 5xx, always a problem document, and a refusal leaves nothing behind.

use axum::body::Body;
use http::{Method, Request};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::json;

use crate::bad_input::{odd_json, runner};
use crate::support::World;

/// Fields of a body, each with the JSON text of a good value.
type Fields = &'static [(&'static str, &'static str)];

/// Operations with the fields that they take.
const OPERATIONS: [(Method, &str, Fields); 5] = [
    (
        Method::POST,
        "/abide/v1/keys",
        &[("name", "\"k\""), ("scopes", "[\"admin\"]"), ("expires_at", "\"2034-01-01T00:00:00Z\"")],
    ),
    (Method::POST, "/abide/v1/purposes", &[("name", "\"p\"")]),
    (Method::POST, "/abide/v1/subjects/erase", &[("reference", "\"u\"")]),
    (Method::PATCH, "/abide/v1/organization", &[("name", "\"n\""), ("strict_purposes", "false")]),
    (Method::POST, "/abide/v1/organizations", &[("uri", "\"u\""), ("name", "\"n\"")]),
];

struct Bench {
    runtime: tokio::runtime::Runtime,
    world: World,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = runtime.block_on(async {
            let mut world = World::start().await;
            let key = world.key(&abide_core::access::Scope::ALL).await;
            world.us.token = key.bearer_token.reveal().to_owned();
            let consent = json!({"subject_id": "someone", "consent_type": "m", "granted": true});
            world.post("/v1/consent", &consent).await.data();
            world
        });
        Self { runtime, world }
    }

    fn send(
        &self,
        method: &Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Result<(), TestCaseError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-api-key", &self.world.us.token)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        self.runtime.block_on(async {
            let before = self.world.facts().await;
            let reply = self.world.send(request).await;
            prop_assert!(!reply.status.is_server_error(), "{:?}", reply);
            if !reply.status.is_success() {
                reply.problem();
                prop_assert!(
                    reply.text.len() < 64 * 1024,
                    "an answer of {} bytes",
                    reply.text.len()
                );
                prop_assert_eq!(before, self.world.facts().await);
            }
            Ok(())
        })
    }
}

#[test]
fn any_value_in_any_field() {
    let bench = Bench::new();
    for (method, path, fields) in &OPERATIONS {
        for (name, _) in *fields {
            let outcome = runner(24).run(&odd_json(), |odd| {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(field, good)| {
                        format!("\"{field}\":{}", if field == name { odd.as_str() } else { good })
                    })
                    .collect();
                bench.send(method, path, format!("{{{}}}", fields.join(",")))
            });
            outcome.unwrap_or_else(|error| panic!("{method} {path} `{name}`: {error}"));
        }
        let bodies = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            odd_json().prop_map(String::into_bytes),
        ];
        runner(24)
            .run(&bodies, |bytes| bench.send(method, path, bytes))
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    }
}

#[test]
fn any_path_and_any_query() {
    let bench = Bench::new();
    let lists = ["keys", "events", "decisions", "purposes", "audit", "organizations"];
    let names = ["cursor", "limit", "type", "actor", "action", "object", "from", "to"];
    let text = prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "%{byte:02x}");
            text
        })
    });
    // A cursor of a list's right form with any place in it is followed and not believed.
    let forged = (any::<u8>(), any::<[u8; 16]>()).prop_map(|(list, rest)| {
        use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
        BASE64_URL_SAFE_NO_PAD
            .encode([&[1, list % 10][..], &rest[..8 + usize::from(list % 2) * 8]].concat())
    });
    let inputs = (
        prop::sample::select(lists.to_vec()),
        prop::sample::select(names.to_vec()),
        prop_oneof![text, forged],
    );
    runner(256)
        .run(&inputs, |(list, name, value)| {
            bench.send(&Method::GET, &format!("/abide/v1/{list}?{name}={value}"), Body::empty())?;
            bench.send(
                &Method::GET,
                &format!("/abide/v1/{list}?cursor={value}&limit=3"),
                Body::empty(),
            )?;
            bench.send(&Method::GET, &format!("/abide/v1/{list}/x{value}"), Body::empty())?;
            bench.send(&Method::DELETE, &format!("/abide/v1/keys/{value}x"), Body::empty())
        })
        .unwrap();
}
