//! `abide backup`: the whole store in one file, while a server runs and while none does.
//!
//! The command reads from beside and changes nothing, so it needs no server to do it: whichever of the two ends, the other
//! goes on.

use std::path::{Path, PathBuf};

use abide_core::shell::Clock as _;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::format::Format;
use crate::clock::SystemClock;
use crate::config::DataSettings;
use crate::exit::Refused;
use crate::folder;
use crate::terminal::bar;
use crate::wiring::backups::{self, Existing, Progress, Told};

#[derive(Args)]
#[command(
    after_help = "The file is a tar archive: abide-backup.json says what it is, abide.db is the database, blobs/ has \
    what is too large for it, and SHA256SUMS has the sum of each. It holds personal data, sealed under keys that the master keys open; those are in no backup. While \
    it is taken there must be room beside FILE for the database twice, and for the blobs."
)]
pub(crate) struct Options {
    /// The file to write, readable by you alone
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Put the backup in the place of a file that is there, once it is whole
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

/// What does the same where the data are in PostgreSQL.
const IN_POSTGRES: &str = "take it with PostgreSQL's own `pg_dump` or `pg_basebackup`";

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let Options { file, replace, format, data } = options;
    let place = data.settle()?.in_folder(IN_POSTGRES)?;
    folder::must_be_ours(&place.data)?;
    if is_within(&file, &place.data) {
        let text = "a backup in the data folder would be lost with it: write it elsewhere";
        return Err(Refused(text.to_owned()).into());
    }
    let existing = if replace { Existing::Replace } else { Existing::Keep };
    let (bar, told) = progress();
    let taken = backups::take(&place, &file, existing, SystemClock.now(), told).await;
    bar.finish_and_clear();
    let taken = taken?;
    let (head, bytes) = (&taken.head, taken.bytes);
    let path = file.display();
    let json = json!({
        "file": path.to_string(), "bytes": bytes, "taken_at": head.taken_at, "schema": head.schema,
        "counts": head.counts,
    });
    let counts = head.counts;
    format.answer(
        &json,
        format_args!(
            "{path}: {bytes} bytes, organizations {}, decisions {}, events {}, deliveries {}, blobs {}",
            counts.organizations, counts.decisions, counts.events, counts.deliveries, counts.blobs
        ),
    )?;
    format.advise(format_args!(
        "The master keys are not in it. Keep copies of {} and of {} apart from it: without the first nobody can read it, \
         without the second it brings back who is erased from now on.",
        place.key_file.display(),
        place.journal.display()
    ));
    Ok(())
}

fn is_within(file: &Path, data: &Path) -> bool {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).canonicalize();
    // Where one of them is not there, writing says so.
    match (parent, data.canonicalize()) {
        (Ok(parent), Ok(data)) => parent.starts_with(data),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// A bar on a terminal, and nowhere else.
pub(super) fn progress() -> (ProgressBar, Told) {
    let bar = bar(Some(0), "{bar:40} {bytes}/{total_bytes}  {elapsed}  {msg}");
    let shown = bar.clone();
    let told = Box::new(move |progress: Progress| {
        shown.set_message(progress.step);
        shown.set_length(progress.total);
        shown.set_position(progress.done);
    });
    (bar, told)
}
