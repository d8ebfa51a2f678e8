//! What a caller attaches to a decision: kept byte for byte, so it is judged here, once, for everyone who gets it.
//!
//! Receivers parse it with what they have: so its texts are Unicode, its numbers fit a double, and it nests no deeper
//! than a reader with a stack can follow inside an event.

use std::fmt;

use abide_core::consent::decision::METADATA_LIMIT;
use abide_core::json::JsonObject;
use abide_core::policy::text_field;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{FromField, Key};

/// Deepest nesting.
const DEPTH_LIMIT: u8 = 64;

/// Metadata and what Abide reads out of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// As given.
    pub(crate) object: JsonObject,
    /// Its top-level `ip_address`, where that is a text that could be one.
    pub(crate) ip_address: Option<String>,
    /// Whether it has that key at all.
    pub(crate) holds_ip_address: bool,
    /// Whether it has the key `user_agent`.
    pub(crate) holds_user_agent: bool,
}

/// The object with one more key behind its others, whose bytes stay as they are. The key must be new and plain.
pub(crate) fn with_text(object: &JsonObject, key: &str, text: &str) -> Option<JsonObject> {
    let before = object.as_str().trim_end().strip_suffix('}')?;
    let comma = if before.trim_end().ends_with('{') { "" } else { "," };
    let text = serde_json::to_string(text).ok()?;
    JsonObject::parse(&format!("{before}{comma}\"{key}\":{text}}}"))
}

impl FromField for Metadata {
    fn read(raw: &RawValue) -> Result<Self, String> {
        if raw.get().len() > METADATA_LIMIT {
            return Err("must be at most 16 KiB of JSON".to_owned());
        }
        let object =
            JsonObject::from_raw(raw.to_owned()).ok_or_else(|| "must be an object".to_owned())?;
        let mut reader = serde_json::Deserializer::from_str(raw.get());
        let found = Sound { depth: 0 }.deserialize(&mut reader).map_err(|_| {
            format!(
                "must hold Unicode texts and numbers of double precision, at most {DEPTH_LIMIT} levels deep"
            )
        })?;
        let ip_address = found.text.filter(|text| text_field("ip_address", text, 100).is_ok());
        let Found { holds_ip_address, holds_user_agent, .. } = found;
        Ok(Self { object, ip_address, holds_ip_address, holds_user_agent })
    }
}

/// What was found on the way.
#[derive(Default)]
struct Found {
    text: Option<String>,
    holds_ip_address: bool,
    holds_user_agent: bool,
}

/// Any JSON that every reader can take. Its text is what it says, when it is a
/// text, at depth 1; at depth 0 the text at `ip_address`.
#[derive(Clone, Copy)]
struct Sound {
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Sound {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Sound {
    fn inside<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_LIMIT {
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> Visitor<'de> for Sound {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Found::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Found::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Found::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Found::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Found::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        let text = (self.depth == 1 && text.len() <= 400).then(|| text.to_owned());
        Ok(Found { text, ..Found::default() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let inside = self.inside()?;
        while seq.next_element_seed(inside)?.is_some() {}
        Ok(Found::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let inside = self.inside()?;
        let mut found = Found::default();
        while let Some(Key(key)) = map.next_key()? {
            // Only the address is worth a copy: everything else is looked at one level deeper than it stands.
            let wanted = self.depth == 0 && key == "ip_address";
            found.holds_user_agent |= self.depth == 0 && key == "user_agent";
            if wanted {
                found.holds_ip_address = true;
                found.text = map.next_value_seed(inside)?.text;
            } else {
                map.next_value_seed(Sound { depth: inside.depth.max(2) })?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Metadata, String> {
        Metadata::read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn kept_as_given_with_its_address_read() {
        let text = r#"{ "source" : "form",  "n":1.50, "ip_address":"192.168.1.1"}"#;
        let metadata = read(text).unwrap();
        assert_eq!(metadata.object.as_str(), text);
        assert_eq!(metadata.ip_address.as_deref(), Some("192.168.1.1"));
        for without in [
            "{}",
            r#"{"ip_address":1}"#,
            r#"{"ip_address":["::1"]}"#,
            r#"{"a":{"ip_address":"::1"}}"#,
            r#"{"ip_address":""}"#,
            r#"{"ip_address":"a\u0000b"}"#,
        ] {
            assert_eq!(read(without).unwrap().ip_address, None, "{without}");
        }
    }

    #[test]
    fn a_key_is_added_and_every_other_byte_stays() {
        let add = |text: &str| {
            let object = JsonObject::parse(text).unwrap();
            with_text(&object, "user_agent", "a\"b").unwrap().as_str().to_owned()
        };
        assert_eq!(add("{}"), r#"{"user_agent":"a\"b"}"#);
        assert_eq!(add("{ \n}"), "{ \n\"user_agent\":\"a\\\"b\"}");
        assert_eq!(
            add(r#"{ "n":1.50, "m" : {} }"#),
            r#"{ "n":1.50, "m" : {} ,"user_agent":"a\"b"}"#
        );
    }

    #[test]
    fn what_a_receiver_cannot_read_is_refused() {
        let deep =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&deep(62)).is_ok());
        assert!(read(&deep(64)).is_err());
        assert!(read(&deep(8_000)).is_err());
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(METADATA_LIMIT));
        for bad in [
            "[]",
            "7",
            "\"text\"",
            r#"{"a":"\ud800"}"#,
            r#"{"\udc00":1}"#,
            r#"{"a":{"b":[1e999999]}}"#,
            large.as_str(),
        ] {
            assert!(read(bad).is_err(), "{}", &bad[..bad.len().min(40)]);
        }
    }
}
