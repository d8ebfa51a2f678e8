//! ConsentProof's API: consents, policies, webhooks, in the vendor's words and envelope.
//!
//! Output is in snake_case with the objects of the dialect, so that an event and an answer cannot differ. Input is
//! taken in snake_case and in the camelCase of the vendor's detail pages.

pub(crate) mod consent;
pub(crate) mod envelope;
pub(crate) mod policies;
pub(crate) mod webhooks;

use abide_core::ids::{Id, Kind};
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::router::Shared;
use envelope::ApiError;

/// The id in the path. One that cannot be read names nothing, so it is not found.
pub(crate) struct Named<K>(pub(crate) Id<K>);

impl<K: Kind> FromRequestParts<Shared> for Named<K> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, shared)
            .await
            .map_err(|_| ApiError::not_found(K::NAME))?;
        Id::parse(&text).map(Self).map_err(|problem| ApiError::misnamed(&problem))
    }
}
