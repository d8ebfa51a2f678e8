//! `GET /openapi.json`: the OpenAPI 3.1 document, put together from the descriptions beside the handlers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::describe::{self, NAME, Operation, Schema};
use super::{Route, routes};
use crate::problem::{PROBLEMS_PATH, ProblemKind};

/// `GET /openapi.json`.
pub(crate) async fn handler() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(crate::openapi_json);
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (content_type, Body::from(text.as_str())).into_response()
}

/// The whole document.
pub(crate) fn document() -> Value {
    let mut schemas = BTreeMap::new();
    let mut paths = Map::new();
    let mut groups: Vec<&'static str> = Vec::new();
    for route in routes() {
        if !groups.contains(&route.about.group) {
            groups.push(route.about.group);
        }
        let operation = operation(&route, &mut schemas);
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    lift(problem_schema().0, &mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Abide",
            "version": env!("CARGO_PKG_VERSION"),
            "description": INTRODUCTION,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "tags": groups.iter().map(|group| json!({"name": group})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key's `bearer_token`.",
                },
                "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "api_secret": {"type": "apiKey", "in": "header", "name": "X-API-Secret"},
            },
        },
        "security": [{"token": []}, {"api_key": [], "api_secret": []}],
    })
}

const INTRODUCTION: &str = "Abide's own API. Bodies and answers are JSON in snake_case; a field that a request does not \
    have is refused. Times are RFC 3339 in UTC with milliseconds. Lists answer `items` and `next_cursor`, which is the \
    `cursor` of the next page. Errors are RFC 9457 problem documents; `/docs/problems` explains each.";

fn operation(route: &Route, schemas: &mut BTreeMap<String, Value>) -> Value {
    let about = &route.about;
    let mut description = about.description.to_owned();
    if let Some(scope) = about.scope {
        let gap = if description.is_empty() { "" } else { "\n\n" };
        description = format!("{description}{gap}Scope: `{}`.", scope.as_str());
    }
    let mut parameters: Vec<Value> = path_parameters(route.path)
        .map(|name| {
            let schema = json!({"type": "string"});
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect();
    for field in &about.query {
        let schema = lift(field.schema.0.clone(), schemas);
        parameters.push(json!({
            "name": field.name,
            "in": "query",
            "required": field.is_required,
            "description": field.about,
            "schema": schema,
        }));
    }
    let mut operation = json!({
        "operationId": about.id,
        "tags": [about.group],
        "summary": about.summary,
        "description": description,
        "parameters": parameters,
        "responses": responses(route, schemas),
    });
    if let (Some(body), Some(operation)) = (&about.body, operation.as_object_mut()) {
        let schema = lift(body.0.clone(), schemas);
        let content = Map::from_iter([(about.body_media.to_owned(), json!({"schema": schema}))]);
        operation.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
    }
    operation
}

/// The names between braces.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn responses(route: &Route, schemas: &mut BTreeMap<String, Value>) -> Value {
    let about = &route.about;
    let schema = lift(about.answer.0.clone(), schemas);
    let content = Map::from_iter([(about.media.to_owned(), json!({"schema": schema}))]);
    let mut success = json!({"description": about.summary, "content": content});
    if about.status == http::StatusCode::CREATED {
        success["headers"] = json!({
            "Location": {"description": "Where it is from now on.", "schema": {"type": "string"}},
        });
    }
    let mut responses = Map::from_iter([(about.status.as_str().to_owned(), success)]);
    let mut by_status: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for kind in problems(route) {
        let told = kind.about();
        let line = format!("`{}`: {}.", told.name, told.title);
        by_status.entry(told.status.as_u16()).or_default().push(line);
    }
    for (status, lines) in by_status {
        let content = json!({
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        });
        let response = json!({"description": lines.join(" "), "content": content});
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

/// Every problem that an operation can answer: its own, and those that follow from what it asks for.
pub(crate) fn problems(route: &Route) -> BTreeSet<ProblemKind> {
    use ProblemKind::{
        BodyTimeout, BodyTooLarge, Internal, InvalidBody, InvalidCursor, InvalidField,
        MissingScope, NotFound, NotJson, OutcomeUnknown, TooManyRequests, Unauthenticated,
        Unavailable,
    };
    let Operation { scope, query, body, problems, .. } = &route.about;
    let mut all: BTreeSet<_> = problems.iter().copied().collect();
    all.extend([Unauthenticated, TooManyRequests, Internal, Unavailable]);
    all.extend(scope.map(|_| MissingScope));
    if path_parameters(route.path).next().is_some() {
        all.insert(NotFound);
    }
    if !query.is_empty() {
        all.extend([InvalidField, InvalidBody]);
    }
    if query.iter().any(|field| field.name == "cursor") {
        all.insert(InvalidCursor);
    }
    if body.is_some() {
        all.extend([InvalidField, InvalidBody, BodyTooLarge, NotJson, BodyTimeout]);
    }
    if route.method != Method::GET {
        all.insert(OutcomeUnknown);
    }
    all
}

fn problem_schema() -> Schema {
    use describe::{field, list, named, number, object, one_of, optional, text};
    let types: Vec<String> = ProblemKind::ALL
        .iter()
        .map(|kind| format!("{PROBLEMS_PATH}#{}", kind.about().name))
        .collect();
    let error = object(vec![
        field("field", text(), "The field or parameter, with its place: `scopes[1]`."),
        field(
            "problem",
            text(),
            "What was wrong and what is allowed: goes after the field's name.",
        ),
    ]);
    named(
        "Problem",
        object(vec![
            field(
                "type",
                one_of(types.iter().map(String::as_str)),
                "What went wrong: where it is explained.",
            ),
            field("title", text(), "The same for every problem of its type."),
            field("status", number(400, 599), "The HTTP status."),
            field("detail", text(), "What went wrong this time."),
            optional("errors", list(error), "Each field that was wrong."),
            field(
                "request_id",
                text(),
                "Names the request in the server's log; also in `X-Request-Id`.",
            ),
        ]),
    )
}

/// Takes named schemas out of a schema, at any depth, and leaves references to them.
fn lift(schema: Value, schemas: &mut BTreeMap<String, Value>) -> Value {
    match schema {
        Value::Object(mut object) => {
            let name = object.remove(NAME).and_then(|name| name.as_str().map(str::to_owned));
            let lifted: Map<String, Value> =
                object.into_iter().map(|(key, value)| (key, lift(value, schemas))).collect();
            match name {
                Some(name) => {
                    let reference = json!({"$ref": format!("#/components/schemas/{name}")});
                    schemas.insert(name, lifted.into());
                    reference
                }
                None => lifted.into(),
            }
        }
        Value::Array(list) => list.into_iter().map(|one| lift(one, schemas)).collect(),
        other => other,
    }
}
