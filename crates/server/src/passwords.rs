//! Passwords: Argon2id, off the async threads, few at a time.
//!
//! Each hash takes 19 MiB and some 20 ms of a core, by OWASP's parameters. So at most as many run as leave a core for
//! the rest, and a bounded number waits; who finds no turn in time is told to come again (I9). A stored hash names its
//! own parameters: raising them here changes what is hashed from then on, and old hashes follow at their next sign-in.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use abide_core::shell::{Chance, draw};
use abide_storage::users::PasswordHash;
use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Memory in KiB, passes, lanes: the first of OWASP's equal choices.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Turns that may be waited for at once.
const WAITING: usize = 32;
/// How long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hashes and verifies passwords.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// What is verified where there is no account, so that it takes as long.
    nobody: PasswordHash,
}

/// What a verification showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The password is another one, or there is no account.
    Wrong,
    /// The password is right; the new hash replaces one whose parameters are outdated.
    Right(Option<PasswordHash>),
}

/// No turn came, or no memory was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overloaded;

impl Passwords {
    pub(crate) fn new(chance: &dyn Chance) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        // Nobody has this password: it is drawn and dropped.
        let nobody =
            hash(&draw::<32>(chance), &draw(chance)).unwrap_or(PasswordHash(String::new()));
        Self {
            turns: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))),
            waiting: Arc::new(Semaphore::new(WAITING)),
            nobody,
        }
    }

    /// Hashes a new password under a fresh salt.
    pub(crate) async fn hash(
        &self,
        password: String,
        chance: &dyn Chance,
    ) -> Result<PasswordHash, Overloaded> {
        let salt = draw(chance);
        self.in_turn(move || hash(password.as_bytes(), &salt)).await?.ok_or(Overloaded)
    }

    /// Verifies a password against an account's, or against nobody's in the same time.
    pub(crate) async fn verify(
        &self,
        password: String,
        kept: Option<PasswordHash>,
        chance: &dyn Chance,
    ) -> Result<Verdict, Overloaded> {
        let salt = draw(chance);
        let exists = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.clone());
        self.in_turn(move || match verify(password.as_bytes(), &kept) {
            Checked::Current if exists => Verdict::Right(None),
            Checked::Outdated if exists => Verdict::Right(hash(password.as_bytes(), &salt)),
            Checked::Current | Checked::Outdated | Checked::Wrong => Verdict::Wrong,
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let place = self.waiting.try_acquire().map_err(|_| Overloaded)?;
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Overloaded)?;
        drop(place);
        tokio::task::spawn_blocking(move || {
            let done = work();
            // Given back when the work is over, also where whoever asked went away.
            drop(turn);
            done
        })
        .await
        .map_err(|_| Overloaded)
    }
}

enum Checked {
    Wrong,
    Current,
    Outdated,
}

fn argon2() -> Option<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8], salt: &[u8; 16]) -> Option<PasswordHash> {
    let hashed: phc::PasswordHash = argon2()?.hash_password_with_salt(password, salt).ok()?;
    Some(PasswordHash(hashed.to_string()))
}

fn verify(password: &[u8], kept: &PasswordHash) -> Checked {
    let Some((argon2, kept)) = argon2().zip(phc::PasswordHash::new(&kept.0).ok()) else {
        return Checked::Wrong;
    };
    if argon2.verify_password(password, &kept).is_err() {
        return Checked::Wrong;
    }
    let ours = argon2.params();
    match Params::try_from(&kept) {
        Ok(theirs)
            if kept.algorithm.as_str() == "argon2id"
                && (theirs.m_cost(), theirs.t_cost(), theirs.p_cost())
                    == (ours.m_cost(), ours.t_cost(), ours.p_cost()) =>
        {
            Checked::Current
        }
        _ => Checked::Outdated,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    struct Counting(AtomicU8);

    impl Chance for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn counting() -> Counting {
        Counting(AtomicU8::new(0))
    }

    /// I12: a password is kept as an Argon2id hash with a salt of its own, and admits itself alone.
    #[tokio::test]
    async fn i12_a_hash_admits_its_password_alone() {
        let chance = counting();
        let passwords = Passwords::new(&chance);
        let hash = async |text: &str| passwords.hash(text.to_owned(), &chance).await.unwrap();
        let (one, other) =
            (hash("correct horse battery").await, hash("correct horse battery").await);
        assert!(one.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.0);
        assert_ne!(one, other, "each has its salt");
        let verify = async |text: &str, kept: Option<&PasswordHash>| {
            passwords.verify(text.to_owned(), kept.cloned(), &chance).await.unwrap()
        };
        assert_eq!(verify("correct horse battery", Some(&one)).await, Verdict::Right(None));
        assert_eq!(verify("correct horse batterY", Some(&one)).await, Verdict::Wrong);
        assert_eq!(verify("correct horse battery", None).await, Verdict::Wrong);
        let damaged = PasswordHash("$argon2id$v=19$".to_owned());
        assert_eq!(verify("correct horse battery", Some(&damaged)).await, Verdict::Wrong);
        assert_eq!(verify("", Some(&PasswordHash(String::new()))).await, Verdict::Wrong);
    }

    /// A hash of weaker parameters still opens, and is replaced by one of ours.
    #[tokio::test]
    async fn outdated_parameters_are_replaced() {
        let chance = counting();
        let passwords = Passwords::new(&chance);
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8 * 1024, 1, 1, None).unwrap(),
        );
        let weak: phc::PasswordHash =
            weak.hash_password_with_salt(b"correct horse battery", &[7; 16]).unwrap();
        let weak = PasswordHash(weak.to_string());
        let verify = |text: &str| passwords.verify(text.to_owned(), Some(weak.clone()), &chance);
        assert_eq!(verify("wrong").await.unwrap(), Verdict::Wrong);
        let Verdict::Right(Some(new)) = verify("correct horse battery").await.unwrap() else {
            panic!("not replaced")
        };
        let again = passwords.verify("correct horse battery".to_owned(), Some(new), &chance).await;
        assert_eq!(again.unwrap(), Verdict::Right(None));
    }

    /// I9: so many wait for a turn and no more.
    #[tokio::test]
    async fn i9_waiting_is_bounded() {
        let chance = counting();
        let passwords = Passwords::new(&chance);
        let calls = (0..WAITING + passwords.turns.available_permits() + 8)
            .map(|_| passwords.hash("correct horse battery".to_owned(), &chance));
        let ended = futures_util::future::join_all(calls).await;
        let turned_away = ended.iter().filter(|result| result.is_err()).count();
        assert!(turned_away >= 8 && turned_away < ended.len(), "{turned_away}");
    }
}
