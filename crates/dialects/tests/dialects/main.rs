//! What holds for every dialect, and what each contract asks of its own.
//!
//! - `golden` compares exact bytes with the folders under `tests/golden/<dialect>/<case>/`.
//! - `properties` runs over `all()`: a new dialect is held to them without a line of its own.
//! - `catalogue` holds the published schemas and examples to what is sent.
//! - `batches` holds the split of batches to what dialects really render.
//! - One module per dialect names the requirements of its contract.

mod batches;
mod catalogue;
mod consentproof;
mod golden;
mod properties;
mod reserved;
mod standard_webhooks;
mod support;
