//! Tests of the module of the same name.

use std::{
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    sync::atomic::{AtomicBool, Ordering},
};

use tempfile::TempDir;

use super::{super::testing::counting, *};

/// A folder with a key file of one key.
fn folder() -> (TempDir, PathBuf, MasterId) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let keys = MasterKeys::create_new(&path, &mut counting(1)).unwrap();
    let id = keys.current().id();
    (folder, path, id)
}

fn ids(path: &Path) -> Vec<MasterId> {
    MasterKeys::read(path).unwrap().iter().map(MasterKey::id).collect()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_file_is_the_owners_alone_and_reads_back() {
    let (folder, path, id) = folder();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(ids(&path), [id]);
    assert_eq!(names(&folder), ["master.key"]);
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let (folder, path, id) = folder();
    let refused = MasterKeys::create_new(&path, &mut counting(2)).unwrap_err();
    assert!(matches!(refused, KeyFileError::Exists { .. }), "{refused}");
    assert_eq!(ids(&path), [id]);

    let dangling = folder.path().join("link");
    symlink("nowhere", &dangling).unwrap();
    let refused = MasterKeys::create_new(&dangling, &mut counting(2)).unwrap_err();
    assert!(matches!(refused, KeyFileError::Exists { .. }), "{refused}");
}

#[test]
fn an_added_key_is_current_and_the_old_one_stays() {
    let (folder, path, first) = folder();
    let second = MasterKeys::add(&path, &mut counting(2)).unwrap();
    assert_eq!(ids(&path), [first, second]);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(names(&folder), ["master.key"]);
}

#[test]
fn a_change_keeps_comments_and_mends_a_missing_line_break() {
    let (_folder, path, first) = folder();
    let mut text = fs::read_to_string(&path).unwrap();
    text.insert_str(0, "# the safe in Bern has a copy\n");
    fs::write(&path, text.trim_end()).unwrap();
    let second = MasterKeys::add(&path, &mut counting(2)).unwrap();
    assert_eq!(ids(&path), [first, second]);
    MasterKeys::remove(&path, first).unwrap();
    assert_eq!(ids(&path), [second]);
    assert!(fs::read_to_string(&path).unwrap().starts_with("# the safe in Bern"));
}

#[test]
fn the_current_and_the_only_key_stay() {
    let (_folder, path, first) = folder();
    let refused = MasterKeys::remove(&path, first).unwrap_err();
    assert!(matches!(refused, KeyFileError::Only(id) if id == first), "{refused}");
    let second = MasterKeys::add(&path, &mut counting(2)).unwrap();
    let refused = MasterKeys::remove(&path, second).unwrap_err();
    assert!(matches!(refused, KeyFileError::Current(id) if id == second), "{refused}");
    let stranger = MasterId(0);
    let refused = MasterKeys::remove(&path, stranger).unwrap_err();
    assert!(matches!(refused, KeyFileError::Unknown(id) if id == stranger), "{refused}");
    assert_eq!(ids(&path), [first, second]);
}

/// I12: a key file that others can read or write is refused, with the command that mends it.
#[test]
fn an_exposed_file_is_refused() {
    let (_folder, path, _) = folder();
    for mode in [0o640, 0o604, 0o620, 0o610, 0o601, 0o666] {
        set_mode(&path, mode);
        let refused = MasterKeys::read(&path).unwrap_err().to_string();
        let command = format!("(its mode is {mode:o}): run `chmod 600 '{}'`", path.display());
        assert!(refused.ends_with(&command), "{refused}");
        assert!(MasterKeys::add(&path, &mut counting(2)).is_err(), "{mode:o}");
    }
    set_mode(&path, 0o400);
    assert_eq!(ids(&path).len(), 1);
}

#[test]
fn a_damaged_file_is_refused_by_line_and_left_alone() {
    let (_folder, path, _) = folder();
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("mk_0000000b c2VjcmV0\n");
    fs::write(&path, &text).unwrap();
    let refused = MasterKeys::add(&path, &mut counting(2)).unwrap_err();
    assert!(refused.to_string().contains("master.key: line 5: "), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("c2Vj"), "{refused:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

/// Killed while writing the draft, at any byte, or just before the rename: the old keys are there,
/// and the next change goes through.
#[test]
fn a_crash_before_the_rename_leaves_the_old_keys() {
    let (folder, path, first) = folder();
    let written = fs::read(&path).unwrap();
    let mut known = vec![first];
    for (seed, len) in (2..).zip([0, 1, written.len() / 2, written.len()]) {
        let draft = draft_path(&path);
        fs::write(&draft, &written[..len]).unwrap();
        set_mode(&draft, 0o644);
        assert_eq!(ids(&path), known, "killed after {len} bytes");
        known.push(MasterKeys::add(&path, &mut counting(seed)).unwrap());
        assert_eq!(ids(&path), known, "killed after {len} bytes");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(names(&folder), ["master.key"]);
    }
}

/// What a killed process leaves is what a reader sees at that moment: readers beside a writer see
/// the file before or after each change, never between.
#[test]
fn every_moment_of_a_change_is_readable() {
    let (_folder, path, first) = folder();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seed in 2..42 {
                MasterKeys::add(&path, &mut counting(seed)).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut seen = 1;
        while !done.load(Ordering::Acquire) {
            let ids = ids(&path);
            assert_eq!(ids[0], first);
            assert!(ids.len() >= seen, "a key was lost: {} after {seen}", ids.len());
            seen = ids.len();
        }
    });
    assert_eq!(ids(&path).len(), 41);
}

#[test]
fn two_changes_at_once_are_refused() {
    let (folder, path, first) = folder();
    let held = Folder::lock(&path).unwrap();
    let refused = MasterKeys::add(&path, &mut counting(2)).unwrap_err();
    assert!(matches!(refused, KeyFileError::Busy { .. }), "{refused}");
    drop(held);
    assert_eq!(ids(&path), [first]);
    MasterKeys::add(&path, &mut counting(2)).unwrap();
    drop(folder);
}

#[test]
fn an_id_drawn_twice_changes_nothing() {
    let (folder, path, first) = folder();
    let refused = MasterKeys::add(&path, &mut counting(1)).unwrap_err();
    assert!(matches!(refused, KeyFileError::Text { .. }), "{refused}");
    assert_eq!(ids(&path), [first]);
    assert_eq!(names(&folder), ["master.key"]);
}

#[test]
fn a_link_stays_a_link_and_an_owner_the_owner() {
    let (folder, path, first) = folder();
    // Only root may give a file away; for anyone else the owner is the same before and after.
    let owner = if chown(&path, Some(4711), None).is_ok() {
        4711
    } else {
        fs::metadata(&path).unwrap().uid()
    };
    let link = folder.path().join("link.key");
    symlink("master.key", &link).unwrap();
    let second = MasterKeys::add(&link, &mut counting(2)).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(ids(&path), [first, second]);
    assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
}

#[test]
fn what_is_no_key_file_is_refused() {
    let (folder, path, _) = folder();
    let refused = MasterKeys::read(folder.path()).unwrap_err();
    assert!(matches!(refused, KeyFileError::NotAKeyFile { .. }), "{refused}");
    fs::write(&path, vec![b'#'; SIZE_LIMIT as usize + 1]).unwrap();
    let refused = MasterKeys::read(&path).unwrap_err();
    assert!(matches!(refused, KeyFileError::NotAKeyFile { .. }), "{refused}");
    let refused = MasterKeys::read(&folder.path().join("absent")).unwrap_err();
    assert!(matches!(refused, KeyFileError::Io { deed: "open", .. }), "{refused}");
}

/// A change that fails leaves no key lying about in a draft.
#[test]
fn a_failed_change_takes_its_draft_along() {
    let (folder, path, _) = folder();
    let in_the_way = folder.path().join("a folder");
    fs::create_dir(&in_the_way).unwrap();
    let text = fs::read(&path).unwrap();
    let refused = Folder::lock(&path).unwrap().replace(&in_the_way, &[&text], None).unwrap_err();
    assert!(matches!(refused, KeyFileError::Io { deed: "rename", .. }), "{refused}");
    assert!(!draft_path(&in_the_way).exists());
}
