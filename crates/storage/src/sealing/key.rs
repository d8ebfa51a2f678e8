//! One key, and bytes sealed under it.
//!
//! Sealed bytes are `version (1) | key id (8) | nonce (12) | ciphertext | tag (16)`, AES-256-GCM. The
//! [`Place`] they belong to is associated data: bytes copied into another row, column or table do
//! not open there. The key id is only a hint, so that a reader can tell "not this key" from "damaged"
//! and ask for the right one; what authenticates is the tag.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

const VERSION: u8 = 1;
const KEY_ID_AT: usize = 1;
const NONCE_AT: usize = KEY_ID_AT + size_of::<KeyId>();
const TEXT_AT: usize = NONCE_AT + NONCE_LEN;
const TAG_LEN: usize = 16;

/// How many bytes longer sealed bytes are than what they hold.
pub const SEALED_OVERHEAD: usize = TEXT_AT + TAG_LEN;

/// The number of a key, as written into what it sealed.
///
/// For subject and organization keys it is the row id of their owner, bit for bit; for master keys
/// the number in [`MasterId`](super::MasterId). Ids are unique among keys of one kind, which
/// suffices: each sealed column is sealed by one kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u64);

impl KeyId {
    /// The id of the key that belongs to this row.
    pub const fn of_row(row: i64) -> KeyId {
        KeyId(row.cast_unsigned())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where sealed bytes are stored: they open nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The table, by its name in the schema: at most 63 bytes, as PostgreSQL has it.
    pub table: &'static str,
    /// The column, likewise.
    pub column: &'static str,
    /// The integer key of the row.
    pub row: i64,
}

/// Where a part of a blob stands: it opens as no other part, and in no other blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkPlace {
    /// The key of the blob's row.
    pub blob: i64,
    /// Which part, from 0.
    pub index: u32,
    /// Whether more parts follow: a blob cut short ends with a part that was not sealed as its last.
    pub end: End,
}

/// Whether more of a blob follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It goes on.
    More,
    /// This is the last part.
    Last,
}

impl ChunkPlace {
    /// `version | 0 | blob | index | last`: where a column's place has the length of its table's name, which is never 0.
    fn associated_data(self) -> [u8; 15] {
        let mut data = [0; 15];
        data[0] = VERSION;
        data[2..10].copy_from_slice(&self.blob.to_be_bytes());
        data[10..14].copy_from_slice(&self.index.to_be_bytes());
        data[14] = u8::from(self.end == End::Last);
        data
    }
}

/// Why sealed bytes did not open. Says nothing about what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed under another key. After an erasure this is how a stale cache shows itself.
    #[error("sealed under key {wanted}, not under this one")]
    WrongKey {
        /// The key that sealed them.
        wanted: KeyId,
    },
    /// Cut short, altered, or moved from another place.
    #[error("sealed bytes are damaged or stand in the wrong place")]
    Damaged,
    /// Written by a later version of Abide.
    #[error("sealed in a format this version does not know")]
    UnknownVersion,
}

/// Reads which key sealed these bytes, without opening them. `None`: they are no sealed bytes that
/// this version knows.
pub fn sealed_key_id(sealed: &[u8]) -> Option<KeyId> {
    read_key_id(sealed).ok()
}

/// A key ready for use: its schedule is computed once, so keep it rather than its 32 bytes.
///
/// Fits a cache of many thousands: see the test `a_key_is_small_enough_to_cache`. The key material
/// lives in one block of the C library, which wipes it when freed.
pub struct SealingKey {
    id: KeyId,
    key: RandomizedNonceKey,
}

impl SealingKey {
    /// Prepares a key. The caller wipes its copy of the bytes.
    pub fn new(id: KeyId, bytes: &[u8; 32]) -> SealingKey {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes)
            .expect("AES-256-GCM takes every key of 32 bytes");
        SealingKey { id, key }
    }

    /// The number written into what this key seals.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Seals bytes for one place.
    ///
    /// The nonce is drawn inside, the one exception to "chance is an argument": it shapes no
    /// behaviour, and a nonce used twice, as a replayed seed would, gives the plain text away.
    /// Random 96-bit nonces serve 2^32 sealings per key, far above what one organization's key or
    /// one person's sees.
    pub fn seal(&self, place: &Place, plain: &[u8]) -> Vec<u8> {
        self.seal_with(AssociatedData::of(place).as_bytes(), plain)
    }

    /// Opens bytes sealed under this key for this place.
    pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.open_with(AssociatedData::of(place).as_bytes(), sealed)
    }

    /// Seals one part of a blob.
    pub fn seal_chunk(&self, place: &ChunkPlace, plain: &[u8]) -> Vec<u8> {
        self.seal_with(&place.associated_data(), plain)
    }

    /// Opens one part of a blob.
    pub fn open_chunk(&self, place: &ChunkPlace, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.open_with(&place.associated_data(), sealed)
    }

    fn seal_with(&self, associated: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + SEALED_OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.id.0.to_be_bytes());
        sealed.extend_from_slice(&[0; NONCE_LEN]);
        sealed.extend_from_slice(plain);
        let (nonce, tag) = self
            .key
            .seal_in_place_separate_tag(Aad::from(associated), &mut sealed[TEXT_AT..])
            .expect("sealing fails only above 64 GiB");
        sealed[NONCE_AT..TEXT_AT].copy_from_slice(nonce.as_ref());
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    fn open_with(&self, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let wanted = read_key_id(sealed)?;
        if wanted != self.id {
            return Err(OpenError::WrongKey { wanted });
        }
        let nonce = Nonce::try_assume_unique_for_key(&sealed[NONCE_AT..TEXT_AT])
            .map_err(|_| OpenError::Damaged)?;
        let mut text = sealed[TEXT_AT..].to_vec();
        self.key
            .open_in_place(nonce, Aad::from(associated), &mut text)
            .map_err(|_| OpenError::Damaged)?;
        text.truncate(sealed.len() - SEALED_OVERHEAD);
        Ok(text)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn read_key_id(sealed: &[u8]) -> Result<KeyId, OpenError> {
    match sealed.first() {
        None => return Err(OpenError::Damaged),
        Some(&VERSION) => {}
        Some(_) => return Err(OpenError::UnknownVersion),
    }
    if sealed.len() < SEALED_OVERHEAD {
        return Err(OpenError::Damaged);
    }
    let id = sealed[KEY_ID_AT..].first_chunk().ok_or(OpenError::Damaged)?;
    Ok(KeyId(u64::from_be_bytes(*id)))
}

/// `version | length of table | table | length of column | column | row`, on the stack: sealing is
/// on the path of every event. The lengths keep ("ab", "c") and ("a", "bc") apart.
struct AssociatedData {
    bytes: [u8; 3 + 2 * NAME_LIMIT + 8],
    len: usize,
}

const NAME_LIMIT: usize = 63;

impl AssociatedData {
    fn of(place: &Place) -> AssociatedData {
        let mut data = AssociatedData { bytes: [0; 3 + 2 * NAME_LIMIT + 8], len: 0 };
        data.push(&[VERSION]);
        for name in [place.table, place.column] {
            assert!(name.len() <= NAME_LIMIT, "the name {name} is longer than {NAME_LIMIT} bytes");
            data.push(&[name.len() as u8]);
            data.push(name.as_bytes());
        }
        data.push(&place.row.to_be_bytes());
        data
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests;
