//! Work on many deliveries: first what it would do, then whether to do it, then the job and its progress.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::api_client::ApiSettings;
use crate::cli::agreeing::Agreement;
use crate::cli::format::Format;
use crate::cli::jobs::{self, count, follow};
use crate::cli::shown::{field, record};
use crate::terminal::complain;

#[derive(Args)]
pub(crate) struct Many {
    /// Only to this endpoint, whk_...
    #[arg(long, value_name = "ID")]
    endpoint: Option<String>,
    /// Only of events of this type, such as consent.created
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only those in these states, as far as the job can work on them
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Only those made at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only those made before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// For retry-failed: single for one attempt, series for a whole schedule [default: the dialect's]
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Most deliveries per second [default: the server's]
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Say what it would do, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Start the job and do not wait for its end
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    agreement: Agreement,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

impl Many {
    /// `deed` is what is done, for the question: "Try again 12 deliveries?".
    pub(super) async fn start(self, kind: &str, deed: &str) -> anyhow::Result<()> {
        let mut wish = self.filter();
        wish.insert("kind".to_owned(), kind.into());
        let Self { dry_run, no_wait, agreement, format, server, .. } = self;
        let api = server.settle()?;

        let mut trial = wish.clone();
        trial.insert("dry_run".to_owned(), true.into());
        let estimate = part(api.post(&[jobs::PATH], &trial.into()).await?, "estimate");
        if dry_run {
            return format.answer(&estimate, record(&estimate));
        }
        let expected = count(&estimate, "done");
        let at_least = estimate.get("at_least").and_then(Value::as_bool) == Some(true);
        if expected == Some(0) && !at_least {
            return format.answer(&json!({"done": 0}), "There is nothing to do.");
        }
        let how_many = match (expected, at_least) {
            (Some(1), false) => "1 delivery".to_owned(),
            (Some(count), false) => format!("{count} deliveries"),
            (Some(count), true) => format!("{count} deliveries or more"),
            (None, _) => "these deliveries".to_owned(),
        };
        agreement.ask(&format!("{deed} {how_many}?"))?;

        let asked = api.post(&[jobs::PATH], &wish.into()).await?;
        let is_new = asked.get("created").and_then(Value::as_bool) != Some(false);
        let job = part(asked, "job");
        if !is_new {
            complain("A job that does the same runs already; this is that one.");
        }
        if no_wait {
            return format.answer(&job, record(&job));
        }
        complain(format_args!("{} runs: {}", field(&job, &["id"]), how_many));
        follow(&api, job, expected.filter(|_| !at_least), format).await
    }

    /// What it is about, as the API takes it.
    fn filter(&self) -> Map<String, Value> {
        let texts = [
            ("endpoint", &self.endpoint),
            ("event_type", &self.kind),
            ("from", &self.from),
            ("until", &self.until),
            ("run", &self.run),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| {
            text.as_ref().map(|text| (name.to_owned(), text.clone().into()))
        });
        let mut filter: Map<String, Value> = texts.collect();
        filter.extend(self.rate.map(|rate| ("rate".to_owned(), rate.into())));
        if !self.state.is_empty() {
            filter.insert("states".to_owned(), self.state.clone().into());
        }
        filter
    }
}

/// A named part of an answer, or the whole where there is no such part.
fn part(mut answer: Value, name: &str) -> Value {
    match answer.get_mut(name).map(Value::take) {
        Some(part) if !part.is_null() => part,
        _ => answer,
    }
}
