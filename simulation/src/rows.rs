//! The database as somebody sees it who looks past the product: over a connection of its own, in SQL of its own.
//!
//! A second store brings another one of this; nothing else here knows what the rows lie in.

use abide_core::delivery::DeliveryState;
use rusqlite::{Connection, Result, Row, params};

/// A delivery's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliveryRow {
    pub(crate) id: i64,
    pub(crate) event: i64,
    pub(crate) endpoint: i64,
    pub(crate) subject: Option<i64>,
    pub(crate) state: DeliveryState,
    pub(crate) lease: Option<i64>,
    pub(crate) due_at: Option<i64>,
    pub(crate) run: String,
    pub(crate) attempts: u32,
    pub(crate) asked: i64,
    pub(crate) reason: Option<String>,
    pub(crate) superseded_by: Option<i64>,
}

/// An endpoint's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointRow {
    pub(crate) id: i64,
    pub(crate) state: String,
    pub(crate) queues_while_stopped: bool,
    pub(crate) url: String,
    pub(crate) version: u32,
}

/// A decision with the events that tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecisionRow {
    pub(crate) id: i64,
    pub(crate) consent: i64,
    pub(crate) subject: i64,
    pub(crate) state: String,
    pub(crate) obtained_at: i64,
    /// The event that shows it and that one's kind; of a batch where it was created in one.
    pub(crate) events: Vec<(i64, String)>,
    pub(crate) audited: bool,
}

/// An attempt as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptRow {
    pub(crate) delivery: i64,
    pub(crate) number: u32,
    pub(crate) lease: i64,
    pub(crate) ending: Option<String>,
    pub(crate) late: bool,
}

/// Looks at the rows.
pub(crate) struct Rows {
    connection: Connection,
    version: i64,
}

impl Rows {
    pub(crate) fn new(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(64);
        Self { connection, version: -1 }
    }

    /// Whether anything was written since this was asked last.
    pub(crate) fn have_changed(&mut self) -> Result<bool> {
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
        Ok(std::mem::replace(&mut self.version, version) != version)
    }

    fn all<T>(
        &self,
        sql: &str,
        after: i64,
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.connection.prepare_cached(sql)?.query_map([after], read)?.collect()
    }

    /// Every delivery, by age.
    pub(crate) fn deliveries(&self) -> Result<Vec<DeliveryRow>> {
        let sql = "SELECT delivery, event, endpoint, subject, state, lease, due_at, run, attempts, asked, reason, \
                   superseded_by FROM deliveries WHERE delivery > ? ORDER BY delivery";
        self.all(sql, 0, |row| {
            let state: String = row.get(4)?;
            Ok(DeliveryRow {
                id: row.get(0)?,
                event: row.get(1)?,
                endpoint: row.get(2)?,
                subject: row.get(3)?,
                state: DeliveryState::parse(&state).ok_or(rusqlite::Error::InvalidQuery)?,
                lease: row.get(5)?,
                due_at: row.get(6)?,
                run: row.get(7)?,
                attempts: row.get(8)?,
                asked: row.get(9)?,
                reason: row.get(10)?,
                superseded_by: row.get(11)?,
            })
        })
    }

    /// Every endpoint, deleted ones too.
    pub(crate) fn endpoints(&self) -> Result<Vec<EndpointRow>> {
        let sql = "SELECT endpoint, state, queue_while_stopped, url, version FROM endpoints WHERE endpoint > ? ORDER BY endpoint";
        self.all(sql, 0, |row| {
            Ok(EndpointRow {
                id: row.get(0)?,
                state: row.get(1)?,
                queues_while_stopped: row.get(2)?,
                url: row.get(3)?,
                version: row.get(4)?,
            })
        })
    }

    /// Decisions after that one, by age.
    pub(crate) fn decisions(&self, after: i64) -> Result<Vec<DecisionRow>> {
        let sql = "SELECT decision, consent, subject, state, obtained_at FROM decisions WHERE decision > ? \
                   ORDER BY decision";
        let mut found = self.all(sql, after, |row| {
            Ok(DecisionRow {
                id: row.get(0)?,
                consent: row.get(1)?,
                subject: row.get(2)?,
                state: row.get(3)?,
                obtained_at: row.get(4)?,
                events: Vec::new(),
                audited: false,
            })
        })?;
        let told = "SELECT event, kind FROM events WHERE decision = ?1 UNION ALL \
                    SELECT events.event, kind FROM event_parts JOIN events USING (event) \
                    WHERE event_parts.decision = ?1";
        let audit = "SELECT count(*) FROM audit WHERE entry > ? AND action IN ('consent.record', 'consent.record_batch')";
        for one in &mut found {
            one.events = self.all(told, one.id, |row| Ok((row.get(0)?, row.get(1)?)))?;
            let audited: i64 =
                self.connection.prepare_cached(audit)?.query_row([one.id], |row| row.get(0))?;
            one.audited = audited > 0;
        }
        Ok(found)
    }

    /// Whether there is such a decision.
    pub(crate) fn has_decision(&self, decision: i64) -> Result<bool> {
        self.connection
            .prepare_cached("SELECT 1 FROM decisions WHERE decision = ?")?
            .exists([decision])
    }

    /// The endpoints that an event makes deliveries to.
    pub(crate) fn told_to(&self, event: i64) -> Result<Vec<i64>> {
        self.all("SELECT endpoint FROM deliveries WHERE event = ? AND repeats = 0", event, |row| {
            row.get(0)
        })
    }

    /// The version of its record that an event tells, where it tells of one.
    pub(crate) fn version_told(&self, event: i64) -> Result<Option<u64>> {
        let sql = "SELECT version FROM events WHERE event = ?";
        let found: Vec<Option<i64>> = self.all(sql, event, |row| row.get(0))?;
        Ok(found.first().copied().flatten().map(|version| version as u64))
    }

    /// People erased, by when: the erasure and whom.
    pub(crate) fn erasures(&self, after: i64) -> Result<Vec<(i64, i64)>> {
        let sql = "SELECT erasure, subject FROM erasures WHERE erasure > ? ORDER BY erasure";
        self.all(sql, after, |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Whose a record is.
    pub(crate) fn subject_of(&self, consent: i64) -> Result<i64> {
        self.connection
            .prepare_cached("SELECT subject FROM consents WHERE consent = ?")?
            .query_row([consent], |row| row.get(0))
    }

    /// The leases there are.
    pub(crate) fn leases(&self) -> Result<Vec<i64>> {
        self.all("SELECT lease FROM leases WHERE lease > ?", 0, |row| row.get(0))
    }

    /// Every attempt.
    pub(crate) fn attempts(&self) -> Result<Vec<AttemptRow>> {
        let sql = "SELECT delivery, number, lease, ending, late FROM attempts WHERE delivery > ?";
        self.all(sql, 0, |row| {
            Ok(AttemptRow {
                delivery: row.get(0)?,
                number: row.get(1)?,
                lease: row.get(2)?,
                ending: row.get(3)?,
                late: row.get(4)?,
            })
        })
    }

    /// The deliveries that have the open attempt of their lane.
    pub(crate) fn open_in_lanes(&self) -> Result<Vec<i64>> {
        let sql = "SELECT open_delivery FROM lanes WHERE open_delivery > ?";
        self.all(sql, 0, |row| row.get(0))
    }

    /// The newest event about a person alone that an endpoint has a delivery of.
    pub(crate) fn newest_in_lane(&self, endpoint: i64, subject: i64) -> Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT max(event) FROM deliveries WHERE endpoint = ? AND subject = ?")?
            .query_row(params![endpoint, subject], |row| row.get(0))
    }
}
