//! The public keys of an endpoint whose secret is a key pair: what its receiver verifies with, and where to read it.
//!
//! They are no secret, and are shown as long as they live; private keys and shared secrets are not (I12).

use abide_dialects::Dialect;
use abide_storage::StorageResult;
use abide_storage::endpoints::EndpointView;

use crate::App;

/// The live public keys of an endpoint.
pub(crate) struct PublicKeys {
    /// `whpk_...`, one for each live key pair, the newest first.
    pub(crate) keys: Vec<String>,
    /// Where anybody may read them.
    pub(crate) url: String,
}

impl PublicKeys {
    /// Those of an endpoint; `None` where all its live secrets are shared ones.
    pub(crate) async fn of(
        app: &App,
        endpoint: &EndpointView,
        dialect: &dyn Dialect,
    ) -> StorageResult<Option<Self>> {
        let now = app.clock.now();
        let mut live = app.storage.endpoints().signing_secrets(endpoint.id, now).await?;
        live.sort_by_key(|live| live.live_until.is_some());
        let keys: Vec<_> =
            live.iter().filter_map(|live| dialect.public_key(live.secret.reveal())).collect();
        let url =
            || format!("{}/.well-known/webhook-keys/{}", app.dashboard.public_url, endpoint.id);
        Ok((!keys.is_empty()).then(|| Self { keys, url: url() }))
    }
}
