//! What is said of an operation: the parts that the OpenAPI document and the reference are made of.
//!
//! Schemas are JSON Schema 2020-12, built by a few words. A handler and its description cannot drift apart unseen: a test
//! calls each operation and holds question and answer against what is described.

use abide_core::access::Scope;
use abide_core::ids::Kind;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::problem::ProblemKind;

/// How JSON Lines are called.
const LINES: &str = "application/x-ndjson";

/// A JSON Schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schema(pub(crate) Value);

/// A field of an object, or a parameter of a query.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) schema: Schema,
    /// What it is for, as a sentence.
    pub(crate) about: &'static str,
    pub(crate) is_required: bool,
}

/// An operation as it is described.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// Its name for generated clients.
    pub(crate) id: &'static str,
    /// The group that it is shown in.
    pub(crate) group: &'static str,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    /// What else there is to know.
    pub(crate) description: &'static str,
    /// The scope it asks for; `None` where any valid key will do.
    pub(crate) scope: Option<Scope>,
    /// Parameters of the query.
    pub(crate) query: Vec<Field>,
    /// The body that it takes.
    pub(crate) body: Option<Schema>,
    /// How that is written.
    pub(crate) body_media: &'static str,
    /// The status of success.
    pub(crate) status: StatusCode,
    /// What success answers.
    pub(crate) answer: Schema,
    /// How that is written.
    pub(crate) media: &'static str,
    /// Problems beside those that follow from the rest.
    pub(crate) problems: Vec<ProblemKind>,
}

impl Operation {
    /// An operation that any valid key may call and that answers 200 with an object.
    pub(crate) fn new(
        id: &'static str,
        group: &'static str,
        summary: &'static str,
        answer: Schema,
    ) -> Self {
        Self {
            id,
            group,
            summary,
            description: "",
            scope: None,
            query: Vec::new(),
            body: None,
            body_media: "application/json",
            status: StatusCode::OK,
            answer,
            media: "application/json",
            problems: Vec::new(),
        }
    }

    /// What else there is to know.
    pub(crate) fn says(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// The scope it asks for.
    pub(crate) fn scope(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// The fields of the body that it takes.
    pub(crate) fn takes(self, fields: Vec<Field>) -> Self {
        Self { body: Some(object(fields)), ..self }
    }

    /// That the body is JSON Lines: each line has this schema.
    pub(crate) fn takes_lines(self, line: Schema) -> Self {
        Self { body: Some(line), body_media: LINES, ..self }
    }

    /// Parameters of its query.
    pub(crate) fn filters(mut self, fields: Vec<Field>) -> Self {
        self.query.extend(fields);
        self
    }

    /// That it is a list, read by cursor.
    pub(crate) fn pages(self) -> Self {
        self.filters(vec![
            optional("limit", number(1, 100), "The most items on a page; 50 without it."),
            optional(
                "cursor",
                text(),
                "`next_cursor` of the page before; without it, the beginning.",
            ),
        ])
    }

    /// That it is a feed, which can be begun elsewhere than at its beginning.
    pub(crate) fn feeds(self) -> Self {
        self.filters(vec![optional(
            "from",
            any_of(vec![one_of(["end"]), time()]),
            "Where to begin without a `cursor`: `end` behind everything that is there, a time before everything that \
             was recorded then or later. Beside a `cursor` it says nothing.",
        )])
        .pages()
    }

    /// That success is 201 with `Location`.
    pub(crate) fn creates(self) -> Self {
        Self { status: StatusCode::CREATED, ..self }
    }

    /// That success is JSON Lines: each line has the answer's schema.
    pub(crate) fn answers_lines(self) -> Self {
        Self { media: LINES, ..self }
    }

    /// Problems beside those that follow from the rest: that the state stands against it, that a cursor is gone.
    pub(crate) fn fails(self, problems: &[ProblemKind]) -> Self {
        Self { problems: problems.to_vec(), ..self }
    }
}

/// A field that is always there, or must be given.
pub(crate) fn field(name: &'static str, schema: Schema, about: &'static str) -> Field {
    Field { name, schema, about, is_required: true }
}

/// A field that may be left out.
pub(crate) fn optional(name: &'static str, schema: Schema, about: &'static str) -> Field {
    Field { name, schema, about, is_required: false }
}

/// Any text.
pub(crate) fn text() -> Schema {
    Schema(json!({"type": "string"}))
}

/// A text of so many characters.
pub(crate) fn text_of(least: u32, most: u32) -> Schema {
    Schema(json!({"type": "string", "minLength": least, "maxLength": most}))
}

/// A whole number within bounds.
pub(crate) fn number(least: u64, most: u64) -> Schema {
    Schema(json!({"type": "integer", "minimum": least, "maximum": most}))
}

/// A whole number from 0 on.
pub(crate) fn count() -> Schema {
    Schema(json!({"type": "integer", "minimum": 0}))
}

/// True or false.
pub(crate) fn flag() -> Schema {
    Schema(json!({"type": "boolean"}))
}

/// An instant.
pub(crate) fn time() -> Schema {
    Schema(
        json!({"type": "string", "format": "date-time", "examples": ["2024-01-15T10:30:00.000Z"]}),
    )
}

/// The id of a `K`.
pub(crate) fn id<K: Kind>() -> Schema {
    Schema(json!({"type": "string", "pattern": format!("^{}_[0-9a-z]{{26}}$", K::PREFIX)}))
}

/// One of some names.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Schema {
    Schema(json!({"type": "string", "enum": names.into_iter().collect::<Vec<_>>()}))
}

/// The name of a scope.
pub(crate) fn scope() -> Schema {
    one_of(Scope::ALL.map(Scope::as_str))
}

/// A list of something.
pub(crate) fn list(of: Schema) -> Schema {
    let Schema(of) = of;
    Schema(Map::from_iter([("type".to_owned(), "array".into()), ("items".to_owned(), of)]).into())
}

/// Something or null.
pub(crate) fn or_null(schema: Schema) -> Schema {
    any_of(vec![schema, Schema(json!({"type": "null"}))])
}

/// One of several forms.
pub(crate) fn any_of(schemas: Vec<Schema>) -> Schema {
    let schemas: Vec<Value> = schemas.into_iter().map(|schema| schema.0).collect();
    Schema(json!({"anyOf": schemas}))
}

/// An object of these fields.
pub(crate) fn object(fields: Vec<Field>) -> Schema {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for Field { name, schema, about, is_required } in fields {
        let mut schema = schema.0;
        // Beside a reference a description is allowed since OpenAPI 3.1.
        if let Some(schema) = schema.as_object_mut() {
            if schema.contains_key(NAME) {
                let inner = Value::Object(std::mem::take(schema));
                schema.insert("allOf".to_owned(), json!([inner]));
            }
            schema.insert("description".to_owned(), about.into());
        }
        properties.insert(name.to_owned(), schema);
        if is_required {
            required.push(name);
        }
    }
    Schema(json!({"type": "object", "properties": properties, "required": required}))
}

/// Any JSON object, as a caller attached it.
pub(crate) fn any_object() -> Schema {
    Schema(json!({"type": "object"}))
}

/// A schema with a name of its own, told once in the document and referred to.
pub(crate) fn named(name: &'static str, schema: Schema) -> Schema {
    let mut schema = schema;
    if let Some(object) = schema.0.as_object_mut() {
        object.insert(NAME.to_owned(), name.into());
    }
    schema
}

/// One page of a list.
pub(crate) fn page_of(item: Schema) -> Schema {
    object(vec![
        field("items", list(item), "The items of this page, in the order of the list."),
        field(
            "next_cursor",
            or_null(text()),
            "The `cursor` of the next page; null where this one is the last.",
        ),
    ])
}

/// One page of a feed.
pub(crate) fn feed_of(item: Schema) -> Schema {
    object(vec![
        field("items", list(item), "The items of this page, in the order of the feed."),
        field(
            "next_cursor",
            or_null(text()),
            "The `cursor` of the next page; null where nothing more follows now.",
        ),
        field(
            "resume_cursor",
            text(),
            "The `cursor` to go on from at any later time: always there. Keep it once the page is dealt with.",
        ),
    ])
}

/// Marks a named schema until the document is put together.
pub(crate) const NAME: &str = "$name";
