//! The database as somebody sees it who looks past the product: over a connection of its own, in SQL of its own.
//!
//! What the rows lie in is known to their [`Source`] alone; there is one for each store.

use abide_core::delivery::DeliveryState;
use anyhow::{Context as _, Result};

pub(crate) mod embedded;
pub(crate) mod server;

/// Where rows lie. Values are numbered, `?1` and `?2`; each is a key.
pub(crate) trait Source: Send {
    /// What a statement answers.
    fn all(&mut self, statement: &'static str, values: &[i64]) -> Result<Vec<Vec<Value>>>;

    /// Begins to look: until [`Source::looked`] all that is seen is of one moment. Whether anything was written since this
    /// was asked last.
    fn looks(&mut self) -> Result<Changed>;

    /// See [`Source::looks`].
    fn looked(&mut self) -> Result<()>;
}

/// Whether anything was written since somebody looked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    No,
    /// Or nobody can tell.
    Perhaps,
}

/// How many processes write, and when they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// One, whose every commit is looked at.
    One,
    /// Several at once: between two looks much can happen, and ids do not tell in which order.
    Several,
}

/// What stands in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Number(i64),
    Text(String),
}

impl Value {
    fn maybe_number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Null | Self::Text(_) => None,
        }
    }

    fn number(&self) -> Result<i64> {
        self.maybe_number().context("a number is not there")
    }

    fn maybe_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Null | Self::Number(_) => None,
        }
    }

    fn text(&self) -> Result<String> {
        self.maybe_text().context("a text is not there")
    }
}

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
    /// Of two in a lane the later one has the greater, where they are of different leases.
    pub(crate) order: i64,
}

/// A lease as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    pub(crate) id: i64,
    pub(crate) holder: i64,
    pub(crate) epoch: i64,
}

/// A job as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobRow {
    pub(crate) id: i64,
    pub(crate) endpoint: Option<i64>,
    /// With commas between them.
    pub(crate) states: String,
    pub(crate) state: String,
}

/// Looks at the rows.
pub(crate) struct Rows {
    source: Box<dyn Source>,
    pub(crate) nodes: Nodes,
}

impl Rows {
    pub(crate) fn new(source: Box<dyn Source>, nodes: Nodes) -> Self {
        Self { source, nodes }
    }

    /// See [`Source::looks`].
    pub(crate) fn looks(&mut self) -> Result<Changed> {
        self.source.looks()
    }

    /// See [`Source::looked`].
    pub(crate) fn looked(&mut self) -> Result<()> {
        self.source.looked()
    }

    fn all<T>(
        &mut self,
        sql: &'static str,
        values: &[i64],
        read: impl FnMut(&Vec<Value>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.source.all(sql, values)?.iter().map(read).collect()
    }

    fn first(&mut self, sql: &'static str, values: &[i64]) -> Result<Option<i64>> {
        let found = self.source.all(sql, values)?;
        Ok(found.first().and_then(|row| row[0].maybe_number()))
    }

    /// Every delivery, by age.
    pub(crate) fn deliveries(&mut self) -> Result<Vec<DeliveryRow>> {
        let sql = "SELECT delivery, event, endpoint, subject, state, lease, due_at, run, attempts, asked, reason, \
                   superseded_by FROM deliveries ORDER BY delivery";
        self.all(sql, &[], |row| {
            Ok(DeliveryRow {
                id: row[0].number()?,
                event: row[1].number()?,
                endpoint: row[2].number()?,
                subject: row[3].maybe_number(),
                state: DeliveryState::parse(&row[4].text()?).context("no such state")?,
                lease: row[5].maybe_number(),
                due_at: row[6].maybe_number(),
                run: row[7].text()?,
                attempts: row[8].number()?.try_into()?,
                asked: row[9].number()?,
                reason: row[10].maybe_text(),
                superseded_by: row[11].maybe_number(),
            })
        })
    }

    /// Every endpoint, deleted ones too.
    pub(crate) fn endpoints(&mut self) -> Result<Vec<EndpointRow>> {
        let sql = "SELECT endpoint, state, queue_while_stopped, url, version FROM endpoints ORDER BY endpoint";
        self.all(sql, &[], |row| {
            Ok(EndpointRow {
                id: row[0].number()?,
                state: row[1].text()?,
                queues_while_stopped: row[2].number()? != 0,
                url: row[3].text()?,
                version: row[4].number()?.try_into()?,
            })
        })
    }

    /// Decisions after that one, by age; what followed from one is not read yet.
    pub(crate) fn decisions(&mut self, after: i64) -> Result<Vec<DecisionRow>> {
        let sql = "SELECT decision, consent, subject, state, obtained_at FROM decisions WHERE decision > ?1 \
                   ORDER BY decision";
        self.all(sql, &[after], |row| {
            Ok(DecisionRow {
                id: row[0].number()?,
                consent: row[1].number()?,
                subject: row[2].number()?,
                state: row[3].text()?,
                obtained_at: row[4].number()?,
                events: Vec::new(),
                audited: false,
            })
        })
    }

    /// Reads what followed from a decision.
    pub(crate) fn complete(&mut self, decision: &mut DecisionRow) -> Result<()> {
        let told = "SELECT event, kind FROM events WHERE decision = ?1 UNION ALL \
                    SELECT events.event, kind FROM event_parts JOIN events ON events.event = event_parts.event \
                    WHERE event_parts.decision = ?1";
        decision.events =
            self.all(told, &[decision.id], |row| Ok((row[0].number()?, row[1].text()?)))?;
        let audit = "SELECT count(*) FROM audit WHERE entry > ?1 AND action IN ('consent.record', 'consent.record_batch')";
        decision.audited = self.first(audit, &[decision.id])? > Some(0);
        Ok(())
    }

    /// Whether there is such a decision.
    pub(crate) fn has_decision(&mut self, decision: i64) -> Result<bool> {
        Ok(self.first("SELECT decision FROM decisions WHERE decision = ?1", &[decision])?.is_some())
    }

    /// The endpoints that an event makes deliveries to.
    pub(crate) fn told_to(&mut self, event: i64) -> Result<Vec<i64>> {
        let sql = "SELECT endpoint FROM deliveries WHERE event = ?1 AND repeats = 0";
        self.all(sql, &[event], |row| row[0].number())
    }

    /// The version of its record that an event tells, where it tells of one.
    pub(crate) fn version_told(&mut self, event: i64) -> Result<Option<u64>> {
        let found = self.first("SELECT version FROM events WHERE event = ?1", &[event])?;
        Ok(found.map(|version| version as u64))
    }

    /// People erased, by when: the erasure and whom.
    pub(crate) fn erasures(&mut self) -> Result<Vec<(i64, i64)>> {
        let sql = "SELECT erasure, subject FROM erasures ORDER BY erasure";
        self.all(sql, &[], |row| Ok((row[0].number()?, row[1].number()?)))
    }

    /// Whose a record is.
    pub(crate) fn subject_of(&mut self, consent: i64) -> Result<Option<i64>> {
        self.first("SELECT subject FROM consents WHERE consent = ?1", &[consent])
    }

    /// The leases there are.
    pub(crate) fn leases(&mut self) -> Result<Vec<LeaseRow>> {
        self.all("SELECT lease, holder, epoch FROM leases", &[], |row| {
            Ok(LeaseRow { id: row[0].number()?, holder: row[1].number()?, epoch: row[2].number()? })
        })
    }

    /// Every job.
    pub(crate) fn jobs(&mut self) -> Result<Vec<JobRow>> {
        self.all("SELECT job, endpoint, states, state FROM jobs", &[], |row| {
            Ok(JobRow {
                id: row[0].number()?,
                endpoint: row[1].maybe_number(),
                states: row[2].text()?,
                state: row[3].text()?,
            })
        })
    }

    /// Every attempt.
    pub(crate) fn attempts(&mut self) -> Result<Vec<AttemptRow>> {
        let nodes = self.nodes;
        let sql = "SELECT delivery, number, lease, ending, late, started_at FROM attempts";
        self.all(sql, &[], |row| {
            let lease = row[2].number()?;
            Ok(AttemptRow {
                delivery: row[0].number()?,
                number: row[1].number()?.try_into()?,
                lease,
                ending: row[3].maybe_text(),
                late: row[4].number()? != 0,
                order: match nodes {
                    Nodes::One => lease,
                    Nodes::Several => row[5].number()?,
                },
            })
        })
    }

    /// The deliveries that have the open attempt of their lane.
    pub(crate) fn open_in_lanes(&mut self) -> Result<Vec<i64>> {
        let sql = "SELECT open_delivery FROM lanes WHERE open_delivery IS NOT NULL";
        self.all(sql, &[], |row| row[0].number())
    }

    /// The newest event about a person alone that an endpoint has a delivery of.
    pub(crate) fn newest_in_lane(&mut self, endpoint: i64, subject: i64) -> Result<Option<i64>> {
        let sql = "SELECT max(event) FROM deliveries WHERE endpoint = ?1 AND subject = ?2";
        self.first(sql, &[endpoint, subject])
    }

    /// Every event that stands in the feed.
    pub(crate) fn events(&mut self) -> Result<Vec<i64>> {
        let sql = "SELECT event FROM events WHERE log_index IS NOT NULL ORDER BY event";
        self.all(sql, &[], |row| row[0].number())
    }
}
