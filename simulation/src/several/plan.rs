//! What a run of several nodes does: a seed for all that is left to chance, and a schedule. The same plan asks for the same
//! things in the same order; how two nodes, a server and the network between them meet in it is another each time.

use serde::{Deserialize, Serialize};

use super::node::LEASE_MILLIS;
use super::orders::{Commits, Cut};
use crate::chance::Dice;
use crate::plan::{Deed, Does, Manner};
use crate::speech::Speech;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesPlan {
    /// For keys, tokens, jitter and what the network does by itself.
    pub seed: u64,
    /// What happens, in order.
    pub steps: Vec<NodesStep>,
}

/// Something that happens at a node, so long after what happened before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesStep {
    /// In milliseconds.
    pub after: u32,
    /// At which node; a call goes to the other one where this one is down.
    pub node: u8,
    /// What.
    pub deed: NodesDeed,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodesDeed {
    /// What can happen where there is one node, too, but for its end and its clock.
    Usual(Deed),
    /// The node's connection is cut at a commit, after so many others have passed.
    Cut {
        /// Before it or after it.
        at: Cut,
        /// Which commits are meant.
        of: Commits,
        /// How many pass first.
        passes: u8,
    },
    /// All the node's connections are cut.
    CutAll,
    /// The node's next commits take so much longer.
    Slow {
        /// Which commits are meant.
        of: Commits,
        /// How many.
        commits: u8,
        /// In milliseconds.
        by: u32,
    },
    /// The node stands still for so many milliseconds, and then goes on.
    Freeze(u32),
    /// The node stands still as soon as the database has committed decisions of its, before it hears of that; it goes on so
    /// many milliseconds from now.
    FreezeCommitted(u32),
    /// The node dies; another one starts in its place so many milliseconds later.
    Die(u32),
    /// The node is stopped in good order; another one starts in its place so many milliseconds later.
    Stop(u32),
}

/// What endpoints speak: dialects that try again within seconds.
const SPEECHES: [Speech; 3] = [Speech::Snapshot, Speech::Latest, Speech::Lane];

impl NodesPlan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 4);
        let mut plan = Self { seed, steps: Vec::new() };
        for number in 0..3 + dice.below(2) as usize {
            let speech = SPEECHES.get(number).copied();
            let speech = speech.unwrap_or_else(|| dice.one_of(&SPEECHES));
            let node = dice.below(2) as u8;
            plan.usual(60, node, Deed::Endpoint(speech));
        }
        // While every endpoint still is there.
        plan.doubts(&mut dice);
        plan.crossing(&mut dice);
        plan.freeze_committed(&mut dice);
        let spells = 1 + dice.below(2);
        for _ in 0..spells {
            for _ in 0..8 + dice.below(8) {
                plan.anything(&mut dice);
            }
            plan.freeze(&mut dice);
            for _ in 0..4 + dice.below(4) {
                plan.anything(&mut dice);
            }
        }
        for endpoint in 0..4 {
            if dice.percent(70) {
                plan.usual(dice.below(100), endpoint, Deed::Resume(endpoint));
            }
        }
        plan
    }

    fn step(&mut self, after: u32, node: u8, deed: NodesDeed) {
        self.steps.push(NodesStep { after, node: node % 2, deed });
    }

    fn usual(&mut self, after: u32, node: u8, deed: Deed) {
        self.step(after, node, NodesDeed::Usual(deed));
    }

    fn anything(&mut self, dice: &mut Dice) {
        let after = match dice.below(10) {
            0..4 => 0,
            4..8 => dice.below(60),
            _ => dice.below(500),
        };
        let node = dice.below(2) as u8;
        let endpoint = dice.below(5) as u8;
        let person = dice.below(4) as u8;
        let deed = match dice.below(100) {
            0..46 => NodesDeed::Usual(decide(dice)),
            46..49 => NodesDeed::Usual(Deed::Batch {
                people: (0..=dice.below(3)).map(|_| dice.below(4) as u8).collect(),
                purpose: dice.below(2) as u8,
            }),
            49..60 => {
                let manners = (0..=dice.below(5)).map(|_| manner(dice)).collect();
                NodesDeed::Usual(Deed::Answers { endpoint, manners })
            }
            60..63 => NodesDeed::Usual(Deed::Pause(endpoint)),
            63..68 => NodesDeed::Usual(Deed::Resume(endpoint)),
            68..69 => NodesDeed::Usual(Deed::Delete(endpoint)),
            69..72 => NodesDeed::Usual(Deed::Erase(person)),
            72..76 => NodesDeed::Usual(Deed::Retry(dice.next() as u8)),
            76..90 => {
                let at = dice.one_of(&[Cut::BeforeCommit, Cut::AfterCommit]);
                NodesDeed::Cut { at, of: Commits::Any, passes: dice.below(5) as u8 }
            }
            90..92 => NodesDeed::CutAll,
            92..96 => NodesDeed::Slow {
                of: Commits::Any,
                commits: 1 + dice.below(6) as u8,
                by: 20 + dice.below(200),
            },
            96..99 => NodesDeed::Die(50 + dice.below(1_500)),
            _ => NodesDeed::Stop(50 + dice.below(500)),
        };
        self.step(after, node, deed);
    }

    /// Callers wait for decisions of which their node does not know whether they are committed.
    fn doubts(&mut self, dice: &mut Dice) {
        for _ in 0..4 {
            let node = dice.below(2) as u8;
            let at = if dice.percent(75) { Cut::AfterCommit } else { Cut::BeforeCommit };
            self.step(0, node, NodesDeed::Cut { at, of: Commits::OfDecisions, passes: 0 });
            self.usual(0, node, decide(dice));
            self.usual(60 + dice.below(100), 1 - node, decide(dice));
        }
    }

    /// Decisions of different people are committed at two nodes in another order than they were written in.
    fn crossing(&mut self, dice: &mut Dice) {
        for _ in 0..2 {
            let (node, person) = (dice.below(2) as u8, dice.below(4) as u8);
            let of = Commits::OfDecisions;
            let by = 150 + dice.below(150);
            self.step(200, node, NodesDeed::Slow { of, commits: 1, by });
            let decided = |person: u8, dice: &mut Dice| Deed::Decide {
                person: person % 4,
                purpose: dice.below(2) as u8,
                granted: dice.percent(60),
            };
            self.usual(0, node, decided(person, dice));
            let another = 1 + dice.below(3) as u8;
            self.usual(20 + dice.below(60), 1 - node, decided(person + another, dice));
        }
    }

    /// A node stands still when what it is about to send is committed, until the other one has taken it over and sent it.
    fn freeze_committed(&mut self, dice: &mut Dice) {
        let node = dice.below(2) as u8;
        let longer = LEASE_MILLIS as u32 + 1_600 + dice.below(900);
        self.step(300, node, NodesDeed::FreezeCommitted(longer));
        self.usual(0, node, decide(dice));
        for _ in 0..2 {
            self.usual(200 + dice.below(900), 1 - node, decide(dice));
        }
        self.usual(2_000, 1 - node, decide(dice));
    }

    /// A node stands still with work in its hands until the other one has taken it over, and then goes on.
    fn freeze(&mut self, dice: &mut Dice) {
        let node = dice.below(2) as u8;
        for endpoint in 0..5 {
            let slow = Manner { takes: 60 + dice.below(400), does: Does::Good };
            let manners = vec![slow; 4];
            self.usual(0, node, Deed::Answers { endpoint, manners });
        }
        for _ in 0..3 + dice.below(3) {
            let deed = decide(dice);
            self.usual(dice.below(30), node, deed);
        }
        let longer = LEASE_MILLIS as u32 + 600 + dice.below(900);
        self.step(30 + dice.below(300), node, NodesDeed::Freeze(longer));
        for _ in 0..2 + dice.below(3) {
            let deed = decide(dice);
            self.usual(100 + dice.below(500), 1 - node, deed);
        }
        if dice.percent(30) {
            let endpoint = dice.below(4) as u8;
            self.usual(0, 1 - node, Deed::Pause(endpoint));
        }
        if dice.percent(30) {
            let person = dice.below(4) as u8;
            self.usual(0, 1 - node, Deed::Erase(person));
        }
    }
}

fn decide(dice: &mut Dice) -> Deed {
    Deed::Decide {
        person: dice.below(4) as u8,
        purpose: dice.below(2) as u8,
        granted: dice.percent(60),
    }
}

/// How receivers deal with requests, sooner than where time costs nothing.
fn manner(dice: &mut Dice) -> Manner {
    let does = match dice.below(100) {
        0..40 => Does::Good,
        40..65 => Does::Status(500),
        65..72 => Does::Busy(1),
        72..84 => Does::ActsAndBreaks,
        84..89 => Does::Breaks,
        89..93 => Does::ActsAndHangs,
        93..96 => Does::Hangs,
        96..98 => Does::Status(410),
        _ => Does::Status(400),
    };
    let takes = if dice.percent(60) { 1 + dice.below(20) } else { 30 + dice.below(400) };
    Manner { takes, does }
}
