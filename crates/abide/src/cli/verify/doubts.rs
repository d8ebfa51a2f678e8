//! Looking closer at a request that does not verify: it is checked again with what commonly happens to requests and
//! secrets undone, one thing at a time. What verifies then, names the cause. Nothing here knows a dialect.

use std::borrow::Cow;

use abide_core::Timestamp;
use abide_dialects::{Dialect, Received, Rejection};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Serialize;

use super::request::Given;

/// Something found.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What it is about: `body`, `secret`, `header`, `time` or `request`.
    about: &'static str,
    /// What it is and what to do, in words.
    pub(super) text: String,
}

fn finding(about: &'static str, text: impl Into<String>) -> Finding {
    Finding { about, text: text.into() }
}

/// Everything that can be told about a rejection.
pub(super) fn look_closer(
    dialect: &dyn Dialect,
    given: &Given,
    secret: &str,
    at: Timestamp,
    rejection: &Rejection,
) -> Vec<Finding> {
    let request = &given.request;
    let mut found: Vec<Finding> =
        given.notes.iter().map(|note| finding("request", note.clone())).collect();
    match rejection {
        Rejection::MissingHeader(name) => found.push(missing(request, name)),
        Rejection::Stale => found.extend(stale(dialect, request, secret, at)),
        Rejection::WrongSignature => {
            found.extend(announced(request));
            found.extend(wrong_signature(dialect, request, secret, at));
        }
        Rejection::Malformed(_) => {}
    }
    found
}

/// A header that is there under another name, or without a value.
fn missing(request: &Received, name: &str) -> Finding {
    let plain = |name: &str| {
        let name = name.to_ascii_lowercase().replace('_', "-");
        name.strip_prefix("http-").map(str::to_owned).unwrap_or(name)
    };
    let similar = request.headers.iter().find(|(given, _)| given != name && plain(given) == name);
    match similar {
        Some((given, _)) => finding(
            "header",
            format!(
                "It is there as `{given}`: a proxy or a framework renamed it. Use the names of the wire."
            ),
        ),
        None if request.headers.is_empty() => {
            finding("header", "There are no headers at all: save them together with the body.")
        }
        None => finding(
            "header",
            format!(
                "{} other headers are there. Is it a webhook of this dialect, and does a proxy let `{name}` through?",
                request.headers.len()
            ),
        ),
    }
}

/// How old it is, and whether its age is all that is wrong.
fn stale(
    dialect: &dyn Dialect,
    request: &Received,
    secret: &str,
    at: Timestamp,
) -> Option<Finding> {
    // Whatever the dialect's header for it: a number in some header at which the request is not stale.
    let signed = times(request).find_map(|signed| {
        let judged = dialect.verify(request, secret, signed);
        (!matches!(judged, Err(Rejection::Stale))).then_some((signed, judged))
    });
    let (signed, judged) = signed?;
    let apart = at.millis_since(signed) / 1000;
    let how = if apart >= 0 {
        format!("It was signed {} before", span(apart))
    } else {
        format!("It was signed {} after", span(-apart))
    };
    let rest = match judged {
        Ok(_) => "Nothing else is wrong with it: an old request is checked with --at.".to_owned(),
        Err(other) => format!("And at that time, too: {other}."),
    };
    let times = format!("{} against {}", signed.to_seconds_text(), at.to_seconds_text());
    let clock = if apart >= 0 { "" } else { " Is this machine's clock right?" };
    Some(finding("time", format!("{how} the time of the check ({times}).{clock} {rest}")))
}

/// Unix times in headers: whole values, and numbers within them.
fn times(request: &Received) -> impl Iterator<Item = Timestamp> {
    let values = request.headers.iter().map(|(_, value)| value);
    let numbers = values.flat_map(|value| value.split(|c: char| !c.is_ascii_digit()));
    numbers.filter_map(|digits| {
        let number: i64 = digits.parse().ok()?;
        match digits.len() {
            9..=11 => Some(Timestamp::from_millis(number * 1000)),
            12..=14 => Some(Timestamp::from_millis(number)),
            _ => None,
        }
    })
}

/// `4 min 10 s`.
fn span(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} days {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// What the headers say of the body, against what it is.
fn announced(request: &Received) -> Option<Finding> {
    let length: usize = request.header("content-length")?.parse().ok()?;
    let found = request.body.len();
    (length != found).then(|| {
        let text = format!(
            "The body has {found} bytes, and content-length announces {length}: it was cut or changed before it was saved."
        );
        finding("body", text)
    })
}

fn wrong_signature(
    dialect: &dyn Dialect,
    request: &Received,
    secret: &str,
    at: Timestamp,
) -> Vec<Finding> {
    let secrets = secrets(secret);
    let bodies = bodies(&request.body);
    let as_given = std::iter::once(None);
    for secret_change in as_given.clone().chain(secrets.iter().map(Some)) {
        for body_change in as_given_body(&bodies) {
            let secret = secret_change.map_or(secret, |change| &change.value);
            let body = body_change.map_or(&request.body, |change| &change.value);
            let changed = Received { headers: request.headers.clone(), body: body.clone() };
            if !is_signed(dialect, &changed, secret, at) {
                continue;
            }
            let body = body_change.map(|change| finding("body", change.text));
            let secret = secret_change.map(|change| finding("secret", change.text));
            return body.into_iter().chain(secret).collect();
        }
    }
    vec![unexplained(dialect, request, secret)]
}

fn as_given_body(bodies: &[Change<Bytes>]) -> impl Iterator<Item = Option<&Change<Bytes>>> {
    std::iter::once(None).chain(bodies.iter().map(Some))
}

/// Whether the signature is right, whatever else is wrong.
fn is_signed(dialect: &dyn Dialect, request: &Received, secret: &str, at: Timestamp) -> bool {
    let judged = dialect.verify(request, secret, at);
    !matches!(judged, Err(Rejection::WrongSignature | Rejection::MissingHeader(_)))
}

fn unexplained(dialect: &dyn Dialect, request: &Received, secret: &str) -> Finding {
    let encoded = request.header("content-encoding").is_some_and(|how| how != "identity");
    if encoded {
        return finding(
            "body",
            "It has a content-encoding: Abide sends none, so a proxy packed it. Verify the bytes before that.",
        );
    }
    if request.body.is_empty() {
        return finding("body", "The body is empty: most frameworks hand it out only once.");
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(&request.body).is_err()
        && request.header("content-type").is_some_and(|kind| kind.contains("json"))
    {
        return finding(
            "body",
            "The body is no whole JSON: it was cut or changed before it was saved.",
        );
    }
    if let Err(why) = dialect.check_held(secret) {
        let text = format!("What was given is nothing that this dialect verifies by: it {why}.");
        return finding("secret", text);
    }
    finding(
        "secret",
        "No usual change of body or secret explains it. Most likely it is another webhook's secret, or one that was \
         replaced: each webhook has its own, shown when it is created.",
    )
}

/// Something undone, and what to say if that was it.
struct Change<T> {
    value: T,
    text: &'static str,
}

fn secrets(secret: &str) -> Vec<Change<Cow<'_, str>>> {
    let trimmed = secret.trim();
    let unquoted = trimmed.trim_matches(['"', '\'']);
    let mut changes = Vec::new();
    let mut add = |value: Cow<'static, str>, text| changes.push((value, text));
    add(
        trimmed.to_owned().into(),
        "The secret that was given has spaces or line breaks around it: take them off.",
    );
    add(
        unquoted.to_owned().into(),
        "The secret that was given has quotation marks around it: take them off.",
    );
    if let Some((_, rest)) = unquoted.split_once('=') {
        add(
            rest.trim_matches(['"', '\'']).to_owned().into(),
            "The secret that was given is a whole `NAME=value` line: give the value alone.",
        );
    }
    match unquoted.strip_prefix("whsec_") {
        Some(bare) => {
            add(
                bare.to_owned().into(),
                "It is signed with the secret without its prefix `whsec_`.",
            );
        }
        None => add(
            format!("whsec_{unquoted}").into(),
            "The prefix `whsec_` is missing from the secret that was given: it is part of the secret.",
        ),
    }
    let given = |value: &Cow<'_, str>| value == secret;
    let changes = changes.into_iter().filter(|(value, _)| !given(value) && !value.is_empty());
    changes.map(|(value, text)| Change { value, text }).collect()
}

fn bodies(body: &Bytes) -> Vec<Change<Bytes>> {
    let mut changes: Vec<Change<Bytes>> = Vec::new();
    let mut add = |value: Option<Vec<u8>>, text| {
        if let Some(value) = value.filter(|value| value != body) {
            changes.push(Change { value: Bytes::from(value), text });
        }
    };
    let text = str::from_utf8(body).ok();
    add(
        Some(body.trim_ascii_end().to_vec()),
        "A line break or space was added at the body's end, as editors and `echo` do. Verify the bytes as received.",
    );
    for end in ["\n", "\r\n"] {
        let longer = [body, end.as_bytes()].concat();
        add(
            Some(longer),
            "The line break at the body's end was lost. Verify the bytes as received.",
        );
    }
    add(
        body.strip_prefix("\u{feff}".as_bytes()).map(<[u8]>::to_vec),
        "A byte order mark was put before the body. Verify the bytes as received.",
    );
    add(
        text.map(|text| text.replace("\r\n", "\n").into_bytes()),
        "The body's line breaks were changed to CRLF. Verify the bytes as received.",
    );
    add(
        text.map(|text| text.replace('\n', "\r\n").into_bytes()),
        "The body's line breaks were changed to LF. Verify the bytes as received.",
    );
    add(
        text.and_then(twice_encoded),
        "The body's characters were encoded a second time (UTF-8 read as Latin-1). Verify the bytes as received.",
    );
    add(
        text.and_then(|text| BASE64_STANDARD.decode(text.trim()).ok()),
        "The body is in base64, as gateways hand it over. Decode it, then verify.",
    );
    add(
        text.and_then(|text| serde_json::from_str::<String>(text).ok()).map(String::into_bytes),
        "The body was written as a JSON text of itself, in quotation marks. Verify the bytes as received.",
    );
    add(
        text.map(|text| compact(text.trim_start_matches('\u{feff}').trim())),
        "The JSON was parsed and written anew: same content, other bytes. Verify the bytes as received, before parsing.",
    );
    changes
}

/// The bytes behind characters that are each one byte.
fn twice_encoded(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// JSON without space between its parts, and with each text escaped no more than needed: the form in which Abide writes.
/// The order of the parts stays.
fn compact(json: &str) -> Vec<u8> {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(c) = rest.chars().next() {
        let part = if c == '"' { text_at(rest) } else { &rest[..c.len_utf8()] };
        rest = &rest[part.len()..];
        if c == '"' {
            let again =
                serde_json::from_str(part).and_then(|text: String| serde_json::to_string(&text));
            out.push_str(again.as_deref().unwrap_or(part));
        } else if !c.is_ascii_whitespace() {
            out.push(c);
        }
    }
    out.into_bytes()
}

/// From a quotation mark to the one that ends it.
fn text_at(json: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return &json[..=at],
            _ => {}
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_brought_to_the_form_in_which_it_was_written() {
        for (changed, first) in [
            ("{ \"a\" : [1, 2 ],\n \"b\": \"x y\" }", r#"{"a":[1,2],"b":"x y"}"#),
            (r#"{"a":"\u00e4\/\u003c\"\\"}"#, r#"{"a":"ä/<\"\\"}"#),
            (r#"{"a":"unended"#, r#"{"a":"unended"#),
            (r#"{"a":1.0,"b":"é"}"#, r#"{"a":1.0,"b":"é"}"#),
        ] {
            assert_eq!(String::from_utf8(compact(changed)).unwrap(), first, "{changed}");
        }
    }

    #[test]
    fn times_are_found_in_whatever_header() {
        let headers = [("a", "1705314600"), ("b", "t=1705314601000,v1=00ff"), ("c", "12")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let found: Vec<i64> =
            times(&Received { headers, body: Bytes::new() }).map(Timestamp::as_seconds).collect();
        assert_eq!(found, [1_705_314_600, 1_705_314_601]);
        assert_eq!(span(59), "59 s");
        assert_eq!(span(600), "10 min 0 s");
        assert_eq!(span(7_260), "2 h 1 min");
        assert_eq!(span(90_000), "1 days 1 h");
    }
}
