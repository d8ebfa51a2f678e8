//! Reading a received request: from one text as it came over the wire, or from headers and body apart.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use abide_dialects::Received;
use anyhow::Context as _;
use bytes::Bytes;
use serde_json::Value;

use crate::config::Usage;

/// More than any webhook.
const LIMIT: u64 = 16 << 20;

/// Where the request is; what is named nowhere comes from standard input.
pub(super) struct Input {
    pub(super) headers: Option<PathBuf>,
    pub(super) body: Option<PathBuf>,
}

/// A request, and what was noticed while reading it.
pub(super) struct Given {
    pub(super) request: Received,
    /// What was done to make a request of the text, for the case that it is not what its sender signed.
    pub(super) notes: Vec<String>,
}

impl Input {
    pub(super) fn read(self) -> anyhow::Result<Given> {
        let is_input = |path: &PathBuf| path.as_os_str() == "-";
        let headers = self.headers.filter(|path| !is_input(path));
        let body = self.body.filter(|path| !is_input(path));
        if headers.is_none() && body.is_none() {
            return Ok(whole(&bytes_of(None)?)?);
        }
        let text = bytes_of(headers.as_deref())?;
        let text = String::from_utf8(text).map_err(|_| {
            Usage("the headers are no text: are --headers and --body swapped?".into())
        })?;
        let headers = if text.trim_start().starts_with('{') {
            headers_of_json(&text)?
        } else {
            headers_of_lines(&text)?
        };
        let body = Bytes::from(bytes_of(body.as_deref())?);
        Ok(Given { request: Received { headers, body }, notes: Vec::new() })
    }
}

fn bytes_of(path: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let (name, source): (String, Box<dyn Read>) = match path {
        Some(path) => {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
            (name, Box::new(file))
        }
        None => ("standard input".to_owned(), Box::new(io::stdin().lock())),
    };
    let mut bytes = Vec::new();
    source
        .take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Usage(format!("{name} is longer than {LIMIT} bytes: no webhook is")).into());
    }
    Ok(bytes)
}

/// A request as it came over the wire.
fn whole(bytes: &[u8]) -> Result<Given, Usage> {
    let Some((head, body)) = split(bytes) else {
        return Err(Usage(
            "no empty line between headers and body: give a whole HTTP request, or name files with --headers and --body"
                .to_owned(),
        ));
    };
    let head = str::from_utf8(head).map_err(|_| Usage("the headers are no text".to_owned()))?;
    let headers = headers_of_lines(head)?;
    let mut notes = Vec::new();
    let of = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let is_chunked = of("transfer-encoding").is_some_and(|how| how.eq_ignore_ascii_case("chunked"));
    let body = match of("content-length").and_then(|length| length.parse::<usize>().ok()) {
        _ if is_chunked => match unchunked(body) {
            Some(joined) => joined,
            None => body.to_vec(),
        },
        Some(length) if length < body.len() => {
            notes.push(format!(
                "{} bytes after the {length} that content-length announces were left out.",
                body.len() - length
            ));
            body[..length].to_vec()
        }
        _ => body.to_vec(),
    };
    Ok(Given { request: Received { headers, body: Bytes::from(body) }, notes })
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        let line_end = at + found + 1;
        for end in [&b"\r\n"[..], b"\n"] {
            if bytes[line_end..].starts_with(end) {
                return Some((&bytes[..line_end], &bytes[line_end + end.len()..]));
            }
        }
        at = line_end;
    }
    None
}

/// The parts of a chunked body, joined; `None` where it is none, so that the text was joined before it was saved.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = str::from_utf8(&rest[..end]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(joined);
        }
        joined.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// `Name: value` by line; a request line before them is passed over.
fn headers_of_lines(text: &str) -> Result<Vec<(String, String)>, Usage> {
    let mut headers = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // Some tools print what they sent behind `> `.
        let line = line.strip_prefix("> ").unwrap_or(line).trim_end();
        if line.is_empty() || (number == 0 && line.contains(" HTTP/")) {
            continue;
        }
        let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_name(name)) else {
            let number = number + 1;
            return Err(Usage(format!("line {number} of the headers is no `Name: value`")));
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(headers)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `{"Name": "value"}`, or lists of values, as frameworks log them.
fn headers_of_json(text: &str) -> Result<Vec<(String, String)>, Usage> {
    let wrong = || Usage("the headers are no JSON object of texts".to_owned());
    let Ok(Value::Object(object)) = serde_json::from_str(text) else { return Err(wrong()) };
    let mut headers = Vec::new();
    for (name, value) in object {
        let name =
            Some(name.to_ascii_lowercase()).filter(|name| is_name(name)).ok_or_else(wrong)?;
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let value = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                _ => return Err(wrong()),
            };
            headers.push((name.clone(), value));
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_came_over_the_wire() {
        let cases: [(&str, &str, usize); 5] = [
            ("POST /x HTTP/1.1\r\nX-A: 1\r\n\r\nbody\n", "body\n", 0),
            ("X-A: 1\n\nbody", "body", 0),
            ("X-A: 1\r\nContent-Length: 4\r\n\r\nbody\n", "body", 1),
            (
                "X-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;q\r\ndy\r\n0\r\n\r\n",
                "body",
                0,
            ),
            ("X-A: 1\r\nTransfer-Encoding: chunked\r\n\r\nbody", "body", 0),
        ];
        for (text, body, notes) in cases {
            let given = whole(text.as_bytes()).unwrap();
            assert_eq!(given.request.body, body.as_bytes(), "{text}");
            assert_eq!(given.request.header("x-a"), Some("1"), "{text}");
            assert_eq!(given.notes.len(), notes, "{text}");
        }
        for text in ["", "X-A: 1\r\n", "X-A 1\r\n\r\n", "\u{1}\n\n"] {
            assert!(whole(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn headers_are_read_as_lines_and_as_json() {
        let expected = [("x-a".to_owned(), "1".to_owned()), ("x-b".to_owned(), "c: d".to_owned())];
        assert_eq!(headers_of_lines("X-A: 1\nx-B:c: d\r\n\n").unwrap(), expected);
        assert_eq!(headers_of_lines("> X-A: 1\n> x-B: c: d").unwrap(), expected);
        assert_eq!(headers_of_json(r#"{"X-A": ["1"], "x-b": "c: d"}"#).unwrap(), expected);
        for wrong in ["{}x", "[]", r#"{"a": null}"#] {
            assert!(headers_of_json(wrong).is_err(), "{wrong}");
        }
    }
}
