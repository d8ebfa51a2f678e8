//! Work over many deliveries, a page at a time.

use std::sync::Arc;

use crate::leases::must_do_chores;
use crate::params;
use crate::sql::{Row, Sql, Turn};
use abide_core::access::{Actor, Caller};
use abide_core::delivery::{DeliveryState, Reason, Run};
use abide_core::endpoint::{EndpointState, Source};
use abide_core::ids::{
    Delivery, DeliveryId, EndpointId, Id, Job, JobId, OrganizationId, SubjectId,
};
use abide_core::job::{JobKind, JobState, JobTrigger, Plan, Progress, Verdict, allowed, paced};
use abide_core::{Refusal, Timestamp};
use abide_storage::jobs::{Asked, Estimate, JobView, MOST_RUNNING, Page};
use abide_storage::{Jobs, StorageError, StorageResult};
use async_trait::async_trait;

use crate::after::{After, refused};
use crate::counts::Tally;
use crate::database::Database;
use crate::deliveries::{HELD_ENDPOINTS, distinct_endpoints};
use crate::delivery_log::first_key_at;
use crate::endpoints::facts;
use crate::history::{Ask, note, run_again};
use crate::job_walk::{Met, Place, Step, Walk, plan_of};
use crate::lanes;
use crate::organizations;
use crate::publish::{DeliveryOf, Start, insert_delivery};
use crate::rows::{actor_text, at, damaged, id, maybe_at, named, newest};
use crate::store::SqlStore;
use crate::tx::Tx;

/// Deliveries that one page changes, at most: they hold up those who record decisions for as long as they take.
const PAGE_DONE: u32 = 50;
/// Rows that one page looks at, at most, beside the writer.
const PAGE_LOOKED: u32 = 1_000;
/// Rows that an estimate looks at, at most.
const ESTIMATE_LOOKED: u64 = 50_000;

/// A job's row.
struct JobRow {
    view: JobView,
    organization: OrganizationId,
    paced_at: Timestamp,
    place: Place,
}

fn job_row(row: &dyn Row) -> StorageResult<JobRow> {
    let count = |column: &str| row.get::<i64>(column).map(|count| count.max(0) as u64);
    let progress = Progress {
        looked: count("looked")?,
        done: count("done")?,
        endpoint_stopped: count("endpoint_stopped")?,
        endpoint_deleted: count("endpoint_deleted")?,
        moved_on: count("moved_on")?,
        erased: count("erased")?,
        told_newer: count("told_newer")?,
    };
    Ok(JobRow {
        view: JobView {
            id: id(row, "job")?,
            plan: plan_of(row)?,
            state: named(row, "state", JobState::parse)?,
            progress,
            created_at: at(row, "created_at")?,
            created_by: row.get("actor")?,
            ended_at: maybe_at(row, "ended_at")?,
        },
        organization: id(row, "organization")?,
        paced_at: at(row, "paced_at")?,
        place: Place([row.get("place_1")?, row.get("place_2")?, row.get("place_3")?]),
    })
}

fn load(connection: &dyn Sql, job: JobId) -> StorageResult<Option<JobRow>> {
    connection.sql("SELECT * FROM jobs WHERE job = ?").maybe([job.key()], job_row)
}

#[async_trait]
impl<D: Database> Jobs for SqlStore<D> {
    async fn create(&self, by: &Caller, plan: &Plan, now: Timestamp) -> StorageResult<Asked> {
        let plan = plan.clone();
        self.act(by, 256, now, move |tx, by| create(tx, by, &plan, now)).await
    }

    async fn estimate(
        &self,
        organization: OrganizationId,
        plan: &Plan,
        _now: Timestamp,
    ) -> StorageResult<Estimate> {
        self.database().number_feeds(organization).await?;
        let plan = plan.clone();
        self.search(move |connection, _| {
            check_endpoint(connection, organization, &plan)?;
            let mut walk = Walk::new(connection, organization, &plan, i64::MAX);
            let mut place = walk.beginning()?;
            let mut estimate = Estimate::default();
            loop {
                let steps = walk.next(place, PAGE_LOOKED)?;
                for Step { place: reached, met } in &steps {
                    place = *reached;
                    estimate.progress.note(walk.judge(met)?);
                }
                if (steps.len() as u32) < PAGE_LOOKED {
                    return Ok(estimate);
                }
                if estimate.progress.looked >= ESTIMATE_LOOKED {
                    return Ok(Estimate { at_least: true, ..estimate });
                }
            }
        })
        .await
    }

    async fn get(
        &self,
        organization: OrganizationId,
        job: JobId,
    ) -> StorageResult<Option<JobView>> {
        self.read(move |connection, _| {
            let found = load(connection, job)?.filter(|row| row.organization == organization);
            Ok(found.map(|row| row.view))
        })
        .await
    }

    async fn list(
        &self,
        organization: OrganizationId,
        before: Option<JobId>,
        limit: u32,
    ) -> StorageResult<Vec<JobView>> {
        self.read(move |connection, _| {
            connection
                .sql(
                    "SELECT * FROM jobs INDEXED BY jobs_of WHERE organization = ? AND job < ? ORDER BY job DESC LIMIT ?",
                ).all(params![organization.key(), before.map_or(i64::MAX, Id::key), limit], |row| Ok(job_row(row)?.view))
        })
        .await
    }

    async fn cancel(&self, by: &Caller, job: JobId, now: Timestamp) -> StorageResult<JobView> {
        self.act(by, 64, now, move |tx, by| {
            let found = load(tx.connection(), job)?;
            let Some(row) = found.filter(|row| row.organization == by.organization) else {
                return Err(StorageError::Refused(Refusal::NotFound("the job")));
            };
            let Some(state) = row.view.state.after(JobTrigger::Cancel) else {
                return refused(Refusal::Conflict(
                    "a job that is done cannot be cancelled".to_owned(),
                ));
            };
            if state == row.view.state {
                return Ok(row.view);
            }
            end(tx, job, state, now)?;
            tx.audit(by, "job.cancel", &job.to_string(), now)?;
            load(tx.connection(), job)?.map(|row| row.view).ok_or_else(|| damaged("jobs.job"))
        })
        .await
    }

    async fn running(&self, after: JobId, limit: u32) -> StorageResult<Vec<JobId>> {
        self.read(move |connection, _| {
            connection
                .sql(
                    "SELECT job FROM jobs INDEXED BY jobs_running JOIN organizations USING (organization) \
                     WHERE jobs.state = 'running' AND job > ? AND organizations.state = 'active' \
                     ORDER BY job LIMIT ?",
                ).all(params![after.key(), limit], |row| id(row, "job"))
        })
        .await
    }

    async fn work(
        &self,
        job: JobId,
        series: Arc<[&'static str]>,
        now: Timestamp,
    ) -> StorageResult<Page> {
        let Some(row) = self.read(move |connection, _| load(connection, job)).await? else {
            return Ok(Page::Ended);
        };
        let organization = row.organization;
        if row.view.plan.kind == JobKind::ReplayMissing {
            self.database().number_feeds(organization).await?;
        }
        match self.read(move |connection, _| look(connection, job, now)).await? {
            Looked::Nothing(page) => Ok(page),
            Looked::Page(looked) => {
                let bytes = 64 + 128 * looked.found.len();
                self.write_alone(bytes, organization, move |tx| {
                    work(tx, job, &looked, &series, now)
                })
                .await
            }
        }
    }

    async fn discard_gone(
        &self,
        before: Timestamp,
        limit: u32,
        now: Timestamp,
    ) -> StorageResult<u32> {
        // Most of the time there is nothing, which is seen beside the writer.
        let found = self.read(move |connection, _| gone_before(connection, before, 1)).await?;
        if found.is_empty() {
            return Ok(0);
        }
        self.write(64, move |tx| discard_gone(tx, before, limit, now)).await
    }
}

/// The endpoint of a plan exists.
fn check_endpoint(
    connection: &dyn Sql,
    organization: OrganizationId,
    plan: &Plan,
) -> StorageResult<()> {
    let Some(endpoint) = plan.endpoint else { return Ok(()) };
    let exists = connection
        .sql(
            "SELECT 1 FROM endpoints WHERE endpoint = ? AND organization = ? AND state != 'deleted'",
        ).exists([endpoint.key(), organization.key()])?;
    if exists {
        return Ok(());
    }
    refused(Refusal::field("endpoint", "must be the id of an endpoint that exists"))
}

fn create(tx: &mut Tx<'_>, by: &Caller, plan: &Plan, now: Timestamp) -> StorageResult<Asked> {
    check_endpoint(tx.connection(), by.organization, plan)?;
    let running: Vec<JobRow> = tx
        .sql("SELECT * FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND organization = ?")
        .all([by.organization.key()], job_row)?;
    let count = running.len() as u32;
    let same =
        running.into_iter().find(|row| Plan { rate: plan.rate, ..row.view.plan.clone() } == *plan);
    if let Some(same) = same {
        return Ok(Asked::Running(same.view));
    }
    if count >= MOST_RUNNING {
        let problem = format!("{count} jobs are running; wait for one to end, or cancel one");
        return refused(Refusal::Conflict(problem));
    }
    let job = after_all(tx, now)?;
    let Place(place) = Walk::new(tx.connection(), by.organization, plan, job.key()).beginning()?;
    let states: Vec<_> = plan.states.iter().map(|state| state.as_str()).collect();
    tx.sql(
        "INSERT INTO jobs (job, organization, kind, endpoint, event_kind, states, from_at, until_at, run, rate, state, \
         created_at, actor, paced_at, place_1, place_2, place_3) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'running', ?, ?, ?, ?, ?, ?)",
    )
    .execute(params![
        job.key(),
        by.organization.key(),
        plan.kind.as_str(),
        plan.endpoint.map(Id::key),
        plan.event_kind.map(abide_core::event::EventKind::as_str),
        states.join(","),
        plan.from.map(Timestamp::as_millis),
        plan.until.map(Timestamp::as_millis),
        plan.run.map(Run::as_str),
        plan.rate,
        now.as_millis(),
        actor_text(by.actor),
        now.plus_millis(-1_000).as_millis(),
        place[0],
        place[1],
        place[2],
    ])?;
    tx.audit(by, "job.create", &job.to_string(), now)?;
    load(tx.connection(), job)?
        .map(|row| Asked::Created(row.view))
        .ok_or_else(|| damaged("jobs.job"))
}

fn end(tx: &Tx<'_>, job: JobId, state: JobState, now: Timestamp) -> StorageResult<()> {
    tx.sql("UPDATE jobs SET state = ?, ended_at = ? WHERE job = ?").execute(params![
        state.as_str(),
        now.as_millis(),
        job.key()
    ])?;
    Ok(())
}

/// What a look at a job's next page came to.
enum Looked {
    /// There is nothing to write.
    Nothing(Page),
    /// A page.
    Page(LookedAt),
}

/// A page as it was found beside the writer.
struct LookedAt {
    /// Where the job was.
    from: Place,
    /// Where it is after this page.
    to: Place,
    is_last: bool,
    /// What becomes of those with which nothing is done.
    passed: Vec<Verdict>,
    /// Those with which something is to be done, if they still are what they were.
    found: Vec<Met>,
}

/// Looks for the next page of a job: through many rows, for few to write.
fn look(connection: &dyn Sql, job: JobId, now: Timestamp) -> StorageResult<Looked> {
    let found = load(connection, job)?;
    let Some(row) = found.filter(|row| row.view.state == JobState::Running) else {
        return Ok(Looked::Nothing(Page::Ended));
    };
    let standing = organizations::by_id(connection, row.organization)?;
    if standing.is_none_or(|found| found.state.must_be_active().is_err()) {
        return Ok(Looked::Nothing(Page::Suspended));
    }
    let plan = &row.view.plan;
    let allowed = allowed(plan.rate, row.paced_at, now).min(PAGE_DONE) as usize;
    if allowed == 0 {
        return Ok(Looked::Nothing(Page::Paced));
    }
    let mut walk = Walk::new(connection, row.organization, plan, job.key());
    let steps = walk.next(row.place, PAGE_LOOKED)?;
    let is_last = (steps.len() as u32) < PAGE_LOOKED;
    let (from, passed, found) = (row.place, Vec::new(), Vec::new());
    let mut page = LookedAt { from, to: from, is_last, passed, found };
    for Step { place, met } in steps {
        if page.found.len() == allowed {
            page.is_last = false;
            break;
        }
        page.to = place;
        match walk.judge(&met)? {
            Verdict::Do => page.found.push(met),
            verdict => page.passed.push(verdict),
        }
    }
    Ok(Looked::Page(page))
}

/// A new job, which comes after all that is there: other nodes draw keys, too, and their clocks may be ahead.
fn after_all(tx: &Tx<'_>, now: Timestamp) -> StorageResult<JobId> {
    for newest_key in [
        "SELECT max(delivery) FROM deliveries",
        "SELECT max(event) FROM events",
        "SELECT max(asked) FROM jobs",
    ] {
        tx.shared.ids.pass(newest(tx.connection(), newest_key)?);
    }
    Ok(tx.id::<Job>(now))
}

/// Works a page. What it does stands in the job's row with it, so a page is worked once. What was found is judged once more:
/// it may have moved on since.
fn work(
    tx: &mut Tx<'_>,
    job: JobId,
    looked: &LookedAt,
    series: &[&str],
    now: Timestamp,
) -> StorageResult<Page> {
    must_do_chores(tx)?;
    let found = load(tx.connection(), job)?;
    let Some(row) = found.filter(|row| row.view.state == JobState::Running) else {
        return Ok(Page::Ended);
    };
    if row.place != looked.from {
        // Another look at it came first.
        return Ok(Page::More);
    }
    let JobRow { view, organization, paced_at, .. } = row;
    if let Err(refused) = tx.must_be_active(organization) {
        return match refused {
            StorageError::Refused(_) => Ok(Page::Suspended),
            failed => Err(failed),
        };
    }
    let plan = &view.plan;
    let mut walk = Walk::new(tx.connection(), organization, plan, job.key());
    // What is asked for now no earlier stop undoes, whichever node drew its line.
    for met in &looked.found {
        let facts = walk.facts(met.endpoint())?;
        tx.shared.ids.pass(facts.made_behind.key());
    }
    let asked = tx.id::<Delivery>(now);
    let ask = Ask { id: asked, actor: &view.created_by, job: Some(job) };
    let mut progress = view.progress;
    for verdict in &looked.passed {
        progress.note(*verdict);
    }
    let mut tally = Tally::default();
    let mut done = 0;
    for met in &looked.found {
        let met = walk.again(met)?;
        let verdict = walk.judge(&met)?;
        progress.note(verdict);
        if verdict == Verdict::Do {
            done += 1;
            match &met {
                Met::Delivery(met) if plan.kind == JobKind::Discard => {
                    discard(tx, met.id, met.endpoint, met.subject, Reason::DiscardedByHand)?;
                    note(tx, met.id, "discard", &ask, now)?;
                }
                Met::Delivery(met) => {
                    let run = match plan.run {
                        Some(run) => run,
                        None => usual_run(tx, met.endpoint, series)?,
                    };
                    run_again(tx, met.id, run, &ask, now)?;
                    tally.reopened(met.endpoint, met.state);
                }
                Met::Event(met) => {
                    let delivery = tx.delivery_id(&walk.facts(met.endpoint)?, now);
                    let of = DeliveryOf { organization, event: met.id, subject: met.subject };
                    insert_delivery(tx, &of, met.endpoint, delivery, Start::Pending, now)?;
                    tx.sql("UPDATE deliveries SET repeats = 1 WHERE delivery = ?")
                        .execute([delivery.key()])?;
                    let lane = walk.facts(met.endpoint)?.rules.source == Source::Lane;
                    if let Some(subject) = met.subject.filter(|_| lane) {
                        lanes::want(tx, met.endpoint, subject, met.id, delivery)?;
                    }
                    note(tx, delivery, "replay", &ask, now)?;
                }
            }
        }
    }
    if done > 0 {
        tx.after(After::Ring);
    }
    tally.write(tx, now)?;
    let Place(place) = looked.to;
    tx.sql(
        "UPDATE jobs SET paced_at = ?, asked = ?, place_1 = ?, place_2 = ?, place_3 = ?, looked = ?, done = ?, \
         endpoint_stopped = ?, endpoint_deleted = ?, moved_on = ?, erased = ?, told_newer = ? WHERE job = ?",
    )
    .execute(params![
        paced(plan.rate, paced_at, now, done).as_millis(),
        asked.key(),
        place[0],
        place[1],
        place[2],
        progress.looked as i64,
        progress.done as i64,
        progress.endpoint_stopped as i64,
        progress.endpoint_deleted as i64,
        progress.moved_on as i64,
        progress.erased as i64,
        progress.told_newer as i64,
        job.key(),
    ])?;
    if !looked.is_last {
        return Ok(Page::More);
    }
    if let Some(state) = view.state.after(JobTrigger::LastPage) {
        end(tx, job, state, now)?;
        let by = Caller::new(organization, Actor::System);
        tx.audit(&by, "job.end", &job.to_string(), now)?;
    }
    Ok(Page::Ended)
}

/// The run that a retry opens at an endpoint where nobody says.
fn usual_run(tx: &Tx<'_>, endpoint: EndpointId, series: &[&str]) -> StorageResult<Run> {
    let dialect: String = tx
        .sql("SELECT dialect FROM endpoints WHERE endpoint = ?")
        .one([endpoint.key()], |row| row.get(0))?;
    Ok(if series.contains(&dialect.as_str()) { Run::Series } else { Run::Single })
}

/// Gives up a waiting delivery.
fn discard(
    tx: &Tx<'_>,
    delivery: DeliveryId,
    endpoint: EndpointId,
    subject: Option<SubjectId>,
    reason: Reason,
) -> StorageResult<()> {
    tx.sql(
        "UPDATE deliveries SET state = ?, reason = ?, due_at = NULL \
         WHERE delivery = ? AND (state = 'pending' OR state = 'parked' OR state = 'held')",
    )
    .execute(params![DeliveryState::Discarded.as_str(), reason.as_str(), delivery.key()])?;
    if let Some(subject) = subject {
        lanes::ended(tx, endpoint, subject, delivery)?;
    }
    Ok(())
}

/// A delivery, its endpoint and whom it is about.
type Held = (DeliveryId, EndpointId, Option<SubjectId>);

/// Rows held for endpoints that were gone before then, and made or asked for before then too; at most `limit`.
fn gone_before(connection: &dyn Sql, before: Timestamp, limit: u32) -> StorageResult<Vec<Held>> {
    let mut found: Vec<Held> = Vec::new();
    for endpoint in distinct_endpoints(connection, HELD_ENDPOINTS)? {
        let is_gone: bool = connection
            .sql(
                "SELECT 1 FROM endpoints WHERE endpoint = ? AND state = 'gone' AND gone_at <= ? AND suspended = 0",
            ).exists([endpoint.key(), before.as_millis()])?;
        if !is_gone {
            continue;
        }
        let below = first_key_at(before);
        let rows: Vec<Held> = connection
            .sql(
                "SELECT endpoint, delivery, subject FROM deliveries INDEXED BY deliveries_held WHERE state = 'held' \
                 AND endpoint = ?1 AND delivery < ?2 AND asked < ?2 ORDER BY delivery LIMIT ?3",
            ).all([endpoint.key(), below, i64::from(limit) - found.len() as i64], |row| {
                        Ok((id(row, "delivery")?, endpoint, crate::rows::maybe_id(row, "subject")?))
                    })?;
        found.extend(rows);
        if found.len() as u32 >= limit {
            break;
        }
    }
    Ok(found)
}

fn discard_gone(
    tx: &mut Tx<'_>,
    before: Timestamp,
    limit: u32,
    now: Timestamp,
) -> StorageResult<u32> {
    must_do_chores(tx)?;
    // Of two that look at once the second one finds nothing.
    tx.connection().alone(Turn::Discarding)?;
    let rows = gone_before(tx.connection(), before, limit)?;
    let mut last = None;
    for (delivery, endpoint, subject) in &rows {
        discard(tx, *delivery, *endpoint, *subject, Reason::DiscardedAfterGone)?;
        if last != Some(*endpoint) {
            last = Some(*endpoint);
            let facts = facts(tx.connection(), *endpoint)?;
            debug_assert_eq!(facts.state, EndpointState::Gone);
            let by = Caller::new(facts.organization, Actor::System);
            tx.audit(&by, "endpoint.discard_held", &endpoint.to_string(), now)?;
        }
    }
    Ok(rows.len() as u32)
}
