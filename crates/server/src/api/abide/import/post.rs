//! `POST /abide/v1/import`: endpoints, policies and consents as they were elsewhere, as one change, all or none.

use abide_core::Refusal;
use abide_core::access::Scope;
use abide_core::once::Kept;
use abide_core::original::OriginalId;
use abide_storage::StorageError;
use abide_storage::imports::{Brought, Earnest, HashCheck, Misfit, Outcome, Telling};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::Uri;
use serde::Serialize;

use super::lines::{self, Kind, Told, of_line};
use super::schema;
use crate::api::abide::answer::{Answer, ok};
use crate::api::abide::describe::{Operation, field, flag, one_of as one_of_names, optional};
use crate::api::abide::organization::GROUP;
use crate::body::{BATCH, LinesBody};
use crate::caller::{Admin, By};
use crate::idempotency::{Repeatable, replay};
use crate::input::{FieldProblem, Invalid, Name, Params, one_of};
use crate::problem::Problem;
use crate::router::Shared;

const WEBHOOKS: Name = Name(&["webhooks"]);
const DRY_RUN: Name = Name(&["dry_run"]);

pub(crate) fn about() -> Operation {
    Operation::new("import", GROUP, "Bring along what was elsewhere", schema::answer())
        .says(
            "JSON Lines in the envelope of an export's: endpoints with their secrets, policies and consents, with the ids \
             and hashes they had. From then on each is found under its original id, wherever an id stands in a path or in \
             `policy_id`; webhooks of ConsentProof's contract and its API show the original ids.\n\n\
             At most 1,000 lines and 4 MiB in one call, which is one change: all lines are taken, or none. A line may name \
             what stands before it or was brought along earlier; several lines of one consent are its history and stand in \
             order of time. What is there already, just so, is `unchanged`, so that a call can be sent again. Blank lines \
             are left out. In `errors`, `lines[0]` is the first line of the body; in the answer `line` counts from 1.",
        )
        .scope(Scope::Admin)
        .filters(vec![
            field(
                "webhooks",
                one_of_names(["send", "none"]),
                "`send`: endpoints are told of each change as if it were recorded now. `none`: nobody is told, now or later.",
            ),
            optional("dry_run", flag(), "Judge every line and change nothing."),
        ])
        .takes_lines(schema::line())
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<Admin>,
    uri: Uri,
    LinesBody(body, _share): LinesBody<BATCH>,
) -> Answer {
    let (telling, earnest) = wish(&uri)?;
    let app = &shared.app;
    let lines = lines::read(&body, app)?;
    let caller = match earnest {
        Earnest::Real => by.once::<Taken>(&body),
        Earnest::DryRun => by.caller,
    };
    let imports = app.storage.imports();
    let done = imports.import(&caller, lines.imported, telling, earnest, app.clock.now()).await;
    match done {
        Ok(Ok(brought)) => ok(&Answered::of(&lines.told, &brought, earnest)),
        Ok(Err(misfits)) => Err(refused(&lines.told, misfits)),
        // What was kept tells of the same lines: a key is good for one request alone.
        Err(StorageError::Replayed(kept)) => again(&lines.told, *kept),
        Err(error) => Err(error.into()),
    }
}

fn wish(uri: &Uri) -> Result<(Telling, Earnest), Invalid> {
    let mut params = Params::parse(uri)?;
    params.only(&[WEBHOOKS, DRY_RUN]);
    if !params.holds(WEBHOOKS) {
        let problem = "is required: `send` where endpoints are to hear of each change, `none` where nobody is";
        params.problem(WEBHOOKS, problem);
    }
    let telling = params.take(WEBHOOKS, |text| match text {
        "send" => Ok(Telling::Events),
        "none" => Ok(Telling::Nothing),
        _ => Err(one_of(["send", "none"].into_iter())),
    });
    let earnest = match params.flag(DRY_RUN) {
        Some(true) => Earnest::DryRun,
        Some(false) | None => Earnest::Real,
    };
    // Without it there is a problem, and so no answer.
    params.finish((telling.unwrap_or(Telling::Nothing), earnest))
}

/// Every line that does not fit, at its place in the body.
fn refused(told: &[Told], misfits: Vec<Misfit>) -> Problem {
    let problems = misfits.into_iter().map(|Misfit { line, refusal }| {
        let at = told.get(line).map_or(line, |told| told.at);
        match refusal {
            Refusal::Field { field, problem } => {
                FieldProblem { field: format!("lines[{at}].{field}"), problem: problem.into() }
            }
            Refusal::NotFound(what) => of_line(at, format!("names {what} that is not there")),
            Refusal::Conflict(text) => of_line(at, format!("does not fit: {text}")),
        }
    });
    Invalid::Fields(problems.collect()).into()
}

/// What became of all lines.
#[derive(Serialize)]
struct Answered<'a> {
    dry_run: bool,
    created: usize,
    appended: usize,
    unchanged: usize,
    left_out: usize,
    lines: Vec<Became<'a>>,
}

/// What became of one.
#[derive(Serialize)]
struct Became<'a> {
    line: usize,
    r#type: Kind,
    outcome: Outcome,
    /// `None` where a dry run only drew it.
    id: Option<&'a str>,
    original_id: Option<&'a str>,
    hash: Option<HashCheck>,
}

impl<'a> Answered<'a> {
    fn of(told: &'a [Told], brought: &'a [Brought], earnest: Earnest) -> Self {
        let count = |outcome| brought.iter().filter(|brought| brought.outcome == outcome).count();
        let line = |(told, brought): (&'a Told, &'a Brought)| Became {
            line: told.at + 1,
            r#type: told.kind,
            outcome: brought.outcome,
            id: match (earnest, brought.outcome) {
                (Earnest::DryRun, Outcome::Created) => None,
                (Earnest::Real, _)
                | (Earnest::DryRun, Outcome::Appended | Outcome::Unchanged | Outcome::LeftOut) => {
                    brought.id.as_deref()
                }
            },
            original_id: told.original.as_ref().map(OriginalId::as_str),
            hash: brought.hash,
        };
        Self {
            dry_run: earnest == Earnest::DryRun,
            created: count(Outcome::Created),
            appended: count(Outcome::Appended),
            unchanged: count(Outcome::Unchanged),
            left_out: count(Outcome::LeftOut),
            lines: told.iter().zip(brought).map(line).collect(),
        }
    }
}

/// The answer given again.
fn again(told: &[Told], kept: Kept) -> Answer {
    let brought: Vec<Brought> = serde_json::from_slice(&kept.body).map_err(|_| unreadable())?;
    let answered = Answered::of(told, &brought, Earnest::Real);
    let body = serde_json::to_vec(&answered).map_err(|_| unreadable())?;
    Ok(replay(Kept { body, ..kept }))
}

fn unreadable() -> Problem {
    Problem::internal("the kept answer of an import cannot be given again".to_owned())
}

/// Keeps what became of the lines; what else is told of them stands in the lines themselves, which come again with the call.
enum Taken {}

impl Repeatable for Taken {
    type Result = Result<Vec<Brought>, Vec<Misfit>>;

    fn answer(done: &Self::Result) -> Response {
        match done {
            Ok(brought) => ok(brought).into_response(),
            // Nothing was done, and so nothing is kept.
            Err(_) => unreadable().into_response(),
        }
    }
}
