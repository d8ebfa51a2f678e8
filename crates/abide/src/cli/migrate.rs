//! `abide migrate`: a store of an earlier version brought to this one without serving it.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::format::Format;
use crate::config::{DataSettings, Place};
use crate::exit::Refused;
use crate::wiring::backups::pending;
use crate::wiring::postgres;
use crate::{folder, wiring};

#[derive(Args)]
#[command(
    after_help = "`abide serve` does the same at its start. There is no way back but a backup from before: take one first."
)]
pub(crate) struct Options {
    /// Say which migrations would be applied, and apply none
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Look,
    Apply,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let Options { dry_run, format, data } = options;
    let place = data.settle()?;
    let wish = if dry_run { Wish::Look } else { Wish::Apply };
    let migrations = match &place.database_url {
        Some(url) => match wish {
            Wish::Look => postgres::pending(url.clone()).await?,
            Wish::Apply => postgres::migrate(url.clone()).await?,
        },
        None => in_folder(&place, wish).await?,
    };
    let mut text = String::new();
    for name in &migrations {
        // Into a String, which cannot fail.
        let _ = writeln!(text, "{} {name}", if dry_run { "would apply" } else { "applied" });
    }
    if migrations.is_empty() {
        text.push_str("nothing to apply: the store is of this version");
    }
    format.answer(&json!({"dry_run": dry_run, "migrations": migrations}), text.trim_end())
}

/// What is pending in a data folder, and applied unless somebody only asks.
async fn in_folder(place: &Place, wish: Wish) -> anyhow::Result<Vec<&'static str>> {
    folder::must_be_ours(&place.data)?;
    let migrations = pending(place).await?;
    if wish == Wish::Apply && !migrations.is_empty() {
        let opened = wiring::open_stopped(place).await.map_err(|error| {
            if wiring::is_in_use(&error) {
                Refused(format!("{error}: stop the server first")).into()
            } else {
                error
            }
        })?;
        let storage = Arc::clone(&opened.storage);
        tokio::task::spawn_blocking(move || storage.close()).await?;
    }
    Ok(migrations)
}
