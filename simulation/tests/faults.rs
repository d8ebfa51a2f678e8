//! The simulation bites: each fault that is planted in the product is found, and `docs/reliability.md` says how soon.

use std::fmt::Write as _;

use abide_core::fault::{Fault, plant};
use abide_simulation::{NodesPlan, Plan, Repeats};

/// Seeds that a fault must be found in.
const SEEDS: u64 = 60;

/// Where a table begins and ends in the text.
type Marks = (&'static str, &'static str);

const OF_ONE: Marks = ("<!-- faults -->\n", "<!-- end of faults -->\n");
const OF_SEVERAL: Marks =
    ("<!-- faults of nodes in memory -->\n", "<!-- end of faults of nodes in memory -->\n");

/// Seeds it took, and the invariant that was seen broken.
fn found<P: Repeats>(plan: fn(u64) -> P, fault: Fault) -> Option<(u64, &'static str)> {
    plant(Some(fault));
    let found = (0..SEEDS).find_map(|seed| {
        let course = plan(seed).run().expect("a run");
        course.broken.map(|broken| (seed + 1, broken.invariant))
    });
    plant(None);
    found
}

fn table<P: Repeats>(plan: fn(u64) -> P, faults: &[Fault]) -> String {
    let mut table = "| fault | what is wrong | seeds | seen as |\n|---|---|---|---|\n".to_owned();
    let mut missed = Vec::new();
    for fault in faults {
        match found(plan, *fault) {
            Some((seeds, invariant)) => {
                let (name, meaning) = (fault.as_str(), fault.meaning());
                writeln!(table, "| `{name}` | {meaning} | {seeds} | {invariant} |").expect("text");
            }
            None => missed.push(fault.as_str()),
        }
    }
    assert!(missed.is_empty(), "{SEEDS} seeds do not find {missed:?}\n{table}");
    table
}

/// I1, I2, I3, I5, I6, I7: a product that breaks them is found out. One test: a fault is planted in all of the process.
#[test]
fn every_planted_fault_is_found_within_the_seeds_that_the_docs_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reliability.md");
    let of_one: Vec<Fault> =
        Fault::ALL.iter().filter(|fault| !Fault::NEED_NODES.contains(fault)).copied().collect();
    let of_one = (OF_ONE, table(Plan::of, &of_one));
    let of_several = (OF_SEVERAL, table(NodesPlan::of, Fault::OF_LEASES));
    let mut text = std::fs::read_to_string(path).expect("the docs");
    for (marks, table) in [of_one, of_several] {
        let begin = text.find(marks.0).expect("where the table begins") + marks.0.len();
        let end = text.find(marks.1).expect("where the table ends");
        if std::env::var_os("ABIDE_WRITE_BOOK").is_some() {
            text = format!("{}{table}{}", &text[..begin], &text[end..]);
            std::fs::write(path, &text).expect("the docs");
        } else {
            assert_eq!(&text[begin..end], table, "run it with ABIDE_WRITE_BOOK=1");
        }
    }
}
