//! How the bench speaks with its own processes: a word a line to their input, a line of JSON back.
//!
//! A process whose input ends ends too, so none outlives the bench, however that ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Answers words from the input, on a thread of its own, and ends the process with the input.
pub(crate) fn answer(mut answer: impl FnMut(&str) -> Value + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            say(&answer(line.trim()));
        }
        std::process::exit(0);
    });
}

/// One line for the bench.
pub(crate) fn say(value: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{value}");
    let _ = out.flush();
}

/// A process of the bench's own; killed when dropped.
pub(crate) struct Helper {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Helper {
    pub(crate) fn start(arguments: &[String]) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {arguments:?}"))?;
        let input = process.stdin.take().context("no input")?;
        let output = BufReader::new(process.stdout.take().context("no output")?);
        Ok(Self { process, input, output })
    }

    /// One that listens: its first line says where.
    pub(crate) fn listening(arguments: &[String]) -> anyhow::Result<(Self, SocketAddr)> {
        let mut helper = Self::start(arguments)?;
        let address = helper.line()?;
        Ok((helper, address))
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn ask<T: DeserializeOwned>(&mut self, word: &str) -> anyhow::Result<T> {
        writeln!(self.input, "{word}")?;
        self.input.flush()?;
        self.line()
    }

    /// Its next line.
    pub(crate) fn line<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("a helper said {line:?}"))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
