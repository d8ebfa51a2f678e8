//! The seeds that every run of the tests does, and what was found before.

use std::path::Path;

use abide_simulation::{NodesPlan, Plan, Repeats};
use serde::Deserialize;

/// How many seeds each form of the tests runs.
fn seeds() -> u64 {
    match std::env::var("ABIDE_TEST_FORM").as_deref() {
        Ok("quick") => 15,
        Ok("ci") => 60,
        _ => 300,
    }
}

/// The same for several nodes.
fn seeds_of_nodes() -> u64 {
    match std::env::var("ABIDE_TEST_FORM").as_deref() {
        Ok("quick") => 5,
        Ok("ci") => 20,
        _ => 100,
    }
}

#[track_caller]
fn check(plan: &impl Repeats, name: &str) {
    let course = plan.run().expect("a run");
    if let Some(broken) = course.broken {
        let end = course.trace.len().saturating_sub(40);
        let end = course.trace[end..].join("\n");
        panic!("{name} breaks {}: {}\n{end}", broken.invariant, broken.what);
    }
}

/// I1, I2, I3, I5, I6, I7: whatever the schedule, the crashes and the receivers.
#[test]
fn the_fixed_seeds_break_nothing() {
    for seed in 0..seeds() {
        check(&Plan::of(seed), &format!("seed {seed} (`cargo xtask simulate --seed {seed}`)"));
    }
}

/// I1, I2, I3, I5, I6, I7: the same where two nodes work on one database, of which one stands still or dies.
#[test]
fn two_nodes_in_memory_break_nothing() {
    for seed in 0..seeds_of_nodes() {
        let name = format!("seed {seed} (`cargo xtask simulate --nodes --seed {seed}`)");
        check(&NodesPlan::of(seed), &name);
    }
}

/// What can be run again can be understood.
#[test]
fn the_same_seed_gives_the_same_run_to_the_letter() {
    for seed in 0..5 {
        check_twice(&Plan::of(seed), seed);
        check_twice(&NodesPlan::of(seed), seed);
    }
}

#[track_caller]
fn check_twice(plan: &impl Repeats, seed: u64) {
    let [one, two] = [(); 2].map(|()| plan.run().expect("a run").trace);
    let differ = one.iter().zip(&two).find(|(one, two)| one != two);
    assert_eq!(differ, None, "seed {seed}");
    assert_eq!(one.len(), two.len(), "seed {seed}");
    assert!(one.len() > 30, "seed {seed} does something: {one:?}");
}

/// A plan that was kept.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    OfNodes(NodesPlan),
    OfOne(Plan),
}

/// Each file is a failure that was found, made small, and mended; its name says what holds since.
#[test]
fn what_was_found_before_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reproductions");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).expect("the reproductions") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a plan");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        match serde_json::from_str(&text).expect("a plan") {
            Kept::OfNodes(plan) => check(&plan, &name),
            Kept::OfOne(plan) => check(&plan, &name),
        }
        names.push(name);
    }
    assert!(!names.is_empty());
}
