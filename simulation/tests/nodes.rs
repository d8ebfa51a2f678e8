//! Two nodes on one PostgreSQL database: the seeds that every run of the tests does.

use abide_simulation::{NODES_AT_ONCE, run_nodes_of};

/// How many seeds each form of the tests runs.
fn seeds() -> u64 {
    match std::env::var("ABIDE_TEST_FORM").as_deref() {
        Ok("quick") => 3,
        Ok("ci") => 8,
        _ => 16,
    }
}

/// I1, I2, I3, I5, I6, I7: whatever the schedule, connections that are cut before and after a COMMIT, nodes that die, and one
/// that stands still for longer than its lease.
#[test]
fn two_nodes_on_postgresql_break_nothing() {
    let server = std::env::var("ABIDE_TEST_POSTGRES").expect(
        "ABIDE_TEST_POSTGRES must name a PostgreSQL server: run the tests under `cargo xtask postgres`",
    );
    let mut next = 0;
    while next < seeds() {
        let until = seeds().min(next + NODES_AT_ONCE);
        for (seed, course) in run_nodes_of(next..until, &server).expect("runs") {
            let Some(broken) = course.broken else { continue };
            let end = course.trace.len().saturating_sub(60);
            let end = course.trace[end..].join("\n");
            panic!(
                "seed {seed} (`cargo xtask simulate --postgres --seed {seed}`) breaks {}: {}\n{end}",
                broken.invariant, broken.what
            );
        }
        next = until;
    }
}
