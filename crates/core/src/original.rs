//! Ids of other makers: what something was called where it was brought from (bring-along).
//!
//! People who move to Abide keep the ids that their own systems know. Inside, everything has an [`Id`]; beside it stands
//! the original, which is shown in its place by the contracts whose receivers know it, and taken wherever an id is.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{Id, IdProblem, Kind};

/// Longest original id, in characters.
pub const ORIGINAL_ID_LIMIT: usize = 100;

/// The id that something had where it was brought from: 1 to [`ORIGINAL_ID_LIMIT`] visible ASCII characters without `/`,
/// `?`, `#` and `%`, so that it can stand in a path, a header and a line of a log. Not `.` nor `..`, which lead elsewhere in
/// a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginalId(Arc<str>);

impl OriginalId {
    /// Reads one; `None` where the text has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=ORIGINAL_ID_LIMIT).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#%".contains(&byte))
            && ![".", ".."].contains(&text);
        fits.then(|| Self(text.into()))
    }

    /// The text, byte for byte as it was brought.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OriginalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for OriginalId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for OriginalId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("is no original id"))
    }
}

/// What something is called outside: its original id where it has one, Abide's own otherwise. [`fmt::Display`] gives that,
/// and [`PublicId::shown`] writes it; the fields are for what is stored. As it is stored it is the plain id, or both.
#[derive(Deserialize)]
#[serde(from = "Stored<K>", bound = "")]
pub struct PublicId<K: Kind> {
    /// Abide's own.
    pub id: Id<K>,
    /// What it had where it was brought from.
    pub original: Option<OriginalId>,
}

#[derive(Deserialize)]
#[serde(untagged, bound = "")]
enum Stored<K: Kind> {
    Own(Id<K>),
    Both { id: Id<K>, original: OriginalId },
}

impl<K: Kind> From<Stored<K>> for PublicId<K> {
    fn from(stored: Stored<K>) -> Self {
        match stored {
            Stored::Own(id) => id.into(),
            Stored::Both { id, original } => Self { id, original: Some(original) },
        }
    }
}

impl<K: Kind> Serialize for PublicId<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(original) = &self.original else { return self.id.serialize(serializer) };
        let mut both = serializer.serialize_struct("PublicId", 2)?;
        both.serialize_field("id", &self.id)?;
        both.serialize_field("original", original)?;
        both.end()
    }
}

/// An id as it is shown, where it is written.
pub struct Shown<'a, K: Kind>(&'a PublicId<K>);

impl<K: Kind> PublicId<K> {
    /// The id as it is shown.
    pub fn shown(&self) -> Shown<'_, K> {
        Shown(self)
    }
}

impl<K: Kind> Clone for Shown<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Kind> Copy for Shown<'_, K> {}
impl<K: Kind> fmt::Debug for Shown<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}
impl<K: Kind> Serialize for Shown<'_, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

impl<K: Kind> From<Id<K>> for PublicId<K> {
    fn from(id: Id<K>) -> Self {
        Self { id, original: None }
    }
}

impl<K: Kind> Clone for PublicId<K> {
    fn clone(&self) -> Self {
        Self { id: self.id, original: self.original.clone() }
    }
}
impl<K: Kind> PartialEq for PublicId<K> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.original == other.original
    }
}
impl<K: Kind> Eq for PublicId<K> {}
impl<K: Kind> fmt::Display for PublicId<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.original {
            Some(original) => f.write_str(original.as_str()),
            None => fmt::Display::fmt(&self.id, f),
        }
    }
}
impl<K: Kind> fmt::Debug for PublicId<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a caller names something that is there: by Abide's id or by the original one.
pub enum Reference<K: Kind> {
    /// A well-formed id of Abide.
    Own(Id<K>),
    /// Anything else that could be an original id.
    Original(OriginalId),
}

impl<K: Kind> Reference<K> {
    /// Reads what a caller gave. What is neither is told as a damaged id of Abide's.
    pub fn parse(text: &str) -> Result<Self, IdProblem> {
        match Id::parse(text) {
            Ok(id) => Ok(Self::Own(id)),
            Err(problem) => OriginalId::parse(text).map(Self::Original).ok_or(problem),
        }
    }
}

impl<K: Kind> From<Id<K>> for Reference<K> {
    fn from(id: Id<K>) -> Self {
        Self::Own(id)
    }
}

impl<K: Kind> Reference<K> {
    /// Whether this is one of the two names of `other`.
    pub fn names(&self, other: &PublicId<K>) -> bool {
        match self {
            Self::Own(id) => *id == other.id,
            Self::Original(original) => other.original.as_ref() == Some(original),
        }
    }
}

impl<K: Kind> Clone for Reference<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Own(id) => Self::Own(*id),
            Self::Original(original) => Self::Original(original.clone()),
        }
    }
}
impl<K: Kind> PartialEq for Reference<K> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own(one), Self::Own(two)) => one == two,
            (Self::Original(one), Self::Original(two)) => one == two,
            (Self::Own(_), Self::Original(_)) | (Self::Original(_), Self::Own(_)) => false,
        }
    }
}
impl<K: Kind> Eq for Reference<K> {}
impl<K: Kind> fmt::Debug for Reference<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(id) => fmt::Display::fmt(id, f),
            Self::Original(original) => fmt::Display::fmt(original, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Consent, ConsentId};

    #[test]
    fn what_stands_in_a_path_and_a_header_is_an_original_id() {
        for good in ["con_xyz789", "42", "a:b.c~d", "...", &"x".repeat(100)] {
            assert_eq!(OriginalId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", ".", "..", "a b", "a/b", "a%20b", "é", "a\nb", &"x".repeat(101)] {
            assert_eq!(OriginalId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_public_id_shows_the_original_and_stores_both() {
        let id = ConsentId::from_key(7);
        let own = PublicId::<Consent>::from(id);
        assert_eq!(own.to_string(), id.to_string());
        let brought = PublicId { original: OriginalId::parse("con_xyz789"), ..own };
        assert_eq!(brought.to_string(), "con_xyz789");
        let stored = serde_json::to_string(&brought).unwrap();
        assert_eq!(serde_json::from_str::<PublicId<Consent>>(&stored).unwrap(), brought);
        let own = PublicId::<Consent>::from(id);
        let stored = serde_json::to_string(&own).unwrap();
        assert_eq!(stored, format!("\"{id}\""), "as it was before there were others");
        assert_eq!(serde_json::from_str::<PublicId<Consent>>(&stored).unwrap(), own);
    }
}
