//! Makes failures small: leaves out steps for as long as the same invariant breaks.

use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::{Broken, run};

/// For how long a smaller failure is looked for.
const PATIENCE: Duration = Duration::from_mins(1);

/// The smallest plan found that breaks the same invariant, and how it does.
pub fn shrink(plan: &Plan, broken: &Broken) -> anyhow::Result<(Plan, Broken)> {
    let (mut best, mut how) = (plan.clone(), broken.clone());
    let mut share = best.steps.len().div_ceil(2);
    let began = Instant::now();
    while share > 0 && began.elapsed() < PATIENCE {
        let mut at = 0;
        let mut smaller = false;
        while at < best.steps.len() && began.elapsed() < PATIENCE {
            let mut fewer = best.clone();
            let end = (at + share).min(fewer.steps.len());
            fewer.steps.drain(at..end);
            match run(&fewer)?.broken {
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
