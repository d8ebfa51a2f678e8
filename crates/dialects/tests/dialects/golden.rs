//! Golden folders: `tests/golden/<dialect>/<case>/` holds `event.json` (what happened), `body.json` (the exact bytes,
//! with no line end after them) and `headers.txt` (a line each, in order).
//!
//! To add a case, write `event.json` and run the tests once with `ABIDE_WRITE_GOLDENS=1`: what is missing is written,
//! to be read before it is committed. What is there is never rewritten: an old event keeps its bytes for ever.

use std::fs;
use std::path::{Path, PathBuf};

use abide_core::event::{Event, EventKind};
use abide_dialects::{Dialect, all, by_name};

use crate::support::{SECRET, read_event, received, render, signing_of};

/// Compares what `<dialect>/<case>` renders and signs with what its folder says.
pub(crate) fn check(case: &str) {
    let folder = root().join(case);
    let name = case.split('/').next().expect("a case is <dialect>/<case>");
    let dialect = by_name(name).unwrap_or_else(|| panic!("no dialect is called {name}"));
    let event = event_of(case);
    assert!(dialect.applies(event.kind), "{case}: {name} does not tell {}", event.kind.as_str());

    let signing = signing_of(&event, SECRET);
    let request = dialect.sign(&render(dialect, &event), &signing);
    let lines = request.headers.iter().map(|(name, value)| format!("{name}: {value}"));
    let headers = lines.chain([String::new()]).collect::<Vec<_>>().join("\n");
    let body = std::str::from_utf8(&request.body).expect("the body is text");
    compare(&folder.join("body.json"), body);
    compare(&folder.join("headers.txt"), &headers);
    let verified = dialect.verify(&received(&request), SECRET, signing.at);
    assert_eq!(verified.expect("a golden verifies").event_id, event.id.to_string(), "{case}");
}

/// The exact body that a case's folder holds.
pub(crate) fn body_of(case: &str) -> String {
    read(&root().join(case).join("body.json"))
}

/// The event that a case tells, as its folder holds it.
pub(crate) fn event_of(case: &str) -> Event {
    read_event(&read(&root().join(case).join("event.json")))
}

/// The cases of a dialect that has any, as `check` takes them.
pub(crate) fn cases(dialect: &dyn Dialect) -> Vec<String> {
    let name = dialect.name();
    folders(&root().join(name)).into_iter().map(|case| format!("{name}/{case}")).collect()
}

/// P12, P17: every golden folder holds, and none is left of a dialect that is gone.
#[test]
fn every_golden_folder_holds() {
    for name in folders(&root()) {
        assert!(by_name(&name).is_some(), "golden/{name} is no dialect's");
    }
    all().iter().flat_map(|dialect| cases(*dialect)).for_each(|case| check(&case));
}

/// A dialect without an example of each kind of event it tells is not done.
#[test]
fn every_dialect_has_a_golden_of_every_kind_it_tells() {
    for dialect in all() {
        let mut untold = EventKind::ALL.to_vec();
        untold.retain(|kind| dialect.applies(*kind));
        for case in cases(*dialect) {
            let event = event_of(&case);
            untold.retain(|kind| *kind != event.kind);
        }
        assert!(untold.is_empty(), "{} has no golden of {untold:?}", dialect.name());
    }
}

/// The example at the head of each dialect is what it really sends.
#[test]
fn the_documented_examples_are_goldens() {
    let sources = [
        ("consentproof", include_str!("../../src/dialects/consentproof.rs")),
        ("standard_webhooks", include_str!("../../src/dialects/standard_webhooks.rs")),
    ];
    assert!(all().iter().all(|dialect| sources.iter().any(|(name, _)| *name == dialect.name())));
    for (name, source) in sources {
        let (_, example) = source.split_once("//! ```text\n").expect("an example");
        let (example, _) = example.split_once("//! ```").expect("its end");
        let lines: Vec<_> =
            example.lines().map(|line| line.trim_start_matches("//!").trim()).collect();
        let blank = lines.iter().position(|line| line.is_empty()).expect("headers, then the body");
        let folder = root().join(name).join("created");
        assert_eq!(lines[1..blank].join("\n") + "\n", read(&folder.join("headers.txt")), "{name}");
        assert_eq!(lines[blank..].concat(), read(&folder.join("body.json")), "{name}");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn folders(of: &Path) -> Vec<String> {
    let entries = fs::read_dir(of).unwrap_or_else(|error| panic!("{}: {error}", of.display()));
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("a plain name"))
        .collect();
    names.sort();
    names
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn compare(path: &Path, made: &str) {
    if !path.exists() && std::env::var_os("ABIDE_WRITE_GOLDENS").is_some() {
        fs::write(path, made).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    assert_eq!(made, read(path), "left is made, right is {}", path.display());
}
