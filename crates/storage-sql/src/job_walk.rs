//! What a job meets on its way, in an order that it can take up again, and what is known of each that it meets.

use std::collections::HashMap;

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::Timestamp;
use abide_core::delivery::{DeliveryState, Run};
use abide_core::endpoint::Source;
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, EndpointId, EventId, Id, OrganizationId, SubjectId};
use abide_core::job::{
    JobKind, Missed, Plan, Skip, Verdict, judge_discard, judge_missed, judge_retry,
};
use abide_storage::StorageResult;

use crate::deliveries::{Stop, standing_of, stopped};
use crate::delivery_log::first_key_at;
use crate::endpoints::{EndpointFacts, facts};
use crate::lanes;
use crate::people;
use crate::rows::{id, maybe_id, named};

/// Where a job is. For retries: endpoint, place of the state in the plan, delivery. For what waits: place of the state,
/// due time, delivery. For missed events: number in the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place(pub(crate) [i64; 3]);

/// One that is met, and where.
pub(crate) struct Step {
    pub(crate) place: Place,
    pub(crate) met: Met,
}

/// What is met.
#[derive(Clone)]
pub(crate) enum Met {
    Delivery(MetDelivery),
    Event(MetEvent),
}

impl Met {
    /// Where it goes, or should have gone.
    pub(crate) fn endpoint(&self) -> EndpointId {
        match self {
            Self::Delivery(met) => met.endpoint,
            Self::Event(met) => met.endpoint,
        }
    }
}

/// A delivery that may be asked for again or given up.
#[derive(Clone)]
pub(crate) struct MetDelivery {
    pub(crate) id: DeliveryId,
    pub(crate) endpoint: EndpointId,
    pub(crate) subject: Option<SubjectId>,
    pub(crate) state: DeliveryState,
    event: EventId,
    kind: EventKind,
    run: Run,
    standing: DeliveryId,
}

/// An event that an endpoint may have missed.
#[derive(Clone)]
pub(crate) struct MetEvent {
    pub(crate) id: EventId,
    pub(crate) endpoint: EndpointId,
    pub(crate) subject: Option<SubjectId>,
    kind: EventKind,
}

/// A job's way.
pub(crate) struct Walk<'a> {
    connection: &'a dyn Sql,
    organization: OrganizationId,
    plan: &'a Plan,
    /// Nothing with this key or a higher one was there when the job was created.
    frozen: i64,
    endpoints: HashMap<EndpointId, EndpointFacts>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        connection: &'a dyn Sql,
        organization: OrganizationId,
        plan: &'a Plan,
        frozen: i64,
    ) -> Self {
        Self { connection, organization, plan, frozen, endpoints: HashMap::new() }
    }

    /// Where it begins.
    pub(crate) fn beginning(&self) -> StorageResult<Place> {
        Ok(match self.plan.kind {
            JobKind::RetryFailed | JobKind::Discard => Place::default(),
            JobKind::ReplayMissing => Place([self.feed_before(self.lowest())?, 0, 0]),
        })
    }

    /// The lowest key that is in it.
    fn lowest(&self) -> i64 {
        self.plan.from.map_or(0, first_key_at)
    }

    /// The lowest key that is too high.
    fn below(&self) -> i64 {
        self.frozen.min(self.plan.until.map_or(i64::MAX, first_key_at))
    }

    /// The next ones after `place`, at most `limit`. Fewer: these are the last.
    pub(crate) fn next(&self, place: Place, limit: u32) -> StorageResult<Vec<Step>> {
        match self.plan.kind {
            JobKind::RetryFailed => self.ended(place, limit),
            JobKind::Discard => self.waiting(place, limit),
            JobKind::ReplayMissing => self.events(place, limit),
        }
    }

    fn ended(&self, place: Place, limit: u32) -> StorageResult<Vec<Step>> {
        let Place([from, state_from, after]) = place;
        let (first, last) = match self.plan.endpoint {
            Some(only) => (only.key(), only.key()),
            None => (from, i64::MAX),
        };
        let endpoints: Vec<EndpointId> = self
            .connection
            .sql(
                "SELECT endpoint FROM endpoints WHERE organization = ? AND endpoint >= ? AND endpoint <= ? \
                 ORDER BY endpoint",
            ).all([self.organization.key(), first, last], |row| id(row, "endpoint"))?;
        let mut steps = Vec::new();
        for endpoint in endpoints {
            for (number, state) in (0i64..).zip(&self.plan.states) {
                let is_begun = endpoint.key() == from;
                if is_begun && number < state_from {
                    continue;
                }
                let after = if is_begun && number == state_from { after } else { 0 };
                let left = limit - steps.len() as u32;
                if left == 0 {
                    return Ok(steps);
                }
                let first = self.lowest().max(after + 1);
                let rows = self
                    .connection
                    .sql(
                        "SELECT deliveries.*, events.kind FROM deliveries INDEXED BY deliveries_reasoned \
                         JOIN events USING (event) WHERE reason IS NOT NULL AND deliveries.endpoint = ? \
                         AND deliveries.state = ? AND delivery >= ? AND delivery < ? ORDER BY delivery LIMIT ?",
                    ).all(params![endpoint.key(), state.as_str(), first, self.below(), left], met_delivery)?;
                steps.extend(rows.into_iter().map(|met| Step {
                    place: Place([endpoint.key(), number, met.id.key()]),
                    met: Met::Delivery(met),
                }));
            }
        }
        Ok(steps)
    }

    fn waiting(&self, place: Place, limit: u32) -> StorageResult<Vec<Step>> {
        let Some(endpoint) = self.plan.endpoint else { return Ok(Vec::new()) };
        let Place([state_from, due_from, after]) = place;
        let mut steps = Vec::new();
        for (number, state) in (0i64..).zip(&self.plan.states) {
            let left = limit - steps.len() as u32;
            if number < state_from || left == 0 {
                continue;
            }
            let (due_from, after) = if number == state_from { (due_from, after) } else { (0, 0) };
            let statement = match state {
                DeliveryState::Pending => {
                    "SELECT deliveries.*, events.kind FROM deliveries INDEXED BY deliveries_due \
                     JOIN events USING (event) WHERE deliveries.state = 'pending' \
                     AND (due_at, delivery) > (?1, ?2) AND due_at >= ?1 AND deliveries.endpoint = ?3 \
                     ORDER BY due_at, delivery LIMIT ?4"
                }
                DeliveryState::Parked => {
                    "SELECT deliveries.*, events.kind FROM deliveries INDEXED BY deliveries_parked \
                     JOIN events USING (event) WHERE deliveries.state = 'parked' \
                     AND (due_at, delivery) > (?1, ?2) AND due_at >= ?1 AND deliveries.endpoint = ?3 \
                     ORDER BY due_at, delivery LIMIT ?4"
                }
                _ => {
                    "SELECT deliveries.*, events.kind FROM deliveries INDEXED BY deliveries_held \
                     JOIN events USING (event) WHERE deliveries.state = 'held' \
                     AND CAST(?1 AS BIGINT) IS NOT NULL AND delivery > ?2 AND deliveries.endpoint = ?3 \
                     ORDER BY delivery LIMIT ?4"
                }
            };
            let rows = self.connection.sql(statement).all(
                params![due_from, after, endpoint.key(), left],
                |row| {
                    let due_at: Option<i64> = row.get("due_at")?;
                    Ok((due_at.unwrap_or(0), met_delivery(row)?))
                },
            )?;
            steps.extend(rows.into_iter().map(|(due_at, met)| Step {
                place: Place([number, due_at, met.id.key()]),
                met: Met::Delivery(met),
            }));
        }
        Ok(steps)
    }

    fn events(&self, place: Place, limit: u32) -> StorageResult<Vec<Step>> {
        let Some(endpoint) = self.plan.endpoint else { return Ok(Vec::new()) };
        let mut steps = self
            .connection
            .sql(
                "SELECT log_index, event, kind, subject FROM numbered_events WHERE organization = ? AND log_index > ? \
                 ORDER BY log_index LIMIT ?",
            )
            .all(params![self.organization.key(), place.0[0], limit], |row: &dyn Row| {
                    let met = MetEvent {
                        id: id(row, "event")?,
                        endpoint,
                        subject: maybe_id(row, "subject")?,
                        kind: named(row, "kind", EventKind::parse)?,
                    };
                    Ok(Step { place: Place([row.get("log_index")?, 0, 0]), met: Met::Event(met) })
                })?;
        // An organization's events have keys that grow with their numbers.
        let is_out =
            |step: &Step| matches!(&step.met, Met::Event(met) if met.id.key() >= self.below());
        steps.truncate(steps.iter().position(is_out).unwrap_or(steps.len()));
        Ok(steps)
    }

    /// The number of the last event in the organization's feed whose key is below that one; 0 where there is none.
    fn feed_before(&self, key: i64) -> StorageResult<i64> {
        let newest: Option<i64> = self
            .connection
            .sql(
                "SELECT log_index FROM numbered_events WHERE organization = ? ORDER BY log_index DESC LIMIT 1",
            ).maybe([self.organization.key()], |row| row.get(0))?
            .flatten();
        let (mut below, mut above) = (0, newest.unwrap_or(0) + 1);
        while below + 1 < above {
            let middle = below.midpoint(above);
            let found: Option<i64> = self
                .connection
                .sql(
                    "SELECT event FROM numbered_events WHERE organization = ? AND log_index >= ? ORDER BY log_index LIMIT 1",
                ).maybe([self.organization.key(), middle], |row| row.get(0))?;
            if found.is_some_and(|found| found < key) { below = middle } else { above = middle }
        }
        Ok(below)
    }

    /// What was met, as it is now.
    pub(crate) fn again(&self, met: &Met) -> StorageResult<Met> {
        let Met::Delivery(met) = met else { return Ok(met.clone()) };
        self.connection
            .sql(
                "SELECT deliveries.*, events.kind FROM deliveries JOIN events USING (event) WHERE delivery = ? \
                 FOR UPDATE OF deliveries",
            ).one([met.id.key()], met_delivery)
            .map(Met::Delivery)
    }

    /// What the job does with what it met.
    pub(crate) fn judge(&mut self, met: &Met) -> StorageResult<Verdict> {
        match met {
            Met::Delivery(met) => self.judge_delivery(met),
            Met::Event(met) => self.judge_event(met),
        }
    }

    fn judge_delivery(&mut self, met: &MetDelivery) -> StorageResult<Verdict> {
        let keys = self.lowest()..self.below();
        let is_meant = self.plan.endpoint.is_none_or(|wanted| wanted == met.endpoint)
            && self.plan.event_kind.is_none_or(|wanted| wanted == met.kind)
            && keys.contains(&met.id.key())
            && met.run != Run::Test;
        if !is_meant {
            return Ok(Verdict::Pass);
        }
        if met.standing.key() >= self.frozen {
            // Somebody has asked for it since.
            return Ok(Verdict::Skip(Skip::MovedOn));
        }
        let endpoint = self.facts(met.endpoint)?;
        if self.plan.kind == JobKind::Discard {
            let is_cancelled = matches!(stopped(&endpoint, met.standing), Some(Stop::Cancel(_)));
            let verdict = judge_discard(met.state);
            return Ok(if is_cancelled { Verdict::Skip(Skip::MovedOn) } else { verdict });
        }
        let is_erased = people::all_erased(self.connection, met.subject, met.event)?;
        Ok(judge_retry(met.state, endpoint.state, is_erased.then_some(Skip::Erased)))
    }

    fn judge_event(&mut self, met: &MetEvent) -> StorageResult<Verdict> {
        let endpoint = self.facts(met.endpoint)?;
        let is_meant = self.plan.event_kind.is_none_or(|wanted| wanted == met.kind)
            && met.id.key() >= self.lowest()
            && endpoint.events.wants(met.kind);
        let missed = if !is_meant || self.has_delivery(met)? {
            Missed::NotMissed
        } else if people::all_erased(self.connection, met.subject, met.id)? {
            Missed::Erased
        } else if self.was_told_newer(&endpoint, met)? {
            Missed::ToldNewer
        } else {
            Missed::Missed
        };
        Ok(judge_missed(missed, endpoint.state))
    }

    /// An event's deliveries have the keys right after its own; those made later stand in an index.
    fn has_delivery(&self, met: &MetEvent) -> StorageResult<bool> {
        self.connection
            .sql(
                "SELECT 1 FROM deliveries WHERE is_right_after(?1) \
                 AND event = ?1 AND endpoint = ?2 \
                 UNION ALL SELECT 1 FROM deliveries WHERE event = ?1 AND repeats = 1 AND endpoint = ?2 LIMIT 1",
            ).exists([met.id.key(), met.endpoint.key()])
    }

    fn was_told_newer(&self, endpoint: &EndpointFacts, met: &MetEvent) -> StorageResult<bool> {
        let (Source::Lane, Some(subject)) = (endpoint.rules.source, met.subject) else {
            return Ok(false);
        };
        let wanted: Option<i64> = self
            .connection
            .sql("SELECT wanted FROM lanes WHERE endpoint = ? AND subject = ?")
            .maybe([met.endpoint.key(), subject.key()], |row| row.get(0))?;
        Ok(wanted.is_some_and(|wanted| wanted as u64 >= lanes::version_of(met.id)))
    }

    /// An endpoint's facts, read once per page.
    pub(crate) fn facts(&mut self, endpoint: EndpointId) -> StorageResult<EndpointFacts> {
        if let Some(known) = self.endpoints.get(&endpoint) {
            return Ok(known.clone());
        }
        let found = facts(self.connection, endpoint)?;
        self.endpoints.insert(endpoint, found.clone());
        Ok(found)
    }
}

fn met_delivery(row: &dyn Row) -> StorageResult<MetDelivery> {
    Ok(MetDelivery {
        id: id(row, "delivery")?,
        endpoint: id(row, "endpoint")?,
        subject: maybe_id(row, "subject")?,
        state: named(row, "state", DeliveryState::parse)?,
        event: id(row, "event")?,
        kind: named(row, "kind", EventKind::parse)?,
        run: named(row, "run", Run::parse)?,
        standing: standing_of(row)?,
    })
}

/// The plan as a row of `jobs` has it.
pub(crate) fn plan_of(row: &dyn Row) -> StorageResult<Plan> {
    let states = |text: &str| {
        let names = text.split(',').filter(|name| !name.is_empty());
        names.map(DeliveryState::parse).collect::<Option<Vec<_>>>()
    };
    let at = |column: &str| -> StorageResult<Option<Timestamp>> {
        Ok(row.get::<Option<i64>>(column)?.map(Timestamp::from_millis))
    };
    Ok(Plan {
        kind: named(row, "kind", JobKind::parse)?,
        endpoint: row.get::<Option<i64>>("endpoint")?.map(Id::from_key),
        event_kind: crate::rows::maybe_named(row, "event_kind", EventKind::parse)?,
        states: named(row, "states", states)?,
        from: at("from_at")?,
        until: at("until_at")?,
        run: crate::rows::maybe_named(row, "run", Run::parse)?,
        rate: row.get("rate")?,
    })
}
