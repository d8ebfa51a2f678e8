//! What a journal has, whatever became of its file and of the store beside it.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use async_trait::async_trait;

use super::*;
use crate::StorageResult;
use crate::erasures::Repeated;

/// A store of nothing but erasures.
struct Known(parking_lot::Mutex<Vec<Erasure>>);

#[async_trait]
impl Erasures for Known {
    async fn erasures_after(
        &self,
        after: Option<AuditEntryId>,
        limit: u32,
    ) -> StorageResult<Vec<Erasure>> {
        let all = self.0.lock();
        let behind = all.iter().filter(|erasure| after.is_none_or(|after| erasure.entry > after));
        Ok(behind.take(limit as usize).copied().collect())
    }

    async fn repeat(&self, _: Vec<Erasure>, _: Timestamp) -> StorageResult<Repeated> {
        unreachable!("a journal only reads")
    }

    fn journal_to(&self, _: Arc<ErasureJournal>) {
        unreachable!("a journal only reads")
    }

    async fn journal(&self) -> Result<(), JournalError> {
        unreachable!("a journal only reads")
    }
}

fn erasure(number: i64) -> Erasure {
    let gone = match number % 3 {
        0 => Gone::Organization,
        _ => Gone::Person(SubjectId::from_key(number)),
    };
    Erasure {
        entry: AuditEntryId::from_key(number << 21),
        organization: OrganizationId::from_key(7),
        gone,
        at: Timestamp::from_millis(number),
    }
}

fn known(numbers: std::ops::Range<i64>) -> Known {
    Known(parking_lot::Mutex::new(numbers.map(erasure).collect()))
}

fn entries(path: &Path) -> Vec<i64> {
    let read = ErasureJournal::read(path).unwrap().unwrap();
    read.iter().map(|erasure| erasure.entry.key() >> 21).collect()
}

/// I11: all that a store has erased stands in its journal, once, whatever the journal had before.
#[tokio::test]
async fn i11_a_journal_has_every_erasure_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.key.erasures");
    assert!(ErasureJournal::read(&path).unwrap().is_none());
    let journal = ErasureJournal::new(path.clone());
    let store = known(0..0);
    journal.keep(&store).await.unwrap();
    assert_eq!(entries(&path), [0; 0], "it is there before anybody is erased");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    *store.0.lock() = (1..3_000).map(erasure).collect();
    journal.keep(&store).await.unwrap();
    journal.keep(&store).await.unwrap();
    assert_eq!(entries(&path), (1..3_000).collect::<Vec<_>>());
    assert_eq!(ErasureJournal::read(&path).unwrap().unwrap(), *store.0.lock(), "as they were");

    // A process that died between commit and journal, and one that goes on.
    store.0.lock().push(erasure(3_000));
    ErasureJournal::new(path.clone()).keep(&store).await.unwrap();
    assert_eq!(entries(&path).len(), 3_000);
    store.0.lock().push(erasure(3_001));
    ErasureJournal::new(path.clone()).keep(&store).await.unwrap();
    assert_eq!(entries(&path).last(), Some(&3_001));
}

/// I11: a journal that was taken away or cut short under a running store gets everything again.
#[tokio::test]
async fn i11_a_journal_that_lost_lines_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, store) = (ErasureJournal::new(path.clone()), known(1..10));
    journal.keep(&store).await.unwrap();
    let whole = fs::read(&path).unwrap();
    for left in [0, HEAD.len(), HEAD.len() + 20, whole.len() - 1, whole.len() - 30] {
        fs::write(&path, &whole[..left]).unwrap();
        journal.keep(&store).await.unwrap();
        let mut there = entries(&path);
        there.sort_unstable();
        assert_eq!(there, (1..10).collect::<Vec<_>>(), "{left} bytes were left");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().all(|line| line.starts_with('#') || parse(line).is_some()), "{text}");
    }
    fs::remove_file(&path).unwrap();
    journal.keep(&store).await.unwrap();
    assert_eq!(entries(&path).len(), 9);
}

#[tokio::test]
async fn stores_that_share_a_journal_keep_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (one, two) = (ErasureJournal::new(path.clone()), ErasureJournal::new(path.clone()));
    let (high, low) = (known(100..110), known(1..5));
    one.keep(&high).await.unwrap();
    two.keep(&low).await.unwrap();
    low.0.lock().push(erasure(5));
    two.keep(&low).await.unwrap();
    one.keep(&high).await.unwrap();
    assert_eq!(
        entries(&path).len(),
        15,
        "lower entries come after higher ones and are missed by nobody"
    );
}

/// I11: a journal that cannot be trusted is not used in part, and is named without what it says.
#[test]
fn i11_a_damaged_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let good = spelled(&erasure(1));
    for bad in [
        "erased\n",
        &good.replace("sub_0", "sub_1"),
        &good.replace("erased", "removed"),
        "\u{fffd}\n",
    ] {
        fs::write(&path, format!("{HEAD}{good}{bad}{good}")).unwrap();
        let problem = ErasureJournal::read(&path).unwrap_err();
        assert!(matches!(problem, JournalError::Line { line: 5, .. }), "{bad}: {problem}");
    }
    fs::write(&path, format!("{good}{}", &good[..20])).unwrap();
    assert_eq!(entries(&path), [1], "what a crash cut short was told to nobody");
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere").join("journal");
    let problem = ErasureJournal::new(path).keep(&known(1..2)).await.unwrap_err();
    assert!(problem.to_string().contains("cannot create the erasure journal"), "{problem}");
}
