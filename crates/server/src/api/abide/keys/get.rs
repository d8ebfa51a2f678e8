//! `GET /abide/v1/keys/{id}`: one key, without its secret.

use abide_core::access::Scope;
use abide_core::ids::{Key, Kind as _};
use axum::extract::State;

use super::{GROUP, KeyObject, schema};
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::Operation;
use crate::caller::{Admin, By};
use crate::input::Named;
use crate::problem::Problem;
use crate::router::Shared;

pub(crate) fn about() -> Operation {
    Operation::new("get_key", GROUP, "Read a key", schema()).scope(Scope::Admin)
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    Named(id): Named<Key>,
) -> Answer {
    let found = shared.app.storage.accounts().key_of(by.caller.organization, id).await?;
    let key = found.ok_or_else(|| Problem::not_found(Key::NAME))?;
    ok(&KeyObject::from(&key))
}
