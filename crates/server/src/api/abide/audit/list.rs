//! `GET /abide/v1/audit`: the audit log, newest first.

use abide_core::Timestamp;
use abide_core::access::Scope;
use abide_core::ids::{AuditEntry, AuditEntryId};
use abide_storage::feeds::{AuditEntryView, AuditFilter};
use axum::extract::State;
use http::Uri;
use serde::Serialize;

use crate::api::abide::answer::{Answer, Time, page_until};
use crate::api::abide::cursor::{CURSOR, LIMIT, List, Window};
use crate::api::abide::describe::{
    Operation, Schema, field, id, named, object, optional, page_of, text, text_of, time,
};
use crate::caller::{AuditRead, By};
use crate::input::{Name, Params};
use crate::router::Shared;

const ACTOR: Name = Name(&["actor"]);
const ACTION: Name = Name(&["action"]);
const OBJECT: Name = Name(&["object"]);
const FROM: Name = Name(&["from"]);
const TO: Name = Name(&["to"]);

/// Longest filter, in bytes: longer than any name that the log holds.
const FILTER_LIMIT: usize = 100;

/// An entry as this API shows it.
#[derive(Serialize)]
pub(crate) struct EntryObject {
    id: AuditEntryId,
    at: Time,
    actor: String,
    action: String,
    object: String,
}

impl From<AuditEntryView> for EntryObject {
    fn from(entry: AuditEntryView) -> Self {
        let AuditEntryView { id, at, actor, action, object } = entry;
        Self { id, at: Time(at), actor, action, object }
    }
}

pub(crate) fn schema() -> Schema {
    named(
        "AuditEntry",
        object(vec![
            field("id", id::<AuditEntry>(), "Its id."),
            field("at", time(), "When."),
            field(
                "actor",
                text(),
                "Who: a key's id, `operator` (the command line) or `system` (Abide itself).",
            ),
            field("action", text(), "What was done: `consent.record`, `key.revoke`."),
            field("object", text(), "To what: an id."),
        ]),
    )
}

pub(crate) fn about() -> Operation {
    Operation::new("list_audit_entries", "Audit log", "Read the audit log", page_of(schema()))
        .says(
            "Newest first. A page can hold fewer entries than `limit`, even none, while `next_cursor` is there: a filter \
             that leaves out much is followed page by page.",
        )
        .scope(Scope::AuditRead)
        .filters(vec![
            optional("actor", text_of(1, 100), "By whom: a key's id, `operator` or `system`."),
            optional("action", text_of(1, 100), "What was done, such as `consent.record`."),
            optional("object", text_of(1, 100), "To what: an id."),
            optional("from", time(), "At this time or later."),
            optional("to", time(), "Earlier than this time."),
        ])
        .pages()
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<AuditRead>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    params.only(&[ACTOR, ACTION, OBJECT, FROM, TO, LIMIT, CURSOR]);
    let filter = AuditFilter {
        actor: params.take(ACTOR, word),
        action: params.take(ACTION, word),
        object: params.take(OBJECT, word),
        from: params.take(FROM, instant),
        to: params.take(TO, instant),
    };
    let window = Window::read(List::Audit, &mut params)?;
    let (filter, window) = params.finish((filter, window))?;
    let feeds = shared.app.storage.feeds();
    let (organization, after) = (by.caller.organization, window.after_id());
    let found = feeds.audit_before(organization, filter, after, window.limit).await?;
    page_until(&window, found.entries, found.next, EntryObject::from)
}

fn word(text: &str) -> Result<String, String> {
    let sound = (1..=FILTER_LIMIT).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if sound {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 100 ASCII characters without spaces".to_owned())
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|problem| problem.to_string())
}
