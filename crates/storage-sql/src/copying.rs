//! What a copy of an installation into another database consists of: each table, where its rows come from, and the one form
//! in which both sides read, count and hash them.
//!
//! Rows go in the order of their keys, so that what arrived last says where to go on. Their form is the one that PostgreSQL
//! takes in and gives out in bulk (`COPY ... (FORMAT binary)`): a number of columns, and for each its length and its bytes. A
//! hash over it is the same on both sides exactly where every value is.

use abide_core::consent::hash::RunningSha256;
use abide_storage::StorageResult;

use crate::rows::damaged;
use crate::sql::Value;

/// A table that is copied.
#[derive(Debug, Clone, Copy)]
pub struct Copied {
    /// Its name where it is copied to.
    pub table: &'static str,
    /// What is read: usually the table of that name.
    pub from: &'static str,
    /// Which rows, where not all.
    pub only: Option<&'static str>,
    /// Columns that hold something else than the column of their name.
    pub otherwise: &'static [(&'static str, &'static str)],
    /// Columns that order the rows; no two have the same.
    pub key: &'static [&'static str],
}

impl Copied {
    const fn all(table: &'static str, key: &'static [&'static str]) -> Self {
        Self { table, from: table, only: None, otherwise: &[], key }
    }

    /// The expression that a column's values are read by.
    pub fn expression<'c>(&self, column: &'c str) -> &'c str
    where
        'static: 'c,
    {
        let other = self.otherwise.iter().find(|(name, _)| *name == column);
        other.map_or(column, |(_, expression)| expression)
    }
}

/// The sealed parts of blobs: files where the database is embedded.
pub const PARTS: Copied = Copied::all("blob_chunks", &["blob", "place"]);

/// Every table that is copied, referred-to ones first, and what is largest last.
pub const COPIED: &[Copied] = &[
    Copied::all("organizations", &["organization"]),
    Copied::all("master_keys", &["master_id"]),
    Copied::all("api_keys", &["api_key"]),
    Copied::all("users", &["user_id"]),
    Copied::all("sessions", &["session"]),
    Copied::all("owner_offers", &["organization"]),
    Copied::all("retention", &["organization"]),
    Copied::all("destroyed", &["entry"]),
    Copied::all("restores", &["restore"]),
    // The cursors of feeds name it.
    Copied::all("feed_epoch", &["only_row"]),
    Copied::all("noted_stretches", &["only_row"]),
    Copied::all("purposes", &["purpose"]),
    Copied::all("policies", &["policy"]),
    Copied::all("endpoints", &["endpoint"]),
    Copied::all("endpoint_secrets", &["secret"]),
    Copied::all("originals", &["organization", "kind", "blind"]),
    Copied::all("jobs", &["job"]),
    // As those of a node that died long ago: not the right to work is copied, but the mark by which the first node finds
    // what was in a memory, and goes on with it.
    Copied { otherwise: &[("heartbeat_at", "0")], ..Copied::all("leases", &["lease"]) },
    Copied::all("erasures", &["erasure"]),
    Copied::all("suppressions", &["suppression"]),
    Copied::all("subjects", &["subject"]),
    Copied::all("identifiers", &["subject", "blind"]),
    Copied::all("consents", &["consent"]),
    Copied::all("lanes", &["endpoint", "subject"]),
    Copied::all("idempotency", &["call"]),
    Copied::all("idempotency_about", &["call", "subject"]),
    Copied::all("counts", &["owner", "bucket"]),
    Copied::all("delivery_stretches", &["owner", "first"]),
    Copied::all("asks", &["delivery", "ask"]),
    Copied::all("audit", &["organization", "entry"]),
    // Numbers stand in the feeds' own tables, where many write.
    Copied { otherwise: &[("log_index", "0")], ..Copied::all("decisions", &["decision"]) },
    Copied { from: "decisions", ..Copied::all("decision_feed", &["organization", "log_index"]) },
    // A test's event has no number, and gets none.
    Copied {
        otherwise: &[("log_index", "CASE WHEN log_index IS NOT NULL THEN 0 END")],
        ..Copied::all("events", &["event"])
    },
    Copied {
        from: "events",
        only: Some("log_index IS NOT NULL"),
        ..Copied::all("event_feed", &["organization", "log_index"])
    },
    Copied { from: FEED_HEADS, ..Copied::all("feed_heads", &["organization"]) },
    Copied::all("event_parts", &["event", "position"]),
    Copied::all("deliveries", &["delivery"]),
    Copied::all("attempts", &["delivery", "number", "lease"]),
    Copied::all("blobs", &["blob"]),
    Copied::all("blob_holders", &["blob", "holder", "holder_row"]),
    PARTS,
];

/// The last number of each feed, which is not given again though its row has gone.
const FEED_HEADS: &str = "(SELECT organization, \
     coalesce((SELECT max(log_index) FROM decisions WHERE decisions.organization = of.organization), 0) AS decisions, \
     max(coalesce((SELECT max(log_index) FROM events WHERE events.organization = of.organization), 0), \
     coalesce((SELECT events_removed_through FROM retention WHERE retention.organization = of.organization), 0)) AS events \
     FROM organizations AS of)";

/// Every table that is not copied, of either database, and why.
pub const LEFT: &[(&str, &str)] = &[
    ("migrations", "each database has its own"),
    ("deletion_pauses", "whoever copied blobs has ended"),
    ("nodes", "who works on a database is not there before it is whole"),
    ("copies", "it says what was copied here"),
    ("unnumbered_decisions", "what is copied has its numbers"),
    ("unnumbered_events", "what is copied has its numbers"),
    ("closed_keys", "keys are drawn after all that is copied"),
];

/// The columns of a key, of a row.
pub type Key = Vec<KeyValue>;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyValue {
    /// A number.
    Integer(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl KeyValue {
    /// As a column holds it.
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
        }
    }

    /// Out of a column.
    pub fn of(value: Value<'_>) -> StorageResult<Self> {
        match value {
            Value::Integer(number) => Ok(Self::Integer(number)),
            Value::Text(text) => Ok(Self::Text(text.to_owned())),
            Value::Bytes(bytes) => Ok(Self::Bytes(bytes.to_vec())),
            Value::Null => Err(damaged("a key is null")),
        }
    }
}

/// Some rows of a table, one after the other.
#[derive(Debug, Default)]
pub struct Rows {
    /// In the form of a bulk copy, without its beginning and its end.
    pub bytes: Vec<u8>,
    /// How many.
    pub count: u64,
    /// The key of the last.
    pub last: Option<Key>,
}

impl Rows {
    /// Begins a row of so many columns.
    pub fn begin(&mut self, columns: usize) -> StorageResult<()> {
        let columns = i16::try_from(columns).map_err(|_| damaged("a row has too many columns"))?;
        self.bytes.extend_from_slice(&columns.to_be_bytes());
        self.count += 1;
        Ok(())
    }

    /// Adds the row's next column.
    pub fn add(&mut self, value: Value<'_>) -> StorageResult<()> {
        let number;
        let bytes = match value {
            Value::Null => {
                self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
                return Ok(());
            }
            Value::Integer(integer) => {
                number = integer.to_be_bytes();
                &number[..]
            }
            Value::Text(text) => text.as_bytes(),
            Value::Bytes(bytes) => bytes,
        };
        let length = i32::try_from(bytes.len()).map_err(|_| damaged("a value is too long"))?;
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// How many rows a table has, and what they come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub rows: u64,
    /// Over all of them, in the order of their keys.
    pub sha256: [u8; 32],
}

/// A sum that is being made.
#[derive(Default)]
pub struct Summing {
    rows: u64,
    hash: RunningSha256,
}

impl std::fmt::Debug for Summing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Summing").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Summing {
    /// Takes the next rows in.
    pub fn add(&mut self, rows: u64, bytes: &[u8]) {
        self.rows += rows;
        self.hash.update(bytes);
    }

    /// How many there were so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Of all that was taken in.
    pub fn finish(self) -> Sum {
        Sum { rows: self.rows, sha256: self.hash.finish() }
    }
}

/// What tells one installation from another, and what its copy must know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The epoch of its feeds, drawn when it was made.
    pub epoch: i64,
    /// The highest key in it: keys that are drawn where it was copied to come after.
    pub newest_key: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_form_of_a_bulk_copy() {
        let mut rows = Rows::default();
        rows.begin(4).unwrap();
        for value in [Value::Integer(258), Value::Null, Value::Text("ä"), Value::Bytes(&[7])] {
            rows.add(value).unwrap();
        }
        let expected = [
            &[0, 4][..],
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2],
            &[255, 255, 255, 255],
            &[0, 0, 0, 2, 0xc3, 0xa4],
            &[0, 0, 0, 1, 7],
        ];
        assert_eq!((rows.bytes, rows.count), (expected.concat(), 1));
    }

    #[test]
    fn each_table_is_in_one_list_once() {
        let mut names: Vec<&str> = COPIED.iter().map(|copied| copied.table).collect();
        names.extend(LEFT.iter().map(|(name, _)| *name));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
