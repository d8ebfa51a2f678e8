//! `GET /abide/v1/events`: the feed of events, in order and without gaps.

use abide_core::access::Scope;
use abide_core::event::EventKind;
use axum::extract::State;
use http::Uri;

use super::{EventObject, GROUP, schema};
use crate::api::abide::answer::{Answer, feed};
use crate::api::abide::cursor::{CURSOR, FROM, LIMIT, List, Window};
use crate::api::abide::describe::{self, Operation, feed_of, optional};
use crate::caller::{By, ConsentRead};
use crate::input::{Name, Params, event_kind};
use crate::problem::ProblemKind;
use crate::router::Shared;

const TYPE: Name = Name(&["type"]);

pub(crate) fn about() -> Operation {
    let kinds = describe::one_of(EventKind::ALL.map(EventKind::as_str));
    Operation::new("list_events", GROUP, "Read the feed of events", feed_of(schema()))
        .says(
            "Oldest first, without gaps: whoever goes on from `resume_cursor` misses nothing and reads nothing twice. An \
             event about a person who was erased keeps its place and tells nothing of them. A page can hold fewer events \
             than `limit`, even none, while `next_cursor` is there.",
        )
        .scope(Scope::ConsentRead)
        .filters(vec![optional("type", kinds, "Only events of this type.")])
        .feeds()
        .fails(&[ProblemKind::CursorGone, ProblemKind::CursorTooOld])
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<ConsentRead>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[TYPE, FROM, LIMIT, CURSOR]);
    let kind = params.take(TYPE, event_kind);
    let window = Window::read_feed(List::Events, &mut params)?;
    let (kind, mut window) = params.finish((kind, window))?;
    let feeds = shared.app.storage.feeds();
    let epoch = feeds.epoch().await?;
    window.must_be_of(epoch)?;
    let organization = by.caller.organization;
    if let Some(start) = window.start {
        window = window.behind(feeds.events_start(organization, start).await?);
    }
    let removed = shared.app.storage.retentions().events_removed_through(organization).await?;
    let window = window.behind_removed(removed)?;
    let page = feeds.events_after(organization, kind, window.of_feed()).await?;
    feed(&window, epoch, page, EventObject)
}
