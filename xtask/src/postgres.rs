//! `cargo xtask postgres -- COMMAND...`: a private PostgreSQL server for as long as a command runs.
//!
//! The server gets a cluster in a folder of its own under the temporary one, a free port on loopback and a drawn password.
//! As root it runs as another user, since PostgreSQL refuses root. A keeper stands between it and this process: a shell in a
//! process group of its own that reads a pipe which only this process writes to. However this process ends, by an error, a
//! panic, Ctrl-C or SIGKILL, the pipe closes with it; then the keeper stops the server and removes the folder.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::say;

/// Names the server to tests, as `postgres://user:password@host:port`.
pub(crate) const VARIABLE: &str = "ABIDE_TEST_POSTGRES";

/// Where Debian puts each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Who runs it where this runs as root: the first that there is.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// A test opens about twenty connections, and as many tests as cores run at once.
const MAX_CONNECTIONS: &str = "max_connections=500";
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How often a port that somebody else took meanwhile is drawn again.
const TRIES: usize = 3;

/// Ends with the standard input. Its words: the folder, then the server and its arguments.
const KEEPER: &str = r#"folder=$1; shift
"$@" >>"$folder/log" 2>&1 </dev/null &
server=$!
while read -r _; do :; done
kill -INT "$server" 2>/dev/null
wait "$server"
cd / && rm -rf "$folder""#;

/// What to run, and on what kind of server.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Flush every commit to disk, as an installation does: for benchmarks.
    #[arg(long)]
    durable: bool,
    /// The command that finds the server in ABIDE_TEST_POSTGRES.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let server = Server::start(if options.durable { Flushing::On } else { Flushing::Off })?;
    let (program, words) = options.command.split_first().context("no command was given")?;
    let mut command = Command::new(program);
    command.args(words).current_dir(root).env(VARIABLE, server.url());
    let status = command.status().with_context(|| format!("cannot start `{program}`"))?;
    drop(server);
    ensure!(status.success(), "`{program}`: {status}");
    Ok(())
}

/// Whether commits wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushing {
    On,
    Off,
}

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    keeper: Child,
    folder: PathBuf,
    port: u16,
    password: String,
}

impl Server {
    /// One for what runs next, unless there is one that is named.
    pub(crate) fn unless_named() -> anyhow::Result<Option<Self>> {
        if std::env::var_os(VARIABLE).is_some_and(|named| !named.is_empty()) {
            return Ok(None);
        }
        Self::start(Flushing::Off).map(Some)
    }

    pub(crate) fn start(flushing: Flushing) -> anyhow::Result<Self> {
        Self::start_in(&std::env::temp_dir(), flushing)
    }

    /// One whose cluster lies in a folder of its own within that one.
    pub(crate) fn start_in(parent: &Path, flushing: Flushing) -> anyhow::Result<Self> {
        let programs = programs().context(
            "there is no PostgreSQL server here; on Debian, as root: apt-get install postgresql",
        )?;
        let account = Account::for_server()?;
        let mut last = None;
        for _ in 0..TRIES {
            match Self::try_start(parent, &programs, account, flushing) {
                Ok(server) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("was not tried")?)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}", self.password, self.port)
    }

    fn try_start(
        parent: &Path,
        programs: &Path,
        account: Option<Account>,
        flushing: Flushing,
    ) -> anyhow::Result<Self> {
        let drawn = drawn()?;
        let (name, password) = drawn.split_at(16);
        let folder = parent.join(format!("abide-postgres-{name}"));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let emptied = Emptied(&folder);
        let secret = folder.join("password");
        fs::write(&secret, password)?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        if let Some(account) = account {
            for path in [&folder, &secret] {
                chown(path, Some(account.user), Some(account.group))?;
            }
        }
        let data = folder.join("data");
        init(programs, account, &data, &secret)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&folder);
        keeper.arg(programs.join("postgres")).arg("-D").arg(&data);
        keeper.args(["-p", &port.to_string()]);
        for setting in settings(flushing) {
            keeper.args(["-c", setting]);
        }
        keeper.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        become_user(&mut keeper, account);
        let keeper = keeper.spawn().context("cannot start `sh`")?;
        std::mem::forget(emptied);
        let mut server = Self { keeper, folder, port, password: password.to_owned() };
        server.wait(programs)?;
        Ok(server)
    }

    /// Until it takes connections.
    fn wait(&mut self, programs: &Path) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let mut ask = Command::new(programs.join("pg_isready"));
            ask.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            let is_ready = ask.status().context("cannot start pg_isready")?.success();
            // Another server may have that port: then ours has given up, and its file is gone.
            if is_ready && self.folder.join("data/postmaster.pid").is_file() {
                return Ok(());
            }
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let has_given_up = log.contains("FATAL:") && !log.contains("starting up");
            if has_given_up || begun.elapsed() > START_TIMEOUT {
                let end: Vec<&str> = log.lines().rev().take(10).collect();
                let end: Vec<&str> = end.into_iter().rev().collect();
                bail!("PostgreSQL does not start:\n{}", end.join("\n"));
            }
            #[expect(clippy::disallowed_methods, reason = "the server tells nobody when it is up")]
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if self.keeper.wait().is_err() || self.folder.exists() {
            say(format!("{} could not be removed", self.folder.display()));
        }
    }
}

/// Removes a folder that no keeper looks after yet.
struct Emptied<'a>(&'a Path);

impl Drop for Emptied<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0);
    }
}

fn settings(flushing: Flushing) -> Vec<&'static str> {
    let mut settings = vec![
        MAX_CONNECTIONS,
        "listen_addresses=127.0.0.1",
        // The folder's path may be too long for one.
        "unix_socket_directories=",
        "log_min_messages=fatal",
        "timezone=UTC",
    ];
    if flushing == Flushing::Off {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"]);
    }
    settings
}

fn init(
    programs: &Path,
    account: Option<Account>,
    data: &Path,
    secret: &Path,
) -> anyhow::Result<()> {
    let mut command = Command::new(programs.join("initdb"));
    command.args(["--username=postgres", "--auth=password", "--encoding=UTF8", "--locale=C"]);
    command.arg("--no-sync").arg("--pgdata").arg(data);
    command.arg(format!("--pwfile={}", secret.display())).current_dir("/");
    become_user(&mut command, account);
    let output = command.output().context("cannot start initdb")?;
    ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Where `initdb` and `postgres` lie: Debian's newest version, or on the path.
pub(crate) fn programs() -> Option<PathBuf> {
    let is_whole = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).is_file())
    };
    let version = |folder: &PathBuf| {
        let number = folder.parent()?.file_name()?.to_str()?;
        number.parse::<u32>().ok()
    };
    let debian = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let debian = debian.map(|entry| entry.path().join("bin")).filter(is_whole);
    debian.max_by_key(version).or_else(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(is_whole)
    })
}

/// Who runs the server.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// Another one than root's; `None` where this does not run as root.
    fn for_server() -> anyhow::Result<Option<Self>> {
        if id(&["-u"])? != Some(0) {
            return Ok(None);
        }
        for name in USERS {
            if let (Some(user), Some(group)) = (id(&["-u", name])?, id(&["-g", name])?) {
                return Ok(Some(Self { user, group }));
            }
        }
        bail!(
            "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`"
        )
    }
}

fn id(words: &[&str]) -> anyhow::Result<Option<u32>> {
    let output = Command::new("id").args(words).output().context("cannot start `id`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
}

fn become_user(command: &mut Command, account: Option<Account>) {
    if let Some(Account { user, group }) = account {
        command.gid(group).uid(user);
    }
}

/// 32 hexadecimal digits that nobody can guess.
fn drawn() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_go_without_flushing() {
        assert!(settings(Flushing::Off).contains(&"fsync=off"));
        assert!(!settings(Flushing::On).iter().any(|setting| setting.contains("=off")));
    }

    #[test]
    fn a_server_comes_up_and_leaves_nothing() {
        let server = Server::start(Flushing::Off).unwrap();
        let folder = server.folder.clone();
        assert!(server.url().starts_with("postgres://postgres:"));
        let pid = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
        let process = PathBuf::from("/proc").join(pid.lines().next().unwrap());
        assert!(process.exists());
        drop(server);
        assert!(!folder.exists(), "the folder is gone");
        assert!(!process.exists(), "the server is gone");
    }
}
