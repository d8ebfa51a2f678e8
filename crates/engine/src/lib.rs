//! The moving part: queues, encode, send, record; timers; housekeeping; the outbound guard.
//!
//! At least once: an accepted event is sent until its receiver has it or its schedule is used up, whatever dies on
//! the way, and always with the same event id (I3). The cast:
//!
//! - a **job** is a delivery in this node's memory: with its event, or by id only;
//! - an **endpoint** owns its line of jobs, its health, its connections and its **workers**, tasks that exist only
//!   while there is work (I8);
//! - a worker **sends**: opens the attempt where something must be read, renders, signs, sends, decides;
//! - the **reporter** records outcomes in batches;
//! - **room** is what the store asks for before it writes a delivery hot; who gets none writes pending;
//! - the **due** loop claims pending rows as they fall due, **parked** pages those that an endpoint had no room for;
//! - **leases** keep this node's rows apart from another's, and find what a crash left behind;
//! - **changes** sees endpoints stop and people being erased; **clockwork** does what the clock asks for.
//!
//! The engine holds no policy and no bytes of its own: core decides, dialects render.

mod bulk;
mod changes;
mod clockwork;
mod credentials;
mod due;
mod endpoint;
mod engine;
mod erasures;
mod facts;
mod failing;
mod hub;
mod job;
mod leases;
mod line;
mod opening;
mod options;
pub mod outbound;
mod parked;
mod policy;
mod pools;
mod pulse;
mod registry;
mod reporter;
mod room;
mod send;
mod testing;
mod tokens;
mod worker;

pub use engine::{Engine, EngineParts, StartError};
pub use options::Options;
pub use policy::{check_auth, check_url};
