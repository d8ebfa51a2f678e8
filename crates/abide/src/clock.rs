//! The two things only a shell may bring along (I15): the time of the wall, and the system's chance.

use std::time::{SystemTime, UNIX_EPOCH};

use abide_core::Timestamp;
use abide_core::shell::{Chance, Clock};
use aws_lc_rs::rand;

/// The system's clock, as it is: what must not run backwards (ids, signature times) is held where it is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock that everybody is handed")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The generator of the cryptographic library, seeded by the operating system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OsChance;

impl Chance for OsChance {
    fn fill(&self, bytes: &mut [u8]) {
        // It fails only where the operating system has no randomness to give. Going on would make guessable keys.
        rand::fill(bytes).expect("the operating system gives no random bytes");
    }
}
