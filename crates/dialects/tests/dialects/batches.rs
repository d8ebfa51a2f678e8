//! The split of batches is made without a dialect; here it is held to what each dialect renders.

use std::ops::Range;

use abide_core::Timestamp;
use abide_core::consent::{BATCH_EVENT_LIMIT, ConsentView, split_batch};
use abide_core::event::{BatchView, Event, EventBody, EventKind, RENDER_VERSION};
use abide_core::ids::{BatchId, EventId, OrganizationId};
use abide_dialects::all;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::golden::event_of;
use crate::support::{render, strategies};

/// The events of a batch, as the store makes them.
fn events(consents: &[ConsentView], limit: usize) -> Vec<Event> {
    let share = |range: Range<usize>| Event {
        id: EventId::from_key(i64::MAX),
        organization: OrganizationId::from_key(1),
        kind: EventKind::ConsentBatchCreated,
        created_at: Timestamp::from_millis(i64::MAX),
        subject: None,
        render_version: RENDER_VERSION,
        body: EventBody::Batch(BatchView {
            id: BatchId::from_key(i64::MAX),
            consents: consents[range].to_vec(),
        }),
    };
    split_batch(consents, limit).into_iter().map(share).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// P16: each event of a batch stays below the limit in every dialect, and no consent is lost or told twice.
    #[test]
    fn p16_every_event_of_a_batch_stays_below_the_limit(
        consents in vec(strategies::consent(), 1..64),
        withdrawn_at in strategies::instant(),
    ) {
        let mut consents = consents;
        consents.iter_mut().step_by(2).for_each(|consent| consent.withdrawn_at = Some(withdrawn_at));
        let mut told = Vec::new();
        for event in events(&consents, BATCH_EVENT_LIMIT) {
            for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
                let size = render(*dialect, &event).body.len();
                prop_assert!(size < BATCH_EVENT_LIMIT, "{}: {size} bytes", dialect.name());
            }
            let EventBody::Batch(share) = event.body else { unreachable!("made above") };
            told.extend(share.consents);
        }
        prop_assert_eq!(told, consents);
    }

    /// P16: under a limit that most consents pass, only those that stand alone pass it.
    #[test]
    fn p16_only_a_lone_consent_may_pass_the_limit(consents in vec(strategies::consent(), 1..32)) {
        let limit = 2_000;
        for event in events(&consents, limit) {
            let EventBody::Batch(share) = &event.body else { unreachable!("made above") };
            for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
                let size = render(*dialect, &event).body.len();
                prop_assert!(size < limit || share.consents.len() == 1, "{}: {size} bytes", dialect.name());
            }
        }
    }
}

/// P16: the allowance for what stands around the texts holds where it weighs most: short texts, all else there.
#[test]
fn p16_many_small_consents_stay_below_the_limit() {
    let EventBody::Consent(mut consent) = event_of("consentproof/withdrawn").body else {
        panic!("the golden `withdrawn` is of a consent")
    };
    consent.reference = "1".to_owned();
    consent.purpose = "p".to_owned();
    consent.email = None;
    consent.metadata = None;
    consent.ip_address = None;
    for event in events(&vec![consent; 1_000], BATCH_EVENT_LIMIT) {
        for dialect in all().iter().filter(|dialect| dialect.applies(event.kind)) {
            let size = render(*dialect, &event).body.len();
            assert!(size < BATCH_EVENT_LIMIT, "{}: {size} bytes", dialect.name());
        }
    }
}

/// P16: the estimate is an upper one, but not so high that a plain batch of 1,000 becomes a storm of events.
#[test]
fn p16_a_plain_batch_of_a_thousand_makes_few_events() {
    let EventBody::Consent(consent) = event_of("consentproof/created").body else {
        panic!("the golden `created` is of a consent")
    };
    let events = events(&vec![consent; 1_000], BATCH_EVENT_LIMIT);
    assert!(events.len() <= 8, "{} events", events.len());
}
