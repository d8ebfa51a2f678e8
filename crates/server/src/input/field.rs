//! What a field can be, and what is said when it is not.

use std::borrow::Cow;
use std::net::IpAddr;

use abide_core::Timestamp;
use abide_core::consent::{LawfulBasis, PermissionState};
use abide_core::ids::{Id, Kind};
use abide_core::original::{ORIGINAL_ID_LIMIT, OriginalId, Reference};
use abide_core::policy::PolicyType;
use serde_json::value::RawValue;

/// A value read from the text of one field. The error completes the sentence "`field` ...", without the value; one
/// about an element of a list begins with its place, `[1] ...`.
pub(crate) trait FromField: Sized + PartialEq {
    fn read(raw: &RawValue) -> Result<Self, String>;
}

/// Any text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

/// An IP address, kept as the text that was sent: that is what is hashed and shown (P35).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) String);

/// An instant, or a day in UTC.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EffectiveDate(pub(crate) Timestamp);

impl FromField for Text {
    fn read(raw: &RawValue) -> Result<Self, String> {
        text(raw).map(|text| Self(text.into_owned()))
    }
}

impl FromField for Address {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let text = text(raw)?;
        match text.parse::<IpAddr>() {
            Ok(_) => Ok(Self(text.into_owned())),
            Err(_) => Err("must be an IP address such as 192.0.2.1 or 2001:db8::1".to_owned()),
        }
    }
}

impl FromField for bool {
    fn read(raw: &RawValue) -> Result<Self, String> {
        match raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        }
    }
}

impl FromField for Timestamp {
    fn read(raw: &RawValue) -> Result<Self, String> {
        Self::parse(&text(raw)?).map_err(|problem| problem.to_string())
    }
}

impl EffectiveDate {
    /// Out of a text; a day is its first instant.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let day = (text.len() == 10).then(|| format!("{text}T00:00:00Z"));
        Timestamp::parse(day.as_deref().unwrap_or(text)).map(Self).map_err(|_| {
            "must be a day such as 2024-01-15 or an RFC 3339 time such as 2024-01-15T10:30:00Z"
                .to_owned()
        })
    }
}

impl FromField for EffectiveDate {
    fn read(raw: &RawValue) -> Result<Self, String> {
        Self::parse(&text(raw)?)
    }
}

impl<K: Kind> FromField for Id<K> {
    fn read(raw: &RawValue) -> Result<Self, String> {
        Self::parse(&text(raw)?).map_err(|problem| problem.to_string())
    }
}

impl<K: Kind> FromField for Reference<K> {
    fn read(raw: &RawValue) -> Result<Self, String> {
        Self::parse(&text(raw)?).map_err(|problem| problem.to_string())
    }
}

impl FromField for OriginalId {
    fn read(raw: &RawValue) -> Result<Self, String> {
        Self::parse(&text(raw)?).ok_or_else(|| {
            format!(
                "must be 1 to {ORIGINAL_ID_LIMIT} visible ASCII characters without `/`, `?`, `#` and `%`, not `.` nor `..`"
            )
        })
    }
}

impl FromField for LawfulBasis {
    fn read(raw: &RawValue) -> Result<Self, String> {
        Self::parse(&text(raw)?).ok_or_else(|| one_of(Self::ALL.iter().map(|basis| basis.as_str())))
    }
}

impl FromField for PermissionState {
    fn read(raw: &RawValue) -> Result<Self, String> {
        Self::parse(&text(raw)?).ok_or_else(|| one_of(Self::ALL.iter().map(|state| state.as_str())))
    }
}

impl FromField for PolicyType {
    fn read(raw: &RawValue) -> Result<Self, String> {
        let text = text(raw)?;
        Self::parse(&text).ok_or_else(|| one_of(Self::ALL.iter().map(|(_, name)| *name)))
    }
}

/// The text of a string field, borrowed where it holds no escape.
pub(super) fn text(raw: &RawValue) -> Result<Cow<'_, str>, String> {
    let json = raw.get();
    if !json.starts_with('"') {
        return Err("must be a string".to_owned());
    }
    match json[1..json.len() - 1] {
        ref plain if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => serde_json::from_str(json)
            .map(Cow::Owned)
            .map_err(|_| "must be a string of Unicode text".to_owned()),
    }
}

/// `must be one of ...`.
pub(crate) fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    format!("must be one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use abide_core::ids::PolicyId;

    use super::*;

    fn read<T: FromField>(json: &str) -> Result<T, String> {
        T::read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn each_type_reads_its_own() {
        assert_eq!(read(r#""a\n\ud83d\ude00""#), Ok(Text("a\n😀".to_owned())));
        assert_eq!(read("true"), Ok(true));
        assert_eq!(read(r#""custom""#), Ok(PolicyType::Custom));
        let day = Timestamp::parse("2024-01-15T00:00:00Z").unwrap();
        assert_eq!(read(r#""2024-01-15""#), Ok(EffectiveDate(day)));
        assert_eq!(read(r#""2024-01-15T01:00:00+01:00""#), Ok(EffectiveDate(day)));
        let policy = PolicyId::from_key(77);
        assert_eq!(read(&format!("\"{policy}\"")), Ok(policy));
    }

    #[test]
    fn other_types_are_refused() {
        for json in ["1", "[]", "{}", "\"\\ud800\"", "\"\\udc00x\"", "1e999999", "\"\""] {
            assert!(read::<bool>(json).is_err(), "{json}");
            assert!(read::<Timestamp>(json).is_err(), "{json}");
            assert!(read::<EffectiveDate>(json).is_err(), "{json}");
            assert!(read::<PolicyId>(json).is_err(), "{json}");
            assert!(read::<PolicyType>(json).is_err(), "{json}");
            assert_eq!(read::<Text>(json).is_ok(), json == "\"\"", "{json}");
        }
    }
}
