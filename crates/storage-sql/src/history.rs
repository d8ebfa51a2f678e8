//! Reading back: feeds, an event, a delivery with its attempts, the audit log; and asking for another run.

use std::sync::Arc;

use crate::params;
use crate::sql::{Row, Sql};
use abide_core::access::Caller;
use abide_core::delivery::{DeliveryState, Next, Reason, Run, Trigger, next};
use abide_core::event::{Event, EventKind};
use abide_core::ids::{
    DecisionId, DeliveryId, EventId, Id, JobId, Kind, OrganizationId, SubjectId,
};
use abide_core::{Refusal, Timestamp};
use abide_storage::deliveries::{AttemptTrigger, Ending};
use abide_storage::history::{AttemptView, AuditView, DeliveryView, FeedEntry};
use abide_storage::sealing::{OrganizationKeys, Place};
use abide_storage::{History, StorageError, StorageResult};
use async_trait::async_trait;

use crate::after::{After, refused};
use crate::counts::Tally;
use crate::database::Database;
use crate::deliveries::{Stop, standing_of, stopped};
use crate::endpoints::facts;
use crate::people;
use crate::publish::{Stored, load_event};
use crate::rows::{actor_text, at, id, maybe_at, maybe_id, maybe_named, named};
use crate::store::SqlStore;
use crate::tx::Tx;

/// A wish that a delivery's row and its asks name.
pub(crate) struct Ask<'a> {
    pub(crate) id: DeliveryId,
    pub(crate) actor: &'a str,
    pub(crate) job: Option<JobId>,
}

/// Begins another run of a delivery, due now, and notes who asked for it.
pub(crate) fn run_again(
    tx: &Tx<'_>,
    delivery: DeliveryId,
    run: Run,
    ask: &Ask<'_>,
    now: Timestamp,
) -> StorageResult<()> {
    tx.sql(
        "UPDATE deliveries SET state = 'pending', due_at = ?, run = ?, attempts_in_run = 0, asked = ?, \
         reason = NULL, superseded_by = NULL WHERE delivery = ?",
    )
    .execute(params![now.as_millis(), run.as_str(), ask.id.key(), delivery.key()])?;
    note(tx, delivery, run.as_str(), ask, now)
}

/// Notes that somebody asked for something to be done with a delivery: a run by its name, `replay` or `discard`.
pub(crate) fn note(
    tx: &Tx<'_>,
    delivery: DeliveryId,
    what: &str,
    ask: &Ask<'_>,
    now: Timestamp,
) -> StorageResult<()> {
    tx.sql(
        "INSERT INTO asks (delivery, ask, what, next_number, at, actor, job) \
         SELECT delivery, ?, ?, attempts + 1, ?, ?, ? FROM deliveries WHERE delivery = ?",
    )
    .execute(params![
        ask.id.key(),
        what,
        now.as_millis(),
        ask.actor,
        ask.job.map(Id::key),
        delivery.key()
    ])?;
    Ok(())
}

fn feed<K: Kind>(
    connection: &dyn Sql,
    statement: &'static str,
    organization: OrganizationId,
    log_index: u64,
    limit: u32,
) -> StorageResult<Vec<FeedEntry<Id<K>>>> {
    connection.sql(statement).all(params![organization.key(), log_index as i64, limit], |row| {
        Ok(FeedEntry { log_index: row.get::<i64>(0)? as u64, id: Id::from_key(row.get(1)?) })
    })
}

/// A row, its person, and what its endpoint makes of it at once though the row follows later.
pub(crate) fn delivery_of(
    connection: &dyn Sql,
    row: &dyn Row,
) -> StorageResult<(DeliveryView, Option<SubjectId>)> {
    let view = DeliveryView {
        id: id(row, "delivery")?,
        event: id(row, "event")?,
        kind: named(row, "kind", EventKind::parse)?,
        endpoint: id(row, "endpoint")?,
        state: named(row, "state", DeliveryState::parse)?,
        reason: maybe_named(row, "reason", Reason::parse)?,
        superseded_by: maybe_id(row, "superseded_by")?,
        due_at: maybe_at(row, "due_at")?,
        attempts: Vec::new(),
    };
    let subject = maybe_id(row, "subject")?;
    if view.state.is_final() || view.state.is_leased() {
        return Ok((view, subject));
    }
    let shown = match facts(connection, view.endpoint)
        .ok()
        .zip(standing_of(row).ok())
        .and_then(|(facts, standing)| stopped(&facts, standing))
    {
        Some(Stop::Hold(reason)) => {
            DeliveryView { state: DeliveryState::Held, reason: Some(reason), due_at: None, ..view }
        }
        Some(Stop::Cancel(reason)) => DeliveryView {
            state: DeliveryState::Cancelled,
            reason: Some(reason),
            due_at: None,
            ..view
        },
        None => view,
    };
    Ok((shown, subject))
}

/// Which of a delivery's attempts are read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    All,
    Newest,
}

/// A delivery's attempts, oldest first.
pub(crate) fn attempts_of(
    connection: &dyn Sql,
    keys: &OrganizationKeys,
    delivery: DeliveryId,
    subject: Option<SubjectId>,
    which: Which,
) -> StorageResult<Vec<AttemptView>> {
    let begins = runs_begin(connection, delivery)?;
    let statement = match which {
        Which::All => "SELECT * FROM attempts WHERE delivery = ? ORDER BY number, lease",
        Which::Newest => {
            "SELECT * FROM attempts WHERE delivery = ? ORDER BY number DESC, lease DESC LIMIT 1"
        }
    };
    let key = match subject {
        Some(subject) => people::key_of(connection, keys, subject)?,
        None => None,
    };
    let place = Place { table: "attempts", column: "answer", row: delivery.key() };
    let open = |sealed: Vec<u8>| match (&key, subject) {
        (Some(key), _) => key.open(&place, &sealed).ok(),
        (None, None) => keys.key.open(&place, &sealed).ok(),
        (None, Some(_)) => None,
    };
    connection.sql(statement).all([delivery.key()], |row| {
        let number = row.get("number")?;
        let later = begins.iter().filter(|begin| **begin <= number).count();
        Ok(AttemptView {
            number,
            run: later as u32 + 1,
            trigger: named(row, "trigger", AttemptTrigger::parse)?,
            started_at: at(row, "started_at")?,
            duration_millis: row.get("duration_millis")?,
            signed_at: maybe_at(row, "signed_at")?,
            ending: maybe_named(row, "ending", Ending::parse)?,
            status: row.get("status")?,
            error: row.get("error")?,
            body_sha256: row.get("body_sha256")?,
            body_length: row.get("body_length")?,
            endpoint_version: row.get("endpoint_version")?,
            object_version: row.get::<i64>("object_version")? as u64,
            late: row.get("late")?,
            answer: row.get::<Option<Vec<u8>>>("answer")?.and_then(open),
        })
    })
}

/// The numbers of the attempts with which a delivery's later runs began. Where one was asked for and another one before
/// its first attempt, both are one run.
fn runs_begin(connection: &dyn Sql, delivery: DeliveryId) -> StorageResult<Vec<u32>> {
    connection
        .sql(
            "SELECT next_number FROM asks WHERE delivery = ? AND (what = 'single' OR what = 'series') GROUP BY next_number ORDER BY min(ask)",
        ).all([delivery.key()], |row| row.get(0))
}

#[async_trait]
impl<D: Database> History for SqlStore<D> {
    async fn events(
        &self,
        organization: OrganizationId,
        log_index: u64,
        limit: u32,
    ) -> StorageResult<Vec<FeedEntry<EventId>>> {
        const PAGE: &str = "SELECT log_index, event FROM numbered_events WHERE organization = ? AND log_index > ? \
             ORDER BY log_index LIMIT ?";
        self.database().number_feeds(organization).await?;
        self.read(move |connection, _| feed(connection, PAGE, organization, log_index, limit)).await
    }

    async fn decisions(
        &self,
        organization: OrganizationId,
        log_index: u64,
        limit: u32,
    ) -> StorageResult<Vec<FeedEntry<DecisionId>>> {
        const PAGE: &str = "SELECT log_index, decision FROM numbered_decisions WHERE organization = ? AND log_index > ? \
             ORDER BY log_index LIMIT ?";
        self.database().number_feeds(organization).await?;
        self.read(move |connection, _| feed(connection, PAGE, organization, log_index, limit)).await
    }

    async fn event(
        &self,
        organization: OrganizationId,
        event: EventId,
    ) -> StorageResult<Option<Event>> {
        self.read(move |connection, shared| {
            let keys = crate::keys::organization_keys(connection, shared, organization)?;
            Ok(match load_event(connection, &keys, organization, event.key())? {
                Some(Stored::Event(event)) => Some(*event),
                Some(Stored::Erased) | None => None,
            })
        })
        .await
    }

    async fn deliveries_of(
        &self,
        organization: OrganizationId,
        event: EventId,
    ) -> StorageResult<Vec<DeliveryView>> {
        self.read(move |connection, shared| {
            let keys: Arc<OrganizationKeys> =
                crate::keys::organization_keys(connection, shared, organization)?;
            // An event's deliveries have the keys right after its own, up to the next event's; a lane's repeats of it
            // come later and stand in an index of their own.
            let rows: Vec<(DeliveryView, Option<SubjectId>)> = connection
                .sql(
                    "SELECT deliveries.*, events.kind FROM deliveries JOIN events USING (event) \
                     WHERE deliveries.event = ?1 AND is_right_after(?1) \
                     AND deliveries.organization = ?2 AND repeats = 0 \
                     UNION ALL \
                     SELECT deliveries.*, events.kind FROM deliveries JOIN events USING (event) \
                     WHERE deliveries.event = ?1 AND repeats = 1 AND deliveries.organization = ?2 \
                     ORDER BY delivery",
                )
                .all([event.key(), organization.key()], |row| delivery_of(connection, row))?;
            rows.into_iter()
                .map(|(view, subject)| {
                    let attempts = attempts_of(connection, &keys, view.id, subject, Which::All)?;
                    Ok(DeliveryView { attempts, ..view })
                })
                .collect()
        })
        .await
    }

    async fn retry(
        &self,
        by: &Caller,
        delivery: DeliveryId,
        run: Run,
        now: Timestamp,
    ) -> StorageResult<()> {
        self.act(by, 64, now, move |tx, by| {
            let found: Option<(DeliveryState, abide_core::ids::EndpointId, Run)> = tx
                .sql("SELECT state, endpoint, run FROM deliveries WHERE delivery = ? AND organization = ? FOR UPDATE")
                .maybe([delivery.key(), by.organization.key()], |row| {
                    let run = named(row, "run", Run::parse)?;
                    Ok((named(row, "state", DeliveryState::parse)?, id(row, "endpoint")?, run))
                })?;
            let Some((state, of, before)) = found else {
                return Err(StorageError::Refused(Refusal::NotFound("the delivery")));
            };
            if before == Run::Test {
                return refused(Refusal::Conflict("a test is not retried: send another".to_owned()));
            }
            let endpoint = facts(tx.connection(), of)?;
            if endpoint.state != abide_core::endpoint::EndpointState::Active {
                return refused(Refusal::Conflict("its webhook is stopped".to_owned()));
            }
            match next(state, Trigger::ManualRetry) {
                Next::To(DeliveryState::Pending) => {}
                Next::Refused => {
                    let problem = format!("a delivery that is {} cannot be retried", state.as_str());
                    return refused(Refusal::Conflict(problem));
                }
                Next::To(_) | Next::Stay | Next::Late => return Ok(()),
            }
            let asked = tx.delivery_id(&endpoint, now);
            let actor = actor_text(by.actor);
            let ask = Ask { id: asked, actor: &actor, job: None };
            run_again(tx, delivery, run, &ask, now)?;
            let mut tally = Tally::default();
            tally.reopened(of, state);
            tally.write(tx, now)?;
            tx.audit(by, "delivery.retry", &delivery.to_string(), now)?;
            tx.after(After::Ring);
            Ok(())
        })
        .await
    }

    async fn audit(
        &self,
        organization: OrganizationId,
        limit: u32,
    ) -> StorageResult<Vec<AuditView>> {
        self.read(move |connection, _| {
            connection
                .sql(
                    "SELECT at, actor, action, object FROM audit WHERE organization = ? ORDER BY entry DESC LIMIT ?",
                ).all(params![organization.key(), limit], |row| {
                            Ok(AuditView {
                                at: at(row, "at")?,
                                actor: row.get("actor")?,
                                action: row.get("action")?,
                                object: row.get("object")?,
                            })
                        })
        })
        .await
    }
}
