//! A server of a test's own, for what a shared one must not go through: another configuration, a restart.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Stops the server once its standard input ends, however the test ended.
const KEEPER: &str = r#""$@" >>"$PWD/log" 2>&1 </dev/null &
server=$!
while read -r _; do :; done
kill -INT "$server" 2>/dev/null
wait "$server""#;

/// A cluster in a folder of its own, on a free port of loopback.
pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    running: Option<Child>,
}

impl Cluster {
    /// Everybody signs in with the password `secret-marker`.
    pub(crate) fn new() -> Self {
        let mut drawn = [0; 8];
        aws_lc_rs::rand::fill(&mut drawn).expect("random bytes");
        let name = format!("abide-cluster-{:016x}", u64::from_be_bytes(drawn));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
            .expect("a file of the server");
        let port = free_port();
        let cluster = Self { folder, port, running: None };
        cluster.write("password", "secret-marker");
        own(&cluster.folder);
        let mut command = cluster.command("initdb");
        command.args(["-U", "postgres", "--auth=scram-sha-256", "-E", "UTF8", "--locale=C"]);
        command.args(["--no-sync", "-D", "data", "--pwfile=password"]);
        let output = command.output().expect("initdb");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        cluster
    }

    /// Writes a file that only the server reads; the path is for its configuration.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, content).expect("a file of the server");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .expect("a file of the server");
        own(&path);
        path
    }

    /// Starts it with these settings; waits until it takes connections.
    pub(crate) fn start(&mut self, settings: &[&str]) {
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(programs().join("postgres"));
        keeper.args(["-D", "data", "-p", &self.port.to_string()]);
        let usual = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "max_connections=100",
        ];
        for setting in usual.iter().chain(settings) {
            keeper.args(["-c", setting]);
        }
        keeper.current_dir(&self.folder).stdin(Stdio::piped()).process_group(0);
        as_server(&mut keeper);
        self.running = Some(keeper.spawn().expect("sh"));
        let begun = Instant::now();
        let is_ready = || {
            let mut ask = self.command("pg_isready");
            ask.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            ask.status().expect("pg_isready").success()
        };
        while !is_ready() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_mins(1), "{log}");
            #[expect(clippy::disallowed_methods, reason = "a server tells nobody when it is up")]
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Ends it, cutting every connection.
    pub(crate) fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.stdin.take());
            running.wait().expect("the keeper");
        }
    }

    /// The database `postgres` on it.
    pub(crate) fn url(&self, options: &str) -> String {
        format!("postgres://postgres:secret-marker@127.0.0.1:{}/postgres{options}", self.port)
    }

    /// A program of PostgreSQL's, or any by its path, as the server's account in the cluster's folder.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command.current_dir(&self.folder);
        as_server(&mut command);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Who runs servers where the test runs as root, which they refuse.
pub(crate) fn account() -> Option<(u32, u32)> {
    let id = |words: &[&str]| {
        let output = Command::new("id").args(words).output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let found =
        ["postgres", "nobody"].iter().find_map(|name| id(&["-u", name]).zip(id(&["-g", name])));
    Some(found.expect("a user to run the server as"))
}

/// Runs a program as the server's account.
pub(crate) fn as_server(command: &mut Command) {
    if let Some((user, group)) = account() {
        command.gid(group).uid(user);
    }
}

/// Where the server's programs lie: Debian's newest, or on the path.
pub(crate) fn programs() -> PathBuf {
    let is_whole = |folder: &PathBuf| folder.join("initdb").is_file();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = debian.map(|entry| entry.path().join("bin")).filter(is_whole).max();
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest
        .or_else(|| std::env::split_paths(&path).find(is_whole))
        .expect("PostgreSQL's programs: on Debian, as root, apt-get install postgresql")
}

fn own(path: &Path) {
    if let Some((user, group)) = account() {
        chown(path, Some(user), Some(group)).expect("a file of the server");
    }
}

/// A port of loopback that nobody has now.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    free.expect("a port").port()
}
