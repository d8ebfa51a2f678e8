//! The only way out of this process (I10).
//!
//! A [`Target`] is a URL that was read strictly, once. The [`Courier`] sends to it: it asks [`Resolve`] for the
//! addresses, the [`Guard`] judges every one of them, the connector dials exactly those, TLS proves the original name,
//! and the answer is read up to a limit under the process' [`ByteBudget`] (I9). Callers keep the [`Connection`]s, so
//! that each endpoint owns its own (I8).
//!
//! Nothing here knows what a delivery is. What an answer means is the dialect's to say; what a [`SendError`] leads to
//! is core's. `clippy.toml` bans dialling and looking up names anywhere else.

mod alarm;
mod answer;
mod body;
mod budget;
mod connect;
mod courier;
mod guard;
mod resolve;
mod send_error;
mod stand_in;
mod stream;
mod target;
mod tls;

pub use answer::{Answer, MAX_ANSWER};
pub use body::{BlobContent, Content};
pub use budget::{ByteBudget, OverBudget, Share};
pub use connect::Connection;
pub use courier::{Answered, Courier, UserAgent, WireRequest, is_courier_header};
pub use guard::{Forbidden, Guard};
pub use resolve::{Resolve, SystemResolver};
pub use send_error::{Arrival, SendError};
pub use stand_in::{Carried, StandIn};
pub use target::{Host, MAX_URL_LEN, Scheme, Target, TargetProblem};
pub use tls::{CertificateProblem, Identity, OwnTls, PemField, Roots, TlsRoots};
