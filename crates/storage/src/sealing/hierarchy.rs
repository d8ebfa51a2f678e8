//! Master key → organization key → subject key: each kept sealed under the one above.
//!
//! A wrapped key is sealed bytes like any other, bound to its place: an organization's wrapped keys
//! do not open in another organization's row. Rotating the master key re-wraps the organization
//! keys and touches nothing below: the keys themselves stay, so everything sealed under them opens
//! as before, and blind indexes stay valid.

use std::{fmt, ops::Deref};

use zeroize::Zeroizing;

use super::{
    Chance, IndexKey, KeyBytes, KeyId, MasterId, MasterKeys, OpenError, Place, SealingKey, draw_key,
};

/// An organization's keys, ready for use.
#[derive(Debug)]
pub struct OrganizationKeys {
    /// Wraps the keys of its subjects, requests and blobs, and seals what belongs to no person:
    /// signing secrets, credentials of systems.
    pub key: SealingKey,
    /// Makes its blind indexes.
    pub index_key: IndexKey,
}

/// An organization's keys as its row keeps them.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedOrganizationKeys {
    /// The data key, sealed under the master key.
    pub wrapped_key: Vec<u8>,
    /// The index key, likewise.
    pub wrapped_index_key: Vec<u8>,
    /// Which master key: what the re-wrapping job looks for.
    pub master_id: MasterId,
}

/// The key everything about one person is sealed under.
///
/// Its own type, so that personal data is not sealed under an organization's key by mistake.
#[derive(Debug)]
pub struct SubjectKey(SealingKey);

/// The key one blob is sealed under, wrapped by its owner's.
#[derive(Debug)]
pub struct BlobKey(SealingKey);

/// Why an organization's keys could not be unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// This node's key file lacks the master key.
    #[error("the key file does not hold master key {0}")]
    UnknownMaster(MasterId),
    /// The wrapped bytes did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl OrganizationKeys {
    /// Draws an organization's keys and wraps them under the current master key.
    pub fn generate(
        masters: &MasterKeys,
        organization: i64,
        chance: Chance<'_>,
    ) -> (OrganizationKeys, WrappedOrganizationKeys) {
        let (key, index_key) = (draw_key(chance), draw_key(chance));
        let wrapped = wrap(masters, organization, &key, &index_key);
        (OrganizationKeys::ready(organization, &key, &index_key), wrapped)
    }

    /// Opens an organization's keys.
    pub fn unwrap(
        masters: &MasterKeys,
        organization: i64,
        wrapped: &WrappedOrganizationKeys,
    ) -> Result<OrganizationKeys, UnwrapError> {
        let (key, index_key) = wrapped.open(masters, organization)?;
        Ok(OrganizationKeys::ready(organization, &key, &index_key))
    }

    fn ready(organization: i64, key: &[u8; 32], index_key: &[u8; 32]) -> OrganizationKeys {
        OrganizationKeys {
            key: SealingKey::new(KeyId::of_row(organization), key),
            index_key: IndexKey::new(index_key),
        }
    }
}

impl WrappedOrganizationKeys {
    /// Wraps the same keys anew, under the current master key.
    pub fn rewrap(
        &self,
        masters: &MasterKeys,
        organization: i64,
    ) -> Result<WrappedOrganizationKeys, UnwrapError> {
        let (key, index_key) = self.open(masters, organization)?;
        Ok(wrap(masters, organization, &key, &index_key))
    }

    fn open(
        &self,
        masters: &MasterKeys,
        organization: i64,
    ) -> Result<(KeyBytes, KeyBytes), UnwrapError> {
        let master =
            masters.get(self.master_id).ok_or(UnwrapError::UnknownMaster(self.master_id))?;
        let master = master.sealing_key();
        let key = open_key(&master, &key_place(organization), &self.wrapped_key)?;
        let index_key = open_key(&master, &index_key_place(organization), &self.wrapped_index_key)?;
        Ok((key, index_key))
    }
}

impl SubjectKey {
    /// Draws a subject's key; also returns it wrapped, as the subject's row keeps it.
    ///
    /// The key's id is the subject's row id. Row ids are never used twice, and an erased person who
    /// comes back is a new subject: so a key id that differs tells a writer that its cached key is
    /// no longer the person's.
    pub fn generate(
        organization: &OrganizationKeys,
        subject: i64,
        chance: Chance<'_>,
    ) -> (SubjectKey, Vec<u8>) {
        let bytes = draw_key(chance);
        let wrapped = organization.key.wrap(&subject_place(subject), &bytes);
        (SubjectKey(SealingKey::new(KeyId::of_row(subject), &bytes)), wrapped)
    }

    /// Opens a subject's key.
    pub fn unwrap(
        organization: &OrganizationKeys,
        subject: i64,
        wrapped: &[u8],
    ) -> Result<SubjectKey, OpenError> {
        let place = subject_place(subject);
        organization.key.unwrap(&place, KeyId::of_row(subject), wrapped).map(SubjectKey)
    }
}

impl BlobKey {
    /// Draws a blob's key; also returns it wrapped by its owner's, as the blob's row keeps it.
    pub fn generate(owner: &SealingKey, blob: i64, chance: Chance<'_>) -> (BlobKey, Vec<u8>) {
        let bytes = draw_key(chance);
        let wrapped = owner.wrap(&blob_place(blob), &bytes);
        (BlobKey(SealingKey::new(KeyId::of_row(blob), &bytes)), wrapped)
    }

    /// Opens a blob's key.
    pub fn unwrap(owner: &SealingKey, blob: i64, wrapped: &[u8]) -> Result<BlobKey, OpenError> {
        owner.unwrap(&blob_place(blob), KeyId::of_row(blob), wrapped).map(BlobKey)
    }
}

impl Deref for BlobKey {
    type Target = SealingKey;

    fn deref(&self) -> &SealingKey {
        &self.0
    }
}

impl Deref for SubjectKey {
    type Target = SealingKey;

    fn deref(&self) -> &SealingKey {
        &self.0
    }
}

/// For keys that hang elsewhere in the hierarchy: those of privacy requests.
impl SealingKey {
    /// Seals another key under this one, for the place where it is kept.
    pub fn wrap(&self, place: &Place, key: &[u8; 32]) -> Vec<u8> {
        self.seal(place, key)
    }

    /// Opens a key that this one wrapped, and gives it its id.
    pub fn unwrap(
        &self,
        place: &Place,
        id: KeyId,
        wrapped: &[u8],
    ) -> Result<SealingKey, OpenError> {
        open_key(self, place, wrapped).map(|bytes| SealingKey::new(id, &bytes))
    }
}

impl fmt::Debug for WrappedOrganizationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedOrganizationKeys")
            .field("master_id", &self.master_id)
            .finish_non_exhaustive()
    }
}

fn wrap(
    masters: &MasterKeys,
    organization: i64,
    key: &[u8; 32],
    index_key: &[u8; 32],
) -> WrappedOrganizationKeys {
    let master = masters.current();
    let sealing = master.sealing_key();
    WrappedOrganizationKeys {
        wrapped_key: sealing.wrap(&key_place(organization), key),
        wrapped_index_key: sealing.wrap(&index_key_place(organization), index_key),
        master_id: master.id(),
    }
}

fn open_key(under: &SealingKey, place: &Place, wrapped: &[u8]) -> Result<KeyBytes, OpenError> {
    let opened = Zeroizing::new(under.open(place, wrapped)?);
    let bytes: &[u8; 32] = opened.as_slice().try_into().map_err(|_| OpenError::Damaged)?;
    Ok(Zeroizing::new(*bytes))
}

fn key_place(organization: i64) -> Place {
    Place { table: "organizations", column: "wrapped_key", row: organization }
}

fn index_key_place(organization: i64) -> Place {
    Place { table: "organizations", column: "wrapped_index_key", row: organization }
}

fn blob_place(blob: i64) -> Place {
    Place { table: "blobs", column: "wrapped_key", row: blob }
}

fn subject_place(subject: i64) -> Place {
    Place { table: "subjects", column: "wrapped_key", row: subject }
}

#[cfg(test)]
mod tests;
