//! What callers are told of their rate limit, on every answer of ConsentProof's paths (P33), and on those of Abide's own to
//! a key that was believed: a key's limit is one, wherever it calls.
//!
//! A request is counted once its key is believed, and by nobody before: who only knows a key's id cannot use up its
//! limit. The quota then waits in the request's own task for whatever answer comes of it, so that errors carry it too
//! and no handler has to know of it. An answer to a caller without a valid key tells the default with nothing used of
//! it: a client that reads the headers finds them on every answer, and they are the same whatever key it tried.

use std::cell::Cell;

use abide_core::Timestamp;
use abide_core::rate::{Quota, RateLimit, Used};
use abide_storage::accounts::ApiKey;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::caller::TurnedAway;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

tokio::task_local! {
    static TOLD: Cell<Option<Quota>>;
}

/// Runs a request and answers with it the quota of its key, if one was believed.
pub(crate) async fn noting<T>(request: impl Future<Output = T>) -> (T, Option<Quota>) {
    let noted = async {
        let answer = request.await;
        (answer, TOLD.with(Cell::get))
    };
    TOLD.scope(Cell::new(None), noted).await
}

/// Counts a request of a key that was believed.
pub(crate) fn count(key: &ApiKey, now: Timestamp) -> Result<(), TurnedAway> {
    let taken = key.meter.take(key.rate_limit, now);
    let (Ok(quota) | Err(quota)) = taken;
    // Outside of a request there is nobody to tell.
    let _ = TOLD.try_with(|told| told.set(Some(quota)));
    taken.map(|_| ()).map_err(|quota| TurnedAway::TooMany { again_in: quota.resets_in })
}

/// Puts the headers on an answer.
pub(crate) fn tell(headers: &mut HeaderMap, quota: Option<Quota>, now: impl Fn() -> Timestamp) {
    let quota = quota.unwrap_or_else(|| Used::nothing(RateLimit::DEFAULT, now()));
    headers.insert(LIMIT, HeaderValue::from(quota.limit));
    headers.insert(REMAINING, HeaderValue::from(quota.remaining));
    headers.insert(RESET, HeaderValue::from(quota.resets_at));
}
