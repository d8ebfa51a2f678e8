//! `abide organizations`: listed, deleted, restored by whoever runs the installation.

use abide_core::organization::{LONGEST_GRACE_DAYS, USUAL_GRACE_DAYS};
use clap::{Args, Subcommand};

use super::another_answer;
use super::format::Format;
use crate::config::DataSettings;
use crate::control::carry_out;
use crate::operations::{
    DEFAULT_ORGANIZATION, Done, Kept, Operation, OrganizationFacts, WantedRetention,
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List all organizations, with what is left of deleted ones
    List(List),
    /// Delete an organization: it can be restored for some days, then everything of it is destroyed
    Delete(Delete),
    /// Take the deletion of an organization back
    Restore(Restore),
    /// Show or change for how long an organization keeps events, deliveries and audit entries; decisions always stay
    Retention(Retention),
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

#[derive(Args)]
pub(crate) struct Delete {
    /// Which, by its short name
    organization: String,
    /// Its short name once more, to say that it is meant
    #[arg(long, value_name = "ORGANIZATION")]
    confirm: String,
    /// For how many days it can be restored; 0 destroys it at once
    #[arg(long, value_name = "DAYS", default_value_t = USUAL_GRACE_DAYS,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(LONGEST_GRACE_DAYS)))]
    grace_days: u32,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// Which, by its short name
    organization: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

#[derive(Args)]
pub(crate) struct Retention {
    /// Whose, by its short name
    #[arg(default_value = DEFAULT_ORGANIZATION)]
    organization: String,
    /// Deliveries that have ended, with their attempts: days since the last, or `forever`
    #[arg(long, value_name = "DAYS", value_parser = kept)]
    deliveries: Option<Kept>,
    /// Events, with their deliveries once those have ended: days, or `forever`
    #[arg(long, value_name = "DAYS", value_parser = kept)]
    events: Option<Kept>,
    /// Entries of the audit log: days, or `forever`
    #[arg(long, value_name = "DAYS", value_parser = kept)]
    audit: Option<Kept>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    data: DataSettings,
}

/// A number of days, or for ever.
fn kept(text: &str) -> Result<Kept, String> {
    match text {
        "forever" => Ok(Kept::Forever),
        _ => text
            .parse()
            .map(Kept::Days)
            .map_err(|_| "must be a number of days, or `forever`".to_owned()),
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(options) => list(options).await,
        Command::Delete(options) => delete(options).await,
        Command::Restore(options) => restore(options).await,
        Command::Retention(options) => retention(options).await,
    }
}

async fn list(options: List) -> anyhow::Result<()> {
    let place = options.data.settle()?;
    match carry_out(&place, Operation::ListOrganizations).await? {
        Done::Organizations { organizations } => {
            let lines: Vec<String> = organizations.iter().map(line).collect();
            options.format.answer(&organizations, lines.join("\n"))
        }
        other => Err(another_answer(other)),
    }
}

async fn delete(options: Delete) -> anyhow::Result<()> {
    let place = options.data.settle()?;
    let Delete { organization, confirm, grace_days, format, .. } = options;
    let operation = Operation::DeleteOrganization { organization, confirm, grace_days };
    match carry_out(&place, operation).await? {
        Done::OrganizationChanged(organization) => {
            format.answer(&organization, line(&organization))?;
            if let (Some(at), true) = (&organization.deletes_at, grace_days > 0) {
                let uri = &organization.uri;
                format.advise(format_args!(
                    "Until {at} nothing is recorded there; `abide organizations restore {uri}` takes it back."
                ));
            }
            format.advise(
                "A running server carries it out then. Backups hold its wrapped keys until they expire.",
            );
            Ok(())
        }
        other => Err(another_answer(other)),
    }
}

async fn restore(options: Restore) -> anyhow::Result<()> {
    let place = options.data.settle()?;
    let operation = Operation::RestoreOrganization { organization: options.organization };
    match carry_out(&place, operation).await? {
        Done::OrganizationChanged(organization) => {
            options.format.answer(&organization, line(&organization))
        }
        other => Err(another_answer(other)),
    }
}

async fn retention(options: Retention) -> anyhow::Result<()> {
    let Retention { organization, deliveries, events, audit, format, data } = options;
    let place = data.settle()?;
    let patch = WantedRetention { deliveries, events, audit };
    match carry_out(&place, Operation::ChangeRetention { organization, patch }).await? {
        Done::Retention(rules) => {
            let days = |days: Option<u32>| match days {
                Some(days) => format!("{days} days"),
                None => "for ever".to_owned(),
            };
            let text = format!(
                "deliveries  {}\nevents      {}\naudit       {}\ndecisions   for ever",
                days(rules.deliveries_days.or(rules.events_days)),
                days(rules.events_days),
                days(rules.audit_days)
            );
            format.answer(&rules, text)
        }
        other => Err(another_answer(other)),
    }
}

fn line(organization: &OrganizationFacts) -> String {
    let OrganizationFacts { id, uri, name, state, deletes_at, deleted_at, created_at } =
        organization;
    let since = match (deletes_at, deleted_at) {
        (Some(at), _) => format!("{state}, goes {at}"),
        (None, Some(at)) => format!("{state} {at}"),
        (None, None) => format!("{state}, created {created_at}"),
    };
    let name = name.as_deref().unwrap_or_default();
    format!("{id}  {uri}  {since}  {name}").trim_end().to_owned()
}
