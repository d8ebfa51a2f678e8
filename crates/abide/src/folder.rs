//! The data folder and the master key file beside it: made at the first start, judged at every other.
//!
//! Killed between any two steps, the next start goes on: the folder is made before the keys, the keys before the
//! first byte of data, and data without keys is never taken for a first start.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use abide_core::shell::Chance;
use abide_storage::sealing::MasterKeys;
use anyhow::{Context as _, bail, ensure};

use crate::config::Place;

/// Keys that are ready for use.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) keys: MasterKeys,
    pub(crate) made: Made,
}

/// When the key file was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Before,
    Now,
}

/// The folder and its keys, made where nothing was yet. With a database elsewhere the folder holds what belongs to this node
/// alone: its control socket, and what a first start hands over.
pub(crate) fn prepare(place: &Place, chance: &dyn Chance) -> anyhow::Result<Prepared> {
    let data = &place.data;
    match DirBuilder::new().mode(0o700).create(data) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(error).with_context(|| {
                format!("cannot create the data folder {}; does its parent exist?", data.display())
            });
        }
    }
    let before = open(place).map(|keys| Prepared { keys, made: Made::Before });
    before.or_else(|problem| {
        if place.key_file.exists() || (place.database_url.is_none() && !is_empty(data)?) {
            return Err(problem);
        }
        keep_apart(place)?;
        judge(data, Found::Empty)?;
        // The umask may have taken rights away, and a volume that was mounted here may have given some.
        fs::set_permissions(data, Permissions::from_mode(0o700))?;
        let keys = MasterKeys::create_new(&place.key_file, &mut |bytes| chance.fill(bytes))?;
        Ok(Prepared { keys, made: Made::Now })
    })
}

/// Removes a key file that was made a moment ago and opens nothing.
pub(crate) fn unmake(place: &Place) {
    if let Err(error) = fs::remove_file(&place.key_file) {
        tracing::warn!(%error, file = %place.key_file.display(), "a key file that opens nothing stays");
    }
}

/// A folder that is there, and with data in it ours alone.
pub(crate) fn must_be_ours(data: &Path) -> anyhow::Result<()> {
    ensure!(
        data.is_dir(),
        "there is no data folder {}: name another with --data, or start a server to make one",
        data.display()
    );
    judge(data, if is_empty(data)? { Found::Empty } else { Found::Used })
}

/// The keys for a folder that a backup is to be restored into; it need not be there, and is not made.
pub(crate) fn keys_for_restoring(place: &Place) -> anyhow::Result<MasterKeys> {
    let (data, key_file) = (&place.data, &place.key_file);
    keep_apart(place)?;
    if data.exists() {
        must_be_ours(data)?;
    }
    ensure!(
        key_file.exists(),
        "the master key file {} is missing: a backup cannot be opened without it. Put it back from your copy, or say where \
         it is with --master-key",
        key_file.display()
    );
    Ok(MasterKeys::read(key_file)?)
}

/// The keys of a folder that has been served before.
pub(crate) fn open(place: &Place) -> anyhow::Result<MasterKeys> {
    let (data, key_file) = (&place.data, &place.key_file);
    keep_apart(place)?;
    if place.database_url.is_some() {
        ensure!(
            key_file.exists(),
            "the master key file {} is missing: copy it from another node of the database, or say where it is with \
             --master-key",
            key_file.display()
        );
        return Ok(MasterKeys::read(key_file)?);
    }
    ensure!(
        data.is_dir(),
        "there is no data folder {}: name another with --data, or start a server to make one",
        data.display()
    );
    if is_empty(data)? {
        judge(data, Found::Empty)?;
        if key_file.exists() {
            // Killed after the keys and before the data, or a key file brought along for a new folder.
            fs::set_permissions(data, Permissions::from_mode(0o700))?;
        }
    } else {
        judge(data, Found::Used)?;
    }
    if !key_file.exists() {
        bail!(
            "the master key file {} is missing: the data in {} cannot be opened without it. Put it back from your \
             copy, or say where it is with --master-key",
            key_file.display(),
            data.display()
        );
    }
    Ok(MasterKeys::read(key_file)?)
}

/// A key in the folder would be in each of its backups, and open what erasing somebody was to close; a journal of erasures
/// would be lost with it.
fn keep_apart(place: &Place) -> anyhow::Result<()> {
    let is_within = |file: &Path| {
        let parent = file.parent().unwrap_or(Path::new(""));
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        // Where one of them is not there, opening says so.
        match (place.data.canonicalize(), parent.canonicalize()) {
            (Ok(data), Ok(parent)) => parent.starts_with(data),
            (Err(_), _) | (_, Err(_)) => false,
        }
    };
    ensure!(
        !is_within(&place.journal) || is_within(&place.key_file),
        "the erasure journal {} must not lie in the data folder {}: it would be lost with it. Say where it is with \
         --erasure-journal",
        place.journal.display(),
        place.data.display()
    );
    ensure!(
        !is_within(&place.key_file),
        "the master key file {} must not lie in the data folder {}: each backup of the folder would hold the key. Move it \
         out, and say where it is with --master-key",
        place.key_file.display(),
        place.data.display()
    );
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Empty,
    Used,
}

/// Ours, and with data in it ours alone.
fn judge(data: &Path, found: Found) -> anyhow::Result<()> {
    let facts = fs::metadata(data).with_context(|| format!("cannot examine {}", data.display()))?;
    let me = my_user()?;
    ensure!(
        facts.uid() == me,
        "the data folder {} belongs to user {}, and this is user {me}: run as its owner",
        data.display(),
        facts.uid()
    );
    let mode = facts.mode() & 0o777;
    ensure!(
        found == Found::Empty || mode == mode & 0o700,
        "the data folder must be its owner's alone (its mode is {mode:03o}): run `chmod 700 '{}'`",
        data.display()
    );
    Ok(())
}

fn is_empty(data: &Path) -> anyhow::Result<bool> {
    let mut entries =
        fs::read_dir(data).with_context(|| format!("cannot read {}", data.display()))?;
    Ok(entries.next().is_none())
}

/// The effective user: whoever owns what this process makes.
pub(crate) fn my_user() -> anyhow::Result<u32> {
    let (mine, _) = tokio::net::UnixStream::pair().context("cannot make a socket")?;
    Ok(mine.peer_cred().context("cannot ask a socket for its user")?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::OsChance;

    fn place(folder: &Path) -> Place {
        Place::new(folder.join("data"), folder.join("data.key"))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[tokio::test]
    async fn the_first_start_makes_folder_and_keys_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        let keys = prepare(&place, &OsChance).unwrap().keys;
        assert_eq!((mode(&place.data), mode(&place.key_file)), (0o700, 0o600));
        fs::write(place.data.join("abide.db"), "").unwrap();
        let again = prepare(&place, &OsChance).unwrap().keys;
        assert_eq!(again.current().check_value(), keys.current().check_value());
    }

    #[tokio::test]
    async fn an_empty_folder_is_taken_over_whatever_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        fs::create_dir(&place.data).unwrap();
        fs::set_permissions(&place.data, Permissions::from_mode(0o755)).unwrap();
        prepare(&place, &OsChance).unwrap();
        assert_eq!(mode(&place.data), 0o700);
    }

    #[tokio::test]
    async fn killed_between_folder_and_keys_or_keys_and_data_the_next_start_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        fs::create_dir(&place.data).unwrap();
        let keys = prepare(&place, &OsChance).unwrap().keys;
        let again = prepare(&place, &OsChance).unwrap().keys;
        assert_eq!(again.current().id(), keys.current().id());
    }

    #[tokio::test]
    async fn data_without_keys_is_refused_and_makes_no_keys() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        prepare(&place, &OsChance).unwrap();
        fs::write(place.data.join("abide.db"), "").unwrap();
        fs::remove_file(&place.key_file).unwrap();
        let problem = prepare(&place, &OsChance).unwrap_err().to_string();
        assert!(problem.contains("data.key is missing"), "{problem}");
        assert!(!place.key_file.exists());
    }

    #[tokio::test]
    async fn a_used_folder_open_to_others_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path());
        prepare(&place, &OsChance).unwrap();
        fs::write(place.data.join("abide.db"), "").unwrap();
        fs::set_permissions(&place.data, Permissions::from_mode(0o750)).unwrap();
        let problem = prepare(&place, &OsChance).unwrap_err().to_string();
        assert!(problem.contains("750") && problem.contains("chmod 700"), "{problem}");
    }
}
