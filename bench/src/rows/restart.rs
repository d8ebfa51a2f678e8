//! A start that finds a million pending deliveries, most of them for an endpoint that hangs.

use std::time::{Duration, Instant};

use super::steady::{meet, pause, sink};
use super::{Figure, Sample, Stage};
use crate::figures::{now_nanos, peak_megabytes};
use crate::server::{Folder, Server};
use crate::sink::Seen;
use crate::store;

const HANGING: u64 = 900_000;
const HEALTHY: u64 = 100_000;
const HEALTHY_ENDPOINTS: u64 = 10;
/// The healthy ones must be delivered to within this time.
const SOON: Duration = Duration::from_secs(2);
/// How long memory is watched.
const WATCH: Duration = Duration::from_secs(12);

pub(super) fn measure(stage: &Stage) -> anyhow::Result<Sample> {
    let folder = Folder::new(&stage.folder)?;
    let (mut sink, to) = sink(&[])?;
    let server = Server::start(&stage.binary, &folder, &[])?;
    let token = Server::take_token(&folder)?;
    // Ten thousand events that nobody has subscribed to yet.
    meet(&server, &folder)?;
    server.subscribe(&token, &format!("http://{to}/hang"))?;
    for number in 0..HEALTHY_ENDPOINTS {
        server.subscribe(&token, &format!("http://{to}/{number}"))?;
    }
    server.kill()?;
    store::make_pending(&folder, HANGING, HEALTHY)?;

    let (began_at, began) = (now_nanos(), Instant::now());
    let server = Server::start(&stage.binary, &folder, &[])?;
    pause(SOON.saturating_sub(began.elapsed()));
    let soon: Seen = sink.ask("report")?;
    pause(WATCH.saturating_sub(began.elapsed()));
    let late: Seen = sink.ask("report")?;
    let first = late.first_at.map_or(f64::INFINITY, |at| (at - began_at) as f64 / 1e9);
    Ok(Sample::from([
        (Figure::First, first),
        (Figure::Rate, soon.count as f64 / SOON.as_secs_f64()),
        (Figure::Missing, HEALTHY.saturating_sub(late.count) as f64),
        (Figure::Memory, peak_megabytes(server.id())?),
    ]))
}
