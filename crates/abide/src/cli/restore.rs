//! `abide restore`: a backup in the place of a data folder, with everybody erased again who was erased since.

use std::path::PathBuf;

use abide_core::shell::Clock as _;
use abide_storage::erasures::{Erasure, ErasureJournal};
use clap::Args;
use serde_json::json;

use super::backup::progress;
use super::format::Format;
use crate::clock::SystemClock;
use crate::config::{DataSettings, Place};
use crate::exit::Refused;
use crate::folder;
use crate::terminal::complain;
use crate::wiring::backups::{self, Occupied, Restoration, Stale};

#[derive(Args)]
#[command(
    after_help = "No server may run on the data folder. The backup is unpacked beside what is there, checked and brought up \
    to date first; ended at any moment, the command leaves what was there, or the restored store."
)]
pub(crate) struct Options {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Restore into a data folder that is not empty; what was there is kept in it as before-restore-...
    #[arg(long)]
    replace: bool,
    /// Restore although the erasure journal is missing, or older than the backup: people who were erased since are back
    #[arg(long)]
    without_journal: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

/// What does the same where the data are in PostgreSQL.
const IN_POSTGRES: &str = "restore with PostgreSQL's own `pg_restore`, or to a moment by its log";

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let Options { file, replace, without_journal, format, data } = options;
    let place = data.settle()?.in_folder(IN_POSTGRES)?;
    let keys = folder::keys_for_restoring(&place)?;
    let stale = if without_journal { Stale::Use } else { Stale::Refuse };
    let journal = journal(&place, stale)?;
    let occupied = if replace { Occupied::SetAside } else { Occupied::Refuse };
    let now = SystemClock.now();
    let (bar, told) = progress();
    let wanted = Restoration { backup: file, occupied, journal, stale, now };
    let restored = backups::restore(&place, keys, wanted, told).await;
    bar.finish_and_clear();
    let restored = restored.map_err(|error| with_way_out(error, occupied))?;

    let taken_at = restored.taken_at.to_seconds_text();
    let (data, counts, erased) = (place.data.display(), restored.counts, restored.erased);
    let before = restored.before.as_ref().map(|folder| folder.display().to_string());
    let json = json!({
        "data": data.to_string(), "taken_at": taken_at, "counts": counts,
        "erased_again": {
            "people": erased.people, "organizations": erased.organizations, "deliveries": erased.deliveries,
        },
        "before": before,
    });
    format.answer(
        &json,
        format_args!(
            "{data} is as it was {taken_at}: organizations {}, decisions {}, events {}, deliveries {}; erased again: people \
             {}, organizations {}",
            counts.organizations,
            counts.decisions,
            counts.events,
            counts.deliveries,
            erased.people,
            erased.organizations
        ),
    )?;
    if restored.taken_at > now {
        complain(
            "warning: by the clock of this machine the backup is from the future; is it right?",
        );
    }
    if let Some(before) = before {
        format.advise(format_args!(
            "What was there before lies in {before}. Remove it when you need it no more: who is erased from now on can still \
             be read in it."
        ));
    }
    format.advise(format_args!(
        "What was changed after {taken_at} is not in it: keys that were revoked and users who were disabled since are good \
         again. Look through them before you start the server."
    ));
    Ok(())
}

fn journal(place: &Place, stale: Stale) -> anyhow::Result<Vec<Erasure>> {
    let path = &place.journal;
    match (ErasureJournal::read(path)?, stale) {
        (Some(journal), _) => Ok(journal),
        (None, Stale::Refuse) => Err(Refused(format!(
            "there is no erasure journal {}: whoever was erased after the backup would be back. Put it back from your copy, \
             say where it is with --erasure-journal, or give --without-journal if it is lost",
            path.display()
        ))
        .into()),
        (None, Stale::Use) => {
            complain(
                "warning: restored without an erasure journal: erase those again who were erased after the backup",
            );
            Ok(Vec::new())
        }
    }
}

/// What to do about a folder that is not empty, in the words of this command.
fn with_way_out(error: anyhow::Error, occupied: Occupied) -> anyhow::Error {
    match error.downcast_ref::<Refused>() {
        Some(Refused(text)) if occupied == Occupied::Refuse && text.contains("is not empty") => {
            Refused(format!("{text}. With --replace what is there is kept under another name"))
                .into()
        }
        _ => error,
    }
}
