//! The master key file: made, read and changed so that no crash leaves a folder without a readable
//! key file.
//!
//! Losing these keys is losing everything sealed beneath them, so a change never writes into the
//! file. It writes a whole new one beside it, syncs it, renames it over the old, and syncs the
//! folder: at every moment the name leads to the old keys or to the new. A process killed half-way
//! leaves at most its draft, readable by the owner alone, which the next change removes. Changes
//! hold a lock on the folder, or one of two at the same time would lose its key.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Chance, MasterId, MasterKey, MasterKeys, ParseError};

const HEAD: &str = "\
# Abide's master keys, oldest first; the last one is current.
# Whoever reads this file can open everything sealed; whoever loses it can open nothing.
# Keep a copy apart from the backups of the data. Change it with `abide` only.
";

/// Room for more than a thousand keys.
const SIZE_LIMIT: u64 = 64 * 1024;

/// Why the key file could not be made, read or changed. Names files and lines, never keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The operating system refused.
    #[error("cannot {deed} {}", path.display())]
    Io {
        /// What was tried: "open", "rename", ...
        deed: &'static str,
        /// With which file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// Others than the owner have rights on the file.
    #[error(
        "the master key file must be its owner's alone (its mode is {mode:03o}): run `chmod 600 '{}'`",
        path.display()
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder, a device, or far too long.
    #[error("{} is no master key file", path.display())]
    NotAKeyFile {
        /// What was named.
        path: PathBuf,
    },
    /// The text is wrong.
    #[error("master key file {}: {fault}", path.display())]
    Text {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        fault: ParseError,
    },
    /// There is a key file already: writing a new one would lose its keys.
    #[error("{} exists already and is left as it is", path.display())]
    Exists {
        /// The key file.
        path: PathBuf,
    },
    /// Another process is changing a key file in this folder.
    #[error("another process is changing the master keys in {}", folder.display())]
    Busy {
        /// The folder of the key file.
        folder: PathBuf,
    },
    /// No such key in the file.
    #[error("the file holds no key {0}")]
    Unknown(MasterId),
    /// The key that seals cannot be removed; add a newer one first.
    #[error("{0} is the current key: add a newer one and re-wrap under it first")]
    Current(MasterId),
    /// The last key cannot be removed.
    #[error("{0} is the only key: without it nothing sealed could be opened")]
    Only(MasterId),
}

impl MasterKeys {
    /// Writes a new key file with one new key. Refuses if anything has that name.
    pub fn create_new(path: &Path, chance: Chance<'_>) -> Result<MasterKeys, KeyFileError> {
        let folder = Folder::lock(path)?;
        match fs::symlink_metadata(path) {
            Ok(_) => return Err(KeyFileError::Exists { path: path.to_owned() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("look for", path)(error)),
        }
        let keys = MasterKeys::generate(chance);
        folder.replace(path, &[HEAD.as_bytes(), keys.current().to_line().as_bytes()], None)?;
        Ok(keys)
    }

    /// Reads a key file, which only its owner may be able to read.
    pub fn read(path: &Path) -> Result<MasterKeys, KeyFileError> {
        KeyFile::read(path).map(|file| file.keys)
    }

    /// Appends a new key, which thereby becomes current.
    pub fn add(path: &Path, chance: Chance<'_>) -> Result<MasterId, KeyFileError> {
        // A link stays a link: the file it leads to is the one replaced.
        let path = &fs::canonicalize(path).map_err(io_error("find", path))?;
        let folder = Folder::lock(path)?;
        let old = KeyFile::read(path)?;
        let key = MasterKey::generate(chance);
        let line_break: &[u8] = if old.text.ends_with(b"\n") { b"" } else { b"\n" };
        let line = key.to_line();
        let parts = [&old.text, line_break, line.as_bytes()];
        folder.replace(path, &parts, Some(old.owner))?;
        Ok(key.id())
    }

    /// Removes a key that is not current. Whoever calls this has made sure that nothing is wrapped
    /// under it any more, backups included.
    pub fn remove(path: &Path, id: MasterId) -> Result<(), KeyFileError> {
        let path = &fs::canonicalize(path).map_err(io_error("find", path))?;
        let folder = Folder::lock(path)?;
        let old = KeyFile::read(path)?;
        if old.keys.get(id).is_none() {
            return Err(KeyFileError::Unknown(id));
        }
        if old.keys.iter().len() == 1 {
            return Err(KeyFileError::Only(id));
        }
        if old.keys.current().id() == id {
            return Err(KeyFileError::Current(id));
        }
        let start = format!("{id} ");
        let kept: Vec<&[u8]> = old
            .text
            .split_inclusive(|&byte| byte == b'\n')
            .filter(|line| !line.starts_with(start.as_bytes()))
            .collect();
        folder.replace(path, &kept, Some(old.owner))
    }
}

/// A key file as found: changes keep its comments and its owner.
struct KeyFile {
    text: Zeroizing<Vec<u8>>,
    keys: MasterKeys,
    owner: u32,
}

impl KeyFile {
    fn read(path: &Path) -> Result<KeyFile, KeyFileError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        // Asked of the open file, not of the name, which may lead elsewhere a moment later.
        let found = file.metadata().map_err(io_error("examine", path))?;
        if !found.is_file() || found.len() > SIZE_LIMIT {
            return Err(KeyFileError::NotAKeyFile { path: path.to_owned() });
        }
        if found.mode() & 0o077 != 0 {
            let mode = found.mode() & 0o777;
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
        // As large as it can get: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(SIZE_LIMIT as usize + 64));
        file.take(SIZE_LIMIT).read_to_end(&mut text).map_err(io_error("read", path))?;
        let keys = parse(path, &text)?;
        Ok(KeyFile { text, keys, owner: found.uid() })
    }
}

/// The locked folder of a key file. The lock goes with the process, however that ends.
struct Folder {
    path: PathBuf,
    handle: File,
}

impl Folder {
    fn lock(key_file: &Path) -> Result<Folder, KeyFileError> {
        let path = match key_file.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_owned(),
            None => return Err(KeyFileError::NotAKeyFile { path: key_file.to_owned() }),
        };
        let handle = File::open(&path).map_err(io_error("open", &path))?;
        match handle.try_lock() {
            Ok(()) => Ok(Folder { path, handle }),
            Err(TryLockError::WouldBlock) => Err(KeyFileError::Busy { folder: path }),
            Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
        }
    }

    /// Puts a new key file in place of whatever has the name, in one step.
    fn replace(
        &self,
        path: &Path,
        parts: &[&[u8]],
        owner: Option<u32>,
    ) -> Result<(), KeyFileError> {
        let text = Zeroizing::new(parts.concat());
        // Never write what could not be read again: too long, or, once in 2^32, an id drawn twice.
        parse(path, &text)?;
        if text.len() as u64 > SIZE_LIMIT {
            return Err(KeyFileError::NotAKeyFile { path: path.to_owned() });
        }
        let draft = draft_path(path);
        write_draft(&draft, &text, owner)
            .and_then(|()| fs::rename(&draft, path).map_err(io_error("rename", &draft)))
            .inspect_err(|_| drop(fs::remove_file(&draft)))?;
        self.handle.sync_all().map_err(io_error("sync", &self.path))
    }
}

fn write_draft(draft: &Path, text: &[u8], owner: Option<u32>) -> Result<(), KeyFileError> {
    match fs::remove_file(draft) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io_error("remove the old draft", draft)(error)),
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(draft).map_err(io_error("create", draft))?;
    if owner.is_some() {
        // Root may add a key to a file that the service's own user has to read.
        fchown(&file, owner, None).map_err(io_error("hand over", draft))?;
    }
    file.write_all(text).and_then(|()| file.sync_all()).map_err(io_error("write", draft))
}

fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".draft");
    PathBuf::from(name)
}

fn parse(path: &Path, text: &[u8]) -> Result<MasterKeys, KeyFileError> {
    MasterKeys::parse(text).map_err(|fault| KeyFileError::Text { path: path.to_owned(), fault })
}

fn io_error(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    move |source| KeyFileError::Io { deed, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
