//! `GET /deliveries`: the log, newest first. The filter stands in the address, so that it can be kept and sent.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use abide_core::access::Scope;
use abide_core::delivery::DeliveryState;
use abide_core::event::EventKind;
use abide_core::ids::{DeliveryId, EndpointId, OrganizationId};
use abide_core::job::{JobKind, Plan};
use abide_storage::StorageResult;
use abide_storage::delivery_log::{DeliveryFilter, DeliveryLine};
use askama::Template;
use axum::extract::State;
use http::Uri;

use super::{Row, Target};
use crate::caller::WebhooksRead;
use crate::pages::cursor::{Older, asked, link};
use crate::pages::endpoints::short;
use crate::pages::field::{Field, Problems};
use crate::pages::layout::{Layout, Section};
use crate::pages::signed_in::Allowed;
use crate::pages::{Answer, page as answer, when};
use crate::router::{Inner, Shared};

/// Deliveries per page.
const PER_PAGE: u32 = 50;
/// Endpoints that the filter offers; another one's page leads to its deliveries.
const OFFERED: u32 = 200;

#[derive(Template)]
#[template(path = "deliveries.html")]
struct ListPage {
    layout: Layout,
    rows: Vec<Row>,
    older: Older,
    is_filtered: bool,
    endpoints: Vec<Choice>,
    states: Vec<Choice>,
    kinds: Vec<Choice>,
    from: Field,
    until: Field,
    /// What can be done with many at once: where it begins, and what it is.
    jobs: Vec<(String, &'static str)>,
    may_write: bool,
}

/// A choice of the filter.
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) is_chosen: bool,
}

/// What a filter's address says, as typed.
pub(crate) struct Asked {
    pub(crate) endpoint: String,
    pub(crate) state: String,
    pub(crate) kind: String,
    pub(crate) from: String,
    pub(crate) until: String,
}

impl Asked {
    pub(crate) fn read(mut part: impl FnMut(&str) -> Option<String>) -> Self {
        let mut part = |name| part(name).unwrap_or_default();
        Self {
            endpoint: part("endpoint"),
            state: part("state"),
            kind: part("type"),
            from: part("from"),
            until: part("until"),
        }
    }

    /// As parameters, for links.
    pub(crate) fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("endpoint", &self.endpoint),
            ("state", &self.state),
            ("type", &self.kind),
            ("from", &self.from),
            ("until", &self.until),
        ]
    }

    /// The filter; what cannot be read is noted, and does not narrow.
    pub(crate) fn filter(&self, problems: &mut Problems) -> DeliveryFilter {
        let mut instant = |name: &str, text: &str| {
            let read = (!text.is_empty()).then(|| when::read(text))?;
            read.map_err(|problem| problems.add(name, &problem)).ok()
        };
        DeliveryFilter {
            endpoint: EndpointId::parse(&self.endpoint).ok(),
            states: states(&self.state),
            kind: EventKind::parse(&self.kind),
            event: None,
            from: instant("from", &self.from),
            until: instant("until", &self.until),
        }
    }
}

impl Asked {
    /// The states asked for, as a job of that kind can be about them: what is waiting is partly in some node's hands,
    /// which no job takes it out of.
    pub(crate) fn states_of(&self, kind: JobKind) -> Vec<DeliveryState> {
        let mut states = states(&self.state);
        if self.state == WAITING {
            let (possible, _) = Plan::possible_states(kind);
            states.retain(|state| possible.contains(state));
        }
        states
    }
}

/// What waits, under the one word that people have for it.
const WAITING: &str = "waiting";

fn states(name: &str) -> Vec<DeliveryState> {
    if name == WAITING {
        use DeliveryState::{Claimed, Hot, Parked, Pending};
        return vec![Hot, Pending, Claimed, Parked];
    }
    DeliveryState::parse(name).into_iter().collect()
}

/// `GET /deliveries`.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<WebhooksRead>,
    uri: Uri,
) -> Answer {
    let organization = who.caller().organization;
    let given = Asked::read(|name| asked(&uri, name));
    let mut problems = Problems::default();
    let filter = given.filter(&mut problems);
    let place = asked(&uri, "before");
    let before = place.as_deref().and_then(|id| DeliveryId::parse(id).ok());
    let log = shared.app.storage.delivery_log();
    let found = log.list(organization, &filter, before, PER_PAGE).await?;
    let targets = targets(&shared, organization, &found.items).await?;
    let now = shared.app.clock.now();
    let rows = found.items.iter().map(|line| {
        let to = targets.get(&line.endpoint).cloned();
        Row::of(line, to, now)
    });
    let pairs = given.pairs();
    let next = found.next.map(|next| next.to_string());
    answer(&ListPage {
        layout: who.layout(Section::Deliveries),
        rows: rows.collect(),
        older: Older::new("/deliveries", &pairs, place.as_deref(), next),
        is_filtered: pairs.iter().any(|(_, value)| !value.is_empty()),
        endpoints: offered(&shared, organization, &given.endpoint).await?,
        states: state_choices(&given.state),
        kinds: kind_choices(&given.kind),
        from: Field::instant("from", "From (UTC)", &given.from).judged(&problems),
        until: Field::instant("until", "Until (UTC)", &given.until).judged(&problems),
        jobs: jobs(&given),
        may_write: who.may(Scope::WebhooksWrite),
    })
}

/// The jobs that can be about what a filter shows; each begins with that filter.
fn jobs(given: &Asked) -> Vec<(String, &'static str)> {
    let labels = [
        (JobKind::RetryFailed, "Retry failed ones"),
        (JobKind::ReplayMissing, "Send missed events"),
        (JobKind::Discard, "Give up waiting ones"),
    ];
    let fits = |kind| {
        let wanted = given.states_of(kind);
        let (possible, _) = Plan::possible_states(kind);
        given.state.is_empty() || wanted.iter().any(|state| possible.contains(state))
    };
    let link = |kind: JobKind| {
        let kept = [("kind", kind.as_str())].into_iter().chain(given.pairs());
        link("/jobs/new", &kept.collect::<Vec<_>>(), None)
    };
    let fitting = labels.into_iter().filter(|(kind, _)| fits(*kind));
    fitting.map(|(kind, label)| (link(kind), label)).collect()
}

/// Where the deliveries of a page go: each endpoint is looked at once.
async fn targets(
    shared: &Inner,
    organization: OrganizationId,
    lines: &[DeliveryLine],
) -> StorageResult<BTreeMap<EndpointId, Target>> {
    let mut targets = BTreeMap::new();
    for line in lines {
        if let Entry::Vacant(free) = targets.entry(line.endpoint) {
            free.insert(target(shared, organization, line.endpoint).await?);
        }
    }
    Ok(targets)
}

/// Where a delivery goes, as it is shown.
pub(super) async fn target(
    shared: &Inner,
    organization: OrganizationId,
    id: EndpointId,
) -> StorageResult<Target> {
    let found = shared.app.storage.endpoints().get(organization, id).await?;
    let name = found.as_ref().map_or("a deleted endpoint".to_owned(), |found| short(&found.url));
    Ok(Target { id, name, is_deleted: found.is_none() })
}

/// The endpoints to choose from; one that is chosen is among them, also when it is deleted.
pub(crate) async fn offered(
    shared: &Inner,
    organization: OrganizationId,
    chosen: &str,
) -> StorageResult<Vec<Choice>> {
    let endpoints = shared.app.storage.endpoints();
    let found = endpoints.before(organization, None, None, OFFERED).await?;
    let mut choices: Vec<_> = found
        .iter()
        .map(|endpoint| {
            let value = endpoint.id.to_string();
            Choice { is_chosen: value == chosen, value, label: short(&endpoint.url) }
        })
        .collect();
    if let (Ok(id), false) =
        (EndpointId::parse(chosen), choices.iter().any(|choice| choice.is_chosen))
    {
        let target = target(shared, organization, id).await?;
        choices.push(Choice { value: chosen.to_owned(), label: target.name, is_chosen: true });
    }
    Ok(choices)
}

fn state_choices(chosen: &str) -> Vec<Choice> {
    let shown = [WAITING].into_iter().chain(
        DeliveryState::ALL
            .into_iter()
            .filter(|state| !is_waiting(*state))
            .map(DeliveryState::as_str),
    );
    shown.map(|name| choice(name, chosen)).collect()
}

fn is_waiting(state: DeliveryState) -> bool {
    states(WAITING).contains(&state)
}

fn kind_choices(chosen: &str) -> Vec<Choice> {
    EventKind::ALL.map(|kind| choice(kind.as_str(), chosen)).into_iter().collect()
}

fn choice(name: &str, chosen: &str) -> Choice {
    Choice { value: name.to_owned(), label: name.to_owned(), is_chosen: name == chosen }
}
