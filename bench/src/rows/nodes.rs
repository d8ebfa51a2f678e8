//! Two nodes over one PostgreSQL database: at work together, and one of them killed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use abide_storage::leases::LEASE_MILLIS;
use anyhow::{Context as _, ensure};

use super::steady::{KNOWN, Keeper, Way, folder, meet, paced, pause, quiet, sink, wait_for, words};
use super::{Figure, Sample, Stage};
use crate::control::Helper;
use crate::figures::now_nanos;
use crate::history::{self, History, Standing};
use crate::load::Done;
use crate::postgres::Session;
use crate::server::{Folder, Server};
use crate::sink::Seen;

/// Deliveries that both nodes find due.
const DUE: i64 = 50_000;
/// Deliveries that the node holds which dies.
const HOT: i64 = 100_000;
const ENDPOINTS: u64 = 10;
/// Before the load is measured.
const REJOIN: Duration = Duration::from_millis(500);
/// Between two looks at what has happened.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// After a lease's end: how long its rows are watched.
const WATCH: Duration = Duration::from_secs(10);

/// Two nodes that have told an endpoint of their subjects.
struct Pair {
    sink: Helper,
    to: SocketAddr,
    one: Server,
    other: Server,
    session: Session,
    first: Folder,
    // Removed when dropped.
    _second: Folder,
}

fn pair(stage: &Stage, endpoints: u64) -> anyhow::Result<Pair> {
    let first = folder(stage, Keeper::Postgres)?;
    let (mut sink, to) = sink(&["--ids"])?;
    let one = Server::start(&stage.binary, &first, &[])?;
    let token = Server::take_token(&first)?;
    one.subscribe(&token, &format!("http://{to}/0"))?;
    let second = first.beside()?;
    let other = Server::start(&stage.binary, &second, &[])?;
    meet(&one, &first)?;
    wait_for(&mut sink, KNOWN)?;
    // One is enough for what they repeat.
    for number in 1..endpoints {
        one.subscribe(&token, &format!("http://{to}/{number}"))?;
    }
    quiet(one.id())?;
    let session = first.database().context("it has a database")?.session()?;
    Ok(Pair { sink, to, one, other, session, first, _second: second })
}

/// Both take decisions, and both find the same deliveries due: none is to be sent twice.
pub(super) fn at_work(stage: &Stage) -> anyhow::Result<Sample> {
    let Pair { mut sink, to, one, other, session, first, _second } = pair(stage, 1)?;
    let mut load = load_both(&one, &other, &first, to)?;
    pause(REJOIN);
    history::put(&first, &recent(DUE, Standing::Due))?;
    let (began, before): (_, Seen) = (Instant::now(), sink.ask("report")?);
    pause(stage.window * 2);
    let after: Seen = sink.ask("report")?;
    let seconds = began.elapsed().as_secs_f64();
    let _: Done = load.ask("stop")?;
    pause(REJOIN);
    let done: Done = load.ask("report")?;
    ensure!(done.refused == 0, "{} calls were refused", done.refused);
    let expected = KNOWN + done.accepted + DUE.cast_unsigned();
    wait_for(&mut sink, expected)?;
    // What comes again comes a little later.
    pause(Duration::from_secs(2));
    let all: Seen = sink.ask("report")?;
    let senders = session.number(
        "SELECT count(DISTINCT holder) FROM attempts JOIN leases ON leases.lease = attempts.lease",
    )?;
    ensure!(senders == Some(2), "{senders:?} nodes have sent something");
    let twice = session.number(
        "SELECT count(*) FROM (SELECT 1 FROM attempts WHERE status BETWEEN 200 AND 299 GROUP BY delivery \
         HAVING count(*) > 1) AS twice",
    )?;
    let twice = all.again.max(twice.unwrap_or(0).cast_unsigned());
    Ok(Sample::from([
        (Figure::Rate, (after.count - before.count) as f64 / seconds),
        (Figure::Missing, expected.saturating_sub(all.count - all.again) as f64),
        (Figure::Twice, twice as f64),
    ]))
}

/// A loader whose connections call the one node and the other in turn.
fn load_both(
    one: &Server,
    other: &Server,
    folder: &Folder,
    sink: SocketAddr,
) -> anyhow::Result<Helper> {
    let mut arguments = paced(one.address, Some(folder), sink, &Way::default());
    arguments.extend(words(&["--and-to", &other.address.to_string()]));
    Helper::start(&arguments)
}

/// One node is killed while it holds much: how soon another one has it, and sends it.
pub(super) fn takeover(stage: &Stage) -> anyhow::Result<Sample> {
    let Pair { mut sink, one, other, session, first, .. } = pair(stage, ENDPOINTS)?;
    // The one that started first has the lower number.
    let of_first = "SELECT max(lease) FROM leases WHERE holder = (SELECT holder FROM nodes ORDER BY node LIMIT 1)";
    let lease = session.number(of_first)?.context("the node has a lease")?;
    history::put(&first, &recent(HOT, Standing::Hot { lease }))?;
    sink.ask::<Seen>("reset")?;
    one.kill()?;
    let held =
        format!("SELECT heartbeat_at FROM leases WHERE lease = {lease} AND last_key IS NULL");
    let heard = session.number(&held)?.context("the node opened another lease meanwhile")?;
    let hot = session.number(&format!(
        "SELECT count(*) FROM deliveries WHERE state = 'hot' AND lease = {lease}"
    ))?;
    ensure!(hot == Some(HOT), "{hot:?} of {HOT} are hot");
    let before: Seen = sink.ask("report")?;
    let ended = (heard + LEASE_MILLIS).cast_unsigned() * 1_000_000;
    let still = format!(
        "SELECT lease FROM leases WHERE lease = {lease} AND holder NOT IN (SELECT holder FROM nodes WHERE node > 0)"
    );
    let seconds = |at: u64| at.cast_signed().wrapping_sub(ended.cast_signed()) as f64 / 1e9;
    while session.number(&still)?.is_some() {
        ensure!(seconds(now_nanos()) < WATCH.as_secs_f64(), "nobody takes the lease over");
        pause(LOOK_EVERY);
    }
    let owned = seconds(now_nanos());
    pause(WATCH.saturating_sub(Duration::from_secs_f64(owned.max(0.0))));
    let after: Seen = sink.ask("report")?;
    let arrived = after.count - before.count;
    let wanted = before.count + HOT.cast_unsigned();
    let again = wait_for(&mut sink, wanted)?.again;
    let all = wait_for(&mut sink, wanted + again)?;
    drop(other);
    Ok(Sample::from([
        (Figure::Owned, owned),
        (Figure::Sent, after.first_at.map_or(f64::INFINITY, seconds)),
        (Figure::Rate, arrived as f64 / WATCH.as_secs_f64()),
        (Figure::Missing, wanted.saturating_sub(all.count - all.again) as f64),
        (Figure::Twice, all.again as f64),
    ]))
}

/// Events of just now, none of whose deliveries has arrived.
fn recent(events: i64, standing: Standing) -> History {
    let now = (now_nanos() / 1_000_000).cast_signed();
    History { events, open: events, standing, from: now, to: now }
}
