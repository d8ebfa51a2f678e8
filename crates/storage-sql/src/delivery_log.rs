//! Looking through deliveries, and at one of them whole.

use crate::sql::Sql;
use abide_core::Timestamp;
use abide_core::delivery::{DeliveryState, Run};
use abide_core::ids::{DeliveryId, EndpointId, OrganizationId, SEQUENCE_BITS};
use abide_storage::delivery_log::{Asked, DeliveryFilter, DeliveryPage, DeliveryRecord, RunView};
use abide_storage::{DeliveryLog, StorageResult};
use async_trait::async_trait;

use crate::database::Database;
use crate::delivery_list::Look;
use crate::history::{Which, attempts_of, delivery_of};
use crate::rows::{at, id, maybe_id, named};
use crate::store::SqlStore;

#[async_trait]
impl<D: Database> DeliveryLog for SqlStore<D> {
    async fn list(
        &self,
        organization: OrganizationId,
        filter: &DeliveryFilter,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> StorageResult<DeliveryPage> {
        let filter = filter.clone();
        self.search(move |connection, shared| {
            let keys = crate::keys::organization_keys(connection, shared, organization)?;
            let look = Look::new(connection, organization, &filter, before)?;
            look.page(&keys, limit)
        })
        .await
    }

    async fn delivery(
        &self,
        organization: OrganizationId,
        delivery: DeliveryId,
    ) -> StorageResult<Option<DeliveryRecord>> {
        self.read(move |connection, shared| {
            let keys = crate::keys::organization_keys(connection, shared, organization)?;
            let found = connection
                .sql(
                    "SELECT deliveries.*, events.kind FROM deliveries JOIN events USING (event) \
                     WHERE delivery = ? AND deliveries.organization = ?",
                )
                .maybe([delivery.key(), organization.key()], |row| {
                    let (view, subject) = delivery_of(connection, row)?;
                    Ok((view, subject, named(row, "run", Run::parse)?))
                })?;
            let Some((mut view, subject, run)) = found else { return Ok(None) };
            // A test is one from its beginning.
            let first = if run == Run::Test { Run::Test } else { Run::First };
            view.attempts = attempts_of(connection, &keys, delivery, subject, Which::All)?;
            let asks = asks(connection, delivery)?;
            let mut record = DeliveryRecord {
                runs: vec![RunView { number: 1, run: first, asked: None }],
                discarded: None,
                delivery: view,
            };
            for (place, (what, next_number, asked)) in asks.iter().enumerate() {
                if what == REPLAY {
                    record.runs[0].asked = Some(asked.clone());
                    continue;
                }
                let Some(run) = Run::parse(what) else {
                    let is_discarded = record.delivery.state == DeliveryState::Discarded;
                    record.discarded = Some(asked.clone()).filter(|_| is_discarded);
                    continue;
                };
                // Replaced by another before its first attempt.
                let mut later = asks[place + 1..].iter().filter(|ask| Run::parse(&ask.0).is_some());
                if later.next().is_some_and(|later| later.1 == *next_number) {
                    continue;
                }
                let number = record.runs.len() as u32 + 1;
                record.runs.push(RunView { number, run, asked: Some(asked.clone()) });
            }
            Ok(Some(record))
        })
        .await
    }

    async fn note_new(&self, at_least: u32) -> StorageResult<Option<u32>> {
        self.note_stretches(at_least).await
    }
}

/// What is noted of a delivery that was made for an old event.
const REPLAY: &str = "replay";

/// What was asked for, the attempt that came next, and who asked; oldest first.
fn asks(connection: &dyn Sql, delivery: DeliveryId) -> StorageResult<Vec<(String, u32, Asked)>> {
    connection
        .sql("SELECT what, next_number, at, actor, job FROM asks WHERE delivery = ? ORDER BY ask")
        .all([delivery.key()], |row| {
            let asked =
                Asked { at: at(row, "at")?, by: row.get("actor")?, job: maybe_id(row, "job")? };
            Ok((row.get("what")?, row.get("next_number")?, asked))
        })
}

/// The first key that is drawn at an instant or later.
pub(crate) fn first_key_at(instant: Timestamp) -> i64 {
    instant.as_millis() << SEQUENCE_BITS
}

/// The organization's endpoints, deleted ones too, or the one of them that is wanted; in order.
pub(crate) fn endpoints_of(
    connection: &dyn Sql,
    organization: OrganizationId,
    only: Option<EndpointId>,
) -> StorageResult<Vec<EndpointId>> {
    let (from, to) = only.map_or((0, i64::MAX), |only| (only.key(), only.key()));
    connection
        .sql(
            "SELECT endpoint FROM endpoints WHERE organization = ? AND endpoint >= ? AND endpoint <= ? \
             ORDER BY endpoint",
        ).all([organization.key(), from, to], |row| id(row, "endpoint"))
}
