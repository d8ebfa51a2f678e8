//! Makes failures small: leaves out steps for as long as the same invariant breaks.

use std::time::{Duration, Instant};

use crate::plan::{Plan, Step};
use crate::{Broken, Course, NodesPlan, NodesStep, run, run_nodes_in_memory};

/// A plan that always runs the same way, and is one without some of its steps, too.
pub trait Repeats: Clone {
    /// What happens in it.
    type Step;

    /// Its steps.
    fn steps(&mut self) -> &mut Vec<Self::Step>;

    /// Runs it. An error is a fault of the simulation itself.
    fn run(&self) -> anyhow::Result<Course>;
}

impl Repeats for Plan {
    type Step = Step;

    fn steps(&mut self) -> &mut Vec<Step> {
        &mut self.steps
    }

    fn run(&self) -> anyhow::Result<Course> {
        run(self)
    }
}

/// On a database in memory.
impl Repeats for NodesPlan {
    type Step = NodesStep;

    fn steps(&mut self) -> &mut Vec<NodesStep> {
        &mut self.steps
    }

    fn run(&self) -> anyhow::Result<Course> {
        run_nodes_in_memory(self)
    }
}

/// For how long a smaller failure is looked for.
const PATIENCE: Duration = Duration::from_mins(1);

/// The smallest plan found that breaks the same invariant, and how it does.
pub fn shrink<P: Repeats>(plan: &P, broken: &Broken) -> anyhow::Result<(P, Broken)> {
    let (mut best, mut how) = (plan.clone(), broken.clone());
    let mut share = best.steps().len().div_ceil(2);
    let began = Instant::now();
    while share > 0 && began.elapsed() < PATIENCE {
        let mut at = 0;
        let mut smaller = false;
        while at < best.steps().len() && began.elapsed() < PATIENCE {
            let mut fewer = best.clone();
            let end = (at + share).min(fewer.steps().len());
            fewer.steps().drain(at..end);
            match fewer.run()?.broken {
                Some(still) if still.invariant == broken.invariant => {
                    (best, how) = (fewer, still);
                    smaller = true;
                }
                _ => at += share,
            }
        }
        if !smaller || share > 1 {
            share /= 2;
        }
    }
    Ok((best, how))
}
