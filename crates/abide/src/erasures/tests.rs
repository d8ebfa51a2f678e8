//! What a store lacks of a journal that may be several stores'.

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_core::ids::OrganizationId;
use abide_core::ids::SubjectId;
use abide_storage::deletions::CarriedOut;
use abide_storage::erasures::Gone;
use abide_storage::sealing::MasterKeys;

use super::*;
use crate::clock::OsChance;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn erased(number: i64, organization: OrganizationId) -> Erasure {
    let entry = Id::from_key((at(0).as_millis() << 21) + number);
    Erasure { entry, organization, gone: Gone::Person(SubjectId::from_key(number)), at: at(0) }
}

/// I11: what is lacking is counted, and nothing that is not this store's to have.
#[tokio::test]
async fn i11_a_store_lacks_what_its_journal_has_and_it_has_not() {
    use abide_core::shell::Chance as _;
    let keys = MasterKeys::generate(&mut |bytes: &mut [u8]| OsChance.fill(bytes));
    let store = abide_storage_sqlite::open_in_memory(keys, Arc::new(OsChance)).unwrap();
    let accounts = store.accounts();
    let ours = accounts.create_organization("ours", at(1)).await.unwrap().id;
    let gone = accounts.create_organization("gone", at(1)).await.unwrap().id;
    let anothers = OrganizationId::from_key(7);
    let (here, there) = (erased(1, ours), erased(2, ours));
    store.erasures().repeat(vec![here], at(2)).await.unwrap();
    let counted = async |journal: &[Erasure]| lacking(&*store, journal).await.unwrap();
    assert_eq!(counted(&[]).await, (0, Some(here.entry)));
    assert_eq!(counted(&[here, erased(3, anothers)]).await, (0, Some(here.entry)));
    // In whatever order, as where journals of several nodes were put together.
    let journal = [erased(5, gone), there, here, erased(4, ours), there];
    assert_eq!(counted(&journal).await.0, 4);
    assert_eq!(missing(store.erasures(), &[there]).await.unwrap(), 1);

    let by = Caller::new(gone, Actor::Operator);
    store.deletions().ask(&by, "gone", 0, at(3)).await.unwrap();
    let carried = store.deletions().carry_out(1, at(3)).await.unwrap();
    assert_eq!(carried, CarriedOut::Destroyed);
    assert_eq!(counted(&journal).await.0, 3, "what is destroyed has nobody to erase");
    store.erasures().repeat(journal.to_vec(), at(4)).await.unwrap();
    assert_eq!(counted(&journal).await.0, 0, "doing it again is the way out");
}
