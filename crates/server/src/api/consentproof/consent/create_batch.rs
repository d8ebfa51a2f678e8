//! `POST /v1/consent/batch`: record up to 1,000 decisions as one change, all or none.

use abide_core::consent::NewDecision;
use abide_core::ids::{BatchId, SubjectId};
use abide_dialects::consentproof::ConsentObject;
use abide_storage::consents::RecordedBatch;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::create::decision;
use crate::api::consentproof::envelope::{Answer, created};
use crate::body::{BATCH, JsonBody};
use crate::caller::{By, ConsentWrite};
use crate::idempotency::Repeatable;
use crate::input::{Fields, Invalid, Name, elements, unreadable};
use crate::router::Shared;

const CONSENTS: Name = Name(&["consents"]);
/// Most decisions in one call.
const LIMIT: usize = 1_000;
/// Problems told before the rest of a batch is left unread.
const PROBLEMS: usize = 100;

#[derive(Serialize)]
struct View<'a> {
    batch_id: BatchId,
    count: usize,
    consents: Vec<ConsentObject<'a>>,
}

pub(crate) async fn handler(
    State(shared): State<Shared>,
    by: By<ConsentWrite>,
    JsonBody(body, _share): JsonBody<BATCH>,
) -> Answer {
    let new = decisions(&body)?;
    let app = &shared.app;
    let by = by.once::<Recorded>(&body);
    let batch = app.storage.consents().record_batch(&by, new, app.clock.now()).await?;
    answer(&batch)
}

fn answer(batch: &RecordedBatch) -> Answer {
    let consents: Vec<_> = batch.consents.iter().map(ConsentObject::from).collect();
    created(View { batch_id: batch.id, count: consents.len(), consents })
}

enum Recorded {}

impl Repeatable for Recorded {
    type Result = RecordedBatch;

    fn answer(batch: &RecordedBatch) -> Response {
        answer(batch).into_response()
    }

    fn about(batch: &RecordedBatch) -> Vec<SubjectId> {
        batch.consents.iter().map(|consent| consent.subject).collect()
    }
}

/// Reads `{"consents": [...]}` or a bare list.
fn decisions(body: &[u8]) -> Result<Vec<NewDecision>, Invalid> {
    let bare = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let listed = if bare {
        // Checked as JSON first, so that a broken text is not told as a wrong list.
        serde_json::from_slice::<serde::de::IgnoredAny>(body)
            .map_err(|error| unreadable(&error, "a list"))?;
        elements(body, LIMIT)
            .map_err(|problem| Invalid::Body(format!("The list {problem}.").into()))?
    } else {
        let mut fields = Fields::parse(body)?;
        let listed = fields.elements(CONSENTS, LIMIT);
        fields.finish(listed)?
    };
    if listed.is_empty() {
        return Err(Invalid::Body("A batch must hold at least one consent.".into()));
    }
    let mut decisions = Vec::with_capacity(listed.len());
    let mut problems = Vec::new();
    for (at, raw) in listed.into_iter().enumerate() {
        let read = Fields::parse_element(raw, &format!("consents[{at}]")).and_then(|mut fields| {
            let new = decision(&mut fields);
            fields.finish(new)
        });
        match read {
            Ok(new) => decisions.push(new),
            Err(Invalid::Fields(found)) => problems.extend(found),
            Err(Invalid::Body(text)) => return Err(Invalid::Body(text)),
        }
        if problems.len() >= PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(decisions) } else { Err(Invalid::Fields(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"subject_id":"u","consent_type":"m","granted":true}"#;

    #[test]
    fn both_forms_are_read() {
        let wrapped = decisions(format!(r#"{{"consents":[{ONE},{ONE}]}}"#).as_bytes()).unwrap();
        let bare = decisions(format!(" [{ONE},{ONE}]").as_bytes()).unwrap();
        assert_eq!(wrapped, bare);
        assert_eq!(bare.len(), 2);
    }

    #[test]
    fn problems_name_their_place() {
        let body = format!(r#"[{ONE},7,{{"subject_id":1,"consent_type":"m","granted":true}}]"#);
        let Err(Invalid::Fields(problems)) = decisions(body.as_bytes()) else { panic!() };
        let fields: Vec<_> = problems.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(fields, ["consents[1]", "consents[2].subject_id"]);
    }

    #[test]
    fn a_batch_has_one_to_a_thousand() {
        let of = |count: usize| format!("[{}]", vec![ONE; count].join(","));
        assert_eq!(decisions(of(1_000).as_bytes()).unwrap().len(), 1_000);
        for bad in
            [of(0), of(1_001), "[".to_owned(), "{}".to_owned(), "{\"consents\":1}".to_owned()]
        {
            assert!(decisions(bad.as_bytes()).is_err());
        }
    }
}
