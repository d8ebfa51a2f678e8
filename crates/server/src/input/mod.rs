//! What callers send: fields with their spellings, types and problems.
//!
//! A body is scanned once into its top-level fields, each kept as a slice of the text; a handler then takes the fields
//! it knows. Every problem found on the way is collected, so that a caller learns of all at once. Fields that nobody
//! takes are ignored: clients written for ConsentProof send more than this API needs.

pub(crate) mod endpoint;
mod events;
mod field;
mod metadata;
mod named;
mod params;

use std::borrow::Cow;
use std::fmt;

use abide_core::policy::text_field;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use events::{EventNames, ShownEvents, event_kind, read_events};
pub(crate) use field::{Address, EffectiveDate, FromField, Text, one_of};
pub(crate) use metadata::{Metadata, with_text};
pub(crate) use named::{Named, Within};
pub(crate) use params::Params;

/// Most top-level fields of an object; more is no request for this API.
const FIELDS_LIMIT: usize = 256;
/// Most problems told in one answer.
const PROBLEMS_LIMIT: usize = 100;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldProblem {
    pub(crate) field: String,
    pub(crate) problem: Cow<'static, str>,
}

/// Input that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// The body as a whole.
    Body(Cow<'static, str>),
    /// Fields of it, one at least.
    Fields(Vec<FieldProblem>),
}

impl Invalid {
    /// One field, or one parameter.
    pub(crate) fn field(name: Name, problem: impl Into<Cow<'static, str>>) -> Self {
        let field = name.0[0].to_owned();
        Self::Fields(vec![FieldProblem { field, problem: problem.into() }])
    }
}

/// A field's spellings; problems that are not about one spelling name the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name(pub(crate) &'static [&'static str]);

/// The fields of one JSON object.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    /// Where the object stands, as a prefix of field names: empty, or `consents[3].`.
    place: String,
    given: Vec<(Cow<'a, str>, &'a RawValue)>,
    problems: Vec<FieldProblem>,
}

#[derive(Debug, PartialEq)]
enum Given<T> {
    Absent,
    Null,
    Unreadable,
    Value(T),
}

impl<'a> Fields<'a> {
    /// Scans a body that must be an object.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        let object: Object<'a> =
            serde_json::from_slice(body).map_err(|error| unreadable(&error, "a JSON object"))?;
        object.into_fields(String::new())
    }

    /// Scans an element of a batch, which stands at `place`: `consents[3]`.
    pub(crate) fn parse_element(raw: &'a RawValue, place: &str) -> Result<Self, Invalid> {
        let object: Object<'a> = serde_json::from_str(raw.get()).map_err(|_| {
            Invalid::Fields(vec![FieldProblem {
                field: place.to_owned(),
                problem: "must be an object".into(),
            }])
        })?;
        object.into_fields(format!("{place}."))
    }

    /// The fields of a request without a body.
    pub(crate) fn none() -> Self {
        Self { place: String::new(), given: Vec::new(), problems: Vec::new() }
    }

    /// A field that must be there.
    pub(crate) fn required<T: FromField>(&mut self, name: Name) -> Option<T> {
        match self.take(name) {
            Given::Value(value) => Some(value),
            Given::Unreadable => None,
            Given::Absent | Given::Null => {
                self.problem(name.0[0], "is required");
                None
            }
        }
    }

    /// A field that may be left out; null is the same.
    pub(crate) fn optional<T: FromField>(&mut self, name: Name) -> Option<T> {
        match self.take(name) {
            Given::Value(value) => Some(value),
            Given::Unreadable | Given::Absent | Given::Null => None,
        }
    }

    /// A field of a change: left out it stays, and it cannot be removed.
    pub(crate) fn changed<T: FromField>(&mut self, name: Name) -> Option<T> {
        match self.take(name) {
            Given::Value(value) => Some(value),
            Given::Unreadable | Given::Absent => None,
            Given::Null => {
                self.problem(name.0[0], "cannot be removed; leave it out to keep it");
                None
            }
        }
    }

    /// A field of a change that null removes.
    #[expect(clippy::option_option, reason = "left out, removed and set are three answers")]
    pub(crate) fn removable<T: FromField>(&mut self, name: Name) -> Option<Option<T>> {
        match self.take(name) {
            Given::Value(value) => Some(Some(value)),
            Given::Null => Some(None),
            Given::Unreadable | Given::Absent => None,
        }
    }

    /// A field that exists and cannot be set by this call: refused, since to ignore it would be to lose a wish.
    pub(crate) fn fixed(&mut self, name: Name, why: &'static str) {
        let before = self.given.len();
        self.given.retain(|(spelling, _)| !name.0.contains(&spelling.as_ref()));
        if self.given.len() < before {
            self.problem(name.0[0], why);
        }
    }

    /// Leaves fields out that mean nothing here: objects are taken as others wrote them.
    pub(crate) fn ignore(&mut self, names: &[Name]) {
        self.given.retain(|(given, _)| !names.iter().any(|name| name.0.contains(&given.as_ref())));
    }

    /// Whether a field is given and not null, readable or not.
    pub(crate) fn holds(&self, name: Name) -> bool {
        let mut given = self.given.iter().filter(|(known, _)| name.0.contains(&known.as_ref()));
        given.any(|(_, raw)| raw.get() != "null")
    }

    /// A field that must be there, as it stands in the text.
    pub(crate) fn raw(&mut self, name: Name) -> Option<&'a RawValue> {
        let mut given = self.given.iter().filter(|(known, _)| name.0.contains(&known.as_ref()));
        let (first, another) = (given.next(), given.next());
        if another.is_some() {
            self.problem(name.0[0], "is given twice");
            return None;
        }
        let raw = first.map(|(_, raw)| *raw);
        if raw.is_none() {
            self.problem(name.0[0], "is required");
        }
        raw
    }

    /// The elements of a list field, at most `limit`.
    pub(crate) fn elements(&mut self, name: Name, limit: usize) -> Option<Vec<&'a RawValue>> {
        let raw = self.raw(name)?;
        match elements(raw.get().as_bytes(), limit) {
            Ok(elements) => Some(elements),
            Err(problem) => {
                self.problem(name.0[0], problem);
                None
            }
        }
    }

    /// A field that is an object, read by `read` with its problems told under its own place. `None` where it is left out
    /// or not sound, nothing inside where it is null.
    #[expect(clippy::option_option, reason = "left out, removed and set are three answers")]
    pub(crate) fn object<T>(
        &mut self,
        name: Name,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        let mut given = self.given.iter().filter(|(known, _)| name.0.contains(&known.as_ref()));
        let (first, another) = (given.next(), given.next());
        let (spelling, raw) = first?;
        if another.is_some() {
            self.problem(name.0[0], "is given twice");
            return None;
        }
        if raw.get() == "null" {
            return Some(None);
        }
        match Self::parse_element(raw, &format!("{}{spelling}", self.place)) {
            Ok(mut inner) => {
                let made = read(&mut inner);
                let sound = inner.are_sound();
                self.problems.extend(inner.problems);
                self.problems.truncate(PROBLEMS_LIMIT);
                made.filter(|_| sound).map(Some)
            }
            Err(Invalid::Fields(problems)) => {
                self.problems.extend(problems);
                None
            }
            Err(Invalid::Body(problem)) => {
                self.problem(name.0[0], problem);
                None
            }
        }
    }

    /// Every field as it was given, for objects whose names are their callers'.
    pub(crate) fn entries(&self) -> Vec<(String, &'a RawValue)> {
        self.given.iter().map(|(name, raw)| (shown(name), *raw)).collect()
    }

    /// Refuses every field but these, by name: an API of our own has no callers that send more than it needs, and a
    /// mistyped name must not be left out in silence.
    pub(crate) fn only(&mut self, known: &[Name]) {
        let unknown: Vec<String> = self
            .given
            .iter()
            .filter(|(given, _)| !known.iter().any(|name| name.0.contains(&given.as_ref())))
            .map(|(given, _)| shown(given))
            .collect();
        for field in unknown {
            self.problem(&field, unknown_field(known));
        }
    }

    /// A text that can be shown on one line, of at most so many characters.
    pub(crate) fn line(&mut self, name: Name, given: Option<Text>, limit: usize) -> Option<String> {
        let Text(given) = given?;
        match text_field(name.0[0], &given, limit) {
            Ok(()) => Some(given),
            Err(_) => {
                let problem = format!(
                    "must be 1 to {limit} characters, not blank, without control characters"
                );
                self.problem(name.0[0], problem);
                None
            }
        }
    }

    /// Notes a problem of a field.
    pub(crate) fn problem(&mut self, field: &str, problem: impl Into<Cow<'static, str>>) {
        if self.problems.len() < PROBLEMS_LIMIT {
            let field = format!("{}{field}", self.place);
            self.problems.push(FieldProblem { field, problem: problem.into() });
        }
    }

    /// Whether no problem was found so far.
    pub(crate) fn are_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// What was made of the fields, unless a problem was found.
    pub(crate) fn finish<T>(self, made: Option<T>) -> Result<T, Invalid> {
        match made {
            Some(made) if self.problems.is_empty() => Ok(made),
            Some(_) | None => Err(Invalid::Fields(self.problems)),
        }
    }

    /// Reads the field under all its spellings; they must agree.
    fn take<T: FromField>(&mut self, name: Name) -> Given<T> {
        let mut held: Option<(usize, Given<T>)> = None;
        for at in 0..self.given.len() {
            let (spelling, raw) = (&self.given[at].0, self.given[at].1);
            if !name.0.contains(&spelling.as_ref()) {
                continue;
            }
            let read = if raw.get() == "null" {
                Given::Null
            } else {
                match T::read(raw) {
                    Ok(value) => Given::Value(value),
                    Err(problem) => {
                        // A problem of one element of a list begins with its place: `[1] must ...`.
                        let (place, problem) = match problem.split_once("] ") {
                            Some((place, rest)) if place.starts_with('[') => {
                                (format!("{place}]"), rest.to_owned())
                            }
                            _ => (String::new(), problem),
                        };
                        let field = format!("{spelling}{place}");
                        self.problem(&field, problem);
                        Given::Unreadable
                    }
                }
            };
            match &held {
                None => held = Some((at, read)),
                Some((_, earlier)) if *earlier == read => {}
                Some((earlier, _)) => {
                    let (one, other) = (&self.given[*earlier].0, &self.given[at].0);
                    let problem = if one == other {
                        "is given twice, with different values".to_owned()
                    } else {
                        format!("is given as `{one}` and as `{other}`, with different values")
                    };
                    self.problem(name.0[0], problem);
                    return Given::Unreadable;
                }
            }
        }
        held.map_or(Given::Absent, |(_, read)| read)
    }
}

/// A name that a caller made up, cut to what an answer can hold.
fn shown(name: &str) -> String {
    const MOST: usize = 64;
    let end = name.char_indices().nth(MOST).map_or(name.len(), |(end, _)| end);
    name[..end].to_owned()
}

/// What is said of a field that nobody knows.
fn unknown_field(known: &[Name]) -> String {
    let known: Vec<_> = known.iter().map(|name| format!("`{}`", name.0[0])).collect();
    match known.as_slice() {
        [] => "is not known; there are none here".to_owned(),
        known => format!("is not known; there are {}", known.join(", ")),
    }
}

/// The elements of a JSON list, at most `limit`; the error is a problem for a field.
pub(crate) fn elements(json: &[u8], limit: usize) -> Result<Vec<&RawValue>, String> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let list = Elements { limit }.deserialize(&mut reader);
    match list.and_then(|list| reader.end().map(|()| list)) {
        Ok(List { elements, count }) if count <= limit => Ok(elements),
        Ok(List { count, .. }) => Err(format!("must hold at most {limit} elements, not {count}")),
        Err(_) => Err("must be a list".to_owned()),
    }
}

/// What is wrong with a body that should be `wanted`, without its words.
pub(crate) fn unreadable(error: &serde_json::Error, wanted: &'static str) -> Invalid {
    let text = match error.classify() {
        serde_json::error::Category::Data => format!("The body must be {wanted}."),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => format!(
            "The body is not valid JSON, from line {} column {} on.",
            error.line(),
            error.column()
        ),
    };
    Invalid::Body(text.into())
}

/// An object's fields as they stand in the text.
struct Object<'a> {
    given: Vec<(Cow<'a, str>, &'a RawValue)>,
    count: usize,
}

impl<'a> Object<'a> {
    fn into_fields(self, place: String) -> Result<Fields<'a>, Invalid> {
        if self.count > FIELDS_LIMIT {
            let text = format!("An object may hold at most {FIELDS_LIMIT} fields.");
            return Err(Invalid::Body(text.into()));
        }
        Ok(Fields { place, given: self.given, problems: Vec::new() })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut object = Object { given: Vec::with_capacity(12), count: 0 };
                while let Some(Key(key)) = map.next_key()? {
                    let value: &'de RawValue = map.next_value()?;
                    object.count += 1;
                    if object.count <= FIELDS_LIMIT {
                        object.given.push((key, value));
                    }
                }
                Ok(object)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// A key, borrowed where the text holds no escape.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

struct Elements {
    limit: usize,
}

struct List<'a> {
    elements: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = List<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < self.limit {
            match seq.next_element::<&'de RawValue>()? {
                Some(element) => elements.push(element),
                None => return Ok(List { count: elements.len(), elements }),
            }
        }
        let mut count = elements.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(List { elements, count })
    }
}

#[cfg(test)]
mod tests;
