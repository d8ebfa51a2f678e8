//! `abide serve` as it is shipped, on a data folder or a database of its own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::figures::Histogram;
use crate::postgres::Database;

/// A data folder, its key beside it, and what else a row puts there; removed when dropped.
pub(crate) struct Folder {
    own: TempDir,
    /// Where the data are, if not in the folder.
    database: Option<Arc<Database>>,
}

impl Folder {
    pub(crate) fn new(parent: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("abide-bench-").tempdir_in(parent);
        let own = folder.with_context(|| format!("no folder in {}", parent.display()))?;
        Ok(Self { own, database: None })
    }

    /// One whose data are in a database.
    pub(crate) fn over(parent: &Path, database: Arc<Database>) -> anyhow::Result<Self> {
        Ok(Self { database: Some(database), ..Self::new(parent)? })
    }

    /// The folder of another node of the same database.
    pub(crate) fn beside(&self) -> anyhow::Result<Self> {
        let parent = self.path().parent().context("a folder has a parent")?;
        let other = Self { database: self.database.clone(), ..Self::new(parent)? };
        fs::copy(self.key_file(), other.key_file())?;
        Ok(other)
    }

    /// One that holds the same as this one, which nobody may be serving.
    pub(crate) fn copy(&self) -> anyhow::Result<Self> {
        let database = self.database.as_ref().map(|database| database.copy()).transpose()?;
        let other = Self { database, ..self.beside()? };
        copy_files(self.path(), other.path())?;
        Ok(other)
    }

    pub(crate) fn database(&self) -> Option<&Database> {
        self.database.as_deref()
    }

    pub(crate) fn path(&self) -> &Path {
        self.own.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.path().join("data.key")
    }

    pub(crate) fn tokens(&self) -> PathBuf {
        self.path().join("tokens")
    }
}

/// Copies the files of a folder and of those in it, with their modes; not the socket that a server has left.
fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            fs::set_permissions(&target, entry.metadata()?.permissions())?;
            copy_files(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    process: Child,
    _output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(
        binary: &Path,
        folder: &Folder,
        variables: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let log = folder.path().join("log");
        let url = folder.database().map(|database| ("ABIDE_DATABASE_URL", database.url()));
        let mut process = Command::new(binary)
            .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--log", "warn"])
            .args(["--allow-network", "127.0.0.0/8", "--data"])
            .arg(folder.data())
            .arg("--master-key")
            .arg(folder.key_file())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .envs(url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut output = BufReader::new(process.stdout.take().context("no output")?);
        let mut line = String::new();
        loop {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                let _ = process.kill();
                let _ = process.wait();
                bail!("the server did not start: {}", fs::read_to_string(&log)?);
            }
            if let Some(address) = line.trim().strip_prefix("listening on http://") {
                let address = address.parse()?;
                return Ok(Self { process, _output: output, address });
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Writes the first start's admin key where the loader reads tokens.
    pub(crate) fn take_token(folder: &Folder) -> anyhow::Result<String> {
        let mut path = folder.data().into_os_string();
        path.push(".admin-key.json");
        let key = fs::read(path).context("no admin key")?;
        let key: Value = serde_json::from_slice(&key)?;
        let token = key["bearer_token"].as_str().context("no bearer token")?.to_owned();
        fs::write(folder.tokens(), format!("{token}\n"))?;
        Ok(token)
    }

    /// Subscribes an endpoint to what becomes of single decisions, and to batches.
    pub(crate) fn subscribe(&self, token: &str, url: &str) -> anyhow::Result<()> {
        let events =
            ["consent.created", "consent.updated", "consent.withdrawn", "consent.batch_created"];
        self.subscribe_to(&events, token, url)
    }

    /// Subscribes an endpoint to kinds of events.
    pub(crate) fn subscribe_to(
        &self,
        events: &[&str],
        token: &str,
        url: &str,
    ) -> anyhow::Result<()> {
        let webhook = json!({ "url": url, "events": events }).to_string();
        let answer = self.call("POST", "/v1/webhooks", token, &webhook)?;
        ensure!(answer.starts_with("HTTP/1.1 201"), "no webhook: {answer}");
        Ok(())
    }

    /// Its histogram of commits so far.
    pub(crate) fn commits(&self) -> anyhow::Result<Histogram> {
        let text = self.call("GET", "/metrics", "", "")?;
        Ok(Histogram::read(&text, "abide_commit_seconds"))
    }

    fn call(&self, method: &str, path: &str, token: &str, body: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// As a power cut would, so that nothing is tidied up.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
