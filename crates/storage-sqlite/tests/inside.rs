//! Statements of the shared answer that are looked at from inside, on this database.

use std::collections::BTreeSet;
use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_storage::consent_search::{ConsentFilter, ConsentPage, Rest};
use abide_storage::suite::{Dice, at, grant, masters};
use abide_storage::{Accounts as _, Consents as _, PageWanted};
use abide_storage_sql::copying::{COPIED, LEFT};
use abide_storage_sql::database::{Call, Database as _};
use abide_storage_sql::inside::{Bounds, CONSENT_COLUMNS, emptied_tables, list_within, look};

/// A column's place is where the table has it.
#[tokio::test]
async fn columns_stand_where_they_are_read() {
    let store = abide_storage_sqlite::open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
    let columns = store.database().write(Call::of(1), |tx| {
        let table =
            tx.connection().sql("SELECT name FROM pragma_table_info('consents') ORDER BY cid");
        table.all((), |row| row.get::<String>(0))
    });
    let columns = columns.await.unwrap();
    for (name, place) in CONSENT_COLUMNS {
        assert_eq!(columns[place], name);
    }
}

/// I11: whatever table is added, somebody says what becomes of an organization's rows in it.
#[tokio::test]
async fn i11_every_table_is_emptied_or_says_why_not() {
    let store = abide_storage_sqlite::open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
    let tables = store.database().write(Call::of(1), |tx| {
        let all =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        tx.connection().sql(all).all((), |row| row.get::<String>(0))
    });
    // The mark; and what is nobody's.
    let kept = [
        "organizations",
        "destroyed",
        "restores",
        "master_keys",
        "feed_epoch",
        "leases",
        "noted_stretches",
        "migrations",
        "deletion_pauses",
    ];
    let known: BTreeSet<&str> = emptied_tables().chain(kept).collect();
    let tables = tables.await.unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    let forgotten: Vec<_> = tables.iter().filter(|table| !known.contains(table.as_str())).collect();
    assert!(forgotten.is_empty(), "nobody removes an organization's rows from {forgotten:?}");
}

/// Whatever table is added, somebody says whether a copy into another database has it.
#[tokio::test]
async fn every_table_is_copied_or_says_why_not() {
    let store = abide_storage_sqlite::open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
    let tables = store.database().write(Call::of(1), |tx| {
        let all =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        tx.connection().sql(all).all((), |row| row.get::<String>(0))
    });
    let known: BTreeSet<&str> = COPIED
        .iter()
        .map(|copied| copied.from)
        .chain(LEFT.iter().map(|(table, _)| *table))
        .collect();
    let tables = tables.await.unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    let forgotten: Vec<_> = tables.iter().filter(|table| !known.contains(table.as_str())).collect();
    assert!(forgotten.is_empty(), "a copy forgets {forgotten:?}: see `copying.rs`");
}

/// I8: rows of endpoints without room are met from the beginning, others from where a long walk ended.
#[tokio::test]
async fn i8_a_look_begins_where_a_long_walk_ended() {
    let store = abide_storage_sqlite::open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
    let said = store.database().write(Call::of(1), |tx| {
        for row in [[1, 7, 10], [2, 8, 20], [3, 8, 30], [4, 8, 99]] {
            tx.connection()
                .sql(
                    "INSERT INTO deliveries (delivery, organization, event, endpoint, state, due_at) \
                     VALUES (?, 1, 1, ?, 'pending', ?)",
                )
                .execute(row)?;
        }
        let at = Timestamp::from_millis;
        let keys = |from| {
            let found = look(tx.connection(), "[7]", (at(from), at(50)), 9)?;
            let due: Vec<_> =
                found.due.iter().map(|(row, _, due_at)| (row.id.key(), due_at.as_millis())).collect();
            let blocked: Vec<_> = found.blocked.iter().map(|(row, _)| row.id.key()).collect();
            Ok::<_, abide_storage::StorageError>((due, blocked))
        };
        Ok((keys(0)?, keys(30)?))
    });
    let (whole, from_there) = said.await.unwrap();
    assert_eq!(whole, (vec![(2, 20), (3, 30)], vec![1]));
    assert_eq!(from_there, (vec![(3, 30)], vec![1]));
}

/// I9, P32, P34: a list ends at its bounds and says so; going on as it says shows every record.
#[tokio::test]
async fn i9_p34_a_list_reads_so_much_and_no_more() {
    let store = abide_storage_sqlite::open_in_memory(masters(), Arc::new(Dice::default())).unwrap();
    let organization = store.create_organization("us", at(0)).await.unwrap().id;
    let by = Caller::new(organization, Actor::Operator);
    for number in 0..30 {
        let name = format!("person{}", number % 20);
        store.record(&by, grant(&name, "news"), at(number)).await.unwrap();
    }
    let ask = async |to: Option<Timestamp>, page, decisions, beyond| {
        let filter = ConsentFilter { to, ..ConsentFilter::default() };
        let bounds = Bounds { decisions, beyond };
        let found = store.database().read(move |connection, shared| {
            let page = PageWanted { page, limit: 5 };
            list_within(connection, shared, organization, &filter, page, bounds)
        });
        let ConsentPage { page, rest } = found.await.unwrap();
        (page.items.into_iter().map(|one| one.reference).collect::<Vec<_>>(), page.total, rest)
    };
    for (page, total, rest) in [
        (1, 8, Rest::Uncounted),
        (2, 13, Rest::Uncounted),
        (4, 20, Rest::Nothing),
        (9, 20, Rest::Nothing),
    ] {
        let found = ask(None, page, 1_000, 3).await;
        assert_eq!((found.1, found.2), (total, rest), "page {page}");
        assert_eq!(found.0.len(), if page == 9 { 0 } else { 5 });
    }
    // Seven decisions at a time.
    let (mut to, mut seen, mut calls) = (None, Vec::new(), 0);
    loop {
        calls += 1;
        for page in 1..=2 {
            seen.extend(ask(to, page, 7, 100).await.0);
        }
        match ask(to, 1, 7, 100).await.2 {
            Rest::Before(at) => to = Some(at),
            Rest::Nothing => break,
            Rest::Uncounted => panic!("all of seven are counted"),
        }
    }
    assert_eq!(calls, 5, "each begins with the last millisecond of the one before");
    seen.dedup();
    let expected: Vec<_> = (10..30).rev().map(|number| format!("person{}", number % 20)).collect();
    assert_eq!(seen, expected);
}
