//! Whatever is sent: never a 5xx, always the envelope, and a refusal leaves nothing behind.

use axum::body::Body;
use http::{Method, Request};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::support::{Reply, World};

/// An operation with a body that it takes: fields with the JSON text of a good value.
struct Operation {
    method: Method,
    path: String,
    fields: Vec<(&'static str, String)>,
    /// Put around the fields.
    frame: (&'static str, &'static str),
}

async fn operations(world: &World) -> Vec<Operation> {
    let good = |text: &str| format!("\"{text}\"");
    let policy = vec![
        ("policy_type", good("custom")),
        ("version", good("1")),
        ("title", good("T")),
        ("content", good("C")),
        ("effective_date", good("2024-01-15T00:00:00Z")),
        ("is_active", "true".to_owned()),
    ];
    let policy_id = made(world, "/v1/policies", &policy).await;
    let consent = vec![
        ("subject_id", good("u")),
        ("subject_email", good("u@example.com")),
        ("policy_id", good(&policy_id)),
        ("consent_type", good("m")),
        ("granted", "true".to_owned()),
        ("metadata", "{\"source\":\"form\"}".to_owned()),
        ("ip_address", good("192.168.1.1")),
        ("user_agent", good("Lynx")),
        ("obtained_at", good("2024-01-01T00:00:00Z")),
        ("valid_from", good("2024-01-01T00:00:00Z")),
        ("valid_until", good("2034-01-01T00:00:00Z")),
    ];
    let consent_id = made(world, "/v1/consent", &consent).await;
    let webhook = vec![
        ("url", good("https://example.com/")),
        ("events", "[\"*\"]".to_owned()),
        ("description", good("D")),
        ("secret", good("sixteen_letters!")),
        ("is_active", "true".to_owned()),
    ];
    let webhook_id = made(world, "/v1/webhooks", &webhook).await;
    let only = |fields: &[(&'static str, String)], wanted: &[&str]| -> Vec<_> {
        fields.iter().filter(|(name, _)| wanted.contains(name)).cloned().collect()
    };
    let object = ("{", "}");
    let operation = |method, path: &str, fields: &[(&'static str, String)], frame| Operation {
        method,
        path: path.to_owned(),
        fields: fields.to_vec(),
        frame,
    };
    let at_consent = format!("/v1/consent/{consent_id}");
    let at_webhook = format!("/v1/webhooks/{webhook_id}");
    let particulars =
        ["subject_email", "policy_id", "granted", "metadata", "ip_address", "user_agent"];
    let change = only(&consent, &particulars);
    let withdrawal = only(&consent, &["metadata", "ip_address", "user_agent"]);
    // In the vendor's own words.
    let vendors = [
        "userReference",
        "userEmail",
        "policyVersionId",
        "consentType",
        "consentGiven",
        "metadata",
        "ipAddress",
        "userAgent",
        "obtainedAt",
        "validFrom",
        "validUntil",
    ];
    let vendors: Vec<_> =
        vendors.into_iter().zip(&consent).map(|(name, (_, json))| (name, json.clone())).collect();
    let retitle = only(&policy, &["title", "effective_date", "is_active"]);
    let replace = only(&webhook, &["url", "events", "description", "is_active"]);
    vec![
        operation(Method::POST, "/v1/consent", &consent, object),
        operation(Method::POST, "/v1/consent/batch", &consent, ("{\"consents\":[{", "}]}")),
        operation(Method::POST, "/v1/consent/batch", &[("consents", "[]".to_owned())], object),
        operation(Method::PATCH, &at_consent, &change, object),
        operation(Method::POST, &format!("{at_consent}/withdraw"), &withdrawal, object),
        operation(Method::POST, "/api/v1/consent", &vendors, object),
        operation(Method::POST, "/v1/policies", &policy, object),
        operation(Method::PATCH, &format!("/v1/policies/{policy_id}"), &retitle, object),
        operation(Method::POST, "/v1/webhooks", &webhook, object),
        operation(Method::PATCH, &at_webhook, &replace, object),
        operation(Method::PUT, &at_webhook, &replace, object),
    ]
}

async fn made(world: &World, path: &str, fields: &[(&str, String)]) -> String {
    let body = body(("{", "}"), fields.iter().map(|(name, json)| (*name, json.as_str())));
    world.call(Method::POST, path, body).await.data()["id"].as_str().unwrap().to_owned()
}

fn body<'a>(
    (open, close): (&str, &str),
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) -> String {
    let fields: Vec<_> = fields.map(|(name, json)| format!("\"{name}\":{json}")).collect();
    format!("{open}{}{close}", fields.join(","))
}

/// JSON texts that are odd in every way we know.
pub(crate) fn odd_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => prop::sample::select(vec![
            "null", "true", "false", "0", "-0", "-1", "1e308", "1e999999", "-1e999999",
            "123456789012345678901234567890", "9223372036854775808", "0.1e-400", "\"\"", "\" \"",
            "\"\\u0000\"", "\"a\\u0000b\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\u202e\"",
            "\"http://169.254.169.254/\"", "\"https://[::1]/\"", "\"https://\"", "\"javascript:0\"",
            "\"0000-01-01T00:00:00Z\"", "\"9999-12-31T23:59:60Z\"", "\"2024-02-30\"",
            "\"con_00000000000000000000000000\"", "\"pol_7zzzzzzzzzzzzzzzzzzzzzzzzz\"", "\"*\"",
            "[\"*\"]", "[\"*\",[]]", "[\"consent.created\",\"consent.created\"]", "{\"a\":1,\"a\":2}",
            "{\"ip_address\":\"\\ud800\"}", "{\"ip_address\":{}}", "{\"\\ud800\":1}", "{\"\":\"\\u0000\"}",
            // Broken: the body as a whole is then no JSON.
            "", "{", "[1,", "\"", "01", "NaN", "'a'", "truE", "\"\\x\"", "\u{0}", "\"\u{1}\"",
        ]).prop_map(str::to_owned),
        2 => "\\PC{0,40}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        1 => (1usize..20_000).prop_map(|size| format!("\"{}\"", "x".repeat(size))),
        1 => (1usize..20_000).prop_map(|deep| format!("{}{}", "[".repeat(deep), "]".repeat(deep))),
        1 => (1usize..3_000).prop_map(|deep| format!("{}0{}", "{\"a\":".repeat(deep), "}".repeat(deep))),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|list| format!("[{}]", list.join(","))),
            prop::collection::vec(("[a-z_]{0,12}", inner), 0..4).prop_map(|fields| {
                let fields: Vec<_> =
                    fields.iter().map(|(name, json)| format!("\"{name}\":{json}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

/// What every answer must be.
fn sound(reply: &Reply) -> Result<(), TestCaseError> {
    prop_assert!(!reply.status.is_server_error(), "{:?}", reply);
    if reply.status.is_success() {
        prop_assert_eq!(&reply.json()["success"], true);
    } else {
        reply.code();
        prop_assert!(reply.text.len() < 64 * 1024, "an answer of {} bytes", reply.text.len());
    }
    Ok(())
}

struct Bench {
    runtime: tokio::runtime::Runtime,
    world: World,
    operations: Vec<Operation>,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (world, operations) = runtime.block_on(async {
            let world = World::start().await;
            let operations = operations(&world).await;
            (world, operations)
        });
        Self { runtime, world, operations }
    }

    /// Sends it and checks the answer; what is refused must have left everything as it was.
    fn send(&self, request: Request<Body>) -> Result<(), TestCaseError> {
        self.runtime.block_on(async {
            let before = self.world.facts().await;
            let reply = self.world.send(request).await;
            sound(&reply)?;
            if !reply.status.is_success() {
                prop_assert_eq!(before, self.world.facts().await);
            }
            Ok(())
        })
    }

    fn request(&self, method: &Method, path: &str, body: impl Into<Body>) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(path)
            .header("x-api-key", &self.world.us.token)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap()
    }
}

pub(crate) fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// P28, P29: every field of every operation, replaced by something odd.
#[test]
fn p28_p29_any_value_in_any_field() {
    let bench = Bench::new();
    for operation in &bench.operations {
        for (at, (name, _)) in operation.fields.iter().enumerate() {
            let outcome = runner(24).run(&odd_json(), |odd| {
                let fields = operation.fields.iter().enumerate().map(|(place, (name, good))| {
                    (*name, if place == at { odd.as_str() } else { good.as_str() })
                });
                let text = body(operation.frame, fields);
                bench.send(bench.request(&operation.method, &operation.path, text))
            });
            outcome.unwrap_or_else(|error| {
                panic!("{} {} `{name}`: {error}", operation.method, operation.path)
            });
        }
    }
}

/// P28, P29: bodies that are bytes, or JSON of another shape.
#[test]
fn p28_p29_any_body() {
    let bench = Bench::new();
    for operation in &bench.operations {
        let bodies = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            odd_json().prop_map(String::into_bytes),
        ];
        runner(24)
            .run(&bodies, |bytes| {
                bench.send(bench.request(&operation.method, &operation.path, bytes))
            })
            .unwrap_or_else(|error| panic!("{} {}: {error}", operation.method, operation.path));
    }
}

/// P29: ids in paths, queries and headers that are anything at all.
#[test]
fn p29_any_path_query_and_header() {
    let bench = Bench::new();
    let segment = prop::collection::vec(any::<u8>(), 1..40).prop_map(|bytes| {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "%{byte:02x}");
            text
        })
    });
    let header = prop::collection::vec(0x20_u8..=0x7e, 0..120);
    runner(256)
        .run(&(segment, header, 0_usize..10), |(segment, header, at)| {
            let (method, path) = match at {
                0 => (Method::GET, format!("/v1/consent/{segment}")),
                1 => (Method::POST, format!("/v1/consent/{segment}/withdraw")),
                2 => (Method::DELETE, format!("/v1/policies/{segment}")),
                3 => (Method::DELETE, format!("/api/v1/webhooks/{segment}")),
                4 => (
                    Method::GET,
                    format!("/v1/policies?page={segment}&{segment}=1&is_active={segment}"),
                ),
                5 => (Method::GET, format!("/v1/consent/user/{segment}?from={segment}")),
                6 => (
                    Method::GET,
                    format!("/v1/consent?subject_id={segment}&consentType={segment}&granted={segment}"),
                ),
                7 => (Method::GET, format!("/v1/consent?to={segment}&policy_id={segment}")),
                8 => (
                    Method::GET,
                    format!("/v1/consent/verify?subject_id={segment}&consent_type={segment}&consent_hash={segment}"),
                ),
                _ => (Method::GET, format!("/v1/{segment}/{segment}")),
            };
            bench.send(bench.request(&method, &path, Body::empty()))?;
            let mut request = bench.request(&method, &path, Body::empty());
            let value = http::HeaderValue::from_bytes(&header).unwrap();
            request.headers_mut().insert("x-api-key", value.clone());
            request.headers_mut().insert("authorization", value);
            bench.send(request)
        })
        .unwrap();
}
