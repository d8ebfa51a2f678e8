//! Databases on the PostgreSQL server of a run. `cargo xtask bench` starts that server, as an installation has it: what is
//! committed is on the disk.

use std::sync::Arc;

use anyhow::Context as _;
use aws_lc_rs::rand;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

/// A database of a row's own; removed when dropped.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// An empty one.
    pub(crate) fn new(server: &str) -> anyhow::Result<Arc<Self>> {
        Self::made_of(server, "template0")
    }

    /// One that holds the same as this one, to which nobody may be connected.
    pub(crate) fn copy(&self) -> anyhow::Result<Arc<Self>> {
        Self::made_of(&self.server, &self.name)
    }

    fn made_of(server: &str, template: &str) -> anyhow::Result<Arc<Self>> {
        let mut drawn = [0; 8];
        rand::fill(&mut drawn).context("no random bytes")?;
        let name = format!("bench_{:016x}", u64::from_be_bytes(drawn));
        // File by file: a copy through the log would be a load of its own.
        Session::open(server, "postgres")?
            .run(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))?;
        Ok(Arc::new(Self { server: server.to_owned(), name }))
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    pub(crate) fn session(&self) -> anyhow::Result<Session> {
        Session::open(&self.server, &self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let removed = Session::open(&self.server, "postgres")
            .and_then(|session| session.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name)));
        // The server goes with the run, and this with it.
        let _ = removed;
    }
}

/// A connection to a database.
pub(crate) struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    fn open(server: &str, database: &str) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let url = format!("{server}/{database}");
        let (client, connection) = runtime
            .block_on(tokio_postgres::connect(&url, NoTls))
            .context("the PostgreSQL server cannot be reached")?;
        runtime.spawn(connection);
        Ok(Self { runtime, client })
    }

    /// Carries out statements.
    pub(crate) fn run(&self, statements: &str) -> anyhow::Result<()> {
        self.runtime
            .block_on(self.client.batch_execute(statements))
            .with_context(|| format!("PostgreSQL refused {statements}"))
    }

    /// The one number that a statement answers, where it answers a row.
    pub(crate) fn number(&self, statement: &str) -> anyhow::Result<Option<i64>> {
        let row = self
            .runtime
            .block_on(self.client.query_opt(statement, &[]))
            .with_context(|| format!("PostgreSQL refused {statement}"))?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }
}
