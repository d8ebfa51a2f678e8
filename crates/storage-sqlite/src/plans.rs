//! How SQLite answers each statement of this crate: by an index, or why not.

use rusqlite::Connection;

use crate::driver::in_sqlite;
use crate::migrations;

const SOURCES: &[&str] = &[
    include_str!("../../storage-sql/src/accounts.rs"),
    include_str!("../../storage-sql/src/blobs.rs"),
    include_str!("../../storage-sql/src/attempts.rs"),
    include_str!("../../storage-sql/src/consent_search.rs"),
    include_str!("../../storage-sql/src/consents.rs"),
    include_str!("../../storage-sql/src/counts.rs"),
    include_str!("../../storage-sql/src/deletions.rs"),
    include_str!("../../storage-sql/src/deliveries.rs"),
    include_str!("../../storage-sql/src/endpoint_secrets.rs"),
    include_str!("../../storage-sql/src/delivery_list.rs"),
    include_str!("../../storage-sql/src/delivery_log.rs"),
    include_str!("../../storage-sql/src/endpoints.rs"),
    include_str!("../../storage-sql/src/erasures.rs"),
    include_str!("../../storage-sql/src/exports.rs"),
    include_str!("../../storage-sql/src/failing.rs"),
    include_str!("../../storage-sql/src/feeds.rs"),
    include_str!("../../storage-sql/src/history.rs"),
    include_str!("../../storage-sql/src/idempotency.rs"),
    include_str!("../../storage-sql/src/job_walk.rs"),
    include_str!("../../storage-sql/src/jobs.rs"),
    include_str!("../../storage-sql/src/keys.rs"),
    include_str!("../../storage-sql/src/lanes.rs"),
    include_str!("../../storage-sql/src/leases.rs"),
    include_str!("../../storage-sql/src/ledger.rs"),
    include_str!("../../storage-sql/src/nodes.rs"),
    include_str!("../../storage-sql/src/organizations.rs"),
    include_str!("../../storage-sql/src/people.rs"),
    include_str!("../../storage-sql/src/policies.rs"),
    include_str!("../../storage-sql/src/publish.rs"),
    include_str!("../../storage-sql/src/purposes.rs"),
    include_str!("../../storage-sql/src/retention.rs"),
    include_str!("../../storage-sql/src/sessions.rs"),
    include_str!("../../storage-sql/src/stretches.rs"),
    include_str!("../../storage-sql/src/subjects.rs"),
    include_str!("../../storage-sql/src/tx.rs"),
    include_str!("../../storage-sql/src/users.rs"),
];

/// Tables that are read whole: few rows, or none but those of the answer.
const SMALL: &[&str] = &[
    "organizations",
    "feed_epoch",
    "noted_stretches",
    "sqlite_schema",
    "leases",
    "deletion_pauses",
    "walk",
    "few",
    "json_each",
];

/// Tables of databases with several nodes.
const ELSEWHERE: &[&str] = &["event_feed", "decision_feed", "feed_heads", "nodes", "closed_keys"];

/// Every statement in the sources that reads rows.
fn statements() -> Vec<String> {
    let mut found = Vec::new();
    for source in SOURCES {
        for literal in source.split('"').skip(1) {
            let text = literal.replace("\\\n", " ");
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let text = in_sqlite(&text).into_owned();
            let reads = ["SELECT ", "UPDATE ", "DELETE ", "WITH "];
            let is_elsewhere = ELSEWHERE.iter().any(|table| text.contains(&format!(" {table} ")));
            if reads.iter().any(|word| text.starts_with(word)) && !is_elsewhere {
                found.push(text.replace("{state}", "pending"));
            }
        }
    }
    found
}

fn plan(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let steps = explain.raw_query().mapped(|row| row.get("detail")).collect::<Result<_, _>>();
    steps.unwrap()
}

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    migrations::migrate(&mut connection).unwrap().unwrap();
    connection
}

/// I9: no statement walks over a whole table that grows.
#[test]
fn i9_no_statement_reads_a_growing_table_whole() {
    let connection = database();
    let statements = statements();
    assert!(statements.len() > 60, "{} statements found", statements.len());
    for statement in statements {
        for step in plan(&connection, &statement) {
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            // A partial index is as long as what waits in it; a limit or a stop bounds the walk over it.
            let by_index = step.contains("USING INDEX") || step.contains("USING COVERING INDEX");
            assert!(
                scanned.is_none_or(|table| by_index
                    || SMALL.contains(&table)
                    || table == "CONSTANT"
                    || table.starts_with('(')),
                "{statement}\n{step}"
            );
        }
    }
}

/// I8, I9: due, parked, held, claimed and erased rows are found by the index made for them, hot ones by the key.
#[test]
fn i8_work_is_found_by_its_index() {
    let connection = database();
    let statements = statements();
    let cases = [
        ("SELECT delivery, endpoint, asked FROM deliveries", "deliveries_due (due_at<?)"),
        ("SELECT due_at FROM deliveries", "deliveries_due (due_at>?)"),
        (
            "SELECT delivery, asked FROM deliveries WHERE state = 'parked'",
            "deliveries_parked (endpoint=?)",
        ),
        (
            "SELECT delivery, asked FROM deliveries WHERE state = 'held'",
            "deliveries_held (endpoint=?",
        ),
        ("SELECT delivery FROM deliveries WHERE state = 'claimed'", "deliveries_claimed (lease=?)"),
        (
            "SELECT delivery FROM deliveries NOT INDEXED",
            "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (
            "SELECT delivery FROM deliveries INDEXED BY deliveries_reasoned",
            "deliveries_reasoned (endpoint=? AND state=? AND rowid>? AND rowid<?)",
        ),
        ("SELECT * FROM counts WHERE owner = ? ORDER", "PRIMARY KEY (owner=?)"),
        ("SELECT bucket, attempts_successful", "PRIMARY KEY (owner=? AND bucket>"),
        ("SELECT * FROM endpoints WHERE endpoint > ?", "INTEGER PRIMARY KEY (rowid>?)"),
        ("UPDATE deliveries SET state = 'erased'", "deliveries_waiting_for (subject=?)"),
        (
            "SELECT consents.* FROM numbered_decisions",
            "decisions_feed (organization=? AND log_index>? AND log_index<?)",
        ),
        ("SELECT changed AS place", "endpoints_changed (changed>?)"),
        ("SELECT max(changed)", "endpoints_changed"),
        ("SELECT erasure AS place", "INTEGER PRIMARY KEY (rowid>?)"),
        ("SELECT * FROM consents WHERE next_change_at", "consents_changing (next_change_at<?)"),
        (
            "SELECT log_index, event FROM numbered_events",
            "events_feed (organization=? AND log_index>?)",
        ),
        (
            "SELECT log_index, decision FROM numbered_decisions",
            "decisions_feed (organization=? AND log_index>?)",
        ),
        (
            "SELECT log_index, event, kind, created_at FROM numbered_events WHERE organization",
            "events_feed (organization=? AND log_index>?)",
        ),
        ("SELECT decisions.*, consents.purpose", "decisions_feed (organization=? AND log_index>?"),
        (
            "SELECT entry, at, actor, action, object FROM audit",
            "(organization=? AND entry>? AND entry<?)",
        ),
        (
            "SELECT purpose, name, created_at FROM purposes",
            "purposes_of (organization=? AND purpose>?)",
        ),
        (
            "SELECT * FROM api_keys WHERE organization = ? AND",
            "api_keys_of (organization=? AND rowid>?)",
        ),
    ];
    for (begin, index) in cases {
        let meant: Vec<_> = statements.iter().filter(|text| text.starts_with(begin)).collect();
        assert!(!meant.is_empty(), "no statement begins with {begin}");
        for statement in meant {
            let steps = plan(&connection, statement);
            assert!(steps.iter().any(|step| step.contains(index)), "{statement}\n{steps:?}");
            let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
            assert!(!sorts, "{statement}\n{steps:?}");
        }
    }
}
