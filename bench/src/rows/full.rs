//! Stores with ten million rows.

use std::net::SocketAddr;

use anyhow::ensure;
use rusqlite::Connection;

use super::Stage;
use super::steady::{KNOWN, Keeper, folder as empty, meet, quiet, sink, wait_for};
use crate::history;
use crate::server::{Folder, Server};
use crate::sink::Seen;

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
    quiet(server.id())?;
    server.kill()
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
