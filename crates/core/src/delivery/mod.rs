//! Deliveries: an event on its way to an endpoint. The states, what an attempt showed, and what follows from it.

pub mod decide;
pub mod error_class;
pub mod health;
pub mod outcome;
pub mod schedule;
pub mod state;

pub use decide::{Decided, Run, decide};
pub use error_class::ErrorClass;
pub use health::{Health, Turn};
pub use outcome::{Outcome, Reason};
pub use schedule::{Afterwards, Schedule};
pub use state::{DeliveryState, Next, Trigger, next};
