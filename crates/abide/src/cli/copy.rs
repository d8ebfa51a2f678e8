//! `abide copy`: an installation moved from its data folder into a PostgreSQL database.

use abide_core::consent::hash::hex;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::format::Format;
use crate::config::CopySettings;
use crate::folder;
use crate::terminal::bar;
use crate::wiring::copies::{self, Began, Copy, Outcome, Progress, Told};

#[derive(Args)]
#[command(
    after_help = "Stop the server first. Ended at any moment, the same command goes on where it was; a database that is not \
    whole is not served. What was read back is compared with the data folder, by a count and a hash for each table. Afterwards \
    the folder is not served any more, since from both everything that waits would be delivered twice; it is not changed \
    otherwise."
)]
pub(crate) struct Options {
    /// Give up a copy that is not whole: empty the database, and let the data folder be served again
    #[arg(long)]
    discard: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    settings: CopySettings,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let Options { discard, format, settings } = options;
    let (place, to) = settings.settle()?;
    folder::must_be_ours(&place.data)?;
    if discard {
        let to = copies::discard(&place, to).await?;
        let data = place.data.display();
        return format.answer(
            &json!({"discarded": true, "to": to}),
            format_args!("the copy to {to} is given up: the database is empty, and {data} can be served again"),
        );
    }
    let keys = folder::open(&place)?;
    let (bar, told) = progress();
    let copied = copies::copy(&place, keys, to, told).await;
    bar.finish_and_clear();
    let Copy { to, outcome } = copied?;
    match outcome {
        Outcome::Before(since) => {
            let since = since.to_seconds_text();
            format.answer(
                &json!({"to": to, "whole_since": since}),
                format_args!("the copy to {to} is whole since {since}"),
            )?;
        }
        Outcome::Done { began, tables } => {
            let rows: u64 = tables.iter().map(|(_, sum)| sum.rows).sum();
            let of = |name: &str| {
                tables.iter().find(|(table, _)| *table == name).map_or(0, |(_, sum)| sum.rows)
            };
            let listed: Vec<_> = tables
                .iter()
                .map(|(table, sum)| json!({"table": table, "rows": sum.rows, "sha256": hex(&sum.sha256)}))
                .collect();
            let json = json!({
                "to": to, "resumed": began == Began::Resumed, "rows": rows, "tables": listed,
            });
            format.answer(
                &json,
                format_args!(
                    "{to} holds what {} holds, compared table by table: organizations {}, decisions {}, events {}, deliveries \
                     {}, blobs {}; {rows} rows in all",
                    place.data.display(),
                    of("organizations"),
                    of("decisions"),
                    of("events"),
                    of("deliveries"),
                    of("blobs")
                ),
            )?;
        }
    }
    format.advise(format_args!(
        "Each node needs the master key file {}: bring it to every machine, readable by its user alone, and start the nodes \
         with --master-key and --database-url. The data folder is not served any more; keep it until you trust the copy, then \
         remove it: who is erased from now on can still be read in it.",
        place.key_file.display()
    ));
    Ok(())
}

/// A bar on a terminal, and nowhere else.
fn progress() -> (ProgressBar, Told) {
    let bar = bar(Some(0), "{bar:40} {pos}/{len} rows  {elapsed}  {msg}");
    let shown = bar.clone();
    let told = Box::new(move |progress: Progress| {
        let Progress { step, table, done, total } = progress;
        shown.set_message(format!("{step} {table}"));
        shown.set_length(total);
        shown.set_position(done);
    });
    (bar, told)
}
