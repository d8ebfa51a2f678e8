//! Those who call the nodes, as behind a balancer: a call under an idempotency key is made again, at any node, until it is
//! answered; one without is made once.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use abide_core::access::Caller;
use abide_core::consent::{ConsentView, NewDecision};
use abide_core::ids::DecisionId;
use abide_core::once::{Kept, Once};
use abide_storage::consents::RecordedBatch;
use abide_storage::{StorageError, StorageResult};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::ground::Door;
use crate::chance::Dice;
use crate::judge::{Asked, Said};
use crate::stage::Stage;

/// How long a caller waits for an answer before it asks elsewhere.
const PATIENCE: Duration = Duration::from_millis(1_200);
/// How long it waits in all.
const LONGEST: Duration = Duration::from_secs(30);

/// Where the nodes are.
pub(crate) type Doors = Arc<Mutex<[Option<Door>; 2]>>;

/// A call that records decisions.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) by: Caller,
    pub(crate) new: Vec<NewDecision>,
    /// Its place among the calls of the run, and when its decisions were taken.
    pub(crate) number: u64,
    pub(crate) obtained_at: i64,
}

/// How one try ended.
enum Answer {
    Done(Vec<DecisionId>),
    NotDone(String),
    Unknown(String),
}

impl Call {
    /// The same under an idempotency key.
    pub(crate) fn once(mut self) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.number.to_be_bytes());
        self.by.once = Some(Once { key, request: key, answer: kept });
        self
    }

    /// Makes the call, first at that node, and notes what was answered.
    pub(crate) async fn made(self, stage: Arc<Stage>, doors: Doors, at: usize) -> Asked {
        let mut dice = Dice::new(stage.seed, 1_000 + self.number);
        let mut at = at;
        let decisions = self.new.len();
        let asked = |said| Asked { obtained_at: self.obtained_at, decisions, said };
        loop {
            let door = {
                let doors = doors.lock();
                doors[at].clone().or_else(|| doors[1 - at].clone())
            };
            let answer = match door {
                Some(door) => self.try_at(door).await,
                None => Answer::NotDone("no node is there".to_owned()),
            };
            let (said, why) = match answer {
                Answer::Done(decisions) => {
                    stage.note(format!("answered: call {}", self.number));
                    stage.judge.lock().accepted(decisions);
                    return asked(Said::Done);
                }
                Answer::NotDone(why) => (Said::NotDone, why),
                Answer::Unknown(why) => (Said::Unknown, why),
            };
            stage.note(format!("answered: call {}: {said:?}: {why}", self.number));
            if self.by.once.is_none() {
                return asked(said);
            }
            // Whoever has a key asks until it is known.
            sleep(Duration::from_millis(30 + u64::from(dice.below(200)))).await;
            at = dice.below(2) as usize;
        }
    }

    async fn try_at(&self, door: Door) -> Answer {
        let (answer, answered) = oneshot::channel();
        let (call, at) = (self.clone(), door.clone());
        door.works.spawn(async move {
            let said = call.carried_out(&at).await;
            at.life.lives().await;
            // Who asked may have gone elsewhere.
            let _ = answer.send(said);
        });
        let patience = if self.by.once.is_some() { PATIENCE } else { LONGEST };
        tokio::select! {
            biased;
            answer = timeout(patience, answered) => match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Answer::Unknown("the node is gone".to_owned()),
                Err(_) => Answer::Unknown("no answer".to_owned()),
            },
            () = door.life.ends() => Answer::Unknown("the node died".to_owned()),
        }
    }

    async fn carried_out(self, door: &Door) -> Answer {
        let (by, now, consents) = (self.by, door.clock.now(), door.store.consents());
        let done: StorageResult<Vec<DecisionId>> = match &self.new[..] {
            [one] => consents.record(&by, one.clone(), now).await.map(|view| vec![view.decision]),
            all => consents
                .record_batch(&by, all.to_vec(), now)
                .await
                .map(|batch| batch.consents.iter().map(|view| view.decision).collect()),
        };
        match done {
            Ok(decisions) => Answer::Done(decisions),
            Err(StorageError::Replayed(_)) => Answer::Done(Vec::new()),
            Err(StorageError::Unknown(why)) => Answer::Unknown(why),
            // The answer was about somebody who was erased since: that there is one says enough.
            Err(StorageError::Refused(_)) if by.once.is_some() => Answer::Done(Vec::new()),
            Err(why) => Answer::NotDone(why.to_string()),
        }
    }
}

fn kept(result: &dyn Any) -> Option<Kept> {
    let about = match result.downcast_ref::<ConsentView>() {
        Some(one) => vec![one.subject],
        None => {
            let batch = result.downcast_ref::<RecordedBatch>()?;
            batch.consents.iter().map(|one| one.subject).collect()
        }
    };
    Some(Kept { status: 201, location: None, body: b"{}".to_vec(), about })
}
