//! The model of two nodes bites: each fault that several nodes can have is found by the first seeds.

use std::fmt::Write as _;

use abide_core::fault::{Fault, plant};
use abide_simulation::{NODES_AT_ONCE, run_nodes_of};

/// Seeds that a fault must be found in. What a seed fixes is its schedule: how soon exactly a fault is found is another time
/// another.
const SEEDS: u64 = 40;

/// Where the table begins and ends in the text.
const MARKS: (&str, &str) = ("<!-- faults of nodes -->\n", "<!-- end of faults of nodes -->\n");

/// Seeds it took, and the invariant that was seen broken.
fn found(fault: Fault, server: &str) -> Option<(u64, &'static str)> {
    plant(Some(fault));
    let mut found = None;
    let mut next = 0;
    while next < SEEDS && found.is_none() {
        let courses = run_nodes_of(next..next + NODES_AT_ONCE, server).expect("runs");
        found = courses
            .into_iter()
            .find_map(|(seed, course)| course.broken.map(|broken| (seed + 1, broken.invariant)));
        next += NODES_AT_ONCE;
    }
    plant(None);
    found
}

/// I1, I3, I5, I7: a product that breaks them at two nodes is found out.
#[test]
fn every_planted_fault_of_several_nodes_is_found() {
    let server = std::env::var("ABIDE_TEST_POSTGRES").expect(
        "ABIDE_TEST_POSTGRES must name a PostgreSQL server: run the tests under `cargo xtask postgres`",
    );
    let mut table = "| fault | what is wrong | seeds | seen as |\n|---|---|---|---|\n".to_owned();
    let mut missed = Vec::new();
    for fault in Fault::OF_NODES {
        let (name, meaning) = (fault.as_str(), fault.meaning());
        match found(*fault, &server) {
            Some((seeds, invariant)) => {
                writeln!(table, "| `{name}` | {meaning} | {seeds} | {invariant} |").expect("text");
            }
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "{SEEDS} seeds do not find {missed:?}\n{table}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reliability.md");
    let text = std::fs::read_to_string(path).expect("the docs");
    let begin = text.find(MARKS.0).expect("where the table begins") + MARKS.0.len();
    let end = text.find(MARKS.1).expect("where the table ends");
    if std::env::var_os("ABIDE_WRITE_BOOK").is_some() {
        let text = format!("{}{table}{}", &text[..begin], &text[end..]);
        std::fs::write(path, text).expect("the docs");
    } else {
        for fault in Fault::OF_NODES {
            let row = format!("| `{}` | {} |", fault.as_str(), fault.meaning());
            assert!(text[begin..end].contains(&row), "run it with ABIDE_WRITE_BOOK=1: {row}");
        }
    }
}
