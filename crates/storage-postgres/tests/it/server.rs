//! The server that tests use, and a database on it for each.
//!
//! `ABIDE_TEST_POSTGRES` names the server, as `postgres://user@host:port`; `cargo xtask postgres` starts a private one and
//! sets it.

use tokio_postgres::NoTls;

/// A database of its own, removed in the end.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let server = std::env::var("ABIDE_TEST_POSTGRES").expect(
            "ABIDE_TEST_POSTGRES must name a PostgreSQL server: run the tests under `cargo xtask postgres`",
        );
        let mut drawn = [0; 8];
        aws_lc_rs::rand::fill(&mut drawn).expect("random bytes");
        let name = format!("abide_{:016x}", u64::from_be_bytes(drawn));
        carry_out(
            &server,
            &format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"),
        )
        .await;
        Self { server, name }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }
}

impl Database {
    /// Carries out statements in it.
    pub(crate) async fn run(&self, statements: &str) {
        self.connected(async |client| client.batch_execute(statements).await).await;
    }

    /// The one number that a statement answers.
    pub(crate) async fn ask(&self, statement: &str) -> i64 {
        self.connected(async |client| client.query_one(statement, &[]).await).await.get(0)
    }

    async fn connected<T>(
        &self,
        work: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
    ) -> T {
        let (client, connection) =
            tokio_postgres::connect(&self.url(), NoTls).await.expect("the server");
        let driven = tokio::spawn(connection);
        let done = work(&client).await.expect("a statement");
        drop(client);
        let _ = driven.await;
        done
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let text = format!("DROP DATABASE {name} WITH (FORCE)");
            runtime.expect("a runtime").block_on(carry_out(&server, &text));
        });
        // A test that failed says so by itself.
        let _ = removed.join();
    }
}

async fn carry_out(server: &str, statement: &str) {
    let url = format!("{server}/postgres");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("the server");
    let driven = tokio::spawn(connection);
    client.batch_execute(statement).await.expect("a statement");
    drop(client);
    let _ = driven.await;
}
