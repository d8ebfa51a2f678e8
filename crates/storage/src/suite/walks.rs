//! Random walks: whatever is done in whatever order, the invariants hold after every step.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use abide_core::delivery::{DeliveryState, Outcome, Run};
use abide_core::endpoint::{DeliveryRules, Source};
use abide_core::ids::{DeliveryId, LeaseId};

use super::deliveries::lose_all;
use super::world::{FIRST, HOLD, RETRY, SKIP, World, at, finished, finished_unopened, grant, ok};
use crate::Storage;
use crate::deliveries::{Ending, FinishedAttempt, GiveBack, GivenBack, Opened, Report, Sent};
use crate::history::DeliveryView;

const LANE: DeliveryRules = DeliveryRules { source: Source::Lane, ..HOLD };
const PEOPLE: [&str; 3] = ["ada", "bob", "eve"];
const OUTCOMES: [Outcome; 5] =
    [Outcome::Delivered, RETRY, Outcome::Failed, Outcome::Gone, Outcome::Skipped];

/// I1, I2, I3, I5: over any sequence of steps (what, to which) the feeds stay gap-free, each row keeps its state's
/// promise, no delivery is ever lost, and a final state is left by nothing but a retry by hand.
pub async fn whatever_happens_the_invariants_hold(store: &dyn Storage, steps: &[(u8, u8)]) {
    let world = World::new(store).await;
    let endpoints =
        [world.endpoint(SKIP).await, world.endpoint(HOLD).await, world.endpoint(LANE).await];
    let engine = world.engine(at(0)).await;
    let mut leases = vec![engine.lease];
    let mut reports: Vec<FinishedAttempt> = Vec::new();
    let mut seen: HashMap<DeliveryId, DeliveryState> = HashMap::new();
    let mut now = at(1);
    for (place, &(what, which)) in steps.iter().enumerate() {
        let pick = usize::from(which);
        let lease = leases[leases.len() - 1 - pick % leases.len().min(2)];
        let person = PEOPLE[pick % PEOPLE.len()];
        let purpose = ["news", "post"][pick / 3 % 2];
        let endpoint = endpoints[pick % endpoints.len()];
        let rows = world.everything().await.deliveries;
        let row = (!rows.is_empty()).then(|| &rows[pick * 7 % rows.len()]);
        let mut retried = None;
        match what % 16 {
            0 | 1 => {
                let made = world.record(grant(person, purpose), now).await;
                if what % 32 >= 16 {
                    ok(store.consents().withdraw(&world.by, made.id.id, None, now).await);
                }
            }
            2 => {
                let batch = PEOPLE.map(|person| grant(person, purpose)).to_vec();
                ok(store.consents().record_batch(&world.by, batch, now).await);
            }
            3 => _ = engine.has_room.fetch_xor(true, Ordering::Relaxed),
            4 => _ = world.set_active(endpoint, false, now).await,
            5 => _ = world.set_active(endpoint, true, now).await,
            6 => _ = ok(store.deliveries().release_held(u32::from(which) % 4 + 1, now).await),
            7 | 8 => {
                let full = &endpoints[..pick % 3];
                ok(store.deliveries().claim_due(lease, full, u32::from(which) % 5 + 1, now).await);
            }
            9 => _ = ok(store.deliveries().claim_parked(lease, endpoint, 3, now).await),
            10 | 11 => {
                if let Some(row) = row {
                    reports.extend(try_attempt(&world, row, lease, which, now).await);
                }
            }
            12 => {
                let finished: Vec<_> = reports.drain(..reports.len().min(pick % 4)).collect();
                // Now and then a report is repeated.
                reports.extend(finished.first().filter(|_| which > 200).cloned());
                ok(store.deliveries().report(Report { finished, given_back: vec![] }, now).await);
            }
            13 => {
                lose_all(&world, lease, 2).await;
                leases.push(world.lease(now).await);
            }
            14 if which < 40 => {
                // Somebody who is not there is a refusal, and that is all.
                let _ = store.subjects().erase(&world.by, person, now).await;
            }
            14 => {
                if let Some(row) = row {
                    let run = if which.is_multiple_of(2) { Run::Single } else { Run::Series };
                    let asked = store.history().retry(&world.by, row.id, run, now).await;
                    retried = asked.is_ok().then_some(row.id);
                }
            }
            _ => {
                // Mostly on, sometimes back.
                let far = if which.is_multiple_of(8) { -5_000 } else { i64::from(which) * 2_000 };
                now = now.plus_millis(far);
            }
        }
        judge(&world, &mut seen, retried, (place, what % 16)).await;
    }
}

async fn try_attempt(
    world: &World<'_>,
    row: &DeliveryView,
    lease: LeaseId,
    which: u8,
    now: abide_core::Timestamp,
) -> Option<FinishedAttempt> {
    let outcome = OUTCOMES[usize::from(which) % OUTCOMES.len()];
    if row.state == DeliveryState::Hot && which.is_multiple_of(4) {
        return Some(finished_unopened((row.id, row.endpoint), lease, FIRST, outcome, now));
    }
    if which % 16 == 1 {
        let back = [GiveBack::Parked, GiveBack::Due(now), GiveBack::Stopped, GiveBack::Unreadable];
        let to = back[usize::from(which) / 16 % 4];
        let sent = if which >= 64 { Sent::Nothing } else { Sent::Perhaps };
        let given_back = vec![GivenBack { delivery: row.id, lease, sent, to }];
        ok(world.store.deliveries().report(Report { finished: vec![], given_back }, now).await);
        return None;
    }
    match world.open(row.id, lease, now).await {
        Opened::Send(opening) => {
            let report = finished(row.id, lease, &opening, outcome, now);
            let ending = if which > 128 { Ending::Unknown } else { Ending::Answered };
            Some(FinishedAttempt { ending, ..report })
        }
        Opened::Moved(_) => None,
    }
}

async fn judge(
    world: &World<'_>,
    seen: &mut HashMap<DeliveryId, DeliveryState>,
    retried: Option<DeliveryId>,
    step: (usize, u8),
) {
    let all = world.everything().await;
    let found: HashMap<_, _> = all.deliveries.iter().map(|row| (row.id, row.state)).collect();
    assert_eq!(found.len(), all.deliveries.len(), "{step:?}: a delivery stands twice");
    for (delivery, before) in seen.drain() {
        let Some(now) = found.get(&delivery) else { panic!("{step:?}: {delivery} is lost") };
        // What a stop cancels counts as cancelled before its row follows; an erased person's too.
        let stays = *now == before || *now == DeliveryState::Erased;
        assert!(
            !before.is_final() || stays || retried == Some(delivery),
            "{step:?}: {delivery} went from {before:?} to {now:?}"
        );
    }
    *seen = found;
}
