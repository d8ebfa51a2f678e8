//! The command line as a client of Abide's own API: answers are JSON values, so that a server may answer more fields than
//! this version knows.

mod problem;
mod settings;

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;

use crate::exit::Unavailable;
use crate::outgoing;

pub(crate) use problem::FieldProblem;
pub(crate) use settings::ApiSettings;

/// Longer than the server takes for anything.
const PATIENCE: Duration = Duration::from_secs(45);
/// Longer than any answer takes that comes piece by piece.
const LONG: Duration = Duration::from_hours(24);
/// How often lines are sent again to a server that says when it will take them.
const AGAIN: u32 = 10;
/// Longest wait that a server is believed.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Where the API is on the server.
const BASE: &str = "/abide/v1/";

/// A server of Abide, and the key that opens it. Without `Debug`: it holds a secret (I12).
pub(crate) struct Api {
    client: Client,
    server: Url,
    key: String,
}

impl Api {
    fn new(server: Url, key: String) -> anyhow::Result<Self> {
        Ok(Self { client: outgoing::client(&server, PATIENCE)?, server, key })
    }

    /// Reads something; `query` holds names and values as they are.
    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> anyhow::Result<Value> {
        self.call(Method::GET, path, query, None).await
    }

    /// Creates something, or has something done.
    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// Changes something.
    pub(crate) async fn patch(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PATCH, path, &[], Some(body)).await
    }

    /// Deletes something.
    pub(crate) async fn delete(&self, path: &[&str]) -> anyhow::Result<Value> {
        self.call(Method::DELETE, path, &[], None).await
    }

    /// Sends JSON Lines that may be sent again: where the server has no time or room now, once it says it has.
    pub(crate) async fn post_lines(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        lines: &[u8],
    ) -> anyhow::Result<Judged> {
        let url = self.url(path, query)?;
        let lost = |error: reqwest::Error| self.no_answer(&error, Wish::Repeat);
        let mut tries = 0;
        loop {
            let request = self.client.post(url.clone()).bearer_auth(&self.key);
            let request = request
                .header(http::header::CONTENT_TYPE, "application/x-ndjson")
                .body(lines.to_vec());
            let answer = request.send().await.map_err(lost)?;
            let (status, wait) = (answer.status(), wait_of(&answer));
            let bytes = answer.bytes().await.map_err(lost)?;
            if status.is_success() {
                return self.read(&bytes).map(Judged::Taken);
            }
            if let Some(wait) = wait.filter(|_| tries < AGAIN) {
                tries += 1;
                tokio::time::sleep(wait).await;
                continue;
            }
            let fields = problem::fields(&bytes);
            let about_lines = |field: &FieldProblem| field.field.starts_with("lines[");
            if fields.iter().any(about_lines) {
                return Ok(Judged::Wrong(fields));
            }
            return Err(problem::of(status, &bytes, &self.server));
        }
    }

    /// Begins to read something long: it may take as long as it wishes, while something comes.
    pub(crate) async fn open(&self, path: &[&str]) -> anyhow::Result<Long> {
        let lost = |error: reqwest::Error| self.no_answer(&error, Wish::Read);
        let request = self.client.get(self.url(path, &[])?).bearer_auth(&self.key);
        let answer = request.timeout(LONG).send().await.map_err(lost)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Long { answer, server: self.server.clone() });
        }
        let bytes = answer.bytes().await.map_err(lost)?;
        Err(problem::of(status, &bytes, &self.server))
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let url = self.url(path, query)?;
        let wish = if method == Method::GET { Wish::Read } else { Wish::Change };
        let lost = |error: reqwest::Error| self.no_answer(&error, wish);
        let mut request = self.client.request(method, url).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(serde_json::to_vec(body)?);
        }
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(lost)?;
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        if status.is_success() {
            return self.read(&bytes);
        }
        Err(problem::of(status, &bytes, &self.server))
    }

    fn read(&self, answer: &[u8]) -> anyhow::Result<Value> {
        serde_json::from_slice(answer).with_context(|| {
            format!("{} does not answer as Abide does: is --url right?", self.server)
        })
    }

    /// Segment by segment, so that nothing in an id leads to another path.
    fn url(&self, path: &[&str], query: &[(&str, String)]) -> anyhow::Result<Url> {
        let mut url = self.server.join(BASE)?;
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("the server's URL has no path"))?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn no_answer(&self, error: &reqwest::Error, wish: Wish) -> Unavailable {
        let why = outgoing::why(error);
        let server = &self.server;
        Unavailable(match wish {
            // A creation is not asked for again by itself: its answer may hold a secret that is shown once.
            Wish::Change if !error.is_connect() => format!(
                "the answer from {server} was lost: {why}. It may have been done: look before you ask again"
            ),
            Wish::Repeat if !error.is_connect() => format!(
                "the answer from {server} was lost: {why}. Ask again: what was done stays as it is"
            ),
            Wish::Read | Wish::Change | Wish::Repeat => format!(
                "no answer from {server}: {why}. Is the server running there? Say with --url where it is"
            ),
        })
    }
}

/// A long answer, piece by piece.
pub(crate) struct Long {
    answer: reqwest::Response,
    server: Url,
}

impl Long {
    /// The next piece; `None` at its end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let server = &self.server;
        let broken =
            |why: String| Unavailable(format!("the answer from {server} broke off: {why}"));
        let piece = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
        let piece = piece.map_err(|_| broken("nothing came for 30 seconds".to_owned()))?;
        let piece = piece.map_err(|error| broken(outgoing::why(&error)))?;
        Ok(piece.map(|piece| piece.to_vec()))
    }
}

/// What a call is for.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Read,
    Change,
    /// A change that is the same when it is asked for twice.
    Repeat,
}

/// What a server says of lines.
pub(crate) enum Judged {
    /// They were taken, or would be.
    Taken(Value),
    /// Nothing was: these fields of them are wrong, `lines[0]` the first.
    Wrong(Vec<FieldProblem>),
}

/// When a server will take what it did not take now, where it says so.
fn wait_of(answer: &reqwest::Response) -> Option<Duration> {
    let later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    let seconds = answer.headers().get(http::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    let wait = Duration::from_secs(seconds);
    (later.contains(&answer.status()) && wait <= LONGEST_WAIT).then_some(wait)
}
