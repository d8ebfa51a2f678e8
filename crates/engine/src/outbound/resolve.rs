//! From a name to addresses, behind a trait so that tests can answer as a hostile DNS server would.
//!
//! The system looks names up by blocking a thread until it gives up, which may be long after the attempt that asked
//! is over, and whoever owns a name decides how long that takes. So that hostile names hold few threads and delay no
//! other (I8), one look-up per name is under way at a time and whoever asks meanwhile joins it; names whose last
//! look-up was slow share a few threads of their own; and who finds no thread for a while is told so.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

/// Looks names up.
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync {
    /// All addresses of a name. Each one is judged before any is dialled, and nobody looks again. Fails with
    /// [`io::ErrorKind::ResourceBusy`] when too many other look-ups are under way.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The operating system's resolver, on a bounded number of threads. Clones share it.
#[derive(Clone)]
pub struct SystemResolver(Arc<LookUps>);

/// What the look-ups of a process share.
struct LookUps {
    ask: Box<Ask>,
    bounds: Bounds,
    under_way: Mutex<HashMap<Arc<str>, watch::Receiver<Option<Found>>>>,
    /// Names whose last look-up was slow.
    slow: Mutex<HashSet<Arc<str>>>,
    threads: Arc<Semaphore>,
    threads_for_slow: Arc<Semaphore>,
}

/// Blocks until the system has an answer for a name.
type Ask = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// An answer, for all who wait for it.
type Found = Result<Arc<[IpAddr]>, io::ErrorKind>;

#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Look-ups under way of names that are not known to be slow.
    threads: usize,
    /// The same for names whose last look-up was slow.
    threads_for_slow: usize,
    /// A look-up that takes so long is slow.
    slow_after: Duration,
    /// Slow names remembered.
    slow_names: usize,
    /// How long a look-up waits for a thread; well below every deadline, so that the attempt can say why it ended.
    wait: Duration,
}

const BOUNDS: Bounds = Bounds {
    threads: 64,
    threads_for_slow: 8,
    slow_after: Duration::from_secs(2),
    slow_names: 4_096,
    wait: Duration::from_secs(5),
};

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut answer = self.join(host);
        let found = match answer.wait_for(Option::is_some).await {
            Ok(found) => found.clone(),
            // Nobody looks any more: the runtime is shutting down.
            Err(_) => None,
        };
        let addresses = found.unwrap_or(Err(io::ErrorKind::Interrupted))?;
        Ok(addresses.iter().map(|addr| SocketAddr::new(*addr, port)).collect())
    }
}

impl SystemResolver {
    fn asking(ask: Box<Ask>, bounds: Bounds) -> SystemResolver {
        SystemResolver(Arc::new(LookUps {
            ask,
            bounds,
            under_way: Mutex::default(),
            slow: Mutex::default(),
            threads: Arc::new(Semaphore::new(bounds.threads)),
            threads_for_slow: Arc::new(Semaphore::new(bounds.threads_for_slow)),
        }))
    }

    /// The answer to come of the look-up under way for this name, or of a new one. It belongs to nobody: an attempt
    /// that stops waiting takes it from no other.
    fn join(&self, host: &str) -> watch::Receiver<Option<Found>> {
        let mut under_way = self.0.under_way.lock();
        if let Some(answer) = under_way.get(host) {
            return answer.clone();
        }
        let host: Arc<str> = host.into();
        let (tell, answer) = watch::channel(None);
        under_way.insert(Arc::clone(&host), answer.clone());
        drop(under_way);
        let entry = Entry { look_ups: Arc::clone(&self.0), host };
        tokio::spawn(async move {
            let found = LookUps::look(&entry.look_ups, &entry.host).await;
            drop(entry);
            // Whoever asks from here on looks anew.
            tell.send_replace(Some(found));
        });
        answer
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::asking(Box::new(ask_system), BOUNDS)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one look-up; its answer goes to the guard")]
fn ask_system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|addr| addr.ip()).collect())
}

/// A look-up's place among those under way, for as long as it is.
struct Entry {
    look_ups: Arc<LookUps>,
    host: Arc<str>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.look_ups.under_way.lock().remove(&self.host);
    }
}

impl LookUps {
    async fn look(this: &Arc<Self>, host: &Arc<str>) -> Found {
        let threads =
            if this.slow.lock().contains(host) { &this.threads_for_slow } else { &this.threads };
        let thread = timeout(this.bounds.wait, Arc::clone(threads).acquire_owned()).await;
        let Ok(Ok(thread)) = thread else { return Err(io::ErrorKind::ResourceBusy) };
        let began = Instant::now();
        let (look_ups, name) = (Arc::clone(this), Arc::clone(host));
        let asked = tokio::task::spawn_blocking(move || {
            let found = (look_ups.ask)(&name);
            drop(thread);
            found
        });
        let found = asked.await;
        this.remember(host, began.elapsed());
        match found {
            Ok(Ok(addresses)) => Ok(addresses.into()),
            Ok(Err(why)) => Err(why.kind()),
            Err(_) => Err(io::ErrorKind::Other),
        }
    }

    fn remember(&self, host: &Arc<str>, took: Duration) {
        let mut slow = self.slow.lock();
        if took < self.bounds.slow_after {
            slow.remove(host);
            return;
        }
        if slow.len() >= self.bounds.slow_names {
            // Any one: a name that is forgotten is learnt again by its next slow look-up.
            let forgotten = slow.iter().next().cloned();
            forgotten.map(|name| slow.remove(&name));
        }
        slow.insert(Arc::clone(host));
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemResolver").field("bounds", &self.0.bounds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
