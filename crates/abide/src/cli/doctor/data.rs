//! The data: folder, keys, database, and the disk below them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use abide_core::Timestamp;
use abide_storage::erasures::ErasureJournal;

use super::{Check, size};
use crate::config::Place;
use crate::control::{Found, RunsWith};
use crate::wiring::{Examined, Integrity};
use crate::{control, folder, wiring};

/// How long the look through the database may take beside a running server, whose log it keeps from beginning again.
const BESIDE_A_SERVER: Duration = Duration::from_secs(3);
/// The same on a stopped store.
const ALONE: Duration = Duration::from_mins(10);

/// Below this no server should run.
const LITTLE_SPACE: u64 = 200 << 20;
/// Below this somebody should look after it.
const GETTING_TIGHT: u64 = 2 << 30;
/// A commit takes one of these; beyond this every caller feels it.
const SLOW_SYNC: Duration = Duration::from_millis(25);
const SYNCS: usize = 15;

/// What other checks need to know.
#[derive(Default)]
pub(super) struct Seen {
    /// Whether a server runs on the folder.
    pub(super) served: bool,
    /// What it runs with, where it says.
    pub(super) runs_with: Option<RunsWith>,
    /// When the newest row was written.
    pub(super) newest: Option<Timestamp>,
}

/// Folder, master key, database and migrations.
pub(super) async fn examine(place: &Place, checks: &mut Vec<Check>) -> Seen {
    let mut seen = Seen::default();
    if place.data.exists() && !place.data.is_dir() {
        let found = format!("{} is no folder", place.data.display());
        checks.push(Check::problem("data", found, "name the data folder with --data"));
        return seen;
    }
    match control::find(&place.data).await {
        Ok(Found::Nobody) => {}
        Ok(Found::Server(runs_with)) => {
            seen.served = true;
            seen.runs_with = runs_with;
        }
        Err(error) => checks.push(Check::problem(
            "server",
            format!("{error:#}"),
            "run as the owner of the data folder",
        )),
    }
    if !place.data.exists() {
        let found = format!("there is no data folder {}", place.data.display());
        let todo = "name another with --data, or start a server, which makes one";
        checks.push(Check::problem("data", found, todo));
        return seen;
    }
    let keys = match folder::open(place) {
        Ok(keys) => keys,
        Err(error) => {
            let todo = "see the text; nothing below can be checked without the keys";
            checks.push(Check::problem("master key", format!("{error:#}"), todo));
            return seen;
        }
    };
    let whose = if seen.served { "a server runs on it" } else { "no server runs on it" };
    checks.push(Check::ok("data", format!("{} ({whose})", place.data.display())));
    checks.push(erasure_journal(place, &seen));
    let patience = if seen.served { BESIDE_A_SERVER } else { ALONE };
    let current = keys.current().id();
    let count = keys.iter().len();
    match wiring::examine(place, keys, patience).await {
        Ok(found) => {
            let held = format!("{count} in {}, current {current}", place.key_file.display());
            checks.extend(master_key(&found, place, &held));
            checks.push(database(&found));
            checks.push(migrations(&found));
            seen.newest = found.newest;
        }
        Err(error) => checks.push(Check::problem(
            "database",
            format!("cannot be opened: {error:#}"),
            "restore it from a backup, or look at the disk below it",
        )),
    }
    seen
}

/// [`folder::open`] has judged the file's mode and place; this judges whether it is the right one.
fn master_key(found: &Examined, place: &Place, held: &str) -> Option<Check> {
    Some(match found.keys.as_ref()? {
        Ok(()) => Check::ok("master key", format!("{held}; the store knows them")),
        Err(problem) => Check::problem(
            "master key",
            problem.clone(),
            format!("put the right {} back from your copy", place.key_file.display()),
        ),
    })
}

fn database(found: &Examined) -> Check {
    let bytes = size(found.bytes);
    match &found.integrity {
        Integrity::Sound => Check::ok("database", format!("{bytes}, looked through and sound")),
        Integrity::Damaged(lines) => Check::problem(
            "database",
            format!("damaged: {}", lines.join("; ")),
            "stop the server, keep a copy of the folder, and restore a backup",
        ),
        Integrity::NotFinished => Check::warning(
            "database",
            format!("{bytes}, opens; too large to be looked through beside a running server"),
            "run `abide doctor` while the server is stopped, or on a restored backup",
        ),
    }
}

fn migrations(found: &Examined) -> Check {
    let Examined { applied, known, .. } = found;
    if let Some(name) = found.altered {
        return Check::problem(
            "migrations",
            format!(
                "{name} was another one when it was applied: the store is of an unreleased version"
            ),
            "begin with an empty data folder",
        );
    }
    match applied.cmp(known) {
        std::cmp::Ordering::Equal => {
            Check::ok("migrations", format!("{applied} of {known} applied"))
        }
        std::cmp::Ordering::Less => Check::warning(
            "migrations",
            format!("{applied} of {known} applied"),
            "the next start applies the rest; take a backup first",
        ),
        std::cmp::Ordering::Greater => Check::problem(
            "migrations",
            format!("{applied} applied, and this version knows {known}"),
            "use the newer version of Abide that wrote the store",
        ),
    }
}

/// Whether erasures are noted where a restoration finds them.
fn erasure_journal(place: &Place, seen: &Seen) -> Check {
    let (name, path) = ("erasures", place.journal.display());
    match ErasureJournal::read(&place.journal) {
        Ok(Some(erasures)) => Check::ok(
            name,
            format!("{path} has {}; keep copies of it as it changes", erasures.len()),
        ),
        Ok(None) if seen.served => Check::warning(
            name,
            format!("the erasure journal {path} is not there, though a server runs"),
            "let the server write there, or give both the right place with --erasure-journal; the server's log says more",
        ),
        Ok(None) => Check::warning(
            name,
            format!(
                "the erasure journal {path} is not there; a backup cannot be restored without it"
            ),
            "start a server, which makes it",
        ),
        Err(error) => Check::problem(
            name,
            error.to_string(),
            "move it away: a running server writes another within a minute",
        ),
    }
}

/// Space, and what a sync takes; nothing where there is no folder.
pub(super) async fn disk(place: &Place) -> Vec<Check> {
    if !place.data.is_dir() {
        return Vec::new();
    }
    let data = place.data.clone();
    let look = tokio::task::spawn_blocking(move || vec![space(&data), syncs(&data)]);
    look.await.unwrap_or_default()
}

fn space(data: &Path) -> Check {
    let facts = match rustix::fs::statvfs(data) {
        Ok(facts) => facts,
        Err(error) => {
            return Check::warning(
                "disk",
                format!("cannot ask for space: {error}"),
                "look yourself",
            );
        }
    };
    let free = facts.f_bavail * facts.f_frsize;
    let found = format!("{} free of {}", size(free), size(facts.f_blocks * facts.f_frsize));
    match free {
        0..LITTLE_SPACE => {
            Check::problem("disk", found, "make room: a full disk stops all writing")
        }
        LITTLE_SPACE..GETTING_TIGHT => {
            Check::warning("disk", found, "make room: a full disk stops all writing")
        }
        _ if facts.f_files > 0 && facts.f_favail == 0 => {
            Check::problem("disk", format!("{found}, and no file can be made"), "free some inodes")
        }
        _ => Check::ok("disk", found),
    }
}

/// Writes and syncs a page some times, as commits do, to a file of its own.
fn syncs(data: &Path) -> Check {
    let path = data.join(".doctor");
    let measured = measure(&path);
    drop(fs::remove_file(&path));
    let mut took = match measured {
        Ok(took) => took,
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            let found = format!("cannot write in {}: {error}", data.display());
            return Check::problem("writing", found, "make room: a full disk stops all writing");
        }
        Err(error) => {
            let owner = fs::metadata(data).map_or(0, |facts| facts.uid());
            return Check::problem(
                "writing",
                format!("cannot write in {}: {error}", data.display()),
                format!(
                    "the folder belongs to user {owner}: run as that user, on a disk that can be written"
                ),
            );
        }
    };
    took.sort_unstable();
    let middle = took[took.len() / 2];
    let found = format!("a sync takes {:.1} ms, the middle of {SYNCS}", middle.as_secs_f64() * 1e3);
    if middle > SLOW_SYNC {
        let todo =
            "each commit waits for one: use a disk with a quicker or a protected write cache";
        return Check::warning("writing", found, todo);
    }
    Check::ok("writing", found)
}

fn measure(path: &Path) -> io::Result<Vec<Duration>> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let page = [0x5a; 4096];
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    Ok(took)
}
