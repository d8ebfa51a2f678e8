//! How often a sign-in may be tried: for an account from one place, and from one network, with a wait that grows.
//!
//! A stranger must not be able to keep an account's owner out, so a wait holds only where the wrong tries came from: a
//! network, or a browser that has signed in to the account before and shows so by a cookie, as OWASP's device cookies
//! do. Such a browser is counted by itself, whatever others do from its network. Tries at one account from everywhere
//! together never forbid a further one; many of them make those from unknown browsers slow.
//!
//! Each try is counted before its password is looked at, so that many at once are not judged as one; a right password
//! clears its place. Accounts are counted whether they exist or not, under a keyed hash, so that what is in memory
//! names nobody. The tables are bounded (I9): each forgets its older half when the younger is full.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use abide_core::Timestamp;
use abide_core::shell::{Chance, draw};
use aws_lc_rs::hmac;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use parking_lot::Mutex;

/// Tries of one account from one place before that place has to wait.
const FREE_OF_PLACE: u32 = 5;
/// Tries from one network before it has to wait: offices share one.
const FREE_OF_NETWORK: u32 = 30;
/// Tries of one account from everywhere before those from unknown browsers are slowed.
const FREE_OF_ACCOUNT: u32 = 50;
/// The first wait; each further try doubles it.
const FIRST_WAIT_MILLIS: i64 = 1_000;
/// The longest wait.
const LONGEST_WAIT_MILLIS: i64 = 15 * 60 * 1_000;
/// By how much a try is slowed at first; each further [`FREE_OF_ACCOUNT`] tries double it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How often it doubles: an owner has to bear the longest pause, 8 s.
const PAUSE_DOUBLINGS: u32 = 3;
/// Tries are forgotten so long after the last.
const MEMORY_MILLIS: i64 = 60 * 60 * 1_000;
/// Entries per half of a table.
const HALF: usize = 8_192;
/// Bytes of a device's number, and of the seal behind it.
const NUMBER: usize = 16;
const SEAL: usize = 32;

/// What an account is counted under.
pub(crate) type AccountKey = [u8; 32];

/// A browser that has signed in to an account: a number that was drawn for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Device([u8; NUMBER]);

/// Makes what accounts are counted under, and the marks of browsers that have signed in.
///
/// It is drawn at each start, when all counts begin anew too; a mark from before is then one of an unknown browser.
pub(crate) struct ThrottleKey(hmac::Key);

impl ThrottleKey {
    pub(crate) fn new(chance: &dyn Chance) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &draw::<32>(chance)))
    }

    /// The same for the same kind and name, and nothing that tells them.
    pub(crate) fn blind(&self, kind: &str, name: &str) -> AccountKey {
        let mut context = hmac::Context::with_key(&self.0);
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        context.update(&(kind.len() as u64).to_be_bytes());
        context.update(kind.as_bytes());
        context.update(name.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    /// The mark of a browser that has signed in to an account: it is worth tries of its own and opens nothing.
    pub(crate) fn mark_device(&self, account: &AccountKey, chance: &dyn Chance) -> String {
        let number = draw::<NUMBER>(chance);
        let seal = hmac::sign(&self.0, &sealed(account, &number));
        BASE64_URL_SAFE_NO_PAD.encode([&number[..], seal.as_ref()].concat())
    }

    /// The device whose mark this is, where it was made for this account and since the start.
    pub(crate) fn device_of(&self, account: &AccountKey, mark: &str) -> Option<Device> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(mark).ok()?;
        let bytes: [u8; NUMBER + SEAL] = bytes.try_into().ok()?;
        let (number, seal) = bytes.split_first_chunk::<NUMBER>()?;
        hmac::verify(&self.0, &sealed(account, number), seal).ok()?;
        Some(Device(*number))
    }
}

/// What a mark's seal is made over. The first bytes are no length of a kind that anything is blinded under.
fn sealed(account: &AccountKey, number: &[u8; NUMBER]) -> Vec<u8> {
    [&u64::MAX.to_be_bytes()[..], account, number].concat()
}

/// Counts tries.
#[derive(Default)]
pub(crate) struct Throttle {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    places: Halves<(AccountKey, Place)>,
    networks: Halves<IpAddr>,
    accounts: Halves<AccountKey>,
}

/// Where a try comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A browser that has signed in to the account before.
    Known(Device),
    /// Another one, at an address.
    Address(IpAddr),
    /// Through no connection, as in tests; or the account's own number says where.
    Nowhere,
}

/// The try comes too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Whole seconds until the next try is looked at, at least 1.
    pub(crate) seconds: u64,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last: Timestamp,
}

struct Halves<K> {
    young: HashMap<K, Tries>,
    old: HashMap<K, Tries>,
}

impl Throttle {
    /// Counts a try and says how long to hold it back before it is looked at; or says how long that place has to wait,
    /// and then it is not counted.
    pub(crate) fn count(
        &self,
        account: AccountKey,
        place: Place,
        now: Timestamp,
    ) -> Result<Duration, Wait> {
        let place = place.whole();
        let mut tables = self.tables.lock();
        let of_place = tables.places.wait(&(account, place), FREE_OF_PLACE, now);
        let of_network = place
            .network()
            .map_or(0, |network| tables.networks.wait(&network, FREE_OF_NETWORK, now));
        let wait = of_place.max(of_network);
        if wait > 0 {
            return Err(Wait { seconds: (wait as u64).div_ceil(1_000) });
        }
        tables.places.add((account, place), now);
        if let Place::Known(_) = place {
            return Ok(Duration::ZERO);
        }
        if let Some(network) = place.network() {
            tables.networks.add(network, now);
        }
        let before = tables.accounts.get(&account, now).map_or(0, |tries| tries.count);
        tables.accounts.add(account, now);
        Ok(pause(before))
    }

    /// The password was right: the place's tries of the account are forgotten, and this one is no mark against the
    /// network nor against the account.
    pub(crate) fn forgive(&self, account: &AccountKey, place: Place) {
        let place = place.whole();
        let mut tables = self.tables.lock();
        tables.places.forget(&(*account, place));
        if let Place::Known(_) = place {
            return;
        }
        if let Some(network) = place.network() {
            tables.networks.take_back(&network);
        }
        tables.accounts.take_back(account);
    }
}

/// By how much a try from an unknown browser is slowed, after so many at its account.
fn pause(before: u32) -> Duration {
    match before / FREE_OF_ACCOUNT {
        0 => Duration::ZERO,
        rounds => FIRST_PAUSE * 2_u32.pow((rounds - 1).min(PAUSE_DOUBLINGS)),
    }
}

impl Place {
    /// The network in place of the address: whoever has one address of IPv6 has the 64 bits behind its network.
    fn whole(self) -> Self {
        let Self::Address(address) = self else { return self };
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    fn network(self) -> Option<IpAddr> {
        match self {
            Self::Address(network) => Some(network),
            Self::Known(_) | Self::Nowhere => None,
        }
    }
}

impl<K> Default for Halves<K> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Eq + Hash + Copy> Halves<K> {
    fn get(&self, key: &K, now: Timestamp) -> Option<Tries> {
        let found = self.young.get(key).or_else(|| self.old.get(key)).copied();
        found.filter(|tries| now.millis_since(tries.last) < MEMORY_MILLIS)
    }

    /// Milliseconds until the next try is looked at.
    fn wait(&self, key: &K, free: u32, now: Timestamp) -> i64 {
        let Some(tries) = self.get(key, now) else { return 0 };
        let Some(beyond) = tries.count.checked_sub(free) else { return 0 };
        let wait = FIRST_WAIT_MILLIS << beyond.min(20);
        let until = tries.last.plus_millis(wait.min(LONGEST_WAIT_MILLIS));
        until.millis_since(now).max(0)
    }

    fn add(&mut self, key: K, now: Timestamp) {
        let count = self.get(&key, now).map_or(0, |tries| tries.count).saturating_add(1);
        if self.young.len() >= HALF && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, Tries { count, last: now });
    }

    fn forget(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    fn take_back(&mut self, key: &K) {
        for half in [&mut self.young, &mut self.old] {
            if let Some(tries) = half.get_mut(key) {
                tries.count = tries.count.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    const ADA: AccountKey = [1; 32];

    struct Counting(AtomicU8);

    impl Chance for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_705_314_600_000 + millis)
    }

    fn address(number: u32) -> Place {
        Place::Address(IpAddr::from((0x0a00_0000 + number).to_be_bytes()))
    }

    /// Tries without end from a place that heeds no wait.
    fn misbehave(throttle: &Throttle, place: Place) {
        for _ in 0..100 {
            let _ = throttle.count(ADA, place, at(0));
        }
    }

    #[test]
    fn a_place_waits_longer_with_each_try() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            assert_eq!(throttle.count(ADA, address(9), at(0)), Ok(Duration::ZERO));
        }
        let mut now = 0;
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let wait = throttle.count(ADA, address(9), at(now)).unwrap_err();
            assert_eq!(wait.seconds, seconds);
            let early = throttle.count(ADA, address(9), at(now + wait.seconds as i64 * 1_000 - 1));
            assert_eq!(early, Err(Wait { seconds: 1 }), "a try too early adds nothing");
            now += wait.seconds as i64 * 1_000;
            assert!(throttle.count(ADA, address(9), at(now)).is_ok());
        }
        assert!(throttle.count([2; 32], address(9), at(now)).is_ok(), "others do not wait");
        throttle.forgive(&ADA, address(9));
        assert!(throttle.count(ADA, address(9), at(now)).is_ok());
    }

    #[test]
    fn a_stranger_keeps_nobody_out() {
        let throttle = Throttle::default();
        for number in 0..1_000 {
            misbehave(&throttle, address(number));
        }
        assert!(throttle.count(ADA, address(7), at(0)).is_err(), "where it came from");
        let slowed = throttle.count(ADA, address(5_000), at(0));
        assert_eq!(slowed, Ok(Duration::from_secs(8)), "a place that did no wrong is heard");
        let key = ThrottleKey::new(&Counting(AtomicU8::new(0)));
        let mark = key.mark_device(&ADA, &Counting(AtomicU8::new(9)));
        let known = Place::Known(key.device_of(&ADA, &mark).unwrap());
        assert_eq!(throttle.count(ADA, known, at(0)), Ok(Duration::ZERO), "nor slowed");
        misbehave(&throttle, known);
        assert!(throttle.count(ADA, known, at(0)).is_err(), "but is counted by itself");
        assert!(throttle.count(ADA, address(5_001), at(0)).is_ok(), "and against nobody else");
    }

    #[test]
    fn many_tries_at_an_account_slow_it() {
        let seconds = |before| pause(before).as_secs();
        let told = [0, 49, 50, 99, 100, 150, 200, 250, u32::MAX].map(seconds);
        assert_eq!(told, [0, 0, 1, 1, 2, 4, 8, 8, 8]);
        let throttle = Throttle::default();
        for number in 0..50 {
            assert_eq!(throttle.count(ADA, address(number), at(0)), Ok(Duration::ZERO));
        }
        throttle.forgive(&ADA, address(49));
        assert_eq!(
            throttle.count(ADA, address(51), at(0)),
            Ok(Duration::ZERO),
            "not the right one"
        );
        assert_eq!(throttle.count(ADA, address(52), at(0)), Ok(FIRST_PAUSE));
        let later = at(MEMORY_MILLIS);
        assert_eq!(throttle.count(ADA, address(52), later), Ok(Duration::ZERO), "forgotten");
    }

    #[test]
    fn a_mark_is_of_one_account_and_one_start() {
        let chance = Counting(AtomicU8::new(0));
        let (key, other) = (ThrottleKey::new(&chance), ThrottleKey::new(&chance));
        let mark = key.mark_device(&ADA, &chance);
        assert!(key.device_of(&ADA, &mark).is_some());
        assert_ne!(
            key.device_of(&ADA, &mark),
            key.device_of(&ADA, &key.mark_device(&ADA, &chance))
        );
        assert_eq!(key.device_of(&[2; 32], &mark), None);
        assert_eq!(other.device_of(&ADA, &mark), None);
        for bad in ["", "x", &mark[1..], &format!("{mark}AA"), &"A".repeat(mark.len())] {
            assert_eq!(key.device_of(&ADA, bad), None, "{bad}");
        }
    }

    #[test]
    fn tries_are_forgotten_after_an_hour() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            throttle.count(ADA, Place::Nowhere, at(0)).unwrap();
        }
        throttle.count(ADA, Place::Nowhere, at(10)).unwrap_err();
        for _ in 0..5 {
            throttle.count(ADA, Place::Nowhere, at(MEMORY_MILLIS)).unwrap();
        }
    }

    #[test]
    fn a_network_waits_whichever_accounts_it_tries() {
        let throttle = Throttle::default();
        let account = |number: u8| [number; 32];
        for number in 0..30 {
            assert!(throttle.count(account(number), address(1), at(0)).is_ok());
        }
        assert!(throttle.count(account(99), address(1), at(0)).is_err());
        assert!(throttle.count(account(99), address(2), at(0)).is_ok());
        throttle.forgive(&account(98), address(1));
        assert!(throttle.count(account(98), address(1), at(0)).is_ok());
        let v6 = |text: &str| Place::Address(text.parse().unwrap());
        for number in 0..30 {
            let host = format!("2001:db8:0:1::{number:x}");
            assert!(throttle.count(account(100 + number), v6(&host), at(0)).is_ok());
        }
        assert!(throttle.count(account(97), v6("2001:db8:0:1:ffff::1"), at(0)).is_err());
        assert!(throttle.count(account(97), v6("2001:db8:0:2::1"), at(0)).is_ok());
    }

    /// I9: whatever is tried, so many entries are kept and no more.
    #[test]
    fn i9_the_tables_are_bounded() {
        let throttle = Throttle::default();
        for number in 0..50_000_u32 {
            let mut account = [0; 32];
            account[..4].copy_from_slice(&number.to_be_bytes());
            throttle.count(account, address(number), at(0)).unwrap();
        }
        let tables = throttle.tables.lock();
        assert!(tables.accounts.young.len() + tables.accounts.old.len() <= 2 * HALF);
        assert!(tables.networks.young.len() + tables.networks.old.len() <= 2 * HALF);
        assert!(tables.places.young.len() + tables.places.old.len() <= 2 * HALF);
    }
}
