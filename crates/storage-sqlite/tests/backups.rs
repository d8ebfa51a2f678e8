//! Backups taken beside a store that is open, and what is refused as one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abide_core::access::{Actor, Caller};
use abide_core::blob::CHUNK;
use abide_core::ids::{BlobId, OrganizationId};
use abide_storage::blobs::{BlobOwner, Holder};
use abide_storage::feeds::FeedWanted;
use abide_storage::sealing::MasterKeys;
use abide_storage::suite::blobs::{content, read, write};
use abide_storage::suite::{Dice, at, grant, key_file, masters};
use abide_storage::{Erasures as _, Storage as _};
use abide_storage_sqlite::{
    BackUp, BackedUp, BackupError, Existing, Occupied, OpenError, RestoreError, RestoreFrom,
    Restored, SqliteOptions, SqliteStore, back_up, blob_file, blob_files, unpack,
};

/// A folder with `data` in it, and backups beside.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, data: &str) -> Arc<SqliteStore> {
        self.try_open(data, masters()).expect("a store")
    }

    fn try_open(&self, data: &str, keys: MasterKeys) -> Result<Arc<SqliteStore>, OpenError> {
        let data = &self.path(data);
        let chance =
            Arc::new(Dice::seeded(fs::read_dir(self.0.path()).map_or(0, Iterator::count) as u64));
        abide_storage_sqlite::open(SqliteOptions { data, keys, chance, commit_delay: None })
    }

    fn back_up(&self, out: &str, existing: Existing) -> Result<BackedUp, BackupError> {
        let (data, out) = (&self.path("data"), &self.path(out));
        back_up(BackUp { data, out, existing, made_by: "0.0.0", now: at(50) }, &mut |_| ())
    }

    fn restore(
        &self,
        file: &str,
        data: &str,
        occupied: Occupied,
    ) -> Result<Restored, RestoreError> {
        self.restore_under(&masters(), file, data, occupied)
    }

    fn restore_under(
        &self,
        keys: &MasterKeys,
        file: &str,
        data: &str,
        occupied: Occupied,
    ) -> Result<Restored, RestoreError> {
        let (backup, data) = (&self.path(file), &self.path(data));
        let from = RestoreFrom { backup, data, keys, occupied, now: at(100) };
        unpack(from, &mut |_| ())?.install()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let names = fs::read_dir(self.path(folder)).expect("a folder");
        let mut names: Vec<_> = names
            .map(|entry| entry.expect("a file").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        names
    }
}

async fn organization(store: &SqliteStore) -> Caller {
    let made =
        store.accounts().create_organization("default", at(0)).await.expect("an organization");
    Caller::new(made.id, Actor::Operator)
}

async fn decisions(store: &SqliteStore, of: OrganizationId) -> u64 {
    let start = store.feeds().decisions_start(of, abide_storage::feeds::FeedStart::End).await;
    start.expect("a feed")
}

/// I1, I3: a backup taken while decisions are recorded holds every one that was answered before it began, whole, and the
/// writer goes on; what is restored opens and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn i3_a_backup_taken_under_writing_is_whole() {
    let site = Site::new();
    let store = site.open("data");
    let by = organization(&store).await;
    for number in 0..300 {
        store
            .consents()
            .record(&by, grant(&format!("before-{number}"), "news"), at(1))
            .await
            .unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                store
                    .consents()
                    .record(&by, grant(&format!("during-{number}"), "news"), at(2))
                    .await
                    .unwrap();
                number += 1;
            }
            number
        })
    };
    let before = decisions(&store, by.organization).await;
    let path = site.path("backup.tar");
    let (data, out) = (site.path("data"), path.clone());
    let taken = tokio::task::spawn_blocking(move || {
        let what =
            BackUp { data: &data, out: &out, existing: Existing::Keep, made_by: "1", now: at(3) };
        back_up(what, &mut |_| ())
    });
    let taken = taken.await.unwrap().unwrap();
    let after = decisions(&store, by.organization).await;
    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0);
    let counts = taken.head.counts;
    assert!((before..=after).contains(&counts.decisions), "{before} {counts:?} {after}");
    assert_eq!(counts.decisions, counts.events, "no decision without its event");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&path).unwrap().len(), taken.bytes);
    drop(store);
    assert_eq!(site.names(""), ["backup.tar", "data"], "no draft is left");

    site.restore("backup.tar", "elsewhere", Occupied::Refuse).unwrap();
    assert_eq!(site.names("elsewhere"), ["abide.db", "lock"]);
    let restored = site.open("elsewhere");
    assert_eq!(decisions(&restored, by.organization).await, counts.decisions);
    let wanted = FeedWanted { after: 0, limit: 100 };
    let feed = restored.feeds().events_after(by.organization, None, wanted).await.unwrap();
    assert_eq!(feed.next, 100, "numbered without gaps");
    let again = restored.consents().record(&by, grant("before-0", "news"), at(4)).await.unwrap();
    assert_eq!(again.version, 2, "people are found as before");
}

/// One who writes blobs of a person and of nobody, names and lets go of them, and sweeps: many come and go at any time.
async fn come_and_go(store: Arc<SqliteStore>, by: Caller, number: i64, stop: Arc<AtomicBool>) {
    let blobs = store.blobs();
    let person =
        store.consents().record(&by, grant(&format!("speaker-{number}"), "news"), at(2)).await;
    let owners =
        [BlobOwner::Subject(person.expect("it goes well").subject), BlobOwner::Organization];
    for round in 0.. {
        let text = content(CHUNK / 4 + 977 * round);
        for (row, owner) in (0..).zip(owners) {
            let holder = Holder { table: "tests", row: 10 * number + row };
            let blob =
                write(&*store, (&by, owner), &text, CHUNK, at(2)).await.expect("it goes well").id;
            blobs.hold(by.organization, blob, holder, at(2)).await.expect("it goes well");
            if stop.load(Ordering::Relaxed) {
                return;
            }
            blobs.release(by.organization, blob, holder, at(2)).await.expect("it goes well");
        }
        blobs.sweep(100, at(2)).await.expect("it goes well");
    }
}

/// What the store's own rows say is there.
fn whole_blobs(database: &Path) -> Vec<BlobId> {
    let mut blobs = Vec::new();
    let name = |file: &Path| {
        file.file_name().expect("it goes well").to_str().expect("it goes well").to_owned()
    };
    blob_files(database, |file| {
        blobs.push(BlobId::parse(&name(file)).expect("it goes well"));
        Ok::<(), OpenError>(())
    })
    .expect("it goes well");
    blobs
}

/// I3, I11: a backup taken while blobs are written, named, let go of and removed holds each that its database names. Restored,
/// every one of them is read whole, and nothing is there of a person who was erased after it.
#[tokio::test(flavor = "multi_thread")]
async fn i3_i11_a_backup_under_load_holds_the_blobs_that_it_names() {
    let site = Site::new();
    let store = site.open("data");
    let by = organization(&store).await;
    let mut kept = Vec::new();
    for person in ["ada", "erased-later"] {
        let subject =
            store.consents().record(&by, grant(person, "news"), at(1)).await.unwrap().subject;
        let owner = BlobOwner::Subject(subject);
        let blob = write(&*store, (&by, owner), &content(3 * CHUNK), CHUNK, at(1)).await.unwrap();
        kept.push(blob.id);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..3)
        .map(|number| tokio::spawn(come_and_go(Arc::clone(&store), by, number, Arc::clone(&stop))))
        .collect();
    let (data, backup) = (site.path("data"), site.path("backup.tar"));
    let mut named = 0;
    for _ in 0..4 {
        let (data, out) = (data.clone(), backup.clone());
        let taken = tokio::task::spawn_blocking(move || {
            let existing = Existing::Replace;
            back_up(
                BackUp { data: &data, out: &out, existing, made_by: "1", now: at(3) },
                &mut |_| (),
            )
        });
        let counts = taken.await.unwrap().unwrap().head.counts;
        named = counts.blobs;
        assert!(named >= 2, "{counts:?}");
        // What has waited for the copy goes now; something does between any two of them.
        while store.blobs().sweep(1, at(2)).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    }
    store.subjects().erase(&by, "erased-later", at(4)).await.unwrap();
    let journal = store.erasures_after(None, 10).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    for one in load {
        one.await.unwrap();
    }
    while store.blobs().sweep(100, at(2)).await.unwrap() > 0 {}
    drop(store);

    let (data, keys) = (site.path("restored"), masters());
    let from = RestoreFrom {
        backup: &backup,
        data: &data,
        keys: &keys,
        occupied: Occupied::Refuse,
        now: at(5),
    };
    let unpacked = unpack(from, &mut |_| ()).unwrap();
    let folder = unpacked.folder();
    let held = whole_blobs(&folder.join("abide.db"));
    assert_eq!(held.len() as u64, named);
    let draft = SqliteOptions {
        data: &folder,
        keys: masters(),
        chance: Arc::new(Dice::seeded(9)),
        commit_delay: None,
    };
    let draft = abide_storage_sqlite::open(draft).unwrap();
    for blob in &held {
        let text = read(&*draft, &by, *blob, at(3)).await.unwrap().expect("a whole blob");
        assert_eq!(text, content(text.len()), "{blob}");
    }
    draft.repeat(journal, at(5)).await.unwrap();
    drop(draft);
    unpacked.install().unwrap();
    assert_eq!(site.names("restored"), ["abide.db", "blobs", "lock"]);
    let restored = site.open("restored");
    let [ada, erased] = kept[..] else { panic!("two") };
    assert!(read(&*restored, &by, ada, at(6)).await.unwrap().is_some());
    assert_eq!(read(&*restored, &by, erased, at(6)).await, Ok(None), "who is erased stays so");
    while restored.blobs().sweep(100, at(6)).await.unwrap() > 0 {}
    assert!(!site.path("restored").join(blob_file(erased)).exists());
}

/// A backup of a store that lacks a file which it names is none; nor is one that came apart, and nothing is left of it.
#[tokio::test]
async fn a_backup_without_a_blob_is_none() {
    let site = Site::new();
    let store = site.open("data");
    let by = organization(&store).await;
    let text = content(CHUNK + 10);
    let owner = BlobOwner::Organization;
    let blob = write(&*store, (&by, owner), &text, CHUNK, at(1)).await.unwrap().id;
    site.back_up("backup.tar", Existing::Keep).unwrap();
    let whole = fs::read(site.path("backup.tar")).unwrap();
    assert!(whole.len() > text.len());
    let name = blob_file(blob);
    let at_name = whole.windows(4).rposition(|bytes| bytes == b"blob").unwrap();
    for (what, damaged) in [
        ("is damaged", {
            let mut bytes = whole.clone();
            let middle = bytes.len() - CHUNK / 2;
            bytes[middle] ^= 1;
            bytes
        }),
        ("is damaged", {
            let mut bytes = whole.clone();
            bytes[at_name] = b'x';
            bytes
        }),
        ("is cut off", whole[..whole.len() - CHUNK / 2].to_vec()),
    ] {
        fs::write(site.path("damaged.tar"), damaged).unwrap();
        let why = refused(site.restore("damaged.tar", "new", Occupied::Refuse));
        assert!(why.contains(what), "{why}");
        assert_eq!(site.names("new"), ["lock"]);
    }
    let file = site.path("data").join(&name);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let why = site.back_up("short.tar", Existing::Keep).unwrap_err().to_string();
    assert!(why.contains(blob.to_string().as_str()) && why.contains("another length"), "{why}");
    fs::remove_file(&file).unwrap();
    let why = site.back_up("none.tar", Existing::Keep).unwrap_err().to_string();
    assert!(why.contains(blob.to_string().as_str()) && why.contains("is not there"), "{why}");
    drop(store);
    assert_eq!(site.names(""), ["backup.tar", "damaged.tar", "data", "new"], "no draft is left");
    // The restoration brings it back, and keeps what was there aside with its own blobs.
    site.restore("backup.tar", "data", Occupied::SetAside).unwrap();
    let store = site.open("data");
    assert_eq!(read(&*store, &by, blob, at(2)).await.unwrap(), Some(text));
}

/// I15: the clock being set back, no id is drawn again that the store of before had drawn, nor one that the backup has.
#[tokio::test]
async fn ids_after_a_restoration_are_new_whatever_the_clock_says() {
    let site = Site::new();
    let store = site.open("data");
    let by = organization(&store).await;
    let first = store.consents().record(&by, grant("ada", "news"), at(1_000)).await.unwrap();
    site.back_up("backup.tar", Existing::Keep).unwrap();
    let lost = store.consents().record(&by, grant("bob", "news"), at(9_000_000)).await.unwrap();
    let epoch = store.feeds().epoch().await.unwrap();
    drop(store);
    let (backup, data, keys) = (&site.path("backup.tar"), &site.path("data"), &masters());
    let from = RestoreFrom { backup, data, keys, occupied: Occupied::SetAside, now: at(0) };
    let unpacked = unpack(from, &mut |_| ()).unwrap();
    assert!(unpacked.highest() > lost.decision.key());
    let draft = SqliteOptions {
        data: &unpacked.folder(),
        keys: masters(),
        chance: Arc::new(Dice::seeded(9)),
        commit_delay: None,
    };
    let draft = abide_storage_sqlite::open(draft).unwrap();
    draft.begin_anew(unpacked.taken_at, unpacked.highest(), at(0)).await.unwrap();
    drop(draft);
    let before = unpacked.install().unwrap().before.expect("what was there is kept");
    assert!(before.join("abide.db").exists());
    let store = site.open("data");
    assert_ne!(store.feeds().epoch().await.unwrap(), epoch);
    let new = store.consents().record(&by, grant("eve", "news"), at(0)).await.unwrap();
    assert!(new.decision.key() > lost.decision.key() && new.decision > first.decision);
    let audit = store.history().audit(by.organization, 10).await.unwrap();
    assert!(audit.iter().any(|entry| entry.action == "organization.restore_backup"));
}

fn refused(result: Result<Restored, RestoreError>) -> String {
    result.expect_err("restored").to_string()
}

/// Whatever is wrong with a file, it is said, and neither a store nor a draft of one is there afterwards.
#[tokio::test]
async fn what_is_no_whole_backup_is_refused_and_leaves_nothing() {
    let site = Site::new();
    let store = site.open("data");
    let by = organization(&store).await;
    store.consents().record(&by, grant("ada", "news"), at(1)).await.unwrap();
    site.back_up("backup.tar", Existing::Keep).unwrap();
    let whole = fs::read(site.path("backup.tar")).unwrap();
    let unpack_here = |bytes: &[u8]| {
        fs::write(site.path("bad.tar"), bytes).unwrap();
        let problem = refused(site.restore("bad.tar", "new", Occupied::Refuse));
        let left = if site.path("new").exists() { site.names("new") } else { Vec::new() };
        assert!(left.iter().all(|name| name == "lock"), "{left:?}");
        problem
    };
    for (bytes, said) in [
        (&b""[..], "is no backup of Abide"),
        (&b"not a backup at all"[..], "is no backup of Abide"),
        (&[0; 4096][..], "is no backup of Abide"),
        (&fs::read(site.path("data/abide.db")).unwrap()[..], "is no backup of Abide"),
    ] {
        let problem = unpack_here(bytes);
        assert!(problem.contains(said), "{problem}");
    }
    // Cut off anywhere: within the head, the database, the sums, and before them.
    for part in 1..40 {
        let problem = unpack_here(&whole[..whole.len() * part / 40]);
        assert!(problem.contains("cut off") || problem.contains("no backup"), "{part}: {problem}");
    }
    let sums = whole.windows(10).position(|bytes| bytes == b"SHA256SUMS").unwrap();
    for end in [sums, sums + 512, sums + 600] {
        let problem = unpack_here(&whole[..end]);
        assert!(problem.contains("cut off"), "{problem}");
    }
    // One byte changed anywhere: in each header, each text, the first and the last page, and here and there.
    let database = whole.windows(16).position(|bytes| bytes == b"SQLite format 3\0").unwrap();
    let mut places =
        vec![10, 600, database - 500, database + 3, database + 5_000, sums, sums + 520];
    places.extend((1..60).map(|part| database + (sums - database) * part / 60));
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        unpack_here(&bytes);
    }
    let newer = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let place = whole.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[place..place + from.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let problem = unpack_here(&newer("\"format\": 1", "\"format\": 9"));
    assert!(problem.contains("form 9") && problem.contains("newer"), "{problem}");
    let problem = unpack_here(&newer("\"schema\": 1", "\"schema\": 9"));
    assert!(problem.contains("schema version 9") && problem.contains("newer"), "{problem}");
    let problem = refused(site.restore("nothing.tar", "new", Occupied::Refuse));
    assert!(problem.contains("nothing.tar cannot be read"), "{problem}");
}

/// I11: a key file that does not open the backup is refused by name, before anything is unpacked.
#[tokio::test]
async fn i11_another_key_file_is_refused() {
    let site = Site::new();
    let store = site.open("data");
    organization(&store).await;
    site.back_up("backup.tar", Existing::Keep).unwrap();
    let other = site.restore_under(&key_file(&[2]), "backup.tar", "new", Occupied::Refuse);
    assert_eq!(
        refused(other),
        "the backup cannot be opened: the key file lacks master key mk_00000001, which it needs"
    );
    let forged = MasterKeys::parse(format!("mk_00000001 {}=\n", "B".repeat(43)).as_bytes());
    let problem = match forged {
        Ok(keys) => refused(site.restore_under(&keys, "backup.tar", "new", Occupied::Refuse)),
        Err(_) => {
            let keys =
                MasterKeys::parse(format!("mk_00000001 {}AAA=\n", "A".repeat(40)).as_bytes());
            refused(site.restore_under(&keys.unwrap(), "backup.tar", "new", Occupied::Refuse))
        }
    };
    assert!(problem.contains("is not the one it was sealed under"), "{problem}");
    assert!(!site.path("new").exists());
    site.restore_under(&key_file(&[1, 2]), "backup.tar", "new", Occupied::Refuse).unwrap();
}

#[tokio::test]
async fn nothing_that_is_there_is_overwritten_unless_told() {
    let site = Site::new();
    let store = site.open("data");
    let by = organization(&store).await;
    site.back_up("backup.tar", Existing::Keep).unwrap();
    let first = fs::read(site.path("backup.tar")).unwrap();
    assert!(matches!(site.back_up("backup.tar", Existing::Keep), Err(BackupError::Exists(_))));
    assert_eq!(fs::read(site.path("backup.tar")).unwrap(), first);
    store.consents().record(&by, grant("ada", "news"), at(1)).await.unwrap();
    site.back_up("backup.tar", Existing::Replace).unwrap();

    let in_use = site.restore("backup.tar", "data", Occupied::SetAside);
    assert!(matches!(in_use, Err(RestoreError::Open(OpenError::InUse(_)))));
    drop(store);
    let occupied = site.restore("backup.tar", "data", Occupied::Refuse);
    assert!(matches!(occupied, Err(RestoreError::Occupied { .. })));
    fs::write(site.path("data/admin-key.pending"), "").unwrap();
    let before = site.restore("backup.tar", "data", Occupied::SetAside).unwrap().before.unwrap();
    assert_eq!(
        before,
        site.path("data").join(format!("before-restore-{}", "2024-01-15T103000.100Z"))
    );
    let kept = |name: &str| before.join(name).exists();
    assert!(kept("abide.db") && kept("admin-key.pending"));
    assert!(!site.path("data/admin-key.pending").exists());
    drop(site.open("data"));
    assert!(before.exists(), "and stays");
}

/// I3: a restoration that ends at any moment left the store of before, or the restored one.
#[tokio::test]
async fn i3_a_restoration_cut_off_is_none_or_is_finished_by_the_next_start() {
    let site = Site::new();
    let store = site.open("data");
    let by = organization(&store).await;
    store.consents().record(&by, grant("ada", "news"), at(1)).await.unwrap();
    site.back_up("backup.tar", Existing::Keep).unwrap();
    store.consents().record(&by, grant("bob", "news"), at(2)).await.unwrap();
    drop(store);
    // Before it was committed: what is half stays under its own name and is removed by the next restoration.
    let half = site.path("data/restoring");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("abide.db"), "half").unwrap();
    assert_eq!(decisions(&site.open("data"), by.organization).await, 2);
    let from = |name: &str, to: &str| fs::rename(site.path(name), site.path(to));
    for step in 0..3 {
        // As a crash leaves it: committed; the old store half moved; the new one in its place and the rest not gone.
        site.restore("backup.tar", "elsewhere", Occupied::SetAside).unwrap();
        let committed = format!("data/restored-{step}");
        fs::create_dir(site.path(&committed)).unwrap();
        from("elsewhere/abide.db", &format!("{committed}/abide.db")).unwrap();
        let aside = format!("data/before-restore-{step}");
        match step {
            0 => {}
            1 => {
                fs::create_dir(site.path(&aside)).unwrap();
                from("data/abide.db", &format!("{aside}/abide.db")).unwrap();
                fs::write(site.path("data/abide.db-wal"), "of the old one").unwrap();
            }
            _ => {
                fs::create_dir(site.path(&aside)).unwrap();
                from("data/abide.db", &format!("{aside}/abide.db")).unwrap();
                from(&format!("{committed}/abide.db"), "data/abide.db").unwrap();
            }
        }
        let store = site.open("data");
        assert_eq!(decisions(&store, by.organization).await, 1, "step {step}");
        assert!(site.path(&aside).join("abide.db").exists());
        assert!(!site.path(&committed).exists());
        store.consents().record(&by, grant(&format!("after-{step}"), "news"), at(3)).await.unwrap();
        drop(store);
    }
    let left = site.names("data");
    assert!(!left.contains(&"restored-0".to_owned()), "{left:?}");
}

/// What an interrupted backup left is removed by the next one, and nobody takes it for a backup.
#[tokio::test]
async fn what_an_interrupted_backup_left_is_removed() {
    let site = Site::new();
    let store = site.open("data");
    organization(&store).await;
    fs::write(site.path("backup.tar.draft"), "half").unwrap();
    fs::write(site.path("backup.tar.draft.db"), "half").unwrap();
    fs::write(site.path("backup.tar.draft.db-journal"), "half").unwrap();
    site.back_up("backup.tar", Existing::Keep).unwrap();
    assert_eq!(site.names(""), ["backup.tar", "data"]);
    site.restore("backup.tar", "new", Occupied::Refuse).unwrap();
    let nowhere = site.path("nowhere");
    let out = site.path("other.tar");
    let what =
        BackUp { data: &nowhere, out: &out, existing: Existing::Keep, made_by: "1", now: at(1) };
    assert!(matches!(back_up(what, &mut |_| ()), Err(BackupError::Io { .. })));
    assert_eq!(site.names(""), ["backup.tar", "data", "new"], "nothing was made");
}

/// I11: while somebody copies the store its log is neither cut nor begun again, which would only hold commits up; once they
/// are done, a key that was wiped meanwhile leaves it.
#[tokio::test]
async fn i11_the_log_waits_for_a_copy_and_is_cut_after_it() {
    let site = Site::new();
    let store = site.open("data");
    let by = organization(&store).await;
    let made = store.consents().record(&by, grant("ada", "news"), at(1)).await.unwrap();
    let beside = rusqlite::Connection::open(site.path("data/abide.db")).unwrap();
    let wrapped: Vec<u8> = beside
        .query_row(
            "SELECT wrapped_key FROM subjects WHERE subject = ?",
            [made.subject.key()],
            |row| row.get(0),
        )
        .unwrap();
    let stands = || {
        let log = fs::read(site.path("data/abide.db-wal")).unwrap_or_default();
        log.windows(wrapped.len()).any(|window| window == wrapped)
    };
    site.back_up("backup.tar", Existing::Keep).unwrap();
    // The look at the start is over.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    store.consents().record(&by, grant("bob", "news"), at(2)).await.unwrap();
    let copier = fs::File::open(site.path("data/copying")).unwrap();
    copier.lock_shared().unwrap();
    store.consents().record(&by, grant("cy", "news"), at(2)).await.unwrap();
    let before = fs::metadata(site.path("data/abide.db-wal")).unwrap().len();
    store.subjects().erase(&by, "ada", at(3)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let meanwhile = fs::metadata(site.path("data/abide.db-wal")).unwrap().len();
    assert!(before > 0 && meanwhile >= before, "it was cut under the copier");
    drop(copier);
    for _ in 0..100 {
        let is_cut = fs::metadata(site.path("data/abide.db-wal")).unwrap().len() == 0;
        if is_cut {
            assert!(!stands());
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the log is not cut");
}
