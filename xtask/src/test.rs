//! The project's test command: every check, in order, with the time of each.
//!
//! Three forms. The full one runs everything. Where `CI` is set, the tests run their fixed short forms
//! (see `FORM`), the stages stay the same. `--quick` is for every commit: short forms, no browser, no docs.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::{browser, contracts, postgres, say, simulate, tidy};

/// Tests read this variable to choose how long they go on: `quick`, `ci` or `full`.
const FORM: &str = "ABIDE_TEST_FORM";

/// Programs that the build and the tests call, with the Debian package that brings each. Chromium and npm are for the
/// tests in a browser; those from node on run the receivers that we hand out and the commands of the book. The server's
/// programs may lie elsewhere than the others.
const NEEDS: [(&str, &str); 12] = [
    ("cc", "build-essential"),
    ("make", "make"),
    (SERVER, "postgresql"),
    ("pgbouncer", "pgbouncer"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3"),
    ("ruby", "ruby"),
    ("bash", "bash"),
    ("curl", "curl"),
    ("openssl", "openssl"),
];

const SERVER: &str = "postgres";
/// Where Debian puts services, which is on root's path alone.
const SERVICES: &str = "/usr/sbin";

/// How much to run.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Options {
    /// The every-commit form: short forms of the long tests, no browser, no docs.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(root: &Path, options: Options) -> anyhow::Result<()> {
    let form = Form::new(options.quick, std::env::var("CI").ok().as_deref());
    let shop = Shop { root: root.to_owned(), form };
    let mut stages: Vec<Stage> = vec![
        ("packages", |_| install_missing()),
        ("format", |shop| shop.cargo(&["fmt", "--all", "--check"])),
        ("clippy", |shop| {
            shop.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
        }),
        ("tests", Shop::tests),
        ("faults", |shop| shop.beside_postgres(&simulate::FAULTS)),
        ("doc tests", |shop| shop.cargo(&["test", "--workspace", "--doc"])),
        ("browser", |shop| browser::test(&shop.root)),
        ("docs", Shop::docs),
        ("contracts", |shop| contracts::run(&shop.root, &contracts::Options::default())),
        ("tidy", |shop| tidy::run(&shop.root)),
    ];
    if form == Form::Quick {
        stages.retain(|(name, _)| !["browser", "docs", "faults"].contains(name));
    }
    run_stages(&shop, &stages)
}

type Stage = (&'static str, fn(&Shop) -> anyhow::Result<()>);

/// Runs the stages up to the first that fails, and says how long each took.
fn run_stages(shop: &Shop, stages: &[Stage]) -> anyhow::Result<()> {
    let mut times = Vec::new();
    let mut failure = None;
    for (name, stage) in stages {
        say(format!("== {name}"));
        let start = Instant::now();
        let result = stage(shop);
        times.push((*name, start.elapsed()));
        if let Err(error) = result {
            failure = Some(error.context(format!("stage `{name}` failed")));
            break;
        }
    }
    time_table(shop.form, &times, failure.is_some()).into_iter().for_each(say);
    failure.map_or(Ok(()), Err)
}

fn time_table(form: Form, times: &[(&str, Duration)], failed: bool) -> Vec<String> {
    let mut lines = vec![format!("== times ({form})")];
    for (index, (name, time)) in times.iter().enumerate() {
        let mark = if failed && index + 1 == times.len() { "  FAILED" } else { "" };
        lines.push(format!("{name:<10} {:>7.1} s{mark}", time.as_secs_f64()));
    }
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    lines.push(format!("{:<10} {:>7.1} s", "total", total.as_secs_f64()));
    lines
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Quick,
    Ci,
    Full,
}

impl Form {
    fn new(quick: bool, ci: Option<&str>) -> Self {
        match ci {
            _ if quick => Self::Quick,
            None | Some("" | "0" | "false") => Self::Full,
            Some(_) => Self::Ci,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Quick => "quick",
            Self::Ci => "ci",
            Self::Full => "full",
        })
    }
}

/// Where and how the stages run.
struct Shop {
    root: PathBuf,
    form: Form,
}

impl Shop {
    /// Under a PostgreSQL server of their own, or under the one that is named.
    fn tests(&self) -> anyhow::Result<()> {
        let arguments: &[&str] = if succeeds(self.command(&["nextest", "--version"])) {
            &["nextest", "run", "--workspace", "--no-fail-fast"]
        } else {
            &["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]
        };
        self.beside_postgres(arguments)
    }

    fn beside_postgres(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = self.command(arguments);
        let server = postgres::Server::unless_named()?;
        if let Some(server) = &server {
            command.env(postgres::VARIABLE, server.url());
        }
        finish(command)
    }

    fn docs(&self) -> anyhow::Result<()> {
        let mut command = self.command(&["doc", "--workspace", "--no-deps"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        finish(command)
    }

    fn cargo(&self, arguments: &[&str]) -> anyhow::Result<()> {
        finish(self.command(arguments))
    }

    /// Everything a stage prints goes to standard output: nextest would put its summary elsewhere.
    fn command(&self, arguments: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).current_dir(&self.root).env(FORM, self.form.to_string());
        command.stderr(io::stdout());
        command
    }
}

fn finish(mut command: Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

fn succeeds(mut command: Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Brings what the build and the tests call, from Debian packages.
fn install_missing() -> anyhow::Result<()> {
    let packages = missing(&NEEDS, |program| {
        if program == SERVER {
            return postgres::programs().is_some();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([PathBuf::from(SERVICES)]);
        folders.map(|folder| folder.join(program)).any(|program| program.is_file())
    });
    if packages.is_empty() {
        return Ok(());
    }
    let packages = packages.join(" ");
    if !is_root()? {
        bail!("missing Debian packages: {packages}; as root: apt-get install {packages}");
    }
    say(format!("installing {packages}"));
    apt(&["update"])?;
    let install = ["install", "--yes", "--no-install-recommends"];
    apt(&install.into_iter().chain(packages.split(' ')).collect::<Vec<_>>())
}

fn missing<'a>(needs: &[(&str, &'a str)], present: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let absent = needs.iter().filter(|(program, _)| !present(program));
    let mut packages: Vec<_> = absent.map(|&(_, package)| package).collect();
    packages.dedup();
    packages
}

fn is_root() -> anyhow::Result<bool> {
    let output = Command::new("id").arg("-u").output().context("cannot start `id`")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    // Whoever else installs something is waited for.
    command.args(["-o", "DPkg::Lock::Timeout=600"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive").stderr(io::stdout());
    finish(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_flag_and_ci() {
        assert_eq!(Form::new(true, Some("true")), Form::Quick);
        assert_eq!(Form::new(false, Some("true")), Form::Ci);
        assert_eq!(Form::new(false, Some("false")), Form::Full);
        assert_eq!(Form::new(false, None), Form::Full);
    }

    #[test]
    fn a_missing_program_names_its_package_once() {
        let needs = [("cc", "build-essential"), ("c++", "build-essential"), ("make", "make")];
        assert_eq!(missing(&needs, |program| program == "make"), ["build-essential"]);
        assert!(missing(&needs, |_| true).is_empty());
    }

    #[test]
    fn the_first_failing_stage_ends_the_run_by_name() {
        let shop = Shop { root: PathBuf::new(), form: Form::Quick };
        let error = run_stages(
            &shop,
            &[
                ("good", |_| Ok(())),
                ("bad", |_| bail!("no")),
                ("later", |_| unreachable!("a stage behind a failed one")),
            ],
        );
        assert_eq!(format!("{:#}", error.unwrap_err()), "stage `bad` failed: no");
    }

    #[test]
    fn the_table_marks_the_failed_stage() {
        let times = [("format", Duration::from_millis(1250)), ("clippy", Duration::from_mins(1))];
        assert_eq!(
            time_table(Form::Ci, &times, true),
            [
                "== times (ci)",
                "format         1.2 s",
                "clippy        60.0 s  FAILED",
                "total         61.2 s",
            ]
        );
    }
}
