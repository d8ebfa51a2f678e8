//! The file of a backup: a tar archive, so that it can be looked into with what every system has.
//!
//! First `abide-backup.json`, which says what it is; then its parts, the database and the file of each blob that it names; and
//! last `SHA256SUMS`, which `sha256sum -c` reads, over all before it. So it is written and read in one go, and one that was cut
//! off has no end. However many blobs there are, none of this is held in memory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use abide_core::Timestamp;
use abide_core::consent::hash::{RunningSha256, hex, sha256};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::{BackupError, Progress, failed};
use crate::chunks::{each_whole, is_blob_file};
use crate::open::DATABASE;

/// The form of a file without blobs.
const FORMAT: u32 = 1;
/// The form of one with blobs, which versions without them do not know. It is the newest that this version reads.
const WITH_BLOBS: u32 = 2;

const HEAD: &str = "abide-backup.json";
const SUMS: &str = "SHA256SUMS";
/// Neither head nor sums are longer.
const TEXT_LIMIT: u64 = 1024 * 1024;
const BUFFER: usize = 1024 * 1024;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The form of the file, from 1.
    pub format: u32,
    /// The version of Abide that took it.
    pub made_by: String,
    /// When it was taken, RFC 3339.
    pub taken_at: String,
    /// How many migrations the store had had.
    pub schema: usize,
    /// The epoch of the store's feeds, in hexadecimal digits; none in a store from before there were any.
    pub feed_epoch: Option<String>,
    /// The highest key in the store; none where its schema was an older one.
    pub newest_key: Option<i64>,
    /// The master keys that the store needs.
    pub master_keys: Vec<MasterKeyFact>,
    /// What is in it.
    pub counts: Counts,
}

/// A master key that opens something in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterKeyFact {
    /// Its id.
    pub id: String,
    /// What tells it from any other key, in hexadecimal digits; gives nothing of it away.
    pub check_value: String,
}

/// How many rows of some kinds a store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Organizations, with the marks of deleted ones.
    pub organizations: u64,
    /// Decisions.
    pub decisions: u64,
    /// Events.
    pub events: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Erasures of people that are on record.
    pub erasures: u64,
    /// Blobs that are whole.
    #[serde(default)]
    pub blobs: u64,
}

/// What is read from the copy.
pub(super) struct Facts {
    schema: usize,
    newest: Option<i64>,
    feed_epoch: Option<String>,
    master_keys: Vec<MasterKeyFact>,
    counts: Counts,
}

impl Facts {
    pub(super) fn read(
        connection: &Connection,
        schema: usize,
        newest: Option<i64>,
    ) -> rusqlite::Result<Self> {
        let feed_epoch: Option<i64> = if connection.table_exists(None, "feed_epoch")? {
            let look = "SELECT epoch FROM feed_epoch";
            connection.query_row(look, [], |row| row.get(0)).optional()?
        } else {
            None
        };
        let master_keys = connection
            .prepare(
                "SELECT master_id, check_value FROM master_keys \
                 WHERE master_id IN (SELECT master_id FROM organizations) ORDER BY master_id",
            )?
            .query_map([], |row| {
                let check_value: Vec<u8> = row.get(1)?;
                Ok(MasterKeyFact { id: row.get(0)?, check_value: hex(&check_value) })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self {
            schema,
            newest,
            feed_epoch: feed_epoch.map(|epoch| format!("{:016x}", epoch.cast_unsigned())),
            master_keys,
            counts: Counts::of(connection)?,
        })
    }
}

impl Counts {
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let count = |statement: &str| -> rusqlite::Result<u64> {
            let rows: i64 = connection.query_row(statement, [], |row| row.get(0))?;
            Ok(rows.unsigned_abs())
        };
        // An older store has none.
        let blobs = if connection.table_exists(None, "blobs")? {
            count("SELECT count(*) FROM blobs WHERE state = 'whole'")?
        } else {
            0
        };
        Ok(Self {
            blobs,
            organizations: count("SELECT count(*) FROM organizations")?,
            decisions: count("SELECT count(*) FROM decisions")?,
            events: count("SELECT count(*) FROM events")?,
            deliveries: count("SELECT count(*) FROM deliveries")?,
            erasures: count("SELECT count(*) FROM erasures")?,
        })
    }
}

impl Head {
    pub(super) fn new(facts: Facts, made_by: &str, now: Timestamp) -> Self {
        Self {
            format: if facts.counts.blobs == 0 { FORMAT } else { WITH_BLOBS },
            made_by: made_by.to_owned(),
            taken_at: now.to_millis_text(),
            schema: facts.schema,
            feed_epoch: facts.feed_epoch,
            newest_key: facts.newest,
            master_keys: facts.master_keys,
            counts: facts.counts,
        }
    }
}

/// What a backup is made of, and where its sums are noted until they are written.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) database: &'a Path,
    pub(super) sums: &'a Path,
    /// The data folder, where blobs lie.
    pub(super) data: &'a Path,
}

/// Writes the whole file; answers its length.
pub(super) fn write(
    file: &File,
    path: &Path,
    head: &Head,
    parts: Parts<'_>,
    now: Timestamp,
    told: &mut dyn FnMut(Progress),
) -> Result<u64, BackupError> {
    let Parts { database, sums: noted, data } = parts;
    let written = |source| failed("write", path)(source);
    let mut archive = tar::Builder::new(BufWriter::with_capacity(BUFFER, file));
    let mut options = OpenOptions::new();
    let sums = options.read(true).write(true).create_new(true).mode(0o600).open(noted);
    let mut sums = BufWriter::new(sums.map_err(failed("create", noted))?);
    let mut text = serde_json::to_vec_pretty(head).map_err(|error| written(error.into()))?;
    text.push(b'\n');
    append(&mut archive, HEAD, text.len() as u64, now, &mut &text[..]).map_err(written)?;
    note(&mut sums, HEAD, &sha256(&text)).map_err(failed("write", noted))?;
    let from = File::open(database).map_err(failed("open", database))?;
    let total = from.metadata().map_err(failed("open", database))?.len();
    let mut hashed = Hashed::new(BufReader::with_capacity(BUFFER, from), "writing", total, told);
    append(&mut archive, DATABASE, total, now, &mut hashed).map_err(written)?;
    note(&mut sums, DATABASE, &hashed.hash.finish()).map_err(failed("write", noted))?;
    if head.counts.blobs > 0 {
        each_whole(database, |name, bytes| {
            let blob = data.join(name);
            let from = match File::open(&blob) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(damaged(name, "is not there"));
                }
                opened => opened.map_err(failed("open", &blob))?,
            };
            if from.metadata().map_err(failed("open", &blob))?.len() != bytes {
                return Err(damaged(name, "has another length than its blob"));
            }
            let name = name.to_string_lossy();
            let from = BufReader::with_capacity(BUFFER, from);
            let mut hashed = Hashed::new(from, "writing blobs", bytes, told);
            append(&mut archive, &name, bytes, now, &mut hashed).map_err(written)?;
            note(&mut sums, &name, &hashed.hash.finish()).map_err(failed("write", noted))
        })?;
    }
    let mut sums = sums.into_inner().map_err(|error| failed("write", noted)(error.into_error()))?;
    let length = sums.stream_position().map_err(failed("write", noted))?;
    sums.rewind().map_err(failed("read", noted))?;
    append(&mut archive, SUMS, length, now, &mut BufReader::new(sums)).map_err(written)?;
    let mut out = archive.into_inner().map_err(written)?;
    out.flush().map_err(written)?;
    Ok(file.metadata().map_err(written)?.len())
}

fn damaged(blob: &Path, problem: &str) -> BackupError {
    BackupError::Damaged(vec![format!("the file {} {problem}", blob.display())])
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    bytes: u64,
    now: Timestamp,
    data: &mut dyn Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(now.as_seconds().unsigned_abs());
    header.set_cksum();
    archive.append(&header, data)
}

fn note(sums: &mut impl Write, name: &str, hash: &[u8]) -> io::Result<()> {
    writeln!(sums, "{}  {name}", hex(hash))
}

/// Sums that are compared with others: only what they come to is kept.
#[derive(Default)]
struct SumsOfSums(RunningSha256);

impl Write for SumsOfSums {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.update(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is wrong with a file that should be a backup.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misfit {
    /// It is something else.
    #[error("is no backup of Abide")]
    Foreign,
    /// It is of a later version.
    #[error("is of form {0}, which this version of Abide does not know; use a newer one")]
    TooNew(u32),
    /// It has no end.
    #[error("is cut off: it was not copied whole")]
    CutOff,
    /// It is not what was written.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// What is in it cannot be written.
    #[error("cannot be unpacked: {0}")]
    Unwritable(io::Error),
}

/// What the file says of itself; nothing of it is checked yet.
pub(super) fn head_of(path: &Path) -> Result<Head, Misfit> {
    let file = File::open(path).map_err(Misfit::Unreadable)?;
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut parts = archive.entries().map_err(Misfit::Unreadable)?;
    let first = parts.next().ok_or(Misfit::Foreign)?;
    let (head, _) = read_head(&mut first.map_err(|_| Misfit::Foreign)?)?;
    Ok(head)
}

/// Reads the whole file, writes the database and the files of blobs into a folder, each durably, and checks that each part is
/// what was written.
pub(super) fn read(
    path: &Path,
    folder: &Path,
    told: &mut dyn FnMut(Progress),
) -> Result<Head, Misfit> {
    let file = File::open(path).map_err(Misfit::Unreadable)?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(BUFFER, file));
    let mut parts = archive.entries().map_err(Misfit::Unreadable)?;
    let mut found = SumsOfSums::default();
    let mut noted = |name: &str, hash: &[u8]| {
        // Nothing is written anywhere.
        note(&mut found, name, hash).map_err(Misfit::Unwritable)
    };
    let mut head = None;
    let (mut has_database, mut sums) = (false, None);
    for part in &mut parts {
        let mut part = part.map_err(cut_off_or_damaged)?;
        if sums.is_some() {
            return Err(Misfit::Damaged("something follows its end".to_owned()));
        }
        let name = part.path().ok().and_then(|name| name.to_str().map(str::to_owned));
        match (name.as_deref(), &head) {
            (_, None) => {
                let (read, hash) = read_head(&mut part)?;
                noted(HEAD, &hash)?;
                head = Some(read);
            }
            (Some(DATABASE), Some(_)) => {
                noted(DATABASE, &unpack_file(&mut part, "unpacking", folder, DATABASE, told)?)?;
                has_database = true;
            }
            (Some(SUMS), Some(_)) => {
                let mut read = SumsOfSums::default();
                let bytes = part.size();
                let copied = io::copy(&mut part, &mut read).map_err(cut_off_or_damaged)?;
                if copied < bytes {
                    return Err(Misfit::CutOff);
                }
                sums = Some(read.0.finish());
            }
            (Some(name), Some(_)) if is_blob_file(Path::new(name)) => {
                noted(name, &unpack_file(&mut part, "unpacking blobs", folder, name, told)?)?;
            }
            (name, Some(_)) => {
                let name = name.unwrap_or("without a name");
                let problem = format!("it holds a part that this version does not know: {name:?}");
                return Err(Misfit::Damaged(problem));
            }
        }
    }
    let head = head.ok_or(Misfit::Foreign)?;
    let Some(sums) = sums else { return Err(Misfit::CutOff) };
    if sums != found.0.finish() {
        let problem = "its parts are not what their SHA-256 sums say";
        return Err(Misfit::Damaged(problem.to_owned()));
    }
    if !has_database {
        return Err(Misfit::Damaged("it holds no database".to_owned()));
    }
    Ok(head)
}

/// Writes a part into its file, durably; answers its hash.
fn unpack_file(
    part: &mut tar::Entry<'_, impl Read>,
    step: &'static str,
    folder: &Path,
    name: &str,
    told: &mut dyn FnMut(Progress),
) -> Result<[u8; 32], Misfit> {
    let total = part.size();
    let path = folder.join(name);
    let parent = path.parent().unwrap_or(folder);
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(parent).map_err(Misfit::Unwritable)?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    let mut file = file.map_err(Misfit::Unwritable)?;
    let mut hashed = Hashed::new(part, step, total, told);
    copy(&mut hashed, &mut file, total)?;
    file.sync_all().map_err(Misfit::Unwritable)?;
    Ok(hashed.hash.finish())
}

fn read_head(part: &mut tar::Entry<'_, impl Read>) -> Result<(Head, [u8; 32]), Misfit> {
    if part.path().ok().as_deref() != Some(Path::new(HEAD)) {
        return Err(Misfit::Foreign);
    }
    let text = read_text(part)?;
    let damaged = |_| Misfit::Damaged(format!("{HEAD} is not what was written"));
    let form: serde_json::Value = serde_json::from_slice(&text).map_err(damaged)?;
    match form["format"].as_u64() {
        Some(form) if (u64::from(FORMAT)..=u64::from(WITH_BLOBS)).contains(&form) => {}
        Some(form) => return Err(Misfit::TooNew(u32::try_from(form).unwrap_or(u32::MAX))),
        None => return Err(Misfit::Foreign),
    }
    let head = serde_json::from_value(form).map_err(damaged)?;
    Ok((head, sha256(&text)))
}

fn read_text(part: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Misfit> {
    let size = part.size();
    if size > TEXT_LIMIT {
        return Err(Misfit::Damaged("one of its texts is far too long".to_owned()));
    }
    let mut text = Vec::new();
    part.read_to_end(&mut text).map_err(cut_off_or_damaged)?;
    if (text.len() as u64) < size {
        return Err(Misfit::CutOff);
    }
    Ok(text)
}

fn copy(from: &mut impl Read, to: &mut File, bytes: u64) -> Result<(), Misfit> {
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cut_off_or_damaged(error)),
        };
        to.write_all(&buffer[..read]).map_err(Misfit::Unwritable)?;
        copied += read as u64;
    }
    if copied < bytes { Err(Misfit::CutOff) } else { Ok(()) }
}

/// What reading an archive fails with where its end is missing, or where it is no archive any more.
fn cut_off_or_damaged(error: io::Error) -> Misfit {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Misfit::CutOff,
        // The library's own, about the form; the system's have other kinds.
        io::ErrorKind::Other | io::ErrorKind::InvalidData if error.raw_os_error().is_none() => {
            match error.to_string() {
                text if text.contains("EOF") => Misfit::CutOff,
                _ => Misfit::Damaged("it is no archive from some place on".to_owned()),
            }
        }
        _ => Misfit::Unreadable(error),
    }
}

/// Hashes what is read through it, and says how far that is.
struct Hashed<'a, R> {
    from: R,
    hash: RunningSha256,
    progress: Progress,
    /// What was done when it was said last.
    said: u64,
    told: &'a mut dyn FnMut(Progress),
}

impl<'a, R: Read> Hashed<'a, R> {
    fn new(from: R, step: &'static str, total: u64, told: &'a mut dyn FnMut(Progress)) -> Self {
        let progress = Progress { step, done: 0, total };
        told(progress);
        Self { from, hash: RunningSha256::default(), progress, said: 0, told }
    }
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        const WORTH_SAYING: u64 = 8 * 1024 * 1024;
        let read = self.from.read(into)?;
        self.hash.update(&into[..read]);
        self.progress.done += read as u64;
        if read == 0 || self.progress.done - self.said >= WORTH_SAYING {
            self.said = self.progress.done;
            (self.told)(self.progress);
        }
        Ok(read)
    }
}
