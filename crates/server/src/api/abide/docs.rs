//! `GET /docs` and `GET /docs/problems`: the reference as pages, made from the same descriptions as the OpenAPI document.
//! No script, nothing from elsewhere.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use serde_json::Value;

use super::describe::Operation;
use super::{openapi, routes};
use crate::observe::Failure;
use crate::problem::{PROBLEMS_PATH, ProblemKind};

#[derive(Template)]
#[template(path = "docs/reference.html")]
struct Reference {
    groups: Vec<Group>,
    schemas: Vec<Table>,
}

#[derive(Template)]
#[template(path = "docs/problems.html")]
struct Problems {
    kinds: Vec<Kind>,
}

struct Group {
    name: &'static str,
    operations: Vec<Shown>,
}

/// An operation as the page shows it.
struct Shown {
    method: String,
    path: &'static str,
    about: Operation,
    query: Vec<Row>,
    body: Vec<Row>,
    answer: Vec<Row>,
    problems: Vec<Kind>,
}

/// A schema that others refer to.
struct Table {
    name: String,
    rows: Vec<Row>,
}

/// A field: its name, what it can be, and what it is for.
struct Row {
    name: String,
    what: String,
    about: String,
    is_required: bool,
}

struct Kind {
    name: &'static str,
    status: u16,
    title: &'static str,
    meaning: &'static str,
}

/// `GET /docs`.
pub(crate) async fn reference() -> Response {
    static PAGE: OnceLock<Result<String, String>> = OnceLock::new();
    page(PAGE.get_or_init(|| {
        let document = openapi::document();
        let reference = Reference { groups: groups(&document), schemas: schemas(&document) };
        reference.render().map_err(|error| error.to_string())
    }))
}

/// `GET /docs/problems`.
pub(crate) async fn problems() -> Response {
    static PAGE: OnceLock<Result<String, String>> = OnceLock::new();
    page(PAGE.get_or_init(|| {
        let kinds = ProblemKind::ALL.into_iter().map(Kind::of).collect();
        Problems { kinds }.render().map_err(|error| error.to_string())
    }))
}

fn page(rendered: &'static Result<String, String>) -> Response {
    let mut response = match rendered {
        Ok(text) => Html(text.as_str()).into_response(),
        Err(error) => {
            let mut response = http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
            response.extensions_mut().insert(Failure(error.clone()));
            response
        }
    };
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                  frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Kind {
    fn of(kind: ProblemKind) -> Self {
        let about = kind.about();
        Self {
            name: about.name,
            status: about.status.as_u16(),
            title: about.title,
            meaning: about.meaning,
        }
    }

    fn link(&self) -> String {
        format!("{PROBLEMS_PATH}#{}", self.name)
    }
}

fn groups(document: &Value) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for route in routes() {
        let method = route.method.as_str().to_ascii_lowercase();
        let told = &document["paths"][route.path][&method];
        let status = route.about.status.as_str();
        // Whatever it is written as: there is one kind.
        let json = |part: &Value| {
            let content = part["content"].as_object().and_then(|content| content.values().next());
            content.map_or(Value::Null, |content| content["schema"].clone())
        };
        let shown = Shown {
            method: route.method.to_string(),
            path: route.path,
            query: route
                .about
                .query
                .iter()
                .map(|field| Row {
                    name: field.name.to_owned(),
                    what: what(&field.schema.0),
                    about: field.about.to_owned(),
                    is_required: field.is_required,
                })
                .collect(),
            body: rows(&json(&told["requestBody"])),
            answer: rows(&json(&told["responses"][status])),
            problems: openapi::problems(&route).into_iter().map(Kind::of).collect(),
            about: route.about,
        };
        match groups.iter_mut().find(|group| group.name == shown.about.group) {
            Some(group) => group.operations.push(shown),
            None => groups.push(Group { name: shown.about.group, operations: vec![shown] }),
        }
    }
    groups
}

fn schemas(document: &Value) -> Vec<Table> {
    let named: BTreeMap<String, Value> =
        serde_json::from_value(document["components"]["schemas"].clone()).unwrap_or_default();
    named.into_iter().map(|(name, schema)| Table { rows: rows(&schema), name }).collect()
}

/// The fields of an object; a reference is one row without a name.
fn rows(schema: &Value) -> Vec<Row> {
    let Some(properties) = schema["properties"].as_object() else {
        let is_told = schema.is_object();
        let row = || Row {
            name: String::new(),
            what: what(schema),
            about: String::new(),
            is_required: true,
        };
        return if is_told { vec![row()] } else { Vec::new() };
    };
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    properties
        .iter()
        .map(|(name, schema)| Row {
            name: name.clone(),
            what: what(schema),
            about: schema["description"].as_str().unwrap_or_default().to_owned(),
            is_required: required.contains(&name.as_str()),
        })
        .collect()
}

/// What a value can be, in a few words.
fn what(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    for forms in ["anyOf", "allOf"] {
        if let Some(forms) = schema[forms].as_array() {
            return forms.iter().map(what).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(names) = schema["enum"].as_array() {
        let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", names.join(", "));
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    let number = |key: &str| schema[key].as_u64();
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", what(&schema["items"])),
        Some("string") if schema["format"] == "date-time" => "time".to_owned(),
        Some("string") => match (number("minLength"), number("maxLength"), &schema["pattern"]) {
            (Some(least), Some(most), _) => format!("text of {least} to {most} characters"),
            (_, _, Value::String(pattern)) => {
                let prefix = pattern.trim_start_matches('^').split('[').next().unwrap_or_default();
                format!("id, {prefix}...")
            }
            _ => "text".to_owned(),
        },
        Some("integer") => match (number("minimum"), number("maximum")) {
            (Some(least), Some(most)) => format!("number from {least} to {most}"),
            _ => "number".to_owned(),
        },
        Some("boolean") => "true or false".to_owned(),
        Some(other) => other.to_owned(),
        None => "anything".to_owned(),
    }
}
