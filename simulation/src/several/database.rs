//! A database of its own on the server that tests use, removed in the end.

use std::net::SocketAddr;

use abide_core::Timestamp;
use anyhow::{Context as _, ensure};
use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};

use crate::chance::Dice;

/// See the module.
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    /// On a server, as `postgres://user:password@host:port`.
    pub(crate) async fn new(server: &str, dice: &mut Dice) -> anyhow::Result<Self> {
        let name = format!("abide_simulation_{}_{:08x}", std::process::id(), dice.next() as u32);
        let made = Self { server: server.trim_end_matches('/').to_owned(), name };
        made.at("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", made.name)).await?;
        let create = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
        made.at("postgres", &format!("CREATE DATABASE {} {create}", made.name)).await?;
        Ok(made)
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// The same behind a port of loopback.
    pub(crate) fn url_at(&self, port: u16) -> String {
        let user = match (self.server.split_once("://"), self.server.rfind('@')) {
            (Some((scheme, _)), Some(at)) => &self.server[scheme.len() + 3..=at],
            _ => "",
        };
        format!("postgres://{user}127.0.0.1:{port}/{}?sslmode=disable", self.name)
    }

    /// Where the server is.
    pub(crate) fn place(&self) -> anyhow::Result<SocketAddr> {
        let config: Config = self.server.parse().context("the server's URL")?;
        let port = config.get_ports().first().copied().unwrap_or(5432);
        match config.get_hosts().first() {
            Some(Host::Tcp(host)) if host == "localhost" => Ok(([127, 0, 0, 1], port).into()),
            Some(Host::Tcp(host)) => Ok((host.parse::<std::net::IpAddr>()?, port).into()),
            Some(Host::Unix(_)) | None => anyhow::bail!("the server must be named by its address"),
        }
    }

    /// The time that all nodes go by. Its tables must be there.
    pub(crate) async fn time(&self) -> anyhow::Result<Timestamp> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
        let driven = tokio::spawn(connection);
        let row = client.query_one("SELECT database_time(0)", &[]).await?;
        drop(client);
        let _ = driven.await;
        Ok(Timestamp::from_millis(row.get(0)))
    }

    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        self.at("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }

    async fn at(&self, database: &str, statement: &str) -> anyhow::Result<()> {
        let url = format!("{}/{database}", self.server);
        let (client, connection) =
            tokio_postgres::connect(&url, NoTls).await.context("the server does not answer")?;
        let driven = tokio::spawn(connection);
        client.batch_execute(statement).await?;
        drop(client);
        let _ = driven.await;
        ensure!(!self.name.is_empty(), "a database has a name");
        Ok(())
    }
}
