//! A thousand endpoints, half of which take a request and never answer.

use std::fs;
use std::time::Duration;

use super::steady::{delays, load, pause, sink};
use super::{Figure, Sample, Stage};
use crate::figures::{cpu_micros, peak_megabytes};
use crate::load::Done;
use crate::server::{Folder, Server};
use crate::sink::Seen;
use crate::store;

const ENDPOINTS: u64 = 1_000;
/// Events a second, each for one endpoint.
const RATE: u64 = 2_000;
/// Long enough for the deadline of a hanging send to pass.
const LEAST: Duration = Duration::from_secs(12);
/// What is on its way when the load stops arrives within this time, or is late.
const LATE: Duration = Duration::from_secs(1);

/// Each endpoint has its own organization, so that each event goes to one; those on odd places hang.
pub(super) fn measure(stage: &Stage, half_hang: bool) -> anyhow::Result<Sample> {
    let folder = Folder::new(&stage.folder)?;
    Server::start(&stage.binary, &folder, &[])?.kill()?;
    let (mut sink, to) = sink(&["--stamps"])?;
    let path = |number: u64| if half_hang && !number.is_multiple_of(2) { "hang" } else { "ok" };
    let urls: Vec<_> = (0..ENDPOINTS).map(|n| format!("http://{to}/{}/{n}", path(n))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tokens = runtime.block_on(store::make_organizations(&folder, &urls))?;
    fs::write(folder.tokens(), tokens.join("\n"))?;
    let server = Server::start(&stage.binary, &folder, &[])?;
    // Each organization meets its subjects while the load runs: the token and the subject go round together.
    let more = [("connections", 256), ("rate", RATE), ("known", ENDPOINTS)];
    let mut load = load(server.address, Some(&folder), &more)?;
    pause(Duration::from_secs(2));
    sink.ask::<Seen>("reset")?;
    let cpu = cpu_micros(server.id())?;
    let before: Seen = sink.ask("report")?;
    pause(stage.window.max(LEAST));
    let cpu = cpu_micros(server.id())? - cpu;
    let while_loaded: Seen = sink.ask("report")?;
    let _: Done = load.ask("stop")?;
    pause(LATE);
    let (done, after): (Done, Seen) = (load.ask("report")?, sink.ask("report")?);
    let expected = if half_hang { done.accepted_even } else { done.accepted };
    let delivered = (while_loaded.count - before.count) as f64;
    let mut sample = delays(&after.delays);
    sample.insert(Figure::Rate, delivered / stage.window.max(LEAST).as_secs_f64());
    sample.insert(Figure::Cpu, cpu / delivered.max(1.0));
    sample
        .insert(Figure::Missing, expected.saturating_sub(after.count) as f64 + done.refused as f64);
    sample.insert(Figure::Memory, peak_megabytes(server.id())?);
    Ok(sample)
}
