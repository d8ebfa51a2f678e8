//! Where the sealed parts of blobs lie: a file for each blob, in a folder beside the database, or in memory with one in
//! memory.
//!
//! A blob that is being written has a name of its own, and is renamed when all of it is on the disk: what is whole is never
//! written again. Names are made of ids alone.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use abide_core::ids::BlobId;
use abide_storage::sealing::SEALED_OVERHEAD;
use abide_storage::{StorageError, StorageResult};
use abide_storage_sql::chunks::{Chunks, Removed, SEALED_CHUNK, TurnToRemove};
use abide_storage_sql::damaged;
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use crate::backup;
use crate::open::{OpenError, broken};

/// The folder beside the database.
pub(crate) const FOLDER: &str = "blobs";
/// What the name of a blob ends with while it is being written.
const UNFINISHED: &str = ".part";
/// Characters at the end of an id that name the folder in it: check bits, so that blobs are spread evenly.
const SHARD: usize = 2;
/// The characters that ids are made of.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Where the parts lie.
pub(crate) enum Place {
    Folder(Arc<Folder>),
    Memory(Memory),
}

/// Files in a data folder.
pub(crate) struct Folder {
    root: PathBuf,
}

/// Parts of blobs of a store in memory.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<BlobId, Vec<Vec<u8>>>>);

impl Place {
    pub(crate) fn beside(data: &Path) -> Self {
        Self::Folder(Arc::new(Folder::beside(data)))
    }

    pub(crate) fn in_memory() -> Self {
        Self::Memory(Memory::default())
    }
}

/// Gives the file of each blob that is whole in a copy of the database, by its path within a data folder, to `each`, until
/// that fails. Whoever copies keeps deletions from going on, copies the database, then these files.
pub fn blob_files<E: From<OpenError>>(
    copy: &Path,
    mut each: impl FnMut(&Path) -> Result<(), E>,
) -> Result<(), E> {
    each_whole(copy, |file, _| each(file))
}

/// The same, with the bytes that the file must have.
pub(crate) fn each_whole<E: From<OpenError>>(
    copy: &Path,
    mut each: impl FnMut(&Path, u64) -> Result<(), E>,
) -> Result<(), E> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(copy, flags).map_err(broken)?;
    let mut statement = connection
        .prepare("SELECT blob, chunks, length FROM blobs WHERE state = 'whole' ORDER BY blob")
        .map_err(broken)?;
    let mut rows = statement.query([]).map_err(broken)?;
    while let Some(row) = rows.next().map_err(broken)? {
        let number = |place| row.get(place).map(i64::cast_unsigned).map_err(broken);
        let sealed = number(2)? + number(1)? * SEALED_OVERHEAD as u64;
        each(&blob_file(BlobId::from_key(row.get(0).map_err(broken)?)), sealed)?;
    }
    Ok(())
}

/// The file of a whole blob, within a data folder.
pub fn blob_file(blob: BlobId) -> PathBuf {
    let name = blob.to_string();
    let shard = &name[name.len() - SHARD..];
    Path::new(FOLDER).join(shard).join(&name)
}

/// Whether that is the path of a whole blob's file within a data folder, and nothing else.
pub(crate) fn is_blob_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| BlobId::parse(name).ok()).is_some_and(|blob| blob_file(blob) == path)
}

impl Chunks for Place {
    async fn put(&self, blob: BlobId, index: u32, sealed: Vec<u8>) -> StorageResult<()> {
        match self {
            Self::Folder(folder) => {
                blocking(folder, move |folder| folder.put(blob, index, &sealed)).await
            }
            Self::Memory(Memory(blobs)) => {
                let mut blobs = blobs.lock();
                let parts = blobs.entry(blob).or_default();
                if parts.len() != index as usize {
                    return Err(damaged("a blob's parts"));
                }
                parts.push(sealed);
                Ok(())
            }
        }
    }

    async fn settle(&self, blob: BlobId) -> StorageResult<()> {
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.settle(blob)).await,
            Self::Memory(_) => Ok(()),
        }
    }

    async fn get(&self, blob: BlobId, index: u32) -> StorageResult<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.get(blob, index)).await,
            Self::Memory(Memory(blobs)) => {
                Ok(blobs.lock().get(&blob).and_then(|parts| parts.get(index as usize).cloned()))
            }
        }
    }

    async fn turn_to_remove(&self) -> StorageResult<Option<TurnToRemove>> {
        match self {
            Self::Folder(folder) => blocking(folder, Folder::turn_to_remove).await,
            Self::Memory(_) => Ok(Some(TurnToRemove::always())),
        }
    }

    async fn remove(&self, blob: BlobId) -> StorageResult<Removed> {
        match self {
            Self::Folder(folder) => {
                blocking(folder, move |folder| folder.remove(blob)).await?;
            }
            Self::Memory(Memory(blobs)) => drop(blobs.lock().remove(&blob)),
        }
        Ok(Removed::All)
    }

    async fn strays(&self, turn: u64) -> StorageResult<Vec<BlobId>> {
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.shard(turn)).await,
            Self::Memory(_) => Ok(Vec::new()),
        }
    }
}

impl Folder {
    pub(crate) fn beside(data: &Path) -> Self {
        Self { root: data.join(FOLDER) }
    }

    /// A sealed part of a whole blob; `None` where its file, or that part of it, is not there.
    pub(crate) fn part(&self, blob: BlobId, index: u32) -> io::Result<Option<Vec<u8>>> {
        self.get(blob, index)
    }

    fn whole(&self, blob: BlobId) -> PathBuf {
        // The folder's own name is in both.
        self.root.parent().unwrap_or(&self.root).join(blob_file(blob))
    }

    fn unfinished(&self, blob: BlobId) -> PathBuf {
        self.whole(blob).with_extension(&UNFINISHED[1..])
    }

    fn put(&self, blob: BlobId, index: u32, sealed: &[u8]) -> io::Result<()> {
        let path = self.unfinished(blob);
        let file = if index == 0 {
            path.parent().map_or(Ok(()), |shard| {
                DirBuilder::new().recursive(true).mode(0o700).create(shard)
            })?;
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?
        } else {
            OpenOptions::new().write(true).open(&path)?
        };
        let place = u64::from(index) * SEALED_CHUNK as u64;
        if file.metadata()?.len() < place {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(sealed, place)?;
        file.sync_data()
    }

    fn settle(&self, blob: BlobId) -> io::Result<()> {
        let whole = self.whole(blob);
        std::fs::rename(self.unfinished(blob), &whole)?;
        // The file's name, and those of the folders that it lies in, which may be new.
        whole.ancestors().skip(1).take(3).try_for_each(|folder| File::open(folder)?.sync_all())
    }

    fn get(&self, blob: BlobId, index: u32) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = unless_missing(File::open(self.whole(blob)))? else { return Ok(None) };
        let place = u64::from(index) * SEALED_CHUNK as u64;
        let left = file.metadata()?.len().saturating_sub(place);
        let length = usize::try_from(left).map_or(SEALED_CHUNK, |left| left.min(SEALED_CHUNK));
        if length == 0 {
            return Ok(None);
        }
        let mut sealed = vec![0; length];
        file.read_exact_at(&mut sealed, place)?;
        Ok(Some(sealed))
    }

    /// Nothing goes while a backup copies, and none begins to while something goes.
    fn turn_to_remove(&self) -> io::Result<Option<TurnToRemove>> {
        let data = self.root.parent().unwrap_or(&self.root);
        let mark = backup::blobs_mark(data)?;
        match mark.try_lock() {
            Ok(()) => Ok(Some(TurnToRemove::held_by(mark))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn remove(&self, blob: BlobId) -> io::Result<()> {
        for path in [self.unfinished(blob), self.whole(blob)] {
            unless_missing(std::fs::remove_file(path))?;
        }
        Ok(())
    }

    /// The blobs in one of the folders.
    fn shard(&self, turn: u64) -> io::Result<Vec<BlobId>> {
        let digit = |place: u32| ALPHABET[(turn >> (5 * place)) as usize % ALPHABET.len()] as char;
        let shard = self.root.join([digit(1), digit(0)].iter().collect::<String>());
        let Some(files) = unless_missing(std::fs::read_dir(shard))? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for file in files {
            let name = file?.file_name();
            let name = name.to_str().unwrap_or_default();
            // What is not ours is left alone.
            found.extend(BlobId::parse(name.strip_suffix(UNFINISHED).unwrap_or(name)));
        }
        Ok(found)
    }
}

fn unless_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blocking<T: Send + 'static>(
    folder: &Arc<Folder>,
    work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
) -> StorageResult<T> {
    let folder = Arc::clone(folder);
    let done = tokio::task::spawn_blocking(move || work(&folder)).await;
    let done =
        done.map_err(|_| StorageError::Unavailable("a blob's file was given up".to_owned()))?;
    done.map_err(|error| StorageError::Unavailable(format!("a blob's file: {error}")))
}
