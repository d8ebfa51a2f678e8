//! Endpoints: what their changes do to events that come and deliveries that wait.

use abide_core::delivery::{DeliveryState, Reason};
use abide_core::endpoint::{Authorization, EndpointAuth, EndpointState, EventFilter, Overrides};
use abide_core::event::EventKind;
use abide_core::ids::EndpointId;

use super::world::{HOLD, RETRY, SKIP, World, at, grant, ok, refusal};
use crate::endpoints::{EndpointPatch, MAX_LIVE_SECRETS};
use crate::sealing::Secret;
use crate::{PageWanted, Storage};

/// P11: nothing new is queued for a paused endpoint, what waited is cancelled, and a quick resume brings neither back.
pub async fn a_pause_cancels_and_skips(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let lease = world.lease(at(0)).await;
    let claimed = world.delivery("ada", at(1)).await;
    world.claim(lease, at(1)).await;
    let waiting = world.delivery("bob", at(2)).await;
    assert_eq!(world.set_active(endpoint, false, at(3)).await.state, EndpointState::Paused);
    World::expect_state(&world.look_at(&waiting).await, DeliveryState::Cancelled);
    world.record(grant("eve", "marketing"), at(4)).await;
    assert!(world.newest_deliveries().await.is_empty(), "nothing is queued while paused");
    assert_eq!(world.set_active(endpoint, true, at(5)).await.state, EndpointState::Active);
    assert_eq!(world.moved(claimed.id, lease, at(5)).await, DeliveryState::Cancelled);
    let page = ok(store.deliveries().claim_due(lease, &[], 10, at(6)).await);
    assert_eq!((page.claimed.len(), page.stopped), (0, 1));
    for row in [&claimed, &waiting] {
        let found = world.look_at(row).await;
        World::expect_state(&found, DeliveryState::Cancelled);
        assert_eq!(found.reason, Some(Reason::EndpointPaused));
    }
    let new = world.delivery("cy", at(7)).await;
    assert_eq!(world.claim(lease, at(7)).await, [new.id]);
}

/// P11: an attempt under way when the endpoint is paused is not tried again.
pub async fn a_pause_ends_what_is_under_way(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(SKIP).await;
    let lease = world.lease(at(0)).await;
    let made = world.delivery("ada", at(1)).await;
    world.claim(lease, at(1)).await;
    let opening = world.send(made.id, lease, at(1)).await;
    world.set_active(endpoint, false, at(2)).await;
    let report = super::world::finished(made.id, lease, &opening, RETRY, at(3));
    world.report(report, at(3)).await;
    World::expect_state(&world.look_at(&made).await, DeliveryState::Cancelled);
}

/// I2: where the dialect holds, rows wait for the endpoint's return, new ones too, and go on from there.
pub async fn a_pause_holds_until_resumed(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let lease = world.lease(at(0)).await;
    let mut rows = vec![world.delivery("ada", at(1)).await];
    ok(store.deliveries().claim_due(lease, &[endpoint], 10, at(1)).await);
    rows.push(world.delivery("bob", at(2)).await);
    world.set_active(endpoint, false, at(3)).await;
    rows.push(world.delivery("eve", at(4)).await);
    for row in &rows {
        let found = world.look_at(row).await;
        World::expect_state(&found, DeliveryState::Held);
        assert_eq!(found.reason, Some(Reason::EndpointPaused));
    }
    assert!(world.claim(lease, at(5)).await.is_empty());
    ok(store.deliveries().release_held(10, at(5)).await);
    assert_eq!(ok(store.deliveries().backlog(10).await).held, 3);
    assert_eq!(ok(store.deliveries().release_held(10, at(5)).await), 0, "nothing to release yet");
    world.set_active(endpoint, true, at(6)).await;
    assert_eq!(ok(store.deliveries().release_held(2, at(7)).await), 2, "paged");
    assert_eq!(ok(store.deliveries().release_held(10, at(7)).await), 1);
    assert_eq!(world.claim(lease, at(7)).await.len(), 3);
}

/// I2: deleting cancels what waits, held rows included, and keeps the history.
pub async fn a_deletion_cancels(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let row = world.delivery("ada", at(1)).await;
    world.set_active(endpoint, false, at(2)).await;
    let lease = world.lease(at(2)).await;
    world.claim(lease, at(2)).await;
    ok(store.endpoints().delete(&world.by, endpoint, at(3)).await);
    let found = world.look_at(&row).await;
    World::expect_state(&found, DeliveryState::Cancelled);
    assert_eq!(found.reason, Some(Reason::EndpointDeleted));
    assert_eq!(ok(store.deliveries().release_held(10, at(4)).await), 1);
    assert_eq!(ok(store.deliveries().backlog(10).await).held, 0);
    assert_eq!(ok(store.endpoints().get(world.organization, endpoint).await), None);
    refusal(store.endpoints().delete(&world.by, endpoint, at(4)).await);
    refusal(store.endpoints().change(&world.by, endpoint, EndpointPatch::default(), at(4)).await);
    world.record(grant("bob", "marketing"), at(5)).await;
    assert!(world.newest_deliveries().await.is_empty());
    let sending = ok(store.endpoints().sending(endpoint, at(9)).await).expect("the row stays");
    assert_eq!(sending.state, EndpointState::Deleted);
}

/// P11: a receiver's 410 stops its endpoint as the system's deed, once; its owner starts it again.
pub async fn gone_stops_an_endpoint(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoint = world.endpoint(HOLD).await;
    let row = world.delivery("ada", at(1)).await;
    ok(store.endpoints().gone(endpoint, at(2)).await);
    ok(store.endpoints().gone(endpoint, at(3)).await);
    let audit = world.audit().await;
    assert_eq!((audit[0].action.as_str(), audit[0].actor.as_str()), ("endpoint.gone", "system"));
    assert_eq!(audit.iter().filter(|entry| entry.action == "endpoint.gone").count(), 1);
    let found = world.look_at(&row).await;
    assert_eq!((found.state, found.reason), (DeliveryState::Held, Some(Reason::EndpointGone)));
    assert_eq!(world.set_active(endpoint, false, at(4)).await.state, EndpointState::Gone);
    assert_eq!(world.set_active(endpoint, true, at(5)).await.state, EndpointState::Active);
    World::expect_state(&world.look_at(&row).await, DeliveryState::Pending);
}

/// P7: an event makes a delivery to those that want its kind and existed before it, and to no others.
pub async fn an_event_goes_to_those_that_want_it(store: &dyn Storage) {
    let world = World::new(store).await;
    let only = |kinds: &[EventKind]| EventFilter::Only(kinds.to_vec());
    let withdrawals = world.endpoint_for(SKIP, only(&[EventKind::ConsentWithdrawn])).await.id;
    let nothing = world.endpoint_for(SKIP, only(&[])).await;
    assert_eq!(nothing.events, only(&[]));
    let made = world.record(grant("ada", "marketing"), at(1)).await;
    assert!(world.newest_deliveries().await.is_empty());
    let all = world.endpoint(SKIP).await;
    ok(store.consents().withdraw(&world.by, made.id.id, None, at(2)).await);
    let told: Vec<_> = world.newest_deliveries().await.iter().map(|row| row.endpoint).collect();
    assert_eq!(told, [withdrawals, all]);
}

/// P5, P9, I12: a change shows at once and is counted; the secret opens for sending and is shown nowhere else.
pub async fn changes_are_counted_and_secrets_kept(store: &dyn Storage) {
    let world = World::new(store).await;
    let made = world.endpoint_for(SKIP, EventFilter::All).await;
    assert_eq!((made.version, made.state), (1, EndpointState::Active));
    let same = EndpointPatch { url: Some(made.url.clone()), ..EndpointPatch::default() };
    assert_eq!(ok(store.endpoints().change(&world.by, made.id, same, at(1)).await), made);
    let patch = EndpointPatch {
        url: Some("https://example.com/other".to_owned()),
        events: Some(EventFilter::Only(vec![EventKind::PolicyCreated])),
        description: Some(None),
        ..EndpointPatch::default()
    };
    let changed = ok(store.endpoints().change(&world.by, made.id, patch, at(2)).await);
    assert_eq!((changed.version, changed.updated_at, &changed.description), (2, at(2), &None));
    let shown = ok(store.endpoints().get(world.organization, made.id).await);
    assert_eq!(shown.as_ref(), Some(&changed));
    assert!(!format!("{shown:?}").contains("whsec_marker"));
    let sending = ok(store.endpoints().sending(made.id, at(9)).await).expect("the endpoint");
    assert_eq!((sending.url.as_str(), sending.version), ("https://example.com/other", 2));
    assert_eq!(sending.secrets[0].secret.reveal(), "whsec_marker");
    assert!(!format!("{sending:?}").contains("whsec_marker"));
    let page = PageWanted { page: 1, limit: 10 };
    let listed = ok(store.endpoints().list(world.organization, Some("consentproof"), page).await);
    assert_eq!((listed.total, listed.items), (1, vec![changed]));
    let others = ok(store.endpoints().list(world.organization, Some("cpm"), page).await);
    assert_eq!(others.total, 0);
    let newer = world.endpoint(SKIP).await;
    let before = async |dialect, before, limit| -> Vec<EndpointId> {
        let endpoints = store.endpoints();
        let found = endpoints.before(world.organization, dialect, before, limit).await;
        ok(found).iter().map(|one| one.id).collect()
    };
    assert_eq!(before(None, None, 10).await, [newer, made.id], "newest first");
    assert_eq!(before(None, None, 1).await, [newer]);
    assert_eq!(before(Some("consentproof"), Some(newer), 10).await, [made.id]);
    assert_eq!(before(Some("cpm"), None, 10).await, []);
    assert_eq!(before(None, Some(made.id), 10).await, []);
}

/// P11, I9: the engine hears of each change once, page by page, from where it began, whatever the clock does.
pub async fn the_engine_hears_of_changes(store: &dyn Storage) {
    let world = World::new(store).await;
    let endpoints = store.endpoints();
    let rings = store.doorbell().listen();
    assert_eq!(ok(endpoints.newest_change().await), 0);
    let (one, two) = (world.endpoint(SKIP).await, world.endpoint(SKIP).await);
    let three = world.endpoint(SKIP).await;
    assert!(rings.has_changed(), "the doorbell rings");
    let (cursor, changed) = ok(endpoints.changed_since(0, 2).await);
    assert_eq!(changed, [one, two]);
    let (cursor, changed) = ok(endpoints.changed_since(cursor, 2).await);
    assert_eq!(changed, [three]);
    assert_eq!(ok(endpoints.newest_change().await), cursor, "nothing old is behind it");
    world.set_active(one, false, at(-5_000)).await;
    let (next, changed) = ok(endpoints.changed_since(cursor, 2).await);
    assert_eq!(changed, [one]);
    assert_eq!(ok(endpoints.changed_since(next, 2).await), (next, Vec::new()));
    ok(endpoints.delete(&world.by, two, at(-5_000)).await);
    assert_eq!(ok(endpoints.changed_since(next, 2).await).1, [two]);
}

/// SW-6, I12: a replaced secret signs until its end and no longer; ending the replaced ones leaves the newest alone.
pub async fn secrets_are_replaced_with_an_overlap(store: &dyn Storage) {
    let world = World::new(store).await;
    let made = world.endpoint(SKIP).await;
    let endpoints = store.endpoints();
    let live = async |now| {
        let sending = ok(endpoints.sending(made, now).await).expect("the endpoint");
        let mut secrets: Vec<_> = sending
            .secrets
            .iter()
            .map(|live| (live.secret.reveal().to_owned(), live.live_until))
            .collect();
        secrets.sort();
        secrets
    };
    let secret = |text: &str| Secret::from(text.to_owned());
    let by = &world.by;
    let second = ok(endpoints.rotate_secret(by, made, secret("b"), at(100), at(1)).await);
    assert_eq!((second.version, second.replaced_secret_until), (2, Some(at(100))));
    let (a, b) = (("whsec_marker".to_owned(), Some(at(100))), ("b".to_owned(), None));
    assert_eq!(live(at(99)).await, [b.clone(), a]);
    assert_eq!(live(at(100)).await, [b]);
    // A later replacement lengthens nothing, and shortens what it wishes shorter.
    ok(endpoints.rotate_secret(by, made, secret("c"), at(200), at(2)).await);
    let ends: Vec<_> = live(at(3)).await.into_iter().map(|(_, until)| until).collect();
    assert_eq!(ends, [Some(at(200)), None, Some(at(100))]);
    let ended = ok(endpoints.end_replaced_secrets(by, made, at(4)).await);
    assert_eq!((ended.version, ended.replaced_secret_until), (4, Some(at(4))));
    assert_eq!(live(at(4)).await, [("c".to_owned(), None)]);
    assert_eq!(ok(endpoints.end_replaced_secrets(by, made, at(5)).await), ended, "nothing to end");
    ok(endpoints.rotate_secret(by, made, secret("d"), at(6), at(6)).await);
    assert_eq!(live(at(6)).await, [("d".to_owned(), None)], "without an overlap at once");
}

/// I12: how Abide proves itself comes back whole for sending and is shown without credentials; own values likewise.
pub async fn auth_and_overrides_are_kept(store: &dyn Storage) {
    let world = World::new(store).await;
    let made = world.endpoint(SKIP).await;
    let auth = EndpointAuth {
        authorization: Some(Authorization::Bearer { token: "token-marker".to_owned() }),
        ..EndpointAuth::default()
    };
    let overrides = Overrides { retry_delays: Some(vec![1, 20]), deadline_seconds: Some(30) };
    let patch = EndpointPatch {
        auth: Some(auth.clone()),
        overrides: Some(overrides.clone()),
        ..EndpointPatch::default()
    };
    let changed = ok(store.endpoints().change(&world.by, made, patch.clone(), at(1)).await);
    assert_eq!((&changed.auth, &changed.overrides), (&auth.shown(), &overrides));
    assert_eq!(ok(store.endpoints().get(world.organization, made).await), Some(changed));
    let sending = ok(store.endpoints().sending(made, at(1)).await).expect("the endpoint");
    assert!(sending.auth == auth && sending.overrides == overrides);
    assert!(!format!("{sending:?}").contains("marker"));
    // Another token looks the same where it is shown, and is a change all the same.
    let again = ok(store.endpoints().change(&world.by, made, patch, at(2)).await);
    assert_eq!(again.version, 3);
    let none = EndpointPatch {
        auth: Some(EndpointAuth::default()),
        overrides: Some(Overrides { retry_delays: Some(Vec::new()), deadline_seconds: None }),
        ..EndpointPatch::default()
    };
    ok(store.endpoints().change(&world.by, made, none, at(3)).await);
    let sending = ok(store.endpoints().sending(made, at(3)).await).expect("the endpoint");
    assert!(sending.auth.is_empty());
    assert_eq!(sending.overrides.retry_delays, Some(Vec::new()), "one attempt, not the usual");
    let long = Overrides { retry_delays: None, deadline_seconds: Some(31) };
    let patch = EndpointPatch { overrides: Some(long), ..EndpointPatch::default() };
    let refused = store.endpoints().change(&world.by, made, patch, at(4)).await;
    assert!(refusal(refused).starts_with("`deadline_seconds` must be"));
}

/// I12: another host is not sent what proved Abide to the one before: credentials are given anew with it, or dropped.
pub async fn credentials_stay_with_their_host(store: &dyn Storage) {
    let world = World::new(store).await;
    let made = world.endpoint(SKIP).await;
    let bearer = || EndpointAuth {
        authorization: Some(Authorization::Bearer { token: "t".to_owned() }),
        ..EndpointAuth::default()
    };
    let moved = |url: &str, auth| EndpointPatch {
        url: Some(url.to_owned()),
        auth,
        ..EndpointPatch::default()
    };
    let change = async |patch| store.endpoints().change(&world.by, made, patch, at(1)).await;
    ok(change(moved("https://mine.example/a", None)).await);
    ok(change(EndpointPatch { auth: Some(bearer()), ..EndpointPatch::default() }).await);
    let before = world.everything().await;
    for elsewhere in
        ["https://theirs.example/a", "https://mine.example:8443/a", "http://mine.example/a"]
    {
        assert!(
            refusal(change(moved(elsewhere, None)).await).starts_with("`auth` must be given anew")
        );
    }
    assert_eq!(world.everything().await, before);
    ok(change(moved("https://MINE.example/other?x=1", None)).await);
    ok(change(moved("https://theirs.example/a", Some(bearer()))).await);
    ok(change(moved("https://third.example/a", Some(EndpointAuth::default()))).await);
    ok(change(moved("https://fourth.example/a", None)).await);
}

/// SW-6: so many secrets sign at a time and no more, since each is a signature on every request.
pub async fn live_secrets_are_bounded(store: &dyn Storage) {
    let world = World::new(store).await;
    let made = world.endpoint(SKIP).await;
    let rotate = async |until, now| {
        let secret = Secret::from("s".to_owned());
        store.endpoints().rotate_secret(&world.by, made, secret, until, now).await
    };
    for _ in 1..MAX_LIVE_SECRETS {
        ok(rotate(at(100), at(1)).await);
    }
    assert!(refusal(rotate(at(100), at(2)).await).contains("5 secrets sign already"));
    ok(rotate(at(2), at(2)).await);
    assert_eq!(ok(store.endpoints().signing_secrets(made, at(2)).await).len(), 1);
    ok(store.endpoints().delete(&world.by, made, at(3)).await);
    assert!(ok(store.endpoints().signing_secrets(made, at(3)).await).is_empty());
}
