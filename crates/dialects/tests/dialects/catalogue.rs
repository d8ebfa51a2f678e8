//! The catalogue of events is held to what is really sent.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use abide_core::Timestamp;
use abide_core::event::{EventKind, sample};
use abide_dialects::standard_webhooks::StandardWebhooks;
use abide_dialects::{Content, Dialect, Signing, catalogue};
use jsonschema::{Validator, draft202012};
use proptest::prelude::*;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::golden::{body_of, cases};
use crate::support::{signing, strategies};

/// The schema of a kind as published.
fn published(kind: EventKind) -> Value {
    let entries = catalogue();
    let entry = entries.iter().find(|entry| entry.kind == kind).expect("every kind is listed");
    serde_json::from_str(entry.schema).expect("a schema is JSON")
}

/// The schema of a kind, with every field that it does not name forbidden: what is sent has to be written down.
fn strict(kind: EventKind) -> Validator {
    let mut schema = published(kind);
    close(&mut schema);
    draft202012::options().should_validate_formats(true).build(&schema).expect("a sound schema")
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("properties").is_some_and(Value::is_object) {
                members.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn judge(kind: EventKind, body: &str) -> Result<(), String> {
    let body: Value = serde_json::from_str(body).expect("a body is JSON");
    strict(kind).validate(&body).map_err(|error| format!("{}: {error}", error.instance_path()))
}

/// A newcomer's first look: what each kind means, in its order, with nothing left out.
#[test]
fn every_kind_is_listed_and_described() {
    let entries = catalogue();
    assert_eq!(entries.map(|entry| entry.kind), EventKind::ALL);
    for entry in entries {
        assert!(entry.description.ends_with('.'), "{}", entry.name());
        let schema = published(entry.kind);
        assert!(jsonschema::meta::is_valid(&schema), "{}", entry.name());
        assert_eq!(schema["title"], entry.name());
        assert_eq!(schema["description"], entry.description, "{}", entry.name());
        assert_eq!(schema["properties"]["type"]["const"], entry.name());
    }
}

/// SW-10: each example is what the dialect sends for the sample event, byte for byte, and has the published shape.
#[test]
fn sw10_examples_are_what_is_sent() {
    for entry in catalogue() {
        let sent = StandardWebhooks.render(&Content::Event(&sample(entry.kind))).body;
        let sent = std::str::from_utf8(&sent).expect("a body is text");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        if std::env::var_os("ABIDE_WRITE_GOLDENS").is_some() {
            let path = folder.join(format!("{}.example.json", entry.name()));
            fs::write(path, sent).expect("a writable folder");
            continue;
        }
        assert_eq!(sent, entry.example, "left is made, right is the example");
        assert_eq!(judge(entry.kind, entry.example), Ok(()), "{}", entry.name());
    }
}

/// SW-10: every golden has the published shape of its kind.
#[test]
fn sw10_goldens_have_the_published_shape() {
    let mut told = HashSet::new();
    for case in cases(&StandardWebhooks) {
        let body = body_of(&case);
        let read: Value = serde_json::from_str(&body).expect("a golden is JSON");
        let kind = read["type"].as_str().and_then(EventKind::parse).expect("a kind");
        assert_eq!(judge(kind, &body), Ok(()), "{case}");
        told.insert(kind);
    }
    assert_eq!(told.len(), EventKind::ALL.len());
}

/// SW-1, SW-3, SW-10: what the book shows newcomers is what is sent: the headers, the consent, each type, each delay.
#[test]
fn sw10_the_book_shows_what_is_sent() {
    let book = include_str!("../../../../docs/book/src/dialects/standard-webhooks.md");
    let event = sample(EventKind::ConsentCreated);
    let secrets = [Zeroizing::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())];
    let at = Timestamp::from_millis(1_768_469_401_000);
    let signing = Signing { event: event.id, secrets: &secrets, at, ..signing(&secrets[0]) };
    let rendered = StandardWebhooks.render(&Content::Event(&event));
    assert!(book.contains(secrets[0].as_str()), "the secret that signs the example");
    for (name, value) in StandardWebhooks.sign(&rendered, &signing).headers {
        assert!(book.contains(&format!("\n{name}: {value}\n")), "{name}: {value}");
    }
    let (_, shown) = book.split_once("```json\n").expect("a consent");
    let (shown, _) = shown.split_once("```").expect("its end");
    let shown: Value = serde_json::from_str(shown).expect("JSON");
    let sent: Value = serde_json::from_slice(&rendered.body).expect("JSON");
    assert_eq!(shown, sent["data"]);
    for entry in catalogue() {
        assert!(book.contains(&format!("`{}`", entry.name())), "{}", entry.name());
    }
    let attempts = (1..=8).map(|number| {
        let start = format!("| {number} |");
        book.lines().find(|line| line.starts_with(&start)).expect("a line for each attempt")
    });
    let delays = attempts.skip(1).map(|line| {
        let text = line.split('|').nth(2).expect("a delay").trim();
        let (number, unit) = text.split_once(' ').expect("a number and a unit");
        let seconds = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3_600,
            other => panic!("{other}"),
        };
        number.parse::<u32>().expect("a number") * seconds
    });
    assert_eq!(delays.collect::<Vec<u32>>(), *StandardWebhooks.schedule().delays);
}

/// A schema that takes everything would prove nothing: each refuses the other kinds, and any message that lacks a field
/// or has one more.
#[test]
fn schemas_refuse_what_is_not_sent() {
    for entry in catalogue() {
        for other in catalogue().into_iter().filter(|other| other.kind != entry.kind) {
            assert!(judge(entry.kind, other.example).is_err(), "{}", other.name());
        }
        let body: Value = serde_json::from_str(entry.example).expect("JSON");
        let fields = body["data"].as_object().expect("an object").keys();
        for field in fields {
            let mut less = body.clone();
            less["data"].as_object_mut().expect("an object").remove(field);
            assert!(judge(entry.kind, &less.to_string()).is_err(), "{} {field}", entry.name());
        }
        let mut more = body.clone();
        more["data"]["more"] = 1.into();
        assert!(judge(entry.kind, &more.to_string()).is_err(), "{}", entry.name());
        assert!(draft202012::is_valid(&published(entry.kind), &more), "later versions may add");
    }
}

/// One consent object, whichever event carries it; and what is about a person is marked.
#[test]
fn a_consent_has_one_schema_and_marks_what_is_personal() {
    let kinds = [EventKind::ConsentCreated, EventKind::ConsentUpdated, EventKind::ConsentWithdrawn];
    let batch = published(EventKind::ConsentBatchCreated)["$defs"]["consent"].clone();
    for kind in kinds {
        assert_eq!(published(kind)["properties"]["data"], batch, "{}", kind.as_str());
    }
    let properties = &batch["properties"];
    for place in [
        &properties["email"],
        &properties["metadata"],
        &properties["subject"]["properties"]["reference"],
    ] {
        assert_eq!(place["x-personal-data"], true, "{place}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// SW-10: whatever happened, what is sent has the published shape.
    #[test]
    fn sw10_every_event_has_the_published_shape(event in strategies::event()) {
        let sent = StandardWebhooks.render(&Content::Event(&event)).body;
        prop_assert_eq!(judge(event.kind, std::str::from_utf8(&sent).expect("text")), Ok(()));
    }
}
