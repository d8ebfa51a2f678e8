//! JSON kept as the text received: what a caller attached is stored and sent on byte for byte.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A JSON object as text, checked to be well-formed and never re-serialised.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonObject(Box<RawValue>);

impl JsonObject {
    /// Takes a JSON text that is an object; anything else is `None`.
    pub fn from_raw(raw: Box<RawValue>) -> Option<Self> {
        raw.get().trim_start().starts_with('{').then_some(Self(raw))
    }

    /// Reads a JSON text; `None` when it is not well-formed or no object.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Box<RawValue>>(text).ok().and_then(Self::from_raw)
    }

    /// The text as received.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The text value of a top-level key, if there is one.
    pub fn text_at(&self, key: &str) -> Option<String> {
        let value: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(self.as_str()).ok()?;
        value.get(key)?.as_str().map(str::to_owned)
    }
}

impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for JsonObject {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_and_their_exact_text() {
        let text = r#"{"b": 1,  "ip_address":"::1"}"#;
        let object = JsonObject::parse(text).unwrap();
        assert_eq!(object.as_str(), text);
        assert_eq!(object.text_at("ip_address").as_deref(), Some("::1"));
        assert_eq!(object.text_at("b"), None);
        for bad in ["[]", "1", "null", "{", "{}x", ""] {
            assert!(JsonObject::parse(bad).is_none(), "{bad}");
        }
    }
}
