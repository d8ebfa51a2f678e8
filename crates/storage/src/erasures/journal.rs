//! The journal of erasures: a text file that is only ever appended to, a line for each, synced before anybody is told.
//!
//! Several stores may share one, as they may share a key file: a line names its organization. A line that a crash cut
//! short is taken off before the next is written; ids hold check bits, so that no damage names somebody else.

use std::fs::{self, File, OpenOptions};
use std::io::{
    self, BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _,
};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use abide_core::Timestamp;
use abide_core::ids::{AuditEntryId, OrganizationId, SubjectId};
use tokio::sync::Mutex;

use super::{Erasure, Erasures, Gone};
use crate::StorageError;

const HEAD: &str = "\
# Abide's journal of erasures: who was erased and which organizations were destroyed, by id alone.
# `abide restore` does it again in a restored backup. Keep this file with the master key file, and copy it away as often
# as it changes. Only Abide writes here.
";

/// Erasures that are read from the store at once.
const PAGE: u32 = 1_000;

/// Why the journal could not be read or written. Names files and lines, never people.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("cannot {deed} the erasure journal {}: {source}", path.display())]
    Io {
        /// What was tried: "open", "write", ...
        deed: &'static str,
        /// The journal.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A line is none that Abide wrote.
    #[error("{}, line {line}: not a line of an erasure journal", path.display())]
    Line {
        /// The journal.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The store could not say what was erased.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A journal file that a store keeps.
#[derive(Debug)]
pub struct ErasureJournal {
    path: PathBuf,
    kept: Mutex<Option<Kept>>,
}

/// How far the journal has come.
#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Everything up to here stands in it.
    through: Option<AuditEntryId>,
    /// Its length then: a shorter one is another file.
    length: u64,
}

impl ErasureJournal {
    /// A journal at that place; made with the first look.
    pub fn new(path: PathBuf) -> Self {
        Self { path, kept: Mutex::new(None) }
    }

    /// The erasures in a journal, in the order in which they were written; `None` where there is no such file. A line
    /// that a crash cut short is left out: nobody was told of it.
    pub fn read(path: &Path) -> Result<Option<Vec<Erasure>>, JournalError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("open", path)(source)),
        };
        let mut erasures = Vec::new();
        let mut lines = BufReader::new(file);
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            lines.read_until(b'\n', &mut text).map_err(failed("read", path))?;
            let Some(whole) = text.strip_suffix(b"\n") else { break };
            if whole.is_empty() || whole.starts_with(b"#") {
                continue;
            }
            let erasure = std::str::from_utf8(whole).ok().and_then(parse);
            erasures.push(erasure.ok_or(JournalError::Line { path: path.to_owned(), line })?);
        }
        Ok(Some(erasures))
    }

    /// Appends whatever of the store's erasures is not there yet. One caller at a time; whoever waited finds the work of
    /// the one before done.
    pub async fn keep(&self, source: &dyn Erasures) -> Result<(), JournalError> {
        let mut kept = self.kept.lock().await;
        let known = kept.take();
        let path = self.path.clone();
        let (mut through, mut there) = blocking(move || look(&path, known)).await?;
        let length = loop {
            let page = source.erasures_after(through, PAGE).await?;
            through = page.last().map_or(through, |last| Some(last.entry));
            let is_last = page.len() < PAGE as usize;
            let missing: Vec<Erasure> = match &mut there {
                Some(there) => page
                    .into_iter()
                    .filter(|erasure| there.binary_search(&erasure.entry.key()).is_err())
                    .collect(),
                None => page,
            };
            let path = self.path.clone();
            let length = blocking(move || append(&path, &missing)).await?;
            if is_last {
                break length;
            }
        };
        *kept = Some(Kept { through, length });
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    let lost = |_| StorageError::Unavailable("the erasure journal was given up".to_owned());
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}

/// Where to go on; and, where that is not known, the keys of all entries there are, in order.
fn look(
    path: &Path,
    known: Option<Kept>,
) -> Result<(Option<AuditEntryId>, Option<Vec<i64>>), JournalError> {
    if let Some(known) = known
        && fs::metadata(path).is_ok_and(|facts| facts.len() >= known.length)
    {
        return Ok((known.through, None));
    }
    let there = ErasureJournal::read(path)?.unwrap_or_default();
    let mut there: Vec<i64> = there.iter().map(|erasure| erasure.entry.key()).collect();
    there.sort_unstable();
    Ok((None, Some(there)))
}

/// Appends and syncs; answers how long the journal is now. One that is not there is made, also for nothing.
fn append(path: &Path, erasures: &[Erasure]) -> Result<u64, JournalError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    let (mut file, is_new) = match options.open(path) {
        Ok(file) => (file, false),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (options.create(true).open(path).map_err(failed("create", path))?, true)
        }
        Err(source) => return Err(failed("open", path)(source)),
    };
    if !is_new && erasures.is_empty() {
        return Ok(file.metadata().map_err(failed("examine", path))?.len());
    }
    // Another store may keep the same journal.
    file.lock().map_err(failed("lock", path))?;
    let length = file.metadata().map_err(failed("examine", path))?.len();
    let whole = whole_lines(&mut file, length).map_err(failed("read", path))?;
    if whole < length {
        file.set_len(whole).map_err(failed("write", path))?;
    }
    let mut text = String::new();
    if whole == 0 {
        text.push_str(HEAD);
    }
    for erasure in erasures {
        text.push_str(&spelled(erasure));
    }
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))?;
    if is_new {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))?;
    }
    Ok(whole + text.len() as u64)
}

/// Up to where the file consists of whole lines.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    // No line is longer.
    const LONGEST: u64 = 4 * 1024;
    let from = length.saturating_sub(LONGEST);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(LONGEST).read_to_end(&mut end)?;
    let last = end.iter().rposition(|byte| *byte == b'\n');
    Ok(last.map_or(from, |place| from + place as u64 + 1))
}

fn spelled(erasure: &Erasure) -> String {
    let Erasure { entry, organization, gone, at } = erasure;
    match gone {
        Gone::Person(subject) => format!("erased {entry} {organization} {subject} {at}\n"),
        Gone::Organization => format!("destroyed {entry} {organization} {at}\n"),
    }
}

fn parse(line: &str) -> Option<Erasure> {
    let words: Vec<&str> = line.split(' ').collect();
    let (entry, organization, gone, at) = match words[..] {
        ["erased", entry, organization, subject, at] => {
            (entry, organization, Gone::Person(SubjectId::parse(subject).ok()?), at)
        }
        ["destroyed", entry, organization, at] => (entry, organization, Gone::Organization, at),
        _ => return None,
    };
    Some(Erasure {
        entry: AuditEntryId::parse(entry).ok()?,
        organization: OrganizationId::parse(organization).ok()?,
        gone,
        at: Timestamp::parse(at).ok()?,
    })
}

fn failed(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { deed, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
