//! A consent as an import brings it along: what ConsentProof's API shows of one, or a decision in the ledger's own words.

use abide_core::consent::{LawfulBasis, PermissionState};
use abide_core::original::OriginalId;
use abide_storage::imports::ImportedConsent;

use super::create::{decision_as, state};
use super::{
    CONSENT_HASH, CONSENT_TYPE, GRANTED, IP_ADDRESS, LAWFUL_BASIS, METADATA, OBTAINED_AT,
    POLICY_ID, STATE, SUBJECT_EMAIL, SUBJECT_ID, USER_AGENT, VALID_FROM, VALID_UNTIL,
};
use crate::input::{Fields, Name, Text};

const ID: Name = Name(&["id"]);
const RECORDED_AT: Name = Name(&["recorded_at", "recordedAt"]);
/// What the vendor's detail pages call the time of recording.
const CREATED_AT: Name = Name(&["created_at", "createdAt"]);
const WITHDRAWN_AT: Name = Name(&["withdrawn_at", "withdrawnAt"]);
/// What such objects hold beside, and says nothing that is kept: how the record was last touched, and its policy's text,
/// which has a line of its own.
const MEANINGLESS: [Name; 2] =
    [Name(&["updated_at", "updatedAt"]), Name(&["policy_details", "policyDetails"])];

/// Reads one; every field that it does not have is refused.
pub(crate) fn brought(fields: &mut Fields<'_>) -> Option<ImportedConsent> {
    fields.ignore(&MEANINGLESS);
    fields.only(&[
        ID,
        SUBJECT_ID,
        SUBJECT_EMAIL,
        POLICY_ID,
        CONSENT_TYPE,
        GRANTED,
        STATE,
        LAWFUL_BASIS,
        CONSENT_HASH,
        METADATA,
        IP_ADDRESS,
        USER_AGENT,
        RECORDED_AT,
        CREATED_AT,
        OBTAINED_AT,
        VALID_FROM,
        VALID_UNTIL,
        WITHDRAWN_AT,
    ]);
    let original: Option<OriginalId> = fields.optional(ID);
    let new = decision_as(fields, stance);
    let consent_hash = fields.optional(CONSENT_HASH).map(|Text(hash)| hash);
    let created_at = fields.optional(CREATED_AT);
    let recorded_at = match created_at {
        Some(at) if !fields.holds(RECORDED_AT) => Some(at),
        Some(_) | None => fields.required(RECORDED_AT),
    };
    let withdrawn_at = fields.optional(WITHDRAWN_AT);
    Some(ImportedConsent {
        original,
        new: new?,
        consent_hash,
        recorded_at: recorded_at?,
        withdrawn_at,
    })
}

/// What was decided: `granted`, which is about consent, or `state` with its basis.
fn stance(fields: &mut Fields<'_>) -> Option<(LawfulBasis, PermissionState)> {
    if fields.holds(STATE) {
        let told: Option<PermissionState> = fields.required(STATE);
        let basis = fields.optional(LAWFUL_BASIS).unwrap_or(LawfulBasis::Consent);
        if fields.holds(GRANTED) {
            fields.problem(GRANTED.0[0], "cannot stand beside `state`: give one of them");
        }
        return Some((basis, told?));
    }
    let basis: Option<LawfulBasis> = fields.optional(LAWFUL_BASIS);
    if basis.is_some_and(|basis| basis != LawfulBasis::Consent) {
        fields
            .problem(LAWFUL_BASIS.0[0], "goes with `state`: `granted` says what was consented to");
    }
    if !fields.holds(GRANTED) {
        fields.problem(GRANTED.0[0], "is required, or `state` in its place");
        return None;
    }
    Some((LawfulBasis::Consent, state(fields.required(GRANTED)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Invalid;

    fn read(body: &str) -> Result<ImportedConsent, Vec<String>> {
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        let made = brought(&mut fields);
        fields.finish(made).map_err(|invalid| match invalid {
            Invalid::Fields(problems) => problems.into_iter().map(|found| found.field).collect(),
            Invalid::Body(text) => panic!("{text}"),
        })
    }

    /// P34: what the API answers, and what its detail pages show, is taken as it is.
    #[test]
    fn p34_an_object_of_the_vendors_is_taken_as_it_is() {
        let hash = format!("sha256:{}", "0".repeat(64));
        let answered = read(&format!(
            r#"{{"id":"con_xyz789","subject_id":"user_123","subject_email":"u@example.com","policy_id":null,
            "consent_type":"marketing","granted":false,"consent_hash":"{hash}","metadata":{{"ip_address":"192.168.1.1"}},
            "recorded_at":"2024-01-15T10:35:00Z","withdrawn_at":"2024-02-01T00:00:00Z"}}"#
        ));
        let shown = read(&format!(
            r#"{{"id":"con_xyz789","userReference":"user_123","userEmail":"u@example.com","policyVersionId":null,
            "consentType":"marketing","consentGiven":false,"consentHash":"{hash}","ipAddress":"192.168.1.1",
            "createdAt":"2024-01-15T10:35:00Z","updatedAt":"2024-02-01T00:00:00Z","withdrawnAt":"2024-02-01T00:00:00Z",
            "policyDetails":{{"title":"T"}}}}"#
        ));
        let (answered, shown) = (answered.unwrap(), shown.unwrap());
        assert_eq!(format!("{answered:?}"), format!("{shown:?}"));
        assert_eq!(answered.original.unwrap().as_str(), "con_xyz789");
        assert_eq!(answered.consent_hash.unwrap(), hash);
        assert_eq!(answered.new.ip_address.as_deref(), Some("192.168.1.1"));
        assert_eq!(answered.recorded_at.to_seconds_text(), "2024-01-15T10:35:00Z");
    }

    #[test]
    fn the_ledgers_own_words_are_read_too() {
        let base = r#""subject_id":"u","consent_type":"m","recorded_at":"2024-01-15T10:35:00Z""#;
        let claimed =
            read(&format!(r#"{{{base},"state":"CLAIMED","lawful_basis":"contract"}}"#)).unwrap();
        assert_eq!(
            (claimed.new.basis, claimed.new.state),
            (LawfulBasis::Contract, PermissionState::Claimed)
        );
        let granted = read(&format!(r#"{{{base},"granted":true,"lawful_basis":"consent"}}"#));
        assert_eq!(granted.unwrap().new.state, PermissionState::Granted);
        for (more, wrong) in [
            ("", "granted"),
            (r#","granted":7"#, "granted"),
            (r#","granted":null"#, "granted"),
            (r#","granted":true,"state":"GRANTED""#, "granted"),
            (r#","granted":true,"lawful_basis":"contract""#, "lawful_basis"),
            (r#","state":"granted""#, "state"),
            (r#","granted":true,"id":"a b""#, "id"),
            (r#","granted":true,"consent_hash":7"#, "consent_hash"),
            (r#","granted":true,"grantd":true"#, "grantd"),
        ] {
            assert_eq!(read(&format!("{{{base}{more}}}")).unwrap_err(), [wrong], "{more}");
        }
        let untimed = r#"{"subject_id":"u","consent_type":"m","granted":true}"#;
        assert_eq!(read(untimed).unwrap_err(), ["recorded_at"]);
    }
}
