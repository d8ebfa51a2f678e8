//! The two things only a shell may bring along (I15): the time of the wall, and the system's chance.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

    fn slept(&self) -> Duration {
        slept()
    }
}

/// How far the clock that goes on while the machine is suspended is ahead of the one that does not. Elsewhere that cannot be
/// asked in this way: a suspension is noticed there at the next heartbeat.
#[cfg(target_os = "linux")]
fn slept() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    let (mut closest, mut slept) = (Duration::MAX, Duration::ZERO);
    // What comes between the readings is not to be taken for sleep.
    for _ in 0..4 {
        let (before, with_sleep, after) =
            (read(ClockId::Monotonic), read(ClockId::Boottime), read(ClockId::Monotonic));
        let between = after.saturating_sub(before);
        if between < closest {
            (closest, slept) = (between, with_sleep.saturating_sub(before));
        }
        if closest < Duration::from_micros(100) {
            break;
        }
    }
    slept
}

#[cfg(not(target_os = "linux"))]
fn slept() -> Duration {
    Duration::ZERO
}

/// The generator of the cryptographic library, seeded by the operating system. It draws fresh entropy at each call,
/// whatever its length; so each thread draws a block at once and hands it out piece by piece, each piece once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OsChance;

const BLOCK: usize = 1024;

thread_local! {
    static DRAWN: RefCell<Block> = const { RefCell::new(Block { bytes: [0; BLOCK], left: 0 }) };
}

struct Block {
    bytes: [u8; BLOCK],
    /// How many at the beginning were not handed out.
    left: usize,
}

impl Block {
    fn hand_out(&mut self, wanted: &mut [u8]) {
        if self.left < wanted.len() {
            draw(&mut self.bytes);
            self.left = BLOCK;
        }
        self.left -= wanted.len();
        let piece = &mut self.bytes[self.left..][..wanted.len()];
        wanted.copy_from_slice(piece);
        piece.fill(0);
    }
}

impl Chance for OsChance {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > BLOCK {
            draw(bytes);
        } else {
            DRAWN.with_borrow_mut(|block| block.hand_out(bytes));
        }
    }
}

fn draw(bytes: &mut [u8]) {
    // It fails only where the operating system has no randomness to give. Going on would make guessable keys.
    rand::fill(bytes).expect("the operating system gives no random bytes");
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// No piece is handed out twice, over the ends of blocks too, nor left as it was.
    #[test]
    fn each_piece_is_handed_out_once() {
        let pieces: HashSet<[u8; 24]> =
            (0..1_000).map(|_| abide_core::shell::draw(&OsChance)).collect();
        assert_eq!(pieces.len(), 1_000);
        assert!(!pieces.contains(&[0; 24]));
        let mut long = vec![0; 3 * BLOCK];
        OsChance.fill(&mut long);
        assert!(long.chunks(BLOCK).all(|part| part.iter().any(|byte| *byte != 0)));
    }
}
