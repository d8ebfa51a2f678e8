//! The network between the engine and the receivers: every request arrives at once, is dealt with as its receiver was told
//! to, and goes on to be dealt with when its sender dies or loses patience.

use std::sync::Arc;
use std::time::Duration;

use abide_core::shell::Clock as _;
use abide_dialects::Received;
use abide_engine::outbound::{
    Answer, Arrival, Carried, Content, SendError, StandIn, Target, WireRequest,
};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::plan::{Manner, Point};
use crate::receivers::{Ended, Reply};
use crate::stage::{Life, Stage};

/// The network as one process sees it.
pub(crate) struct Network {
    pub(crate) stage: Arc<Stage>,
    pub(crate) life: Arc<Life>,
}

impl StandIn for Network {
    fn carry(&self, target: &Target, request: WireRequest) -> Carried {
        let (stage, life) = (Arc::clone(&self.stage), Arc::clone(&self.life));
        let to = target.path_and_query().trim_start_matches('/').parse().unwrap_or(usize::MAX);
        let headers = request.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let Content::Bytes(body) = request.body else { panic!("no dialect sends a blob") };
        let received = Received { headers: headers.collect(), body };
        Box::pin(async move {
            let stood_still = life.stands_still();
            life.passes(&stage, Point::Sending).await;
            if stood_still {
                // What stands still begins nothing: it is as if this had not got out.
                return Err(SendError::ConnectFailed);
            }
            carry(stage, life, to, received).await
        })
    }
}

async fn carry(
    stage: Arc<Stage>,
    life: Arc<Life>,
    to: usize,
    received: Received,
) -> Result<Answer, SendError> {
    let (manner, index) = {
        let mut judge = stage.judge.lock();
        let at = stage.clock.elapsed_millis();
        let index = judge.arrives(to, &received, stage.clock.now(), at);
        let Some(index) = index else { return Err(SendError::ConnectFailed) };
        let receiver = &mut judge.receivers[to];
        let manner = receiver.manners.pop_front().unwrap_or(Manner::USUAL);
        let told = &receiver.requests[index];
        let about = told.event.map_or_else(
            || format!("state {} of {:?}", told.version, told.subjects),
            |event| format!("event {event} version {} signed {:?}", told.version, told.signed_at),
        );
        drop(judge);
        stage.note(format!("request {index} to {to}: {about}; it {:?}", manner.does));
        (manner, index)
    };
    let request = Underway { stage: Arc::clone(&stage), life: Arc::clone(&life), to, index };
    let (answer, answered) = oneshot::channel();
    let outside = stage.outside.clone();
    outside.spawn({
        let (stage, life) = (Arc::clone(&stage), Arc::clone(&life));
        async move {
            sleep(Duration::from_millis(manner.takes.into())).await;
            let (acts, reply) = manner.does.outcome();
            {
                let mut judge = stage.judge.lock();
                judge.request_mut(to, index).acted = acts;
                if let (Reply::Status(410, _), Some(endpoint)) =
                    (reply, judge.receivers[to].endpoint)
                {
                    judge.stops(endpoint);
                }
            }
            if !life.is_over() {
                life.passes(&stage, Point::Arrived).await;
            }
            if reply == Reply::Silence {
                std::future::pending::<()>().await;
            }
            // Its sender may have gone.
            let _ = answer.send(reply);
        }
    });
    let reply = answered.await;
    life.lives().await;
    match reply {
        Ok(Reply::Status(status, wish)) => {
            request.ends(Ended::Answered(status));
            life.passes(&stage, Point::Answered).await;
            Ok(Answer::given(status, wish.map(|seconds| seconds.to_string())))
        }
        Ok(Reply::Break | Reply::Silence) | Err(_) => {
            request.ends(Ended::Nothing);
            Err(SendError::Reset(Arrival::Unknown))
        }
    }
}

/// A request whose sender waits.
struct Underway {
    stage: Arc<Stage>,
    life: Arc<Life>,
    to: usize,
    index: usize,
}

impl Underway {
    fn ends(&self, how: Ended) {
        let at = self.stage.clock.elapsed_millis();
        let mut judge = self.stage.judge.lock();
        judge.request_mut(self.to, self.index).ended.get_or_insert((at, how));
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        // Its sender lost patience; a dead one lost nothing.
        if !self.life.is_over() {
            self.ends(Ended::Nothing);
        }
    }
}
