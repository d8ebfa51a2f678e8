//! When keys were last used, to the minute.
//!
//! A call costs one look into a map in memory. Once a minute for each key in use, a write of its own follows, which no
//! caller waits for; it shares a commit with whatever is written then. What a process had noted and not written when it
//! ended is lost: the time tells an unused key from one in use, and nothing hangs on the minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use abide_core::Timestamp;
use abide_core::ids::KeyId;
use abide_storage::Storage;

/// How much later a use must be than the one that was written last.
const COARSE_MILLIS: i64 = 60_000;

/// The uses written last. Bounded by the number of keys that exist, since only valid ones come here.
#[derive(Debug, Default)]
pub(crate) struct KeyUses(Mutex<HashMap<KeyId, Timestamp>>);

impl KeyUses {
    /// Notes that a key was used.
    pub(crate) fn note(&self, storage: &Arc<dyn Storage>, key: KeyId, now: Timestamp) {
        if !self.is_worth_writing(key, now) {
            return;
        }
        let storage = Arc::clone(storage);
        tokio::spawn(async move {
            if let Err(error) = storage.accounts().note_key_use(key, now).await {
                tracing::debug!(reason = %error, "a key's use was not noted");
            }
        });
    }

    fn is_worth_writing(&self, key: KeyId, now: Timestamp) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match written.get(&key) {
            Some(last) if now.millis_since(*last) < COARSE_MILLIS => false,
            Some(_) | None => {
                written.insert(key, now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once_a_minute_for_each_key() {
        let uses = KeyUses::default();
        let at = Timestamp::from_millis;
        let (one, other) = (KeyId::from_key(1), KeyId::from_key(2));
        for (key, now, wanted) in [
            (one, 1_000, true),
            (one, 60_999, false),
            (other, 2_000, true),
            (one, 61_000, true),
            (one, 500, false),
            (other, 61_999, false),
        ] {
            assert_eq!(uses.is_worth_writing(key, at(now)), wanted, "{key} {now}");
        }
    }
}
