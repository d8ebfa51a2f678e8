//! What a run does: a seed for all that is left to chance, and a schedule. The same plan always runs the same way, and
//! a plan without some of its steps is a plan too: that is how failures are made small.

use serde::{Deserialize, Serialize};

use crate::chance::Dice;
use crate::speech::{SPEECHES, Speech};

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// For keys, tokens, jitter and what the network does by itself.
    pub seed: u64,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// Something that happens, so long after what happened before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// In milliseconds.
    pub after: u32,
    /// What.
    pub deed: Deed,
}

/// What can happen. Endpoints and people are numbered; a number beyond those there are wraps round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// An endpoint is created.
    Endpoint(Speech),
    /// A person decides on a purpose.
    Decide {
        /// Who.
        person: u8,
        /// On what.
        purpose: u8,
        /// Whether they agree.
        granted: bool,
    },
    /// Several decide on one purpose, in one call.
    Batch {
        /// Who.
        people: Vec<u8>,
        /// On what.
        purpose: u8,
    },
    /// An endpoint's receiver answers its next requests so, one after the other.
    Answers {
        /// Whose.
        endpoint: u8,
        /// How.
        manners: Vec<Manner>,
    },
    /// An owner stops an endpoint.
    Pause(u8),
    /// An owner starts an endpoint again.
    Resume(u8),
    /// An owner deletes an endpoint.
    Delete(u8),
    /// A person is erased.
    Erase(u8),
    /// Somebody asks for another run of a delivery: of that one among all there are, by age.
    Retry(u8),
    /// Somebody asks for another run of all that failed or was cancelled or given up: for one endpoint, or for all.
    RetryFailed {
        /// For which.
        endpoint: Option<u8>,
        /// How many a second.
        rate: u32,
    },
    /// Somebody gives up all that waits for an endpoint.
    Discard {
        /// For which.
        endpoint: u8,
        /// How many a second.
        rate: u32,
    },
    /// The process dies when it comes by that point for so many more times. It starts again a while later.
    Crash {
        /// Where.
        at: Point,
        /// How often it passes first.
        after: u8,
        /// How long it is down, in milliseconds.
        down: u32,
    },
    /// The process is stopped in good order, and starts again a while later.
    Stop {
        /// How long it is down, in milliseconds.
        down: u32,
    },
    /// The clock is set, by so many milliseconds.
    Clock(i64),
}

/// Where a process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// Wherever it stands.
    Now,
    /// A batch of calls ran and is not committed.
    Committing,
    /// A batch is committed, and nobody was told.
    Committed,
    /// What came of attempts is about to be recorded.
    Reporting,
    /// A request is about to leave.
    Sending,
    /// The receiver has acted on a request, and has not answered.
    Arrived,
    /// The answer is there, and nothing was done about it.
    Answered,
}

const POINTS: [Point; 7] = [
    Point::Now,
    Point::Committing,
    Point::Committed,
    Point::Reporting,
    Point::Sending,
    Point::Arrived,
    Point::Answered,
];

/// How a receiver deals with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manner {
    /// How long it takes, in milliseconds.
    pub takes: u32,
    /// What it does then.
    pub does: Does,
}

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// Acts on it and answers 200.
    Good,
    /// Answers with that status and does nothing.
    Status(u16),
    /// Answers 429 and wants to be left alone for so many seconds.
    Busy(u32),
    /// Acts on it, and the answer is lost: the connection breaks.
    ActsAndBreaks,
    /// The connection breaks, and it has done nothing.
    Breaks,
    /// Acts on it and never answers.
    ActsAndHangs,
    /// Never answers.
    Hangs,
}

impl Manner {
    /// What receivers do that were told nothing else.
    pub(crate) const USUAL: Self = Self { takes: 4, does: Does::Good };

    fn draw(dice: &mut Dice) -> Self {
        let does = match dice.below(100) {
            0..35 => Does::Good,
            35..60 => Does::Status(500),
            60..68 => Does::Busy(1 + dice.below(4)),
            68..78 => Does::ActsAndBreaks,
            78..84 => Does::Breaks,
            84..90 => Does::ActsAndHangs,
            90..95 => Does::Hangs,
            95..98 => Does::Status(410),
            _ => Does::Status(400),
        };
        let takes = match dice.below(10) {
            0..5 => 1 + dice.below(20),
            5..8 => 50 + dice.below(400),
            _ => 500 + dice.below(2_200),
        };
        Self { takes, does }
    }
}

impl Deed {
    fn draw(dice: &mut Dice) -> Self {
        let endpoint = |dice: &mut Dice| dice.below(8) as u8;
        let person = |dice: &mut Dice| dice.below(4) as u8;
        let purpose = |dice: &mut Dice| dice.below(2) as u8;
        match dice.below(100) {
            0..40 => Self::Decide {
                person: person(dice),
                purpose: purpose(dice),
                granted: dice.percent(60),
            },
            40..45 => {
                let people = (0..=dice.below(3)).map(|_| person(dice)).collect();
                Self::Batch { people, purpose: purpose(dice) }
            }
            45..62 => {
                let manners = if dice.percent(30) {
                    let always = Manner::draw(dice);
                    (0..=dice.below(12)).map(|_| always).collect()
                } else {
                    (0..=dice.below(5)).map(|_| Manner::draw(dice)).collect()
                };
                Self::Answers { endpoint: endpoint(dice), manners }
            }
            62..66 => Self::Pause(endpoint(dice)),
            66..73 => Self::Resume(endpoint(dice)),
            73..74 => Self::Delete(endpoint(dice)),
            74..78 => Self::Erase(person(dice)),
            78..83 => Self::Retry(dice.next() as u8),
            83..93 => {
                let at = dice.one_of(&POINTS);
                let often = match at {
                    Point::Committing | Point::Committed => 12,
                    _ => 4,
                };
                Self::Crash { at, after: dice.below(often) as u8, down: 1 + dice.below(3_000) }
            }
            93..94 => Self::Stop { down: 1 + dice.below(1_000) },
            94..96 => Self::Endpoint(dice.one_of(&SPEECHES)),
            _ => {
                let reach = dice.one_of(&[500, 20_000, 400_000, 7_200_000]);
                let by = i64::from(dice.below(reach));
                Self::Clock(if dice.percent(65) { by } else { -by })
            }
        }
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let first = 2 + dice.below(4);
        let endpoints =
            (0..first).map(|_| Step { after: 0, deed: Deed::Endpoint(dice.one_of(&SPEECHES)) });
        let mut steps: Vec<Step> = endpoints.collect();
        for _ in 0..15 + dice.below(50) {
            let after = match dice.below(10) {
                0..3 => 0,
                3..7 => dice.below(60),
                7..9 => dice.below(700),
                _ => dice.below(6_000),
            };
            match dice.below(100) {
                0..3 => crowd(&mut dice, &mut steps),
                3..6 => bad_spell(&mut dice, &mut steps),
                6..10 => slow_node(&mut dice, &mut steps),
                _ => {}
            }
            steps.push(Step { after, deed: Deed::draw(&mut dice) });
        }
        for endpoint in 0..8 {
            if dice.percent(60) {
                steps.push(Step { after: dice.below(300), deed: Deed::Resume(endpoint) });
            }
        }
        jobs(seed, &mut steps);
        Self { seed, steps }
    }
}

/// In some plans, work over many deliveries, at any time: slow enough that much comes between two pages of it.
fn jobs(seed: u64, steps: &mut Vec<Step>) {
    let mut dice = Dice::new(seed, 7);
    if !dice.percent(40) {
        return;
    }
    for _ in 0..=dice.below(3) {
        let rate = dice.one_of(&[1, 2, 5, 100]);
        let endpoint = dice.below(8) as u8;
        let deed = match dice.below(3) {
            0 => Deed::RetryFailed { endpoint: None, rate },
            1 => Deed::RetryFailed { endpoint: Some(endpoint), rate },
            _ => Deed::Discard { endpoint, rate },
        };
        let place = steps.len() / 3 + dice.below(1 + steps.len() as u32 * 2 / 3) as usize;
        steps.insert(place.min(steps.len()), Step { after: dice.below(500), deed });
    }
}

/// Much waits for receivers that are slow and good, and then somebody stops one of them or is erased.
fn crowd(dice: &mut Dice, steps: &mut Vec<Step>) {
    let slow = Manner { takes: 1_500 + dice.below(1_400), does: Does::Good };
    for endpoint in 0..5 {
        let manners = vec![slow; 8];
        steps.push(Step { after: 0, deed: Deed::Answers { endpoint, manners } });
    }
    let person = dice.below(4) as u8;
    for _ in 0..6 + dice.below(8) {
        let deed = Deed::Decide { person, purpose: dice.below(2) as u8, granted: dice.percent(50) };
        steps.push(Step { after: 0, deed });
    }
    let deed =
        if dice.percent(50) { Deed::Erase(person) } else { Deed::Pause(dice.below(5) as u8) };
    steps.push(Step { after: dice.below(900), deed });
    steps.push(Step { after: 4_000, deed: Deed::Resume(dice.below(5) as u8) });
}

/// A receiver answers badly for as long as any schedule goes on, or nearly.
fn bad_spell(dice: &mut Dice, steps: &mut Vec<Step>) {
    let endpoint = dice.below(5) as u8;
    let bad =
        Manner { takes: 1 + dice.below(50), does: dice.one_of(&[Does::Status(500), Does::Breaks]) };
    let manners = vec![bad; 4 + dice.below(8) as usize];
    steps.push(Step { after: 0, deed: Deed::Answers { endpoint, manners } });
    let (person, purpose) = (dice.below(4) as u8, dice.below(2) as u8);
    steps.push(Step { after: 0, deed: Deed::Decide { person, purpose, granted: true } });
    for _ in 0..5 {
        let by = i64::from(dice.below(9_000_000));
        steps.push(Step { after: 1_000 + dice.below(4_000), deed: Deed::Clock(by) });
    }
}

/// A process dies before it can say what came of its attempts; that may get to the store when its successor has gone on.
fn slow_node(dice: &mut Dice, steps: &mut Vec<Step>) {
    let person = dice.below(4) as u8;
    let decide = |dice: &mut Dice| Deed::Decide {
        person,
        purpose: dice.below(2) as u8,
        granted: dice.percent(50),
    };
    let crash =
        Deed::Crash { at: Point::Reporting, after: dice.below(2) as u8, down: 1 + dice.below(500) };
    steps.push(Step { after: 2_000, deed: crash });
    steps.push(Step { after: 0, deed: decide(dice) });
    for _ in 0..3 {
        steps.push(Step { after: 1_000 + dice.below(3_000), deed: decide(dice) });
    }
}
