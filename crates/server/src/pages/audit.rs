//! `GET /audit`: who did what, newest first. The filter stands in the address.

use std::collections::BTreeMap;

use abide_core::ids::{AuditEntryId, KeyId, UserId};
use abide_storage::StorageResult;
use abide_storage::feeds::AuditFilter;
use abide_storage::users::Whose;
use askama::Template;
use axum::extract::State;
use http::Uri;

use super::cursor::{Older, asked};
use super::field::{Field, Problems};
use super::layout::{Layout, Section};
use super::signed_in::{Allowed, SignedIn};
use super::when::{self, When};
use super::{Answer, page as answer};
use crate::caller::AuditRead;
use crate::router::{Inner, Shared};

/// Entries per page.
const PER_PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    layout: Layout,
    rows: Vec<Row>,
    older: Older,
    is_filtered: bool,
    actor: Field,
    action: Field,
    object: Field,
    from: Field,
    until: Field,
}

struct Row {
    at: When,
    who: String,
    actor: String,
    action: String,
    object: String,
}

/// `GET /audit`.
pub(crate) async fn page(
    State(shared): State<Shared>,
    who: Allowed<AuditRead>,
    uri: Uri,
) -> Answer {
    let given = ["actor", "action", "object", "from", "until"]
        .map(|name| (name, asked(&uri, name).unwrap_or_default().trim().to_owned()));
    let [(_, actor), (_, action), (_, object), (_, from), (_, until)] = &given;
    let mut problems = Problems::default();
    let mut instant = |name: &str, text: &str| {
        let read = (!text.is_empty()).then(|| when::read(text))?;
        read.map_err(|problem| problems.add(name, &problem)).ok()
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let filter = AuditFilter {
        actor: some(actor),
        action: some(action),
        object: some(object),
        from: instant("from", from),
        to: instant("until", until),
    };
    let place = asked(&uri, "before");
    let after = place.as_deref().and_then(|id| AuditEntryId::parse(id).ok());
    let feeds = shared.app.storage.feeds();
    let organization = who.caller().organization;
    let found = feeds.audit_before(organization, filter, after, PER_PAGE).await?;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut rows = Vec::with_capacity(found.entries.len());
    for entry in found.entries {
        let name = match names.get(&entry.actor) {
            Some(name) => name.clone(),
            None => name_of(&shared, &who, &entry.actor).await?,
        };
        names.insert(entry.actor.clone(), name.clone());
        rows.push(Row {
            at: When(entry.at),
            who: name,
            actor: entry.actor,
            action: entry.action,
            object: entry.object,
        });
    }
    let kept: Vec<_> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
    answer(&AuditPage {
        layout: who.layout(Section::Audit),
        rows,
        older: Older::new("/audit", &kept, place.as_deref(), found.next.map(|id| id.to_string())),
        is_filtered: kept.iter().any(|(_, value)| !value.is_empty()),
        actor: Field::text("actor", "Who (id)", actor),
        action: Field::text("action", "What", action),
        object: Field::text("object", "To what (id)", object),
        from: Field::instant("from", "From (UTC)", from).judged(&problems),
        until: Field::instant("until", "Until (UTC)", until).judged(&problems),
    })
}

/// What people call somebody whom the audit log names.
pub(super) async fn name_of(shared: &Inner, who: &SignedIn, actor: &str) -> StorageResult<String> {
    let (storage, organization) = (&shared.app.storage, who.caller().organization);
    if let Ok(id) = UserId::parse(actor) {
        let found = storage.users().account(organization, Whose::Id(id)).await?;
        return Ok(found.map_or_else(|| "a user".to_owned(), |found| found.user.name));
    }
    if let Ok(id) = KeyId::parse(actor) {
        let found = storage.accounts().key_of(organization, id).await?;
        return Ok(
            found.map_or_else(|| "an API key".to_owned(), |key| format!("Key “{}”", key.name))
        );
    }
    Ok(match actor {
        "operator" => "The operator, by command line".to_owned(),
        "system" => "Abide itself".to_owned(),
        other => other.to_owned(),
    })
}
