//! The receiver: `abide listen` in a process of its own, as it would run at somebody else's site.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use abide_core::shell::draw;
use abide_dialects::SecretForm;
use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::Voice;
use crate::cli::listen::{DEFAULT_RECEIVER, Line};
use crate::operations::Ground;

/// What the receiver speaks.
pub(super) const DIALECT: &str = "consentproof";

/// A running receiver; ends with this value, or with this process, however that ends.
pub(super) struct Receiver {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
    secret: String,
    voice: Voice,
}

impl Receiver {
    pub(super) async fn start(
        wanted: Option<SocketAddr>,
        voice: Voice,
        ground: &Ground,
    ) -> anyhow::Result<Self> {
        let dialect = abide_dialects::by_name(DIALECT).context("the dialect is built in")?;
        let secret = dialect.new_secret(SecretForm::Shared, &draw(&*ground.chance));
        let address = wanted.unwrap_or_else(|| free(DEFAULT_RECEIVER));
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let mut process = Command::new(program)
            .args(["listen", "--json", "--until-stdin-ends", "--dialect", DIALECT])
            .args(["--listen", &address.to_string()])
            // Not as an argument: those can be read by everybody on the machine.
            .env("ABIDE_LISTEN_SECRET", &secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C goes to the demo alone, which then ends its receiver.
            .process_group(0)
            .spawn()
            .context("cannot start the receiver")?;
        let output = process.stdout.take().context("the receiver has no output")?;
        let mut lines = BufReader::new(output).lines();
        let Some(Line::Listening(address)) = next(&mut lines).await? else {
            bail!("the receiver did not start; choose another address with --receiver");
        };
        Ok(Self { _process: process, lines, address, secret, voice })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// Prints lines up to the webhook of that type; one that did not verify is an error.
    pub(super) async fn print_until(&mut self, wanted: &str) -> anyhow::Result<()> {
        while let Some(line) = next(&mut self.lines).await? {
            self.voice.tell(format_args!("  receiver: {line}"));
            self.voice.note(&line);
            match line {
                Line::Verified { event_type, .. } if event_type == wanted => return Ok(()),
                Line::Refused { .. } => bail!("a webhook did not verify at the receiver"),
                Line::Verified { .. } | Line::Listening(_) => {}
            }
        }
        bail!("the receiver ended")
    }

    /// Prints whatever else arrives.
    pub(super) async fn print_for_ever(&mut self) -> anyhow::Result<()> {
        while let Some(line) = next(&mut self.lines).await? {
            self.voice.tell(format_args!("receiver: {line}"));
            self.voice.note(&line);
        }
        bail!("the receiver ended")
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<Option<Line>> {
    let Some(line) = lines.next_line().await.context("cannot read the receiver's lines")? else {
        return Ok(None);
    };
    serde_json::from_str(&line).map(Some).context("the receiver printed something else than a line")
}

/// That address, or a free port where it is taken.
fn free(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => SocketAddr::new(address.ip(), 0),
    }
}
