//! `GET /`: how the organization stands: what was delivered, what waits, what needs somebody.

use abide_core::access::Scope;
use abide_core::endpoint::EndpointState;
use abide_core::ids::OrganizationId;
use abide_core::{Timestamp, ids::EndpointId};
use abide_storage::StorageResult;
use abide_storage::counts::{Point, Step};
use abide_storage::endpoints::EndpointView;
use askama::Template;
use axum::extract::State;

use super::chart::Chart;
use super::endpoints::short;
use super::layout::{Layout, Section};
use super::signed_in::SignedIn;
use super::words::{self, Badge, FailingTold};
use super::{Answer, page as answer};
use crate::router::{Inner, Shared};

/// Endpoints that are looked at one by one, the newest.
const LOOKED_AT: u32 = 100;
/// How many waiting deliveries of an endpoint are counted.
const COUNTED: u32 = 1_000;
/// Five-minute buckets of a day and the one that has begun.
const BUCKETS: u32 = 290;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    layout: Layout,
    email: String,
    meaning: &'static str,
    webhooks: Option<Webhooks>,
}

/// How the endpoints and their deliveries stand.
struct Webhooks {
    has_endpoints: bool,
    may_write: bool,
    hour: Counted,
    day: Counted,
    waiting: String,
    active: String,
    stopped: String,
    /// Whether there are more endpoints than were counted.
    goes_on: bool,
    attention: Vec<Attention>,
    chart: Chart,
}

/// Ends of deliveries in a stretch of time.
#[derive(Default, Clone, Copy)]
struct Counted {
    delivered: u64,
    failed: u64,
}

/// An endpoint that needs somebody.
struct Attention {
    id: EndpointId,
    name: String,
    badge: Badge,
    why: &'static str,
    /// Since when, and when it is stopped, or was, where it failed for long.
    failing: Option<FailingTold>,
}

/// `GET /`.
pub(crate) async fn page(State(shared): State<Shared>, who: SignedIn) -> Answer {
    let user = &who.session.user;
    let webhooks =
        if who.may(Scope::WebhooksRead) { Some(webhooks(&shared, &who).await?) } else { None };
    answer(&Overview {
        layout: who.layout(Section::Overview),
        email: user.email.clone(),
        meaning: user.role.meaning(),
        webhooks,
    })
}

async fn webhooks(shared: &Inner, who: &SignedIn) -> StorageResult<Webhooks> {
    let (storage, now) = (&shared.app.storage, shared.app.clock.now());
    let organization = who.caller().organization;
    let day_ago = now.plus_millis(-Step::Day.millis());
    let span = (day_ago.min(Chart::begins(now)), now.plus_millis(1));
    let counts = storage.counts();
    let points = counts.series(organization, None, Step::Bucket, span, BUCKETS).await?;
    let hour_ago = now.plus_millis(-Step::Hour.millis());
    let mut endpoints = storage.endpoints().before(organization, None, None, LOOKED_AT + 1).await?;
    let goes_on = endpoints.len() > LOOKED_AT as usize;
    endpoints.truncate(LOOKED_AT as usize);
    let (mut waits, mut at_least, mut attention) = (0, goes_on, Vec::new());
    for endpoint in &endpoints {
        let waiting = counts.waiting(organization, endpoint.id, COUNTED).await?;
        waits += waiting.pending + waiting.parked + waiting.held;
        at_least |= waiting.at_least;
        attention.extend(needs(shared, organization, endpoint, (hour_ago, span.1)).await?);
    }
    // What the store knows of by itself is told of however many there are.
    let troubled = storage.failing_endpoints().troubled(organization, LOOKED_AT).await?;
    let looked_at = |one: &EndpointView| endpoints.iter().any(|endpoint| endpoint.id == one.id);
    for endpoint in troubled.iter().filter(|one| !looked_at(one)) {
        attention.extend(needs(shared, organization, endpoint, (hour_ago, span.1)).await?);
    }
    let counted = |count: usize| if goes_on { format!("{count}+") } else { count.to_string() };
    let is_active = |endpoint: &&EndpointView| endpoint.state == EndpointState::Active;
    let active = endpoints.iter().filter(is_active).count();
    Ok(Webhooks {
        has_endpoints: !endpoints.is_empty(),
        may_write: who.may(Scope::WebhooksWrite),
        hour: since(&points, hour_ago),
        day: since(&points, day_ago),
        waiting: if at_least { format!("{waits}+") } else { waits.to_string() },
        active: counted(active),
        stopped: counted(endpoints.len() - active),
        goes_on,
        attention,
        chart: Chart::of(&points, now),
    })
}

fn since(points: &[Point], from: Timestamp) -> Counted {
    let mut counted = Counted::default();
    for point in points.iter().filter(|point| point.start >= from) {
        counted.delivered += point.happened.successful;
        counted.failed += point.happened.failed;
    }
    counted
}

/// Whether an endpoint needs somebody, and why.
async fn needs(
    shared: &Inner,
    organization: OrganizationId,
    endpoint: &EndpointView,
    hour: (Timestamp, Timestamp),
) -> StorageResult<Option<Attention>> {
    let failing = endpoint.failing.map(FailingTold::from);
    let told = |badge, why| {
        Some(Attention { id: endpoint.id, name: short(&endpoint.url), badge, why, failing })
    };
    match endpoint.state {
        EndpointState::Active | EndpointState::Paused if failing.is_some() => {
            Ok(told(words::endpoint_state(endpoint), ""))
        }
        EndpointState::Gone => {
            let why = "Its receiver answered 410 Gone. Nothing is sent until you resume it.";
            Ok(told(words::endpoint_state(endpoint), why))
        }
        EndpointState::Active => {
            let counts = shared.app.storage.counts();
            let points =
                counts.series(organization, Some(endpoint.id), Step::Bucket, hour, BUCKETS).await?;
            let (mut good, mut bad) = (0, 0);
            for point in &points {
                good += point.happened.attempts_successful;
                bad += point.happened.attempts_failed;
            }
            let why = "Every attempt of the last hour failed.";
            Ok(if bad > 0 && good == 0 { told(Badge::bad("failing"), why) } else { None })
        }
        EndpointState::Paused | EndpointState::Deleted => Ok(None),
    }
}
