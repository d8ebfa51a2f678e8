//! What a shell brings along: the time and chance. The pure functions of this crate take neither; they take what was
//! read or drawn (I15).

use std::time::Duration;

use crate::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The instant now.
    fn now(&self) -> Timestamp;

    /// For how long, all told, the machine was suspended since it started: time that steady clocks leave out.
    fn slept(&self) -> Duration {
        Duration::ZERO
    }
}

/// Draws random bytes fit for keys, salts and tokens.
pub trait Chance: Send + Sync {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);
}

/// Draws `N` random bytes.
pub fn draw<const N: usize>(chance: &dyn Chance) -> [u8; N] {
    let mut bytes = [0; N];
    chance.fill(&mut bytes);
    bytes
}
