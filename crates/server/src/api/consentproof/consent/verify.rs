//! `GET /v1/consent/verify`: whether there is a consent to rely on, now.
//!
//! Asked before acting on a consent, so the record is judged at this instant. `valid` is the answer; `reason` says why not.
//! A `consent_hash` is held against what was recorded, the hash computed again: whether the record ever said so, and
//! whether that is what it says now.

use abide_core::consent::hash::spelled_usually;
use abide_core::consent::verdict::{HashFinding, Verdict, verdict};
use abide_core::policy::text_problem;
use abide_dialects::consentproof::ConsentObject;
use abide_storage::consent_search::ConsentQuestion;
use axum::extract::State;
use http::Uri;
use serde::Serialize;

use super::{CONSENT_HASH, CONSENT_TYPE, POLICY_ID, SUBJECT_ID};
use crate::api::consentproof::envelope::{Answer, ok};
use crate::caller::{By, ConsentRead};
use crate::input::Params;
use crate::router::Shared;

/// Longest hash, in characters.
const HASH_LIMIT: usize = 200;

#[derive(Serialize)]
struct Verified<'a> {
    valid: bool,
    granted: bool,
    reason: Option<&'static str>,
    consent: Option<ConsentObject<'a>>,
    hash: Option<HashTold>,
    checked_at: String,
}

#[derive(Serialize)]
struct HashTold {
    /// Whether a decision of this record has that hash.
    recorded: bool,
    /// Whether it is the one shown.
    current: bool,
}

pub(crate) async fn handler(State(shared): State<Shared>, by: By<ConsentRead>, uri: Uri) -> Answer {
    let mut params = Params::parse(&uri)?;
    let question = question(&mut params);
    let question = params.finish(question)?;
    let (policy, asks_hash) = (question.policy.clone(), question.hash.is_some());
    let app = &shared.app;
    let now = app.clock.now();
    let found = app.storage.consents().verify(by.caller.organization, question, now).await?;
    let consent = found.as_ref().map(|found| &found.consent);
    let hash = match &found {
        Some(found) => found.hash,
        None => asks_hash.then_some(HashFinding::Unknown),
    };
    let verdict = verdict(consent, policy.as_ref(), hash);
    ok(Verified {
        valid: verdict == Verdict::Valid,
        granted: consent.is_some_and(abide_core::consent::ConsentView::granted),
        reason: (verdict != Verdict::Valid).then(|| verdict.as_str()),
        consent: consent.map(ConsentObject::from),
        hash: hash.map(|hash| HashTold {
            recorded: hash != HashFinding::Unknown,
            current: hash == HashFinding::Current,
        }),
        checked_at: now.to_seconds_text(),
    })
}

fn question(params: &mut Params) -> ConsentQuestion {
    let reference = params.required_text(SUBJECT_ID, 255);
    let purpose = params.text(CONSENT_TYPE, 100);
    let policy = params.reference(POLICY_ID);
    if !params.holds(CONSENT_TYPE) && !params.holds(POLICY_ID) {
        params.problem(CONSENT_TYPE, "is required, unless `policy_id` is given");
    }
    let hash = params.take(CONSENT_HASH, hash);
    ConsentQuestion { reference: reference.unwrap_or_default(), purpose, policy, hash }
}

/// With its prefix or without: both are shown around. What was brought along may have a hash of another form.
fn hash(text: &str) -> Result<String, String> {
    let usual = spelled_usually(text);
    // A hash of the usual form that was cut short or mistyped is told as such.
    let is_cut = text.starts_with("sha256:") && text.len() != "sha256:".len() + 64;
    if is_cut {
        return Err("must be `sha256:` and 64 hexadecimal digits".to_owned());
    }
    text_problem(text, HASH_LIMIT).map_or_else(|| Ok(usual.into_owned()), Err)
}
