//! What nodes run on: a PostgreSQL database in real time, or one in memory on the simulated clock.

use std::sync::Arc;

use abide_core::ids::OrganizationId;
use abide_core::shell::Clock;
use abide_storage::Storage;
use parking_lot::MutexGuard;
use tokio::runtime::Handle;

use super::orders::Orders;
use crate::clock::SimulatedClock;
use crate::rows::Rows;
use crate::stage::{Life, Stage};

/// See the module.
pub(crate) trait Ground {
    type Node: Node;

    /// Makes the tables, and an organization.
    async fn begin(&self, seed: u64) -> anyhow::Result<Begun>;

    /// Starts the `start`th node of a run.
    async fn start(&self, stage: &Arc<Stage>, start: u64) -> anyhow::Result<Self::Node>;

    /// Whether time passes by itself. Then the rows are looked at, and the feeds read, beside all that happens; else the rows
    /// are looked at after each commit, and there are no feeds.
    fn is_real(&self) -> bool;
}

/// A database at the beginning of a run.
pub(crate) struct Begun {
    pub(crate) organization: OrganizationId,
    pub(crate) rows: Rows,
    pub(crate) clock: SimulatedClock,
}

/// A node. It can stand still, it can be stopped, and it can die.
pub(crate) trait Node {
    fn door(&self) -> &Door;

    /// What goes wrong at its commits.
    fn orders(&self) -> MutexGuard<'_, Orders>;

    /// Cuts every connection that it has.
    fn cut_all(&self);

    /// Nothing of it moves until [`Node::thaw`], and nothing gets from it to the database or back.
    fn freeze(&mut self);

    /// The same as soon as the database has committed decisions of its, of which it does not hear before [`Node::thaw`].
    fn freeze_when_committed(&mut self);

    /// Goes on where it stood.
    fn thaw(&mut self);

    /// Stops in good order: open attempts may end.
    async fn stop(self) -> anyhow::Result<()>;

    /// Ends where it stands.
    async fn die(self) -> anyhow::Result<()>;
}

/// A node that lives, for whoever calls it.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) life: Arc<Life>,
    /// Where calls run.
    pub(crate) works: Handle,
    pub(crate) store: Arc<dyn Storage>,
    /// The time as it knows it.
    pub(crate) clock: Arc<dyn Clock>,
}
