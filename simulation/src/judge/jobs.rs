//! What must be true of work over many deliveries that somebody asked for: it ends, it does what it is about and leaves nothing
//! of that out, and nothing else is touched.

use std::collections::HashMap;

use abide_core::delivery::DeliveryState;
use abide_core::ids::{DeliveryId, JobId};
use abide_core::job::{JobKind, Plan, Wish};

use super::Judge;
use crate::plan::Deed;
use crate::rows::{DeliveryRow, JobRow};

/// The jobs there are.
#[derive(Default)]
pub(crate) struct Jobs {
    /// What somebody asked for, or was about to.
    asked: Vec<Plan>,
    /// Those that run, with what each must not leave out: as it stood when the job was seen first, and in which version its
    /// endpoint was.
    running: HashMap<i64, Vec<(DeliveryRow, u32)>>,
}

impl Jobs {
    fn may(&self, kind: JobKind, state: DeliveryState, endpoint: i64) -> bool {
        self.asked.iter().any(|plan| {
            plan.kind == kind
                && plan.states.contains(&state)
                && plan.endpoint.is_none_or(|wanted| wanted.key() == endpoint)
        })
    }
}

impl Judge {
    /// Somebody is about to ask for a job, if there is what it is about.
    pub(crate) fn job(&mut self, deed: &Deed) -> Option<Plan> {
        let (kind, endpoint, rate) = match deed {
            Deed::RetryFailed { endpoint: None, rate } => (JobKind::RetryFailed, None, *rate),
            Deed::RetryFailed { endpoint: Some(endpoint), rate } => {
                (JobKind::RetryFailed, Some(self.endpoint(*endpoint)?), *rate)
            }
            Deed::Discard { endpoint, rate } => {
                (JobKind::Discard, Some(self.endpoint(*endpoint)?), *rate)
            }
            _ => return None,
        };
        let (states, _) = Plan::possible_states(kind);
        let wish = Wish {
            kind,
            endpoint,
            event_kind: None,
            states: states.to_vec(),
            from: None,
            until: None,
            run: None,
            rate: Some(rate),
        };
        let plan = Plan::of(wish).ok()?;
        self.jobs.asked.push(plan.clone());
        Some(plan)
    }

    /// Whether a job may have asked for another run of a delivery that had ended so.
    pub(super) fn may_be_run_again_by_job(&self, old: &DeliveryRow) -> bool {
        self.jobs.may(JobKind::RetryFailed, old.state, old.endpoint)
    }

    /// I2: nothing is given up that nobody gave up.
    pub(super) fn judge_discarded(&mut self, old: Option<&DeliveryRow>, row: &DeliveryRow) {
        let by_hand = row.reason.as_deref() == Some("discarded_by_hand")
            && self.jobs.asked.iter().any(|plan| {
                plan.kind == JobKind::Discard
                    && plan.endpoint.is_some_and(|of| of.key() == row.endpoint)
            });
        let after_gone = row.reason.as_deref() == Some("discarded_after_gone")
            && self.ever_stopped.contains(&row.endpoint);
        let waited = old.is_some_and(|old| !old.state.is_final());
        if !waited || !by_hand && !after_gone {
            let id = DeliveryId::from_key(row.id);
            self.breaks("I2", format!("{id} was given up, and nobody asked for that"));
        }
    }

    /// Whether a job has pages to go.
    pub(super) fn is_job_running(&self) -> bool {
        !self.jobs.running.is_empty()
    }

    /// I2: what a job was about when it began, and still is as it was when it ends, it has left out.
    pub(super) fn look_at_jobs(&mut self) -> anyhow::Result<()> {
        for job in self.rows.jobs()? {
            match (job.state.as_str(), self.jobs.running.contains_key(&job.id)) {
                ("running", false) => {
                    let meant = self.meant_by(&job);
                    self.jobs.running.insert(job.id, meant);
                }
                ("done", true) => {
                    let meant = self.jobs.running.remove(&job.id).unwrap_or_default();
                    self.judge_ended_job(&job, &meant);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn meant_by(&self, job: &JobRow) -> Vec<(DeliveryRow, u32)> {
        let meant = self.deliveries.values().filter(|row| {
            let state = row.state.as_str();
            // What waits to be sent moves on by itself; what is held does not.
            let stays = row.state.is_final() || row.state == DeliveryState::Held;
            stays
                && row.id < job.id
                && row.asked < job.id
                && job.endpoint.is_none_or(|of| of == row.endpoint)
                && job.states.split(',').any(|one| one == state)
        });
        let with_version = meant.filter_map(|row| {
            let endpoint = self.endpoints.get(&row.endpoint)?;
            let fits = row.state == DeliveryState::Held || endpoint.state == "active";
            fits.then(|| (row.clone(), endpoint.version))
        });
        with_version.collect()
    }

    fn judge_ended_job(&mut self, job: &JobRow, meant: &[(DeliveryRow, u32)]) {
        let left_out = meant.iter().find(|(then, version)| {
            let is_erased = match then.subject {
                Some(subject) => self.erased_since.contains_key(&subject),
                None => !self.erased_since.is_empty(),
            };
            let endpoint = self.endpoints.get(&then.endpoint);
            !is_erased
                && endpoint.is_some_and(|now| now.version == *version)
                && self.deliveries.get(&then.id) == Some(then)
        });
        if let Some((row, _)) = left_out {
            let (id, job) = (DeliveryId::from_key(row.id), JobId::from_key(job.id));
            self.breaks("I2", format!("{job} is done and has left out {id}"));
        }
    }
}
