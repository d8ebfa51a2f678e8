//! Blobs: in as a stream, out as it was written, and gone with whom they are about.

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller};
use abide_core::blob::{
    ABOUT_MANY_MILLIS, BROKEN_OFF_MILLIS, CHUNK, UNNAMED_MILLIS, chunk_length, chunks,
};
use abide_core::ids::{BlobId, SubjectId};

use super::world::{World, at, grant, ok, refusal};
use crate::blobs::{Blob, BlobOwner, BlobReader, BlobWriter, Chunk, Holder, Written};
use crate::deletions::CarriedOut;
use crate::sealing::End;
use crate::{Storage, StorageError, StorageResult};

const ROW: Holder = Holder { table: "tests", row: 1 };
const OTHER_ROW: Holder = Holder { table: "tests", row: 2 };

/// Bytes of which no two parts are alike.
pub fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16).wrapping_mul(31)) as u8).collect()
}

/// Writes a blob in pieces of that many bytes.
pub async fn write(
    store: &dyn Storage,
    (by, owner): (&Caller, BlobOwner),
    content: &[u8],
    pieces: usize,
    now: Timestamp,
) -> StorageResult<Blob> {
    let blobs = store.blobs();
    let mut writer = BlobWriter::begin(blobs, by, owner, now).await?;
    for piece in content.chunks(pieces) {
        writer.write(blobs, piece, now).await?;
    }
    assert_eq!(writer.length(), content.len() as u64);
    writer.finish(blobs, now).await
}

/// Reads a blob to its end.
pub async fn read(
    store: &dyn Storage,
    by: &Caller,
    blob: BlobId,
    now: Timestamp,
) -> StorageResult<Option<Vec<u8>>> {
    let blobs = store.blobs();
    let Some(found) = blobs.find(by.organization, blob, now).await? else { return Ok(None) };
    let mut reader = BlobReader::new(by.organization, found);
    let mut content = Vec::new();
    while let Some(part) = reader.next(blobs).await? {
        assert!(part.len() <= CHUNK, "a part has {} bytes", part.len());
        content.extend(part);
    }
    Ok(Some(content))
}

async fn whole(world: &World<'_>, owner: BlobOwner, now: Timestamp) -> BlobId {
    ok(write(world.store, (&world.by, owner), b"a file", 4, now).await).id
}

async fn person(world: &World<'_>, reference: &str) -> SubjectId {
    world.record(grant(reference, "news"), at(1)).await.subject
}

/// Sweeps until nothing is left to do; answers in how many steps.
async fn sweep(store: &dyn Storage, now: Timestamp) -> u32 {
    let mut steps = 0;
    loop {
        match ok(store.blobs().sweep(2, now).await) {
            0 => return steps,
            some => steps += some,
        }
        assert!(steps < 100, "it comes to an end");
    }
}

fn sha256(content: &[u8]) -> [u8; 32] {
    abide_core::consent::hash::sha256(content)
}

/// What was written is read, of whatever size and however it came, and its length and hash are known.
pub async fn what_was_written_is_read(store: &dyn Storage) {
    let world = World::new(store).await;
    let subject = person(&world, "ada").await;
    for (length, pieces) in [
        (0, 1),
        (1, 1),
        (CHUNK - 1, 8_192),
        (CHUNK, CHUNK),
        (CHUNK + 1, 100_000),
        (3 * CHUNK, 2 * CHUNK + 7),
    ] {
        for owner in [BlobOwner::Subject(subject), BlobOwner::Organization] {
            let content = content(length);
            let blob = ok(write(store, (&world.by, owner), &content, pieces, at(2)).await);
            assert_eq!((blob.length, blob.sha256), (length as u64, sha256(&content)));
            assert_eq!((blob.owner, blob.created_at), (owner, at(2)));
            let found = ok(store.blobs().find(world.organization, blob.id, at(3)).await);
            assert_eq!(found.as_ref(), Some(&blob));
            let read = ok(read(store, &world.by, blob.id, at(3)).await);
            assert!(read.as_ref() == Some(&content), "{length} bytes in pieces of {pieces}");
        }
    }
    assert_eq!(world.deeds().await[0], "blob.create");
    assert_eq!(ok(store.blobs().find(world.organization, BlobId::from_key(1), at(3)).await), None);
}

/// Nothing of a blob can be named or read before all of it is there, and what breaks off is removed.
pub async fn what_breaks_off_leaves_nothing(store: &dyn Storage) {
    let world = World::new(store).await;
    let (blobs, of) = (store.blobs(), world.organization);
    let begin = async || ok(blobs.begin(&world.by, BlobOwner::Organization, at(1)).await);
    let chunk = |index, end| Chunk { index, end, bytes: vec![7; CHUNK] };
    let written = |length| Written { length, sha256: [0; 32] };
    let blob = begin().await;
    ok(blobs.put(of, blob, chunk(0, End::More), at(1)).await);
    refusal(blobs.put(of, blob, chunk(0, End::More), at(1)).await);
    refusal(blobs.put(of, blob, chunk(2, End::More), at(1)).await);
    refusal(blobs.hold(of, blob, ROW, at(1)).await);
    refusal(blobs.chunk(of, blob, 0).await);
    assert_eq!(ok(blobs.find(of, blob, at(1)).await), None);
    let refused = refusal(blobs.finish(&world.by, blob, written(1 << 40), at(1)).await);
    assert!(refused.contains("parts"), "{refused}");
    ok(blobs.discard(of, blob, at(2)).await);
    refusal(blobs.put(of, blob, chunk(1, End::Last), at(2)).await);
    refusal(blobs.finish(&world.by, blob, written(CHUNK as u64), at(2)).await);
    assert_eq!(sweep(store, at(2)).await, 1);

    let broken_off = begin().await;
    ok(blobs.put(of, broken_off, chunk(0, End::More), at(BROKEN_OFF_MILLIS)).await);
    assert_eq!(sweep(store, at(2 * BROKEN_OFF_MILLIS - 1)).await, 0, "it went on once");
    assert_eq!(sweep(store, at(2 * BROKEN_OFF_MILLIS)).await, 1);
    refusal(blobs.put(of, broken_off, chunk(1, End::Last), at(1)).await);

    let finished = whole(&world, BlobOwner::Organization, at(3)).await;
    refusal(blobs.put(of, finished, chunk(0, End::Last), at(3)).await);
    refusal(blobs.put(of, finished, chunk(1, End::Last), at(3)).await);
    ok(blobs.discard(of, finished, at(3)).await);
    assert_eq!(ok(read(store, &world.by, finished, at(4)).await).as_deref(), Some(&b"a file"[..]));
}

/// A blob is kept for as long as a row names it, and goes with the last; what nobody names goes after a day.
pub async fn a_blob_goes_with_the_last_that_names_it(store: &dyn Storage) {
    let world = World::new(store).await;
    let (blobs, of) = (store.blobs(), world.organization);
    let owner = BlobOwner::Subject(person(&world, "ada").await);
    let (named, unnamed) = (whole(&world, owner, at(0)).await, whole(&world, owner, at(0)).await);
    for holder in [ROW, OTHER_ROW, ROW] {
        ok(blobs.hold(of, named, holder, at(1)).await);
    }
    assert_eq!(sweep(store, at(UNNAMED_MILLIS - 1)).await, 0);
    assert_eq!(sweep(store, at(UNNAMED_MILLIS)).await, 1);
    assert_eq!(ok(blobs.find(of, unnamed, at(2)).await), None);
    refusal(blobs.hold(of, unnamed, ROW, at(2)).await);
    assert_eq!(sweep(store, at(100 * UNNAMED_MILLIS)).await, 0, "a named one stays");
    ok(blobs.release(of, named, ROW, at(3)).await);
    ok(blobs.release(of, named, ROW, at(3)).await);
    assert!(ok(read(store, &world.by, named, at(3)).await).is_some());
    ok(blobs.release(of, named, OTHER_ROW, at(3)).await);
    assert_eq!(ok(read(store, &world.by, named, at(3)).await), None, "at once");
    refusal(blobs.chunk(of, named, 0).await);
    assert_eq!((sweep(store, at(3)).await, sweep(store, at(3)).await), (1, 0));
    ok(blobs.release(of, named, ROW, at(3)).await);
}

/// A blob about many people is kept for seven days, whoever names it.
pub async fn a_blob_about_many_expires(store: &dyn Storage) {
    let world = World::new(store).await;
    let (blobs, of) = (store.blobs(), world.organization);
    let blob = whole(&world, BlobOwner::Organization, at(0)).await;
    ok(blobs.hold(of, blob, ROW, at(1)).await);
    let last = ok(blobs.find(of, blob, at(ABOUT_MANY_MILLIS - 1)).await);
    assert_eq!(last.and_then(|blob| blob.expires_at), Some(at(ABOUT_MANY_MILLIS)));
    assert_eq!(sweep(store, at(ABOUT_MANY_MILLIS - 1)).await, 0);
    let over = at(ABOUT_MANY_MILLIS);
    assert_eq!(ok(blobs.find(of, blob, over).await), None);
    refusal(blobs.hold(of, blob, OTHER_ROW, over).await);
    assert_eq!(sweep(store, over).await, 1);
    refusal(blobs.chunk(of, blob, 0).await);
}

/// I11: erasing a person makes their blobs unreadable at once, those that are being read or written, too.
pub async fn i11_an_erased_persons_blobs_are_gone(store: &dyn Storage) {
    let world = World::new(store).await;
    let (blobs, of) = (store.blobs(), world.organization);
    let (ada, bob) = (person(&world, "ada").await, person(&world, "bob").await);
    let owner = BlobOwner::Subject(ada);
    let text = content(CHUNK + 1);
    let theirs = ok(write(store, (&world.by, owner), &text, CHUNK, at(1)).await);
    let others = whole(&world, BlobOwner::Subject(bob), at(1)).await;
    for blob in [theirs.id, others] {
        ok(blobs.hold(of, blob, ROW, at(1)).await);
    }
    let mut writer = ok(BlobWriter::begin(blobs, &world.by, owner, at(1)).await);
    ok(writer.write(blobs, &text, at(1)).await);
    let mut reader = BlobReader::new(of, theirs.clone());
    assert!(ok(reader.next(blobs).await).is_some());

    ok(store.subjects().erase(&world.by, "ada", at(2)).await);
    refusal(reader.next(blobs).await);
    refusal(writer.finish(blobs, at(2)).await);
    assert_eq!(ok(blobs.find(of, theirs.id, at(2)).await), None);
    refusal(blobs.hold(of, theirs.id, OTHER_ROW, at(2)).await);
    refusal(blobs.begin(&world.by, owner, at(2)).await);
    assert_eq!(sweep(store, at(2)).await, 2);
    assert_eq!(ok(read(store, &world.by, others, at(2)).await).as_deref(), Some(&b"a file"[..]));
}

/// I11: a deleted organization's blobs are unreadable with its keys, and go with its rows.
pub async fn i11_a_deleted_organizations_blobs_are_gone(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let blobs = store.blobs();
    let blob = whole(&ours, BlobOwner::Organization, at(1)).await;
    let about = whole(&ours, BlobOwner::Subject(person(&ours, "ada").await), at(1)).await;
    let others = whole(&theirs, BlobOwner::Organization, at(1)).await;
    ok(blobs.hold(ours.organization, about, ROW, at(1)).await);
    let writing = ok(blobs.begin(&ours.by, BlobOwner::Organization, at(1)).await);
    ok(store.deletions().ask(&ours.by, "ours", 0, at(2)).await);
    refusal(blobs.begin(&ours.by, BlobOwner::Organization, at(2)).await);
    assert_eq!(ok(store.deletions().carry_out(1, at(2)).await), CarriedOut::Destroyed);
    for gone in [blob, about] {
        refusal(blobs.find(ours.organization, gone, at(2)).await);
        refusal(blobs.chunk(ours.organization, gone, 0).await);
    }
    let last = Chunk { index: 0, end: End::Last, bytes: Vec::new() };
    refusal(blobs.put(ours.organization, writing, last, at(2)).await);
    let pause = ok(blobs.pause_deletions(at(50), at(2)).await);
    assert_eq!(ok(store.deletions().carry_out(1, at(2)).await), CarriedOut::Nothing, "paused");
    ok(blobs.resume_deletions(pause).await);
    let mut steps = 0;
    while ok(store.deletions().carry_out(1, at(3)).await) != CarriedOut::Emptied {
        steps += 1;
        assert!(steps < 100, "it comes to an end");
    }
    assert_eq!(sweep(store, at(100 * UNNAMED_MILLIS)).await, 1, "theirs alone is left");
    assert_eq!(ok(blobs.find(theirs.organization, others, at(3)).await), None);
}

/// I13: another organization's blob is as one that does not exist.
pub async fn i13_blobs_keep_to_their_organization(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let (blobs, of) = (store.blobs(), theirs.organization);
    let subject = person(&ours, "ada").await;
    refusal(blobs.begin(&theirs.by, BlobOwner::Subject(subject), at(1)).await);
    let (open, blob) = (
        ok(blobs.begin(&ours.by, BlobOwner::Organization, at(1)).await),
        whole(&ours, BlobOwner::Subject(subject), at(1)).await,
    );
    ok(blobs.hold(ours.organization, blob, ROW, at(1)).await);
    assert_eq!(ok(blobs.find(of, blob, at(2)).await), None);
    refusal(blobs.chunk(of, blob, 0).await);
    refusal(blobs.hold(of, blob, OTHER_ROW, at(2)).await);
    ok(blobs.release(of, blob, ROW, at(2)).await);
    ok(blobs.discard(of, open, at(2)).await);
    let last = || Chunk { index: 0, end: End::Last, bytes: Vec::new() };
    refusal(blobs.put(of, open, last(), at(2)).await);
    let written = Written { length: 0, sha256: sha256(b"") };
    refusal(blobs.finish(&theirs.by, open, written, at(2)).await);
    ok(blobs.put(ours.organization, open, last(), at(2)).await);
    refusal(blobs.finish(&theirs.by, open, written, at(2)).await);
    ok(blobs.finish(&ours.by, open, written, at(2)).await);
    assert!(ok(read(store, &ours.by, blob, at(3)).await).is_some());
}

/// While deletions are paused nothing is removed, and keys go all the same; a pause ends by itself.
pub async fn nothing_is_removed_during_a_pause(store: &dyn Storage) {
    let world = World::new(store).await;
    let (blobs, of) = (store.blobs(), world.organization);
    let owner = BlobOwner::Subject(person(&world, "ada").await);
    let (unnamed, released) =
        (whole(&world, owner, at(0)).await, whole(&world, owner, at(0)).await);
    ok(blobs.hold(of, released, ROW, at(0)).await);
    let late = UNNAMED_MILLIS;
    let first = ok(blobs.pause_deletions(at(late + 1_000), at(0)).await);
    let second = ok(blobs.pause_deletions(at(late + 2_000), at(0)).await);
    ok(blobs.release(of, released, ROW, at(1)).await);
    assert_eq!(ok(blobs.find(of, released, at(1)).await), None);
    assert_eq!(sweep(store, at(late)).await, 0);
    assert!(ok(read(store, &world.by, unnamed, at(late)).await).is_some());
    ok(blobs.resume_deletions(second).await);
    assert_eq!(sweep(store, at(late + 999)).await, 0, "the other one goes on");
    assert_eq!(sweep(store, at(late + 1_000)).await, 2);
    ok(blobs.resume_deletions(first).await);
}

/// A part opens as no other part and in no other blob, and a blob that was not written as its row says is damaged.
pub async fn a_blob_is_read_as_it_was_written_alone(store: &dyn Storage) {
    let world = World::new(store).await;
    let (blobs, of) = (store.blobs(), world.organization);
    let text = content(CHUNK + 9);
    let write = async |length: u64, sha256, ends: [End; 2]| {
        let blob = ok(blobs.begin(&world.by, BlobOwner::Organization, at(1)).await);
        for (index, end) in (0..).zip(ends).take(chunks(length) as usize) {
            let from = index as usize * CHUNK;
            let to = (from + chunk_length(text.len() as u64, index).unwrap_or(0)).min(text.len());
            let chunk = Chunk { index, end, bytes: text[from..to].to_vec() };
            ok(blobs.put(of, blob, chunk, at(1)).await);
        }
        ok(blobs.finish(&world.by, blob, Written { length, sha256 }, at(1)).await).id
    };
    let (length, hash) = (text.len() as u64, sha256(&text));
    let good = write(length, hash, [End::More, End::Last]).await;
    assert!(ok(read(store, &world.by, good, at(2)).await).as_ref() == Some(&text));
    for (what, length, hash, ends) in [
        ("another hash", length, [0; 32], [End::More, End::Last]),
        ("another length", length - 1, hash, [End::More, End::Last]),
        ("an end that is none", length, hash, [End::More, End::More]),
        ("an end before the end", length, hash, [End::Last, End::Last]),
        ("cut at a border", CHUNK as u64, sha256(&text[..CHUNK]), [End::More, End::Last]),
    ] {
        let blob = write(length, hash, ends).await;
        let read = read(store, &world.by, blob, at(2)).await;
        assert!(matches!(read, Err(StorageError::Damaged(_))), "{what}");
    }
}

/// A look for parts of no blob leaves those of blobs where they are.
pub async fn strays_of_living_blobs_stay(store: &dyn Storage) {
    let world = World::new(store).await;
    let by = Caller::new(world.organization, Actor::System);
    let blob = ok(write(store, (&by, BlobOwner::Organization), b"x", 1, at(0)).await).id;
    for turn in 0..1_024 {
        assert_eq!(ok(store.blobs().sweep_strays(turn, at(ABOUT_MANY_MILLIS - 1)).await), 0);
    }
    assert!(ok(read(store, &by, blob, at(1)).await).is_some());
}
