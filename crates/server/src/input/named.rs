//! The id in a path: Abide's own, or the one that something had where it was brought from.

use abide_core::ids::{
    Consent, Delivery, Endpoint, Event, Id, Job, Key, Kind, OrganizationId, Policy, Purpose, User,
};
use abide_core::original::OriginalId;
use abide_storage::imports::OriginalOf;
use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use http::request::Parts;

use crate::rejection::{Owner, Rejected};
use crate::router::Shared;

/// The id in the path. One that cannot be read names nothing, so it is not found.
pub(crate) struct Named<K>(pub(crate) Id<K>);

/// Whose rows a request may see. It is left in the request's extensions by the extractor that found out who calls, and
/// read here: an original id is unique within its organization alone (I13).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Within(pub(crate) OrganizationId);

/// What an id in a path can name.
pub(crate) trait Nameable: Kind {
    /// Set where it can have been brought along, with an id that it had before.
    const BROUGHT: Option<OriginalOf>;
}

macro_rules! nameable {
    ($($kind:ident: $brought:expr;)*) => {$(
        impl Nameable for $kind {
            const BROUGHT: Option<OriginalOf> = $brought;
        }
    )*};
}
nameable! {
    Consent: Some(OriginalOf::Consent);
    Delivery: None;
    Endpoint: Some(OriginalOf::Endpoint);
    Event: None;
    Job: None;
    Key: None;
    Policy: Some(OriginalOf::Policy);
    Purpose: None;
    User: None;
}

impl<K: Nameable> FromRequestParts<Shared> for Named<K> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let owner = Owner::of(parts.uri.path());
        let Path(text) = Path::<String>::from_request_parts(parts, shared)
            .await
            .map_err(|_| owner.tell(Rejected::NotFound(K::NAME)))?;
        let within = parts.extensions.get::<Within>().copied();
        let found = find::<K>(shared, within, &text).await;
        found.map(Self).map_err(|rejected| owner.tell(rejected))
    }
}

async fn find<K: Nameable>(
    shared: &Shared,
    within: Option<Within>,
    text: &str,
) -> Result<Id<K>, Rejected> {
    let problem = match Id::parse(text) {
        Ok(id) => return Ok(id),
        Err(problem) => problem,
    };
    let original = OriginalId::parse(text);
    let (Some(of), Some(Within(organization)), Some(original)) = (K::BROUGHT, within, original)
    else {
        return Err(Rejected::Misnamed(problem));
    };
    let found = shared.app.storage.imports().own_key(organization, of, original).await;
    let key = found.map_err(Rejected::Storage)?;
    key.map(Id::from_key).ok_or(Rejected::Misnamed(problem))
}
