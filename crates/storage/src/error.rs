//! What a storage call can answer instead of its result.

use abide_core::Refusal;
use abide_core::once::Kept;

/// The result of a storage call.
pub type StorageResult<T> = Result<T, StorageError>;

/// Why a call did not do what was asked. Whatever it is, nothing of the call was written, except after
/// [`StorageError::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The command is understood and not allowed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The call was carried out before, under the same `Idempotency-Key`; this is what it was answered then.
    #[error("carried out before")]
    Replayed(Box<Kept>),
    /// The queue to the writer is full; try again in a moment.
    #[error("the store is busy")]
    Busy,
    /// The store is closed or broken; the text is for the log.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A row cannot be what it claims to be; the text names table and column, never content.
    #[error("damaged data: {0}")]
    Damaged(String),
    /// The commit failed half way: the call is stored whole or not at all, and nobody knows which.
    #[error("the outcome of the write is not known: {0}")]
    Unknown(String),
}
