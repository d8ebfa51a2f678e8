//! Calls that wait to share a transaction with others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abide_storage::{StorageError, StorageResult};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::database::{Ahead, Call};
use crate::tx::Tx;

/// Bytes of calls that may wait.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A call in a queue.
pub trait Queued: Send {
    /// Runs it within the transaction.
    fn run(&mut self, tx: &mut Tx<'_>) -> Ran;
    /// How it failed when it ran last, if it did.
    fn failure(&self) -> Option<StorageError>;
    /// Answers it: with its result, or with why there is none.
    fn settle(self: Box<Self>, failure: Option<StorageError>);
    /// The runtime that its caller waits in.
    fn caller(&self) -> &Handle;
    /// What it is going to ask about.
    fn ahead(&self) -> Option<&Ahead>;
}

/// How a call ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// Its result stands, if the commit does.
    Well,
    /// The command was refused, or failed by itself.
    Refused,
    /// The database failed it.
    Failed,
}

/// How many bytes of calls wait.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<AtomicUsize>);

/// Where a call's answer comes.
pub type Answer<T> = oneshot::Receiver<StorageResult<T>>;

impl Waiting {
    /// A call for the queue; busy where too much waits.
    pub fn call<T, F>(&self, call: Call, work: F) -> StorageResult<(Box<dyn Queued>, Answer<T>)>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send + 'static,
    {
        let Call { bytes, ahead, .. } = call;
        if self.0.fetch_add(bytes, Ordering::Relaxed) > MOST_BYTES {
            self.0.fetch_sub(bytes, Ordering::Relaxed);
            return Err(StorageError::Busy);
        }
        let (answer, answered) = oneshot::channel();
        let held = Held { bytes, waiting: self.clone() };
        let caller = Handle::current();
        let call = Work { run: work, caller, ahead, held, result: None, answer };
        Ok((Box::new(call), answered))
    }
}

/// Bytes that wait; given back when the call is gone, answered or not.
struct Held {
    bytes: usize,
    waiting: Waiting,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.waiting.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Work<T, F> {
    run: F,
    caller: Handle,
    ahead: Option<Ahead>,
    held: Held,
    result: Option<StorageResult<T>>,
    answer: oneshot::Sender<StorageResult<T>>,
}

impl<T, F> Queued for Work<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> StorageResult<T> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Ran {
        let result = catch_unwind(AssertUnwindSafe(|| (self.run)(tx)))
            .unwrap_or_else(|_| Err(StorageError::Damaged("a call panicked".to_owned())));
        let ran = match &result {
            Ok(_) => Ran::Well,
            Err(StorageError::Unavailable(_)) => Ran::Failed,
            Err(_) => Ran::Refused,
        };
        self.result = Some(result);
        ran
    }

    fn failure(&self) -> Option<StorageError> {
        self.result.as_ref().and_then(|result| result.as_ref().err().cloned())
    }

    fn settle(self: Box<Self>, failure: Option<StorageError>) {
        let Self { held, result, answer, .. } = *self;
        drop(held);
        let result = match (failure, result) {
            (Some(failure), _) => Err(failure),
            (None, Some(result)) => result,
            (None, None) => Err(StorageError::Unavailable("the call did not run".to_owned())),
        };
        // A caller that has gone away needs no answer.
        let _ = answer.send(result);
    }

    fn caller(&self) -> &Handle {
        &self.caller
    }

    fn ahead(&self) -> Option<&Ahead> {
        self.ahead.as_ref()
    }
}
