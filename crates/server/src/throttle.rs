//! How often a sign-in may be tried: per account and per address, with a delay that grows.
//!
//! Each try is counted before its password is looked at, so that many at once are not judged as one; a right password
//! clears its account. Accounts are counted whether they exist or not, under a keyed hash, so that what is in memory
//! names nobody. The tables are bounded (I9): each forgets its older half when the younger is full.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use abide_core::Timestamp;
use abide_core::shell::{Chance, draw};
use aws_lc_rs::hmac;
use parking_lot::Mutex;

/// Tries of one account before it has to wait.
const FREE_OF_ACCOUNT: u32 = 5;
/// Tries from one address before it has to wait: offices share one.
const FREE_OF_ADDRESS: u32 = 30;
/// The first wait; each further try doubles it.
const FIRST_WAIT_MILLIS: i64 = 1_000;
/// The longest wait. Longer ones would let anybody lock an account's owner out.
const LONGEST_WAIT_MILLIS: i64 = 15 * 60 * 1_000;
/// Tries are forgotten so long after the last.
const MEMORY_MILLIS: i64 = 60 * 60 * 1_000;
/// Entries per half of a table.
const HALF: usize = 8_192;

/// What an account is counted under.
pub(crate) type AccountKey = [u8; 32];

/// Makes what accounts are counted under.
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
}

/// Counts tries.
#[derive(Default)]
pub(crate) struct Throttle {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    accounts: Halves<AccountKey>,
    addresses: Halves<IpAddr>,
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
    /// Counts a try, or says how long to wait; then it is not counted.
    pub(crate) fn count(
        &self,
        account: AccountKey,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Wait> {
        let address = address.map(network);
        let mut tables = self.tables.lock();
        let of_account = tables.accounts.wait(&account, FREE_OF_ACCOUNT, now);
        let of_address =
            address.map_or(0, |address| tables.addresses.wait(&address, FREE_OF_ADDRESS, now));
        let wait = of_account.max(of_address);
        if wait > 0 {
            return Err(Wait { seconds: (wait as u64).div_ceil(1_000) });
        }
        tables.accounts.add(account, now);
        if let Some(address) = address {
            tables.addresses.add(address, now);
        }
        Ok(())
    }

    /// The password was right: the account's tries are forgotten, and this one is no mark against the address.
    pub(crate) fn forgive(&self, account: &AccountKey, address: Option<IpAddr>) {
        let mut tables = self.tables.lock();
        tables.accounts.forget(account);
        if let Some(address) = address {
            tables.addresses.take_back(&network(address));
        }
    }
}

/// Whoever has one address of IPv6 has the 64 bits behind its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
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
    use super::*;

    const ADA: AccountKey = [1; 32];

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_705_314_600_000 + millis)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn an_account_waits_longer_with_each_try() {
        let throttle = Throttle::default();
        for number in 0..5 {
            assert_eq!(throttle.count(ADA, Some(address(number)), at(0)), Ok(()), "from anywhere");
        }
        let mut now = 0;
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let wait = throttle.count(ADA, Some(address(9)), at(now)).unwrap_err();
            assert_eq!(wait.seconds, seconds);
            let early =
                throttle.count(ADA, Some(address(9)), at(now + wait.seconds as i64 * 1_000 - 1));
            assert_eq!(early, Err(Wait { seconds: 1 }), "a try too early adds nothing");
            now += wait.seconds as i64 * 1_000;
            assert_eq!(throttle.count(ADA, Some(address(9)), at(now)), Ok(()));
        }
        assert_eq!(
            throttle.count([2; 32], Some(address(1)), at(now)),
            Ok(()),
            "others do not wait"
        );
        throttle.forgive(&ADA, Some(address(9)));
        assert_eq!(throttle.count(ADA, Some(address(9)), at(now)), Ok(()));
    }

    #[test]
    fn tries_are_forgotten_after_an_hour() {
        let throttle = Throttle::default();
        for _ in 0..5 {
            throttle.count(ADA, None, at(0)).unwrap();
        }
        throttle.count(ADA, None, at(10)).unwrap_err();
        for _ in 0..5 {
            throttle.count(ADA, None, at(MEMORY_MILLIS)).unwrap();
        }
    }

    #[test]
    fn an_address_waits_whichever_accounts_it_tries() {
        let throttle = Throttle::default();
        let account = |number: u8| [number; 32];
        for number in 0..30 {
            assert_eq!(throttle.count(account(number), Some(address(1)), at(0)), Ok(()));
        }
        assert!(throttle.count(account(99), Some(address(1)), at(0)).is_err());
        assert_eq!(throttle.count(account(99), Some(address(2)), at(0)), Ok(()));
        throttle.forgive(&account(98), Some(address(1)));
        assert_eq!(throttle.count(account(98), Some(address(1)), at(0)), Ok(()));
        let v6 = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for number in 0..30 {
            let host = format!("2001:db8:0:1::{number:x}");
            assert_eq!(throttle.count(account(100 + number), v6(&host), at(0)), Ok(()));
        }
        assert!(throttle.count(account(97), v6("2001:db8:0:1:ffff::1"), at(0)).is_err());
        assert_eq!(throttle.count(account(97), v6("2001:db8:0:2::1"), at(0)), Ok(()));
    }

    /// I9: whatever is tried, so many entries are kept and no more.
    #[test]
    fn i9_the_tables_are_bounded() {
        let throttle = Throttle::default();
        for number in 0..50_000_u32 {
            let mut account = [0; 32];
            account[..4].copy_from_slice(&number.to_be_bytes());
            let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            throttle.count(account, Some(address), at(0)).unwrap();
        }
        let tables = throttle.tables.lock();
        assert!(tables.accounts.young.len() + tables.accounts.old.len() <= 2 * HALF);
        assert!(tables.addresses.young.len() + tables.addresses.old.len() <= 2 * HALF);
    }
}
