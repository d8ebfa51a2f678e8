//! What goes wrong on the way from a node to its database, as it was ordered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Before the server gets a COMMIT.
    BeforeCommit,
    /// After the server has committed, and before the node hears of it.
    AfterCommit,
}

/// Which commits are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Commits {
    /// Whichever come.
    Any,
    /// Those of transactions that write decisions.
    OfDecisions,
}

/// What makes a node stand still.
pub(crate) type Stand = Box<dyn FnOnce() + Send>;

/// What becomes of a commit.
pub(crate) enum Fate {
    Passes,
    IsCut(Cut),
    /// It passes, and nothing else does: its answer does not, either.
    IsLast(Stand),
}

/// See the module.
#[derive(Default)]
pub(crate) struct Orders {
    /// Where the next cut is, at which commits, and how many of them come by there first.
    cut: Option<(Cut, Commits, u8)>,
    /// Which commits take so much longer, and how many still do.
    slow: Option<(Duration, Commits, u8)>,
    /// Makes the node stand still, with everything held, when decisions are committed.
    stand: Option<Stand>,
}

impl Orders {
    /// Cuts the connection of one such commit, after so many others have passed.
    pub(crate) fn cut_at(&mut self, cut: Cut, of: Commits, passes: u8) {
        self.cut = Some((cut, of, passes));
    }

    /// The next such commits take longer.
    pub(crate) fn slow_down(&mut self, by: Duration, of: Commits, count: u8) {
        self.slow = Some((by, of, count));
    }

    /// Makes the node stand still at the next commit of decisions.
    pub(crate) fn stand_still(&mut self, stand: Stand) {
        self.stand = Some(stand);
    }

    /// It is not to stand still any more.
    pub(crate) fn go_on(&mut self) {
        self.stand = None;
    }

    /// How much longer a commit takes.
    pub(crate) fn slow_by(&mut self, writes_decisions: bool) -> Option<Duration> {
        let (by, of, count) = self.slow.as_mut()?;
        if *count == 0 || !of.mean(writes_decisions) {
            return None;
        }
        *count -= 1;
        Some(*by)
    }

    /// What becomes of a commit.
    pub(crate) fn fate(&mut self, writes_decisions: bool) -> Fate {
        if writes_decisions && let Some(stand) = self.stand.take() {
            return Fate::IsLast(stand);
        }
        match &mut self.cut {
            Some((_, of, passes)) if of.mean(writes_decisions) && *passes > 0 => {
                *passes -= 1;
                Fate::Passes
            }
            Some((cut, of, _)) if of.mean(writes_decisions) => {
                let cut = *cut;
                self.cut = None;
                Fate::IsCut(cut)
            }
            Some(_) | None => Fate::Passes,
        }
    }
}

impl Commits {
    fn mean(self, writes_decisions: bool) -> bool {
        self == Self::Any || writes_decisions
    }
}
