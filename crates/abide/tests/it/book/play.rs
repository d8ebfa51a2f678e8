//! Playing pages: a shell that is typed into, terminals beside it, and a look at what they print.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::pages::{Block, Page, root};
use crate::program::{PATIENCE, abide, end_of, pause};

/// The ports that pages use.
const PORTS: [u16; 5] = [8080, 9090, 9091, 9443, 3000];

/// Below those that systems give away by themselves.
const FIRST_PORT: u16 = 12_000;
const COUNT_OF_PORTS: u16 = 20_000;

/// Lines that say that something is up.
const IS_UP: [&str; 2] = ["listening on", "following the feed"];

/// How a play went: what is wrong with the page, and what was printed so far.
pub(super) type Played = Result<(), String>;

/// A reader with a folder and a few terminals.
pub(super) struct Play {
    name: String,
    ports: BTreeMap<u16, u16>,
    shell: Shell,
    terminals: Vec<Terminal>,
    /// Blocks so far.
    count: u32,
    /// What the last command printed.
    printed: PathBuf,
    /// Last, so that nothing runs in it any more when it goes.
    folder: TempDir,
}

struct Shell {
    process: Child,
    input: ChildStdin,
    done: Receiver<String>,
}

/// A command in the background, ended with this value and all that it started.
struct Terminal {
    process: Child,
    command: String,
    printed: PathBuf,
    /// How much of that was shown already: what is shown next comes later.
    shown: usize,
}

impl Play {
    pub(super) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = PORTS.into_iter().map(|named| (named, free_port())).collect();
        let receivers = root().join("receivers");
        std::os::unix::fs::symlink(receivers, folder.path().join("receivers")).unwrap();
        let shell = Shell::start(folder.path());
        let printed = folder.path().join(".printed");
        let name = name.to_owned();
        Self { name, ports, shell, terminals: Vec::new(), count: 0, printed, folder }
    }

    /// Plays a page, after those that it goes on from.
    pub(super) fn page(&mut self, page: &Page, all: &[Page]) -> Played {
        for block in &page.blocks {
            match block {
                Block::After(name) => {
                    let before = all.iter().find(|page| page.name == *name);
                    self.page(before.unwrap_or_else(|| panic!("{name} is no page")), all)?;
                }
                Block::Run(text) => self.run(text)?,
                Block::Background(text) => self.open_terminal(text)?,
                Block::Stop(what) => self.interrupt(what)?,
                Block::Shows(text) => self.expect(text)?,
                Block::NotRun(_) => {}
            }
        }
        Ok(())
    }

    fn run(&mut self, text: &str) -> Played {
        let (file, printed) = self.write(text);
        self.printed = printed;
        let (file, printed) = (file.display(), self.printed.display());
        let line = format!(". {file} >{printed} 2>&1 </dev/null; echo done\n");
        let typed = self.shell.input.write_all(line.as_bytes());
        let done = self.shell.done.recv_timeout(PATIENCE);
        if typed.is_err() || done.is_err() {
            return self.fail(text, "failed, or did not end");
        }
        Ok(())
    }

    fn open_terminal(&mut self, text: &str) -> Played {
        let (file, printed) = self.write(text);
        let output = File::create(&printed).unwrap();
        let errors = output.try_clone().unwrap();
        let process = shell(self.folder.path())
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap();
        self.terminals.push(Terminal {
            process,
            command: text.to_owned(),
            printed: printed.clone(),
            shown: 0,
        });
        self.printed.clone_from(&printed);
        let is_up = || {
            let printed = read(&printed);
            IS_UP.iter().any(|words| printed.contains(words))
        };
        if !within_patience(is_up) {
            return self.fail(text, "did not come up");
        }
        Ok(())
    }

    fn interrupt(&mut self, what: &str) -> Played {
        let at = self.terminals.iter().rposition(|terminal| terminal.command.contains(what));
        let Some(at) = at else { return self.fail(what, "is to be stopped and runs nowhere") };
        let mut terminal = self.terminals.remove(at);
        signal_group(&terminal.process, "INT");
        if end_of(&mut terminal.process, PATIENCE).is_none() {
            return self.fail(what, "does not end");
        }
        Ok(())
    }

    fn expect(&mut self, shown: &str) -> Played {
        let shown = self.with_free_ports(shown);
        let found = within_patience(|| {
            let beside = self.terminals.iter_mut().any(|terminal| terminal.goes_on_with(&shown));
            beside || shows(&read(&self.printed), &shown).is_some()
        });
        if !found {
            return self.fail(&shown, "is shown and did not come");
        }
        Ok(())
    }

    /// A file with a block, and one for what it prints.
    fn write(&mut self, text: &str) -> (PathBuf, PathBuf) {
        self.count += 1;
        let file = self.folder.path().join(format!(".block-{}", self.count));
        fs::write(&file, format!("{}\n", self.with_free_ports(text))).unwrap();
        (file, self.folder.path().join(format!(".printed-{}", self.count)))
    }

    fn with_free_ports(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (named, free) in &self.ports {
            for before in ["127.0.0.1:", "localhost:", "PORT=", "'127.0.0.1', "] {
                text = text.replace(&format!("{before}{named}"), &format!("{before}{free}"));
            }
        }
        text
    }

    fn fail(&self, text: &str, why: &str) -> Played {
        let mut report = format!("{}: this {why}:\n{text}\n", self.name);
        for terminal in &self.terminals {
            let printed = read(&terminal.printed);
            // Into a String, which cannot fail.
            let _ = writeln!(report, "\n-- `{}` printed:\n{printed}", terminal.command);
        }
        let printed = read(&self.printed);
        Err(format!("{report}\n-- it printed:\n{printed}"))
    }
}

impl Shell {
    fn start(folder: &Path) -> Self {
        let mut process = shell(folder)
            .arg("-s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, done) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.map_while(|line| sender.send(line).ok()).for_each(drop);
        });
        Self { process, input, done }
    }
}

impl Terminal {
    /// Whether it printed this after what was shown of it before.
    fn goes_on_with(&mut self, shown: &str) -> bool {
        let printed = read(&self.printed);
        let end = printed.get(self.shown..).and_then(|rest| shows(rest, shown));
        self.shown += end.unwrap_or(0);
        end.is_some()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        signal_group(&self.process, "KILL");
        drop(self.process.wait());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        signal_group(&self.process, "KILL");
        drop(self.process.wait());
    }
}

/// A port that nobody listens on, and that the system gives to nobody who asks for any: what is to listen there may come
/// up much later. Each process begins somewhere else.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let place = std::process::id().wrapping_mul(128);
        let place = place.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST_PORT + (place % u32::from(COUNT_OF_PORTS)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A shell that ends at the first command that fails, with the program on its path and nothing of the user's own.
pub(super) fn shell(folder: &Path) -> Command {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_abide"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut paths = vec![program.parent().unwrap().to_owned()];
    paths.extend(std::env::split_paths(&path));
    let mut command = Command::new("bash");
    let clean = abide(folder, &[]);
    for (name, value) in clean.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("PATH", std::env::join_paths(paths).unwrap());
    command.current_dir(folder).args(["-e", "-u", "-o", "pipefail"]);
    command
}

fn signal_group(process: &Child, name: &str) {
    let kill = format!("kill -{name} -- -{}", process.id());
    drop(Command::new("bash").args(["-c", &kill]).stderr(Stdio::null()).status());
}

fn within_patience(mut so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        if so() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        pause(Duration::from_millis(20));
    }
}

/// Where the lines that are shown end in what was printed, if they stand there in their order. Spaces count as one; `...`
/// is anything.
pub(super) fn shows(printed: &str, shown: &str) -> Option<usize> {
    let wanted = shown.lines().map(words).filter(|line| !line.is_empty() && line != "...");
    let (mut lines, mut end) = (printed.split_inclusive('\n'), 0);
    for wanted in wanted {
        loop {
            let line = lines.next()?;
            end += line.len();
            if line_shows(&words(line), &wanted) {
                break;
            }
        }
    }
    Some(end)
}

/// What was printed so far.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn line_shows(line: &str, wanted: &str) -> bool {
    let parts: Vec<&str> = wanted.split("...").collect();
    let (Some((first, others)), true) = (parts.split_first(), parts.len() > 1) else {
        return line == wanted;
    };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let Some((last, middle)) = others.split_last() else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}
