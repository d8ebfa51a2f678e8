//! Rates in a steady state, and delays at a fixed rate.

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::{Figure, Sample, Stage, full};
use crate::control::Helper;
use crate::figures::{Delays, cpu_micros, peak_megabytes};
use crate::load::Done;
use crate::server::{Folder, Server};
use crate::sink::Seen;

/// Connections of the loader, and of the raw client.
const CONNECTIONS: u64 = 256;
/// Subjects that Abide has met before a measurement begins.
pub(super) const KNOWN: u64 = 10_000;
/// Calls between acceptance and arrival, at most.
const WINDOW: u64 = 1_000;
/// Calls a second where delay is measured.
const CALM: u64 = 500;
/// Before delay is measured: connections open, limits grown, caches filled.
const WARM_UP: Duration = Duration::from_millis(1_500);
/// The same before each slice of a rate, whose other processes are warm.
const REJOIN: Duration = Duration::from_millis(500);
/// How long everything may take to arrive.
pub(super) const DRAIN: Duration = Duration::from_mins(2);
/// One slice of a rate.
const SLICE: Duration = Duration::from_secs(1);

/// Which database keeps the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeper {
    Sqlite,
    Postgres,
}

/// What a store holds before it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// The subjects that it has met.
    Subjects,
    /// These, and ten million rows.
    TenMillion,
}

/// How Abide is driven.
pub(super) struct Way {
    pub(super) keeper: Keeper,
    pub(super) content: Content,
    pub(super) new_percent: u64,
    pub(super) fan_out: u64,
    pub(super) batch: u64,
    pub(super) tls: bool,
    pub(super) commit_delay: u64,
}

impl Default for Way {
    fn default() -> Self {
        Self {
            keeper: Keeper::Sqlite,
            content: Content::Subjects,
            new_percent: 0,
            fan_out: 1,
            batch: 0,
            tls: false,
            commit_delay: 0,
        }
    }
}

/// The processes of a rate, standing ready. Only its loader comes and goes, so that several rates can be measured in
/// turns.
pub(crate) struct Stand {
    sink: Helper,
    /// The words that start the loader, or the client that is itself what is measured.
    driver: Vec<String>,
    measured: Measured,
    /// Deliveries per call.
    fan_out: u64,
    /// Consents per call; 0 is the call for one.
    batch: u64,
    /// Between the loader's start and the measurement.
    warm_up: Duration,
    /// Whether the sink reads off how long each event took.
    stamps: bool,
}

enum Measured {
    /// The driver itself.
    Client,
    Hops(Helper),
    Abide(Server, #[expect(dead_code, reason = "removed when dropped")] Rc<Folder>),
}

/// Waits, on the bench's own thread.
#[expect(clippy::disallowed_methods, reason = "a measurement takes its time")]
pub(super) fn pause(time: Duration) {
    thread::sleep(time);
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(super) fn sink(options: &[&str]) -> anyhow::Result<(Helper, SocketAddr)> {
    Helper::listening(&words(&[&["sink"], options].concat()))
}

pub(super) fn load(
    to: SocketAddr,
    folder: Option<&Folder>,
    more: &[(&str, u64)],
) -> anyhow::Result<Helper> {
    Helper::start(&load_words(to, folder, more))
}

fn load_words(to: SocketAddr, folder: Option<&Folder>, more: &[(&str, u64)]) -> Vec<String> {
    let mut arguments = words(&["load", "--to", &to.to_string()]);
    if let Some(folder) = folder {
        arguments.extend(["--tokens".to_owned(), folder.tokens().display().to_string()]);
    }
    for (name, value) in more {
        arguments.extend([format!("--{name}"), value.to_string()]);
    }
    arguments
}

pub(super) fn floor() -> anyhow::Result<Stand> {
    let (sink, to) = sink(&[])?;
    let mut driver = load_words(to, None, &[("connections", CONNECTIONS)]);
    driver.push("--sign".to_owned());
    Ok(Stand::new(sink, driver, Measured::Client))
}

pub(super) fn raw() -> anyhow::Result<Stand> {
    let (sink, to) = sink(&[])?;
    let (to, connections) = (to.to_string(), CONNECTIONS.to_string());
    let driver = words(&["client", "--to", &to, "--connections", &connections]);
    Ok(Stand::new(sink, driver, Measured::Client))
}

pub(super) fn two_hop(fan_out: u64) -> anyhow::Result<Stand> {
    let (sink, to) = sink(&[])?;
    let (hops, address) = two_hops(to, fan_out)?;
    let driver = paced(address, None, to, &Way { fan_out, ..Way::default() });
    Ok(Stand { fan_out, ..Stand::new(sink, driver, Measured::Hops(hops)) })
}

fn two_hops(sink: SocketAddr, fan_out: u64) -> anyhow::Result<(Helper, SocketAddr)> {
    Helper::listening(&words(&[
        "two-hop",
        "--sink",
        &sink.to_string(),
        "--fan-out",
        &fan_out.to_string(),
    ]))
}

/// The words of a loader that keeps pace with a sink.
pub(super) fn paced(
    to: SocketAddr,
    folder: Option<&Folder>,
    sink: SocketAddr,
    way: &Way,
) -> Vec<String> {
    let (connections, window) = match way.batch {
        0 => (CONNECTIONS, WINDOW),
        each => (16, (WINDOW * 4) / each),
    };
    let mut arguments = load_words(
        to,
        folder,
        &[
            ("connections", connections),
            ("window", window),
            ("fan-out", way.fan_out),
            ("known", KNOWN),
            ("new-percent", way.new_percent),
            ("batch", way.batch),
        ],
    );
    arguments.extend(words(&["--sink", &sink.to_string()]));
    if way.batch > 0 {
        arguments.extend(words(&["--path", "/v1/consent/batch"]));
    }
    arguments
}

/// A folder whose data that database keeps.
pub(super) fn folder(stage: &Stage, keeper: Keeper) -> anyhow::Result<Folder> {
    match keeper {
        Keeper::Sqlite => Folder::new(&stage.folder),
        Keeper::Postgres => Folder::over(&stage.folder, stage.database()?),
    }
}

pub(super) fn abide(stage: &Stage, way: &Way) -> anyhow::Result<Stand> {
    if way.content == Content::TenMillion {
        let folder = Rc::new(full::folder(stage, way.keeper)?);
        return abide_on(stage, &folder, REJOIN);
    }
    let folder = folder(stage, way.keeper)?;
    let mut variables = Vec::new();
    let (sink, to) = if way.tls {
        let [root, chain, key] = certificates(folder.path())?;
        variables.push(("SSL_CERT_FILE", root));
        sink(&["--certificate", &chain, "--key", &key])?
    } else {
        sink(&[])?
    };
    if way.commit_delay > 0 {
        variables.push(("ABIDE_BENCH_COMMIT_DELAY_MS", way.commit_delay.to_string()));
    }
    let server = Server::start(&stage.binary, &folder, &variables)?;
    let token = Server::take_token(&folder)?;
    meet(&server, &folder)?;
    let scheme = if way.tls { "https" } else { "http" };
    for number in 0..way.fan_out {
        server.subscribe(&token, &format!("{scheme}://{to}/{number}"))?;
    }
    let driver = if way.tls {
        // The sink's counter is behind TLS as well: few connections keep the loader from outrunning delivery.
        load_words(server.address, Some(&folder), &[("connections", 32), ("known", KNOWN)])
    } else {
        paced(server.address, Some(&folder), to, way)
    };
    let (fan_out, batch) = (way.fan_out, way.batch);
    let measured = Measured::Abide(server, Rc::new(folder));
    Ok(Stand { fan_out, batch, ..Stand::new(sink, driver, measured) })
}

/// On a folder that holds ten million rows.
pub(super) fn abide_on(
    stage: &Stage,
    folder: &Rc<Folder>,
    warm_up: Duration,
) -> anyhow::Result<Stand> {
    let (sink, to) = sink(&["--stamps"])?;
    full::point(folder, to)?;
    let server = Server::start(&stage.binary, folder, &[])?;
    let driver = paced(server.address, Some(folder), to, &Way::default());
    let measured = Measured::Abide(server, Rc::clone(folder));
    Ok(Stand { warm_up, stamps: true, ..Stand::new(sink, driver, measured) })
}

impl Stand {
    fn new(sink: Helper, driver: Vec<String>, measured: Measured) -> Self {
        Self { sink, driver, measured, fan_out: 1, batch: 0, warm_up: REJOIN, stamps: false }
    }

    /// Measures one slice. What it leaves to do is done before it returns, so that the next one is not slowed.
    pub(crate) fn slice(&mut self) -> anyhow::Result<Sample> {
        let mut driver = Helper::start(&self.driver)?;
        let process = match &self.measured {
            Measured::Client => driver.id(),
            Measured::Hops(hops) => hops.id(),
            Measured::Abide(server, _) => server.id(),
        };
        pause(self.warm_up);
        let began = Instant::now();
        let (seen, done) = (self.sink.ask::<Seen>("reset")?, self.done(&mut driver)?);
        let cpu = cpu_micros(process)?;
        pause(SLICE);
        let (seen_after, done_after) = (self.sink.ask::<Seen>("report")?, self.done(&mut driver)?);
        let (cpu, seconds) = (cpu_micros(process)? - cpu, began.elapsed().as_secs_f64());
        let delivered = (seen_after.count - seen.count) as f64;
        ensure!(delivered > 0.0, "nothing was delivered: {done_after:?}");
        let mut sample =
            Sample::from([(Figure::Rate, delivered / seconds), (Figure::Cpu, cpu / delivered)]);
        if let (Some(before), Some(after)) = (done, done_after) {
            ensure!(after.refused == 0, "{} calls were refused", after.refused);
            let accepted = (after.accepted - before.accepted) as f64;
            sample.insert(Figure::Accepted, accepted / seconds);
            sample.insert(Figure::Balance, delivered / (accepted * self.fan_out as f64));
        }
        if self.stamps {
            sample.extend(delays(&seen_after.delays));
        }
        if self.batch > 0 {
            in_consents(&mut sample, self.batch as f64);
        }
        if let Measured::Abide(server, _) = &self.measured {
            sample.insert(Figure::Memory, peak_megabytes(server.id())?);
        }
        drop(driver);
        if !matches!(self.measured, Measured::Client) {
            quiet(process)?;
        }
        Ok(sample)
    }

    /// What the loader has done; the raw client keeps no account.
    fn done(&self, driver: &mut Helper) -> anyhow::Result<Option<Done>> {
        match self.measured {
            Measured::Client => Ok(None),
            Measured::Hops(_) | Measured::Abide(..) => driver.ask("report").map(Some),
        }
    }
}

/// A batch is told in as many events as it takes: what counts is its consents.
fn in_consents(sample: &mut Sample, each: f64) {
    let events = sample[&Figure::Balance].round().max(1.0);
    let factors = [
        (Figure::Rate, each / events),
        (Figure::Accepted, each),
        (Figure::Balance, 1.0 / events),
        (Figure::Cpu, events / each),
    ];
    for (figure, factor) in factors {
        sample.entry(figure).and_modify(|value| *value *= factor);
    }
}

/// Waits until so many deliveries have arrived; answers what did when that takes too long.
pub(super) fn wait_for(sink: &mut Helper, deliveries: u64) -> anyhow::Result<Seen> {
    let began = Instant::now();
    loop {
        let seen: Seen = sink.ask("report")?;
        if seen.count >= deliveries || began.elapsed() > DRAIN {
            return Ok(seen);
        }
        pause(Duration::from_millis(100));
    }
}

/// Waits until a process has next to nothing to do, for a few seconds at most.
pub(super) fn quiet(process: u32) -> anyhow::Result<()> {
    let mut used = cpu_micros(process)?;
    for _ in 0..50 {
        pause(Duration::from_millis(60));
        let now = cpu_micros(process)?;
        if now - used < 15_000.0 {
            break;
        }
        used = now;
    }
    Ok(())
}

/// Lets Abide meet the known subjects, each once.
pub(super) fn meet(server: &Server, folder: &Folder) -> anyhow::Result<()> {
    let more = [("connections", 64), ("calls", KNOWN), ("known", KNOWN)];
    let mut load = load(server.address, Some(folder), &more)?;
    let done: Done = load.line()?;
    ensure!(done.refused == 0, "{} of {KNOWN} calls were refused", done.refused);
    Ok(())
}

pub(super) fn two_hop_delay(stage: &Stage) -> anyhow::Result<Sample> {
    let (mut sink, to) = sink(&["--stamps"])?;
    let (hops, address) = two_hops(to, 1)?;
    let mut load = load(address, None, &[("rate", CALM)])?;
    calm(stage, &mut sink, &mut load, hops.id())
}

pub(super) fn delay(stage: &Stage) -> anyhow::Result<Sample> {
    let folder = Folder::new(&stage.folder)?;
    let (mut sink, to) = sink(&["--stamps"])?;
    let server = Server::start(&stage.binary, &folder, &[])?;
    let token = Server::take_token(&folder)?;
    meet(&server, &folder)?;
    server.subscribe(&token, &format!("http://{to}/0"))?;
    let mut load = load(server.address, Some(&folder), &[("rate", CALM), ("known", KNOWN)])?;
    let before = server.commits()?;
    let mut sample = calm(stage, &mut sink, &mut load, server.id())?;
    let commits = server.commits()?.since(&before);
    sample.insert(Figure::CommitP99, commits.percentile(0.99) * 1e3);
    drop((load, server));
    sample.insert(Figure::SyncP99, sync_p99(folder.path())?);
    Ok(sample)
}

/// Delays at a fixed rate. Twice the window: a percentile needs its events.
fn calm(
    stage: &Stage,
    sink: &mut Helper,
    load: &mut Helper,
    measured: u32,
) -> anyhow::Result<Sample> {
    pause(WARM_UP);
    let before: Seen = sink.ask("reset")?;
    let (cpu, began) = (cpu_micros(measured)?, Instant::now());
    pause(stage.window * 2);
    let after: Seen = sink.ask("report")?;
    let (cpu, seconds) = (cpu_micros(measured)? - cpu, began.elapsed().as_secs_f64());
    let done: Done = load.ask("report")?;
    ensure!(done.refused == 0, "{} calls were refused", done.refused);
    let delivered = (after.count - before.count) as f64;
    ensure!(delivered > 0.0, "nothing was delivered: {done:?}");
    let mut sample = delays(&after.delays);
    sample.insert(Figure::Rate, delivered / seconds);
    sample.insert(Figure::Cpu, cpu / delivered);
    Ok(sample)
}

pub(super) fn delays(delays: &Delays) -> Sample {
    Sample::from([
        (Figure::P50, delays.p50 / 1e3),
        (Figure::P99, delays.p99 / 1e3),
        (Figure::Max, delays.max / 1e3),
    ])
}

/// What the disk takes for 4 KiB: the floor under a commit.
fn sync_p99(folder: &Path) -> anyhow::Result<f64> {
    let path = folder.join("sync");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let mut micros = Vec::new();
    for at in 0..1_000 {
        let began = Instant::now();
        file.write_all_at(&[7; 4096], at * 4096)?;
        file.sync_data()?;
        micros.push(began.elapsed().as_micros() as u32);
    }
    fs::remove_file(path)?;
    Ok(Delays::of(&mut micros).p99 / 1e3)
}

/// A root and a chain under it for 127.0.0.1, as files: root, chain, key.
fn certificates(folder: &Path) -> anyhow::Result<[String; 3]> {
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate()?;
    let root_certificate = root.self_signed(&root_key)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?
        .signed_by(&key, &Issuer::new(root, root_key))?;
    let mut paths = Vec::new();
    for (name, text) in [
        ("root.pem", root_certificate.pem()),
        ("chain.pem", leaf.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        let path = folder.join(name);
        fs::write(&path, text)?;
        paths.push(path.to_str().context("a folder's name is no text")?.to_owned());
    }
    paths.try_into().map_err(|_| anyhow::anyhow!("three files"))
}
