//! Running the program: servers that end with their test, and commands that answer.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::http::Api;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The long form of a test, or its short one for every commit.
pub(crate) fn times(full: u32, quick: u32) -> u32 {
    if std::env::var("ABIDE_TEST_FORM").is_ok_and(|form| form == "quick") { quick } else { full }
}

/// The program with none of the surrounding settings.
pub(crate) fn abide(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ABIDE_")) {
        command.env_remove(name);
    }
    // Nothing of the user's own, either.
    command.env("HOME", folder).env_remove("XDG_CONFIG_HOME");
    command.current_dir(folder).args(args);
    command
}

/// A folder with `abide-data` in it, once a server was there.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("abide-data")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.path().join("abide-data.key")
    }

    /// Where the first start writes its key.
    pub(crate) fn admin_key_file(&self) -> PathBuf {
        self.path().join("abide-data.admin-key.json")
    }

    /// Where the first start writes the link for the first owner.
    pub(crate) fn owner_link_file(&self) -> PathBuf {
        self.path().join("abide-data.owner-link.txt")
    }

    /// The key that the first start wrote.
    pub(crate) fn admin_key(&self) -> Value {
        let json = fs::read(self.admin_key_file()).unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// Starts a server in dev mode on a free port and waits until it listens.
    pub(crate) fn serve_with(&self, args: &[&str]) -> Server {
        let mut command = abide(self.path(), &["serve", "--listen", "127.0.0.1:0", "--dev"]);
        self.start(command.args(args))
    }

    /// Starts a server in dev mode where an earlier one listened.
    pub(crate) fn serve_with_listen(&self, address: &str) -> Server {
        self.start(&mut abide(self.path(), &["serve", "--listen", address, "--dev"]))
    }

    /// Starts a server as the command says and waits until it listens.
    pub(crate) fn start(&self, command: &mut Command) -> Server {
        let log = self.path().join("log");
        let errors = File::options().append(true).create(true).open(&log).unwrap();
        let mut process = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let lines = lines_of(&mut process);
        let said = RefCell::new(Vec::new());
        let address = lines.wait_for(|line| {
            said.borrow_mut().push(line.to_owned());
            line.strip_prefix("listening on http://").map(|address| address.parse().unwrap())
        });
        let Some(address) = address else {
            panic!("the server ended: {}", fs::read_to_string(&log).unwrap());
        };
        Server { process, lines, address, said: said.into_inner() }
    }

    /// What all servers here have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        abide(self.path(), args).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that must succeed, and answers what it printed.
    pub(crate) fn ask(&self, args: &[&str]) -> String {
        succeeded(self.run(args))
    }

    /// Runs a command that must fail, and answers its code and what it complained of.
    pub(crate) fn refused(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?} succeeded");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// Runs a command with something at its standard input.
    pub(crate) fn ask_with_input(&self, args: &[&str], input: &str) -> String {
        let mut command = abide(self.path(), args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        succeeded(process.wait_with_output().unwrap())
    }
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A running server, killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) lines: Lines,
    pub(crate) address: SocketAddr,
    /// What it printed before it listened.
    pub(crate) said: Vec<String>,
}

impl Server {
    /// Its API under a bearer token.
    pub(crate) fn api(&self, key: &Value) -> Api {
        Api::new(self.address, key["bearer_token"].as_str().unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// SIGKILL, and gone.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        end_of(&mut self.process, PATIENCE).expect("the server does not end")
    }

    /// SIGTERM, and gone with exit code 0.
    pub(crate) fn stop(self) {
        self.signal("TERM");
        assert_eq!(self.wait().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) fn signal(process: &Child, name: &str) {
    let kill = format!("kill -{name} {}", process.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Waits for a process's end; `None` when it does not come in time.
pub(crate) fn end_of(process: &mut Child, within: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + within;
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() > until {
            return None;
        }
        pause(Duration::from_millis(2));
    }
}

/// For what has no event to wait for: another process's end, a random moment to strike.
pub(crate) fn pause(time: Duration) {
    let (_open, never) = mpsc::channel::<()>();
    assert_eq!(never.recv_timeout(time), Err(RecvTimeoutError::Timeout));
}

/// What a process prints, line by line.
pub(crate) struct Lines(Receiver<String>);

pub(crate) fn lines_of(process: &mut Child) -> Lines {
    read_lines(process.stdout.take().unwrap())
}

/// What it prints where errors go.
pub(crate) fn lines_of_errors(process: &mut Child) -> Lines {
    read_lines(process.stderr.take().unwrap())
}

fn read_lines(output: impl io::Read + Send + 'static) -> Lines {
    let output = BufReader::new(output);
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Lines(lines)
}

impl Lines {
    /// Waits for a line that gives something; `None` when the output ended before.
    pub(crate) fn wait_for<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.0.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Some(found);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("the line does not come"),
            }
        }
    }

    /// Waits for a line with that in it.
    pub(crate) fn wait_for_text(&self, text: &str) -> String {
        let found = self.wait_for(|line| line.contains(text).then(|| line.to_owned()));
        found.unwrap_or_else(|| panic!("the output ended without `{text}`"))
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
