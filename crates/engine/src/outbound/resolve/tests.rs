//! Names whose look-up takes as long as their owner likes.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Condvar;
use tokio::sync::mpsc;

use super::super::{
    Arrival, ByteBudget, Courier, Guard, SendError, Target, TlsRoots, UserAgent, WireRequest,
};
use super::*;

/// Nothing here takes so long unless it is broken.
const PATIENT: Duration = Duration::from_secs(20);

/// A hostile server: names that begin with "slow" are not answered while it is shut, there is none that begins with
/// "none", and one that begins with "panic" breaks the look-up.
#[derive(Default)]
struct Dns {
    open: Mutex<bool>,
    opened: Condvar,
    asked: AtomicUsize,
}

impl Dns {
    fn set_open(&self, open: bool) {
        *self.open.lock() = open;
        self.opened.notify_all();
    }

    fn answer(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert!(!host.starts_with("panic"), "a broken look-up");
        if host.starts_with("none") {
            return Err(io::ErrorKind::NotFound.into());
        }
        if host.starts_with("slow") {
            let mut open = self.open.lock();
            while !*open {
                self.opened.wait(&mut open);
            }
        }
        Ok(vec![[127, 0, 0, 1].into()])
    }
}

/// Opened at the latest when the test ends, also by a panic: the runtime waits for its threads.
struct Shut(Arc<Dns>);

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.set_open(true);
    }
}

/// A resolver that asks a server which is shut, and the names as they are asked.
fn resolver(bounds: Bounds) -> (SystemResolver, Shut, mpsc::UnboundedReceiver<String>) {
    let dns = Arc::new(Dns::default());
    let (tell, asked) = mpsc::unbounded_channel();
    let server = Arc::clone(&dns);
    let ask = move |host: &str| {
        tell.send(host.to_owned()).unwrap();
        server.answer(host)
    };
    (SystemResolver::asking(Box::new(ask), bounds), Shut(dns), asked)
}

async fn resolved(resolver: &SystemResolver, host: &str) -> io::Result<Vec<SocketAddr>> {
    timeout(PATIENT, resolver.resolve(host, 443)).await.unwrap()
}

/// The next name that is asked for.
async fn next(asked: &mut mpsc::UnboundedReceiver<String>) -> String {
    timeout(PATIENT, asked.recv()).await.unwrap().unwrap()
}

/// Whether a look-up that was begun ends with an answer.
async fn is_answered(begun: tokio::task::JoinHandle<io::Result<Vec<SocketAddr>>>) -> bool {
    timeout(PATIENT, begun).await.unwrap().unwrap().is_ok()
}

fn begin(
    resolver: &SystemResolver,
    host: &'static str,
) -> tokio::task::JoinHandle<io::Result<Vec<SocketAddr>>> {
    let resolver = resolver.clone();
    tokio::spawn(async move { resolver.resolve(host, 443).await })
}

/// I8: however many attempts ask for a name that is not answered, it holds one thread, and other names are answered;
/// an attempt that stops waiting takes the answer from no other.
#[tokio::test]
async fn i8_a_name_without_answer_holds_one_thread() {
    let (resolver, dns, mut asked) = resolver(Bounds { threads: 2, ..BOUNDS });
    let first = begin(&resolver, "slow.test");
    assert_eq!(next(&mut asked).await, "slow.test");
    let joined: Vec<_> = (0..100).map(|_| begin(&resolver, "slow.test")).collect();
    first.abort();
    for n in 0..10 {
        let quick = resolved(&resolver, &format!("quick{n}.test")).await.unwrap();
        assert_eq!(quick, ["127.0.0.1:443".parse().unwrap()]);
    }
    assert!(joined.iter().all(|one| !one.is_finished()));
    dns.0.set_open(true);
    for one in joined {
        assert!(is_answered(one).await);
    }
    assert_eq!(dns.0.asked.load(Ordering::Relaxed), 11, "one look-up for all who asked for it");
    assert!(resolved(&resolver, "slow.test").await.is_ok());
    assert_eq!(dns.0.asked.load(Ordering::Relaxed), 12, "an answer is not kept");
}

/// I8: where no thread is free the attempt ends, before its deadline, as one that certainly did not arrive, and says why.
#[tokio::test]
async fn i8_without_a_thread_the_attempt_says_so() {
    let wait = Duration::from_millis(50);
    let (resolver, dns, mut asked) = resolver(Bounds { threads: 1, wait, ..BOUNDS });
    let stuck = begin(&resolver, "slow.test");
    next(&mut asked).await;
    let nobody = rcgen::generate_simple_self_signed(["nobody.test".to_owned()]).unwrap();
    let roots = TlsRoots::Only(vec![nobody.cert.der().clone()]);
    let guard = Guard::default();
    let target = Target::parse("https://other.test/", &guard).unwrap();
    let budget = ByteBudget::new(1024);
    let courier = Courier::new(guard, Arc::new(resolver.clone()), roots, budget).unwrap();
    let request = WireRequest {
        headers: vec![],
        body: bytes::Bytes::from_static(b"x").into(),
        user_agent: UserAgent::default(),
    };
    let sent = courier.send(&mut None, &target, request, PATIENT).await;
    let why = sent.result.unwrap_err();
    assert_eq!((why, why.arrival()), (SendError::DnsBusy, Arrival::NotArrived));
    assert_eq!(why.class().as_str(), "dns_busy");
    dns.0.set_open(true);
    assert!(is_answered(stuck).await);
    assert!(resolved(&resolver, "other.test").await.is_ok(), "there is room again");
}

/// I8: names whose last look-up was slow share few threads, and leave the others to all other names.
#[tokio::test]
async fn i8_slow_names_share_few_threads() {
    let (slow_after, wait) = (Duration::ZERO, Duration::from_millis(50));
    let bounds = Bounds { threads: 3, threads_for_slow: 1, slow_after, wait, ..BOUNDS };
    let (resolver, dns, mut asked) = resolver(bounds);
    let names = ["slow1.test", "slow2.test", "slow3.test"];
    let first: Vec<_> = names.map(|name| begin(&resolver, name)).into();
    for _ in names {
        next(&mut asked).await;
    }
    dns.0.set_open(true);
    for one in first {
        assert!(is_answered(one).await);
    }
    dns.0.set_open(false);
    let stuck = begin(&resolver, "slow1.test");
    next(&mut asked).await;
    let refused = resolved(&resolver, "slow2.test").await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
    assert!(asked.is_empty(), "it was not asked for");
    assert!(resolved(&resolver, "quick.test").await.is_ok(), "the others have their own threads");
    dns.0.set_open(true);
    assert!(is_answered(stuck).await);
    assert!(resolved(&resolver, "slow2.test").await.is_ok());
}

/// I8: a name that is quick again is like any other.
#[tokio::test]
async fn i8_a_name_is_slow_by_its_last_look_up() {
    let (resolver, _dns, _asked) = resolver(BOUNDS);
    let name: Arc<str> = "one.test".into();
    for (took, slow) in [(2_000, true), (9_000, true), (1_999, false), (2_000, true)] {
        resolver.0.remember(&name, Duration::from_millis(took));
        assert_eq!(resolver.0.slow.lock().contains(&name), slow);
    }
    assert!(resolved(&resolver, &name).await.is_ok());
    assert!(resolver.0.slow.lock().is_empty());
}

/// I9: however many slow names there are, so many are remembered.
#[tokio::test]
async fn i9_slow_names_are_remembered_in_bounded_number() {
    let bounds = Bounds { slow_after: Duration::ZERO, slow_names: 3, ..BOUNDS };
    let (resolver, _dns, _asked) = resolver(bounds);
    for n in 0..10 {
        assert!(resolved(&resolver, &format!("quick{n}.test")).await.is_ok());
    }
    assert_eq!(resolver.0.slow.lock().len(), 3);
    assert!(resolver.0.slow.lock().contains("quick9.test"), "the newest among them");
    assert!(resolver.0.under_way.lock().is_empty());
}

/// A look-up that fails or breaks is an error for who asked, and the next one is made anew.
#[tokio::test]
async fn a_look_up_that_fails_is_over() {
    let (resolver, dns, _asked) = resolver(Bounds { threads: 1, ..BOUNDS });
    for times in 1..=3 {
        assert!(resolved(&resolver, "panic.test").await.is_err());
        let failed = resolved(&resolver, "none.test").await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::NotFound);
        assert_eq!(dns.0.asked.load(Ordering::Relaxed), 2 * times);
    }
}
