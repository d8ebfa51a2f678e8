//! `DELETE /abide/v1/keys/{id}`: revokes a key; from the answer on it opens nothing. Twice is no mistake.

use abide_core::access::Scope;
use abide_core::ids::Key;
use axum::extract::State;

use super::{GROUP, KeyObject, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{Admin, By};
use crate::input::Named;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("revoke_key", GROUP, "Revoke a key", schema())
        .says(
            "From the answer on the key opens nothing. It stays in the list, as a mark. Revoking a key twice is no \
             mistake, and a key may revoke itself.",
        )
        .scope(Scope::Admin)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    Named(id): Named<Key>,
) -> Answer {
    let app = &shared.app;
    let revoked = app.storage.accounts().revoke_key(&by.caller, id, app.clock.now()).await?;
    ok(&KeyObject::from(&revoked))
}
