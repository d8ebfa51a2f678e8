//! The lines of an import: `{"type": "consent", "data": {...}}`. All that cannot be read is told at once.

use std::borrow::Cow;

use abide_core::original::OriginalId;
use abide_storage::imports::{IMPORT_LIMIT, Imported};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::App;
use crate::api::abide::endpoints;
use crate::api::consentproof::{consent, policies};
use crate::input::{FieldProblem, Fields, FromField, Invalid, Name, Text, one_of};

const TYPE: Name = Name(&["type"]);
const DATA: Name = Name(&["data"]);
/// Problems told before the rest is left unread: lines can have many each.
const PROBLEMS: usize = IMPORT_LIMIT;

/// What a line brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Endpoint,
    Policy,
    Consent,
}

/// What is told of a line beside what became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Where it stands among all lines of the body, blank ones too, from 0.
    pub(super) at: usize,
    pub(super) kind: Kind,
    pub(super) original: Option<OriginalId>,
}

/// The lines of a body, each with what is told of it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) told: Vec<Told>,
    pub(super) imported: Vec<Imported>,
}

impl Kind {
    pub(super) const ALL: [(Self, &str); 3] =
        [(Self::Endpoint, "endpoint"), (Self::Policy, "policy"), (Self::Consent, "consent")];
}

impl FromField for Kind {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let Text(name) = Text::read(raw)?;
        let found = Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind);
        found.ok_or_else(|| one_of(Self::ALL.iter().map(|(_, name)| *name)))
    }
}

/// Reads a body. Blank lines are left out and counted, so that places are those of the text.
pub(super) fn read(body: &[u8], app: &App) -> Result<Lines, Invalid> {
    let given: Vec<(usize, &[u8])> = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .take(IMPORT_LIMIT + 1)
        .collect();
    if given.is_empty() {
        return Err(Invalid::Body("The body must hold at least one line.".into()));
    }
    if given.len() > IMPORT_LIMIT {
        let text = format!(
            "The body may hold at most {IMPORT_LIMIT} lines; send those after them in another call, in their order."
        );
        return Err(Invalid::Body(text.into()));
    }
    let mut lines = Lines::default();
    let mut problems = Vec::new();
    for (at, line) in given {
        match read_line(line, at, app) {
            Ok((told, imported)) => {
                lines.told.push(told);
                lines.imported.push(imported);
            }
            Err(Invalid::Fields(found)) => problems.extend(found),
            Err(Invalid::Body(text)) => problems.push(of_line(at, text)),
        }
        if problems.len() >= PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(lines) } else { Err(Invalid::Fields(problems)) }
}

/// A problem of a line as a whole.
pub(super) fn of_line(at: usize, problem: impl Into<Cow<'static, str>>) -> FieldProblem {
    FieldProblem { field: format!("lines[{at}]"), problem: problem.into() }
}

fn read_line(line: &[u8], at: usize, app: &App) -> Result<(Told, Imported), Invalid> {
    let place = format!("lines[{at}]");
    let raw: &RawValue = serde_json::from_slice(line).map_err(|error| {
        let problem = format!("is not valid JSON, from column {} on", error.column());
        Invalid::Fields(vec![of_line(at, problem)])
    })?;
    let mut envelope = Fields::parse_element(raw, &place)?;
    envelope.only(&[TYPE, DATA]);
    let (kind, data) = (envelope.required(TYPE), envelope.raw(DATA));
    let (kind, data): (Kind, _) = envelope.finish(kind.zip(data))?;
    if !data.get().starts_with('{') {
        let field = format!("{place}.{}", DATA.0[0]);
        return Err(Invalid::Fields(vec![FieldProblem {
            field,
            problem: "must be an object".into(),
        }]));
    }
    // What is wrong inside of it is told as of the line.
    let mut fields = Fields::parse_element(data, &place)?;
    let imported = match kind {
        Kind::Endpoint => endpoints::brought(&mut fields, app).map(Imported::Endpoint),
        Kind::Policy => policies::brought(&mut fields).map(Imported::Policy),
        Kind::Consent => consent::brought(&mut fields).map(Imported::Consent),
    };
    let imported = fields.finish(imported)?;
    let original = match &imported {
        Imported::Endpoint(endpoint) => Some(endpoint.original.clone()),
        Imported::Policy(policy) => policy.original.clone(),
        Imported::Consent(consent) => consent.original.clone(),
    };
    Ok((Told { at, kind, original }, imported))
}
