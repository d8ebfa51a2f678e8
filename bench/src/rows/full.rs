//! Stores with ten million rows.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use abide_core::ids::SEQUENCE_BITS;
use anyhow::ensure;
use rusqlite::Connection;

use super::Stage;
use super::steady::{DRAIN, KNOWN, Keeper, folder as empty, meet, pause, sink, wait_for};
use crate::figures::now_nanos;
use crate::history;
use crate::server::{Folder, Server};
use crate::sink::Seen;

/// What has happened within so long, in milliseconds, was not made up.
const RECENT: i64 = 20 * 60_000;

/// A copy of the store that the run has made for that database.
pub(super) fn folder(stage: &Stage, keeper: Keeper) -> anyhow::Result<Folder> {
    let made = match keeper {
        Keeper::Sqlite => &stage.full.sqlite,
        Keeper::Postgres => &stage.full.postgres,
    };
    if made.get().is_none() {
        // Whoever comes second finds it made: there is one thread.
        let _ = made.set(make(stage, keeper)?);
    }
    made.get().expect("it was made").copy()
}

/// A store that has met its subjects, told of each, and then the years before.
fn make(stage: &Stage, keeper: Keeper) -> anyhow::Result<Folder> {
    let folder = empty(stage, keeper)?;
    settle(stage, &folder)?;
    history::put(&folder, &history::ten_million())?;
    Ok(folder)
}

/// Serves a new folder until it has met its subjects and told an endpoint of each.
fn settle(stage: &Stage, folder: &Folder) -> anyhow::Result<()> {
    let (mut sink, to) = sink(&[])?;
    let server = Server::start(&stage.binary, folder, &[])?;
    let token = Server::take_token(folder)?;
    server.subscribe(&token, &format!("http://{to}/0"))?;
    // Nothing new comes its way.
    server.subscribe_to(&["policy.updated"], &token, &format!("http://{to}/hang"))?;
    meet(&server, folder)?;
    let Seen { count, .. } = wait_for(&mut sink, KNOWN)?;
    ensure!(count >= KNOWN, "{count} of {KNOWN} events arrived");
    settled(folder)?;
    server.kill()
}

/// Waits until nothing of the last minutes is on its way: what is killed before its end is recorded is sent again.
pub(super) fn settled(folder: &Folder) -> anyhow::Result<()> {
    let now = (now_nanos() / 1_000_000).cast_signed();
    let first = (now - RECENT) << SEQUENCE_BITS;
    let open = format!(
        "SELECT count(*) FROM deliveries WHERE delivery > {first} AND state IN ('hot', 'claimed', 'pending')"
    );
    let began = Instant::now();
    while number(folder, &open)? != Some(0) {
        ensure!(began.elapsed() < DRAIN, "something does not arrive");
        pause(Duration::from_millis(100));
    }
    Ok(())
}

/// Tells the endpoints of a store that nobody serves where the sink is now.
pub(super) fn point(folder: &Folder, to: SocketAddr) -> anyhow::Result<()> {
    run(
        folder,
        &format!(
            "UPDATE endpoints SET url = 'http://{to}/0' WHERE url LIKE '%/0'; \
             UPDATE endpoints SET url = 'http://{to}/hang' WHERE url LIKE '%/hang'"
        ),
    )
}

/// Carries out statements in a store that nobody serves.
pub(super) fn run(folder: &Folder, statements: &str) -> anyhow::Result<()> {
    match folder.database() {
        Some(database) => database.session()?.run(statements),
        None => Ok(Connection::open(folder.data().join("abide.db"))?.execute_batch(statements)?),
    }
}

/// The one number that a statement answers there, where it answers a row.
pub(super) fn number(folder: &Folder, statement: &str) -> anyhow::Result<Option<i64>> {
    if let Some(database) = folder.database() {
        return database.session()?.number(statement);
    }
    let connection = Connection::open(folder.data().join("abide.db"))?;
    let mut statement = connection.prepare(statement)?;
    let mut rows = statement.query([])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}
