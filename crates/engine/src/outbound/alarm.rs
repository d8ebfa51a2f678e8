//! The deadline of a send, at next to no cost where sends follow each other.
//!
//! A timer of its own for each send would be entered into the runtime's wheel and taken out again, thousands of times a
//! second, and hardly ever ring. So a connection keeps one timer. It may be set for the deadline of an earlier send: when
//! it rings too early it is set anew.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Connection;

/// A timer that is set seldom.
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// The one that the connection in `slot` keeps, or a new one.
    pub(super) fn of(slot: &mut Option<Connection>, until: Instant) -> Self {
        let kept = slot.as_mut().and_then(Connection::take_alarm);
        kept.unwrap_or_else(|| Self(Box::pin(sleep_until(until))))
    }

    /// What `work` comes to, or nothing if it takes longer than that.
    pub(super) async fn before<T>(
        &mut self,
        until: Instant,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll(until, context).map(|()| None),
        })
        .await
    }

    fn poll(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.0.deadline() > until {
            self.0.as_mut().reset(until);
        }
        // Unconstrained: work that never comes to an end by itself, though it uses up its share of each turn, is what a
        // deadline is for.
        while pin!(unconstrained(self.0.as_mut())).poll(context).is_ready() {
            if self.0.deadline() >= until {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(until);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;

    /// I8: however often an alarm was used before, and for whatever deadline, it rings at the one that counts.
    #[tokio::test]
    async fn it_rings_at_its_deadline_whatever_it_was_set_for_before() {
        let after = |millis| Instant::now() + Duration::from_millis(millis);
        let mut alarm = Alarm::of(&mut None, after(5));
        // Set for earlier than the next ones need.
        for millis in [20, 30, 1] {
            assert_eq!(alarm.before(after(60_000), async { 7 }).await, Some(7));
            let until = after(millis);
            assert_eq!(alarm.before(until, pending::<()>()).await, None);
            assert!(Instant::now() >= until, "{millis}");
        }
        // Set for later than the next one needs.
        let far = after(600_000);
        assert_eq!(alarm.before(far, tokio::task::yield_now()).await, Some(()));
        assert_eq!(alarm.before(after(10), pending::<()>()).await, None);
        assert!(Instant::now() < far);
    }
}
