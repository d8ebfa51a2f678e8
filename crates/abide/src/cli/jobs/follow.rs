//! Watching a job until it ends. The job is the server's: whoever stops watching stops nothing.

use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;

use super::{PATH, count};
use crate::api_client::Api;
use crate::cli::format::Format;
use crate::cli::shown::{field, record};
use crate::exit::{AnsweredNo, Unavailable};
use crate::signals::Signals;
use crate::terminal::{bar, complain};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Watches until the job has ended, and answers what it came to: 1 where it was cancelled. `expected` is what it will do in
/// all, as far as that is known. Ctrl-C ends the watching alone.
pub(in crate::cli) async fn follow(
    api: &Api,
    job: Value,
    expected: Option<u64>,
    format: Format,
) -> anyhow::Result<()> {
    let id = field(&job, &["id"]);
    let mut signals = Signals::catch()?;
    let bar = bar(expected, "{bar:40} {pos}/{len}  {elapsed}  {msg}");
    let ended = tokio::select! {
        ended = until_it_ends(api, &id, job, &bar) => Some(ended?),
        () = signals.next() => None,
    };
    bar.finish_and_clear();
    let Some(job) = ended else {
        complain(format_args!(
            "The job goes on. Look at it with `abide jobs show {id}`, stop it with `abide jobs cancel {id}`."
        ));
        return Ok(());
    };
    format.answer(&job, record(&job))?;
    if field(&job, &["state"]) == "done" { Ok(()) } else { Err(AnsweredNo.into()) }
}

async fn until_it_ends(
    api: &Api,
    id: &str,
    mut job: Value,
    bar: &ProgressBar,
) -> anyhow::Result<Value> {
    loop {
        let done = count(&job, "done").unwrap_or(0);
        if bar.length().is_some_and(|length| length < done) {
            bar.set_length(done);
        }
        bar.set_position(done);
        if field(&job, &["state"]) != "running" {
            return Ok(job);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        match api.get(&[PATH, id], &[]).await {
            Ok(now) => job = now,
            // It goes on, or waits for the server's next start.
            Err(error) if error.is::<Unavailable>() => bar.set_message("no answer"),
            Err(error) => return Err(error),
        }
    }
}
