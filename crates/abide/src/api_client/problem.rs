//! Errors of the API (RFC 9457) as errors of a command, with what to do.

use std::fmt::Write as _;

use reqwest::{StatusCode, Url};
use serde::Deserialize;

use crate::exit::{Refused, Unavailable};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    title: String,
    detail: String,
    errors: Vec<FieldProblem>,
    request_id: String,
}

/// A field that a server refuses, and why.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct FieldProblem {
    pub(crate) field: String,
    pub(crate) problem: String,
}

/// The fields that an answer names which is no success.
pub(super) fn fields(body: &[u8]) -> Vec<FieldProblem> {
    serde_json::from_slice::<Document>(body).unwrap_or_default().errors
}

/// What an answer that is no success means.
pub(super) fn of(status: StatusCode, body: &[u8], server: &Url) -> anyhow::Error {
    let Ok(document) = serde_json::from_slice::<Document>(body) else {
        let text = format!("{server} answers {status}, and not as Abide does: is --url right?");
        return if status.is_server_error() {
            Unavailable(text).into()
        } else {
            anyhow::anyhow!(text)
        };
    };
    let mut text = match (&*document.detail, &*document.title) {
        ("", "") => format!("the server answers {status}"),
        ("", title) => title.to_owned(),
        (detail, _) => detail.to_owned(),
    };
    if document.errors.len() > 1 {
        for FieldProblem { field, problem } in &document.errors {
            // Into a String, which cannot fail.
            let _ = write!(text, "\n  `{field}` {problem}");
        }
    }
    let advice = match status {
        StatusCode::UNAUTHORIZED => {
            "\nSet ABIDE_API_KEY to a token (abt_...) of this server; `abide keys create` makes one."
        }
        StatusCode::FORBIDDEN => {
            "\nUse a key with that scope; `abide keys create --scopes` makes one."
        }
        _ => "",
    };
    text.push_str(advice);
    if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
        return Unavailable(text).into();
    }
    if status.is_client_error() {
        return Refused(text).into();
    }
    anyhow::anyhow!("{text}\nThe server's log says more under {}.", document.request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_becomes_an_error_that_says_what_to_do() {
        let server = Url::parse("http://127.0.0.1:1/").unwrap();
        let many = r#"{"title":"t","detail":"2 problems.","errors":[{"field":"a","problem":"is x"},
            {"field":"b","problem":"is y","added":1}],"request_id":"req_1"}"#;
        for (status, body, refused, unavailable, words) in [
            (422, many, true, false, "2 problems.\n  `a` is x\n  `b` is y"),
            (401, r#"{"detail":"No."}"#, true, false, "ABIDE_API_KEY"),
            (403, r#"{"title":"Missing scope"}"#, true, false, "--scopes"),
            (503, r#"{"detail":"Busy."}"#, false, true, "Busy."),
            (500, r#"{"detail":"Broke.","request_id":"req_7"}"#, false, false, "req_7"),
            (404, "<html>", false, false, "--url"),
            (502, "", false, true, "--url"),
        ] {
            let error = of(StatusCode::from_u16(status).unwrap(), body.as_bytes(), &server);
            assert_eq!(error.is::<Refused>(), refused, "{status}");
            assert_eq!(error.is::<Unavailable>(), unavailable, "{status}");
            assert!(error.to_string().contains(words), "{status}: {error}");
        }
    }
}
