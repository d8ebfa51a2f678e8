//! The seeds that every run of the tests does, and what was found before.

use std::path::Path;

use abide_simulation::{Plan, run};

/// How many seeds each form of the tests runs.
fn seeds() -> u64 {
    match std::env::var("ABIDE_TEST_FORM").as_deref() {
        Ok("quick") => 15,
        Ok("ci") => 60,
        _ => 300,
    }
}

#[track_caller]
fn check(plan: &Plan, name: &str) {
    let course = run(plan).expect("a run");
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

/// What can be run again can be understood.
#[test]
fn the_same_seed_gives_the_same_run_to_the_letter() {
    for seed in 0..5 {
        let [one, two] = [(); 2].map(|()| run(&Plan::of(seed)).expect("a run").trace);
        let differ = one.iter().zip(&two).find(|(one, two)| one != two);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(one.len(), two.len(), "seed {seed}");
        assert!(one.len() > 30, "seed {seed} does something: {one:?}");
    }
}

/// Each file is a failure that was found, made small, and mended; its name says what holds since.
#[test]
fn what_was_found_before_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reproductions");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).expect("the reproductions") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a plan");
        let plan: Plan = serde_json::from_str(&text).expect("a plan");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        check(&plan, &name);
        names.push(name);
    }
    assert!(!names.is_empty());
}
