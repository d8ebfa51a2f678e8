//! The id in a path.

use abide_core::ids::{Id, Kind};
use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use http::request::Parts;

use crate::rejection::{Owner, Rejected};
use crate::router::Shared;

/// The id in the path. One that cannot be read names nothing, so it is not found.
pub(crate) struct Named<K>(pub(crate) Id<K>);

impl<K: Kind> FromRequestParts<Shared> for Named<K> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let owner = Owner::of(parts.uri.path());
        let Path(text) = Path::<String>::from_request_parts(parts, shared)
            .await
            .map_err(|_| owner.tell(Rejected::NotFound(K::NAME)))?;
        Id::parse(&text).map(Self).map_err(|problem| owner.tell(Rejected::Misnamed(problem)))
    }
}
