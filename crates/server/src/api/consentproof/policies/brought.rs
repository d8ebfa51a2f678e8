//! A policy version as an import brings it along: what ConsentProof's API shows of one.

use abide_core::Timestamp;
use abide_core::original::OriginalId;
use abide_storage::imports::ImportedPolicy;

use super::create::version;
use super::{CONTENT, EFFECTIVE_DATE, IS_ACTIVE, POLICY_TYPE, TITLE, VERSION};
use crate::input::{Fields, Name, Text};

const ID: Name = Name(&["id"]);
const CONTENT_HASH: Name = Name(&["content_hash", "contentHash"]);
const CREATED_AT: Name = Name(&["created_at", "createdAt"]);
const DELETED_AT: Name = Name(&["deleted_at", "deletedAt"]);
/// What such objects hold beside, and says nothing that is kept.
const MEANINGLESS: [Name; 1] = [Name(&["updated_at", "updatedAt"])];

/// Reads one; every field that it does not have is refused.
pub(crate) fn brought(fields: &mut Fields<'_>) -> Option<ImportedPolicy> {
    fields.ignore(&MEANINGLESS);
    fields.only(&[
        ID,
        POLICY_TYPE,
        VERSION,
        TITLE,
        CONTENT,
        CONTENT_HASH,
        EFFECTIVE_DATE,
        IS_ACTIVE,
        CREATED_AT,
        DELETED_AT,
    ]);
    let original: Option<OriginalId> = fields.optional(ID);
    let new = version(fields);
    let content_hash = fields.optional(CONTENT_HASH).map(|Text(hash)| hash);
    let is_active = fields.optional(IS_ACTIVE).unwrap_or(true);
    let created_at = fields.optional(CREATED_AT);
    if fields.optional::<Timestamp>(DELETED_AT).is_some() {
        let problem =
            "cannot be set: bring a deleted version along without it and with `is_active` false";
        fields.problem(DELETED_AT.0[0], problem);
    }
    Some(ImportedPolicy { original, new: new?, content_hash, is_active, created_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P36: what the API answers is taken as it is, in both spellings.
    #[test]
    fn p36_an_object_of_the_vendors_is_taken_as_it_is() {
        let read = |body: &str| {
            let mut fields = Fields::parse(body.as_bytes()).unwrap();
            let made = brought(&mut fields);
            fields.finish(made)
        };
        let answered = read(
            r#"{"id":"pol_abc","policy_type":"custom","version":"1","title":"T","content":"C","content_hash":"sha256:00",
            "effective_date":"2024-01-15T00:00:00Z","is_active":false,"created_at":"2024-01-15T00:00:00Z",
            "updated_at":"2024-01-16T00:00:00Z"}"#,
        );
        let shown = read(
            r#"{"id":"pol_abc","policyType":"custom","version":"1","title":"T","content":"C","contentHash":"sha256:00",
            "effectiveDate":"2024-01-15","isActive":false,"createdAt":"2024-01-15T00:00:00Z","deletedAt":null}"#,
        );
        let (answered, shown) = (answered.unwrap(), shown.unwrap());
        assert_eq!(format!("{answered:?}"), format!("{shown:?}"));
        assert_eq!(
            (answered.is_active, answered.content_hash.as_deref()),
            (false, Some("sha256:00"))
        );
        for refused in [r#""deleted_at":"2024-01-15T00:00:00Z""#, r#""name":"T""#] {
            let body = r#"{"policy_type":"custom","version":"1","title":"T","content":"C","#;
            assert!(read(&format!("{body}{refused}}}")).is_err(), "{refused}");
        }
    }
}
