//! Putting a restored store into its folder, so that at every moment either the old one or the new one is there.
//!
//! A restoration prepares its store in a folder of its own within the data folder. What commits it is one renaming: from
//! then on that folder is called `restored-` and a stamp, and whoever next takes the folder's lock, the restoration itself or
//! the next start after a crash, moves what was there before into `before-restore-` and the stamp, and the restored store
//! into its place. Each step may be repeated. Renaming the data folder itself would do where it is no mount point.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::chunks::FOLDER as BLOBS;
use crate::open::DATABASE;

/// Where a restoration prepares its store.
pub(super) const UNFINISHED: &str = "restoring";
const COMMITTED: &str = "restored-";
const ASIDE: &str = "before-restore-";

/// Whether a file of a data folder is about the folder and not about the store in it.
pub(super) fn is_of_the_folder(name: &str) -> bool {
    ["lock", "control.sock", "copying", "copying-blobs", UNFINISHED].contains(&name)
        || name.starts_with(COMMITTED)
        || name.starts_with(ASIDE)
}

/// Commits a prepared store.
pub(super) fn commit(data: &Path, stamp: &str) -> io::Result<()> {
    sync(&data.join(UNFINISHED))?;
    fs::rename(data.join(UNFINISHED), data.join(format!("{COMMITTED}{stamp}")))?;
    sync(data)
}

/// Where the store of before lies after a restoration with that stamp; `None` where there was none.
pub(super) fn aside(data: &Path, stamp: &str) -> Option<PathBuf> {
    Some(data.join(format!("{ASIDE}{stamp}"))).filter(|folder| folder.exists())
}

/// Whether a restoration was committed and not finished.
pub(super) fn is_unsettled(data: &Path) -> bool {
    names(data).is_ok_and(|names| names.iter().any(|name| name.starts_with(COMMITTED)))
}

/// Finishes a committed restoration, if there is one. For whoever holds the folder's lock.
pub(crate) fn settle(data: &Path) -> io::Result<()> {
    for name in names(data)? {
        let Some(stamp) = name.strip_prefix(COMMITTED) else { continue };
        let restored = data.join(&name);
        // Once it is gone from here, all that was before is set aside.
        if restored.join(DATABASE).exists() {
            set_aside(data, stamp)?;
            fs::rename(restored.join(DATABASE), data.join(DATABASE))?;
            sync(data)?;
        }
        // After the database, and before anybody opens it: what was there before is aside by then.
        if restored.join(BLOBS).exists() {
            fs::rename(restored.join(BLOBS), data.join(BLOBS))?;
            sync(data)?;
        }
        fs::remove_dir_all(&restored)?;
        sync(data)?;
    }
    Ok(())
}

fn set_aside(data: &Path, stamp: &str) -> io::Result<()> {
    let aside = data.join(format!("{ASIDE}{stamp}"));
    for name in names(data)? {
        if is_of_the_folder(&name) {
            continue;
        }
        match DirBuilder::new().mode(0o700).create(&aside) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::rename(data.join(&name), aside.join(&name))?;
    }
    if aside.exists() {
        sync(&aside)?;
    }
    sync(data)
}

/// The files of a folder; one with a name that is no text is nothing of ours and stays.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
