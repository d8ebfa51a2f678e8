//! What takes the place of the network in a simulation.

use std::pin::Pin;

use super::{Answer, SendError, Target, WireRequest};

/// Carries requests in place of the network. Nothing of what lies below a request is there then: no name is looked up, no
/// address is judged, nothing is dialled. URLs were read strictly all the same, and deadlines are the courier's.
pub trait StandIn: Send + Sync {
    /// Carries one request. Dropped before it ends, it is as a connection cut off in the middle: the receiver may have
    /// seen the request or not.
    fn carry(&self, target: &Target, request: WireRequest) -> Carried;
}

/// A request under way.
pub type Carried = Pin<Box<dyn Future<Output = Result<Answer, SendError>> + Send>>;
