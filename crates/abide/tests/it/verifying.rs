//! `abide verify`, and the completions beside it.

use std::fs;
use std::io::Write as _;
use std::process::{Output, Stdio};

use abide_core::Timestamp;
use abide_core::ids::{EndpointId, EventId};
use abide_dialects::standard_webhooks::StandardWebhooks;
use abide_dialects::{Dialect as _, Rendered, SecretForm, Signing};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::listening::signed;
use crate::program::{Site, abide};
use crate::receiver::SECRET;

fn verify(site: &Site, secret: &str, args: &[&str], input: &[u8]) -> Output {
    let mut command = abide(site.path(), &["verify", "--dialect", "consentproof"]);
    command.args(args).env("ABIDE_VERIFY_SECRET", secret);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A command that refuses its flags reads nothing.
    drop(process.stdin.take().unwrap().write_all(input));
    process.wait_with_output().unwrap()
}

/// The exit code and the report.
fn report(site: &Site, secret: &str, input: &str) -> (Option<i32>, Value) {
    let output = verify(site, secret, &["--json"], input.as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    for shown in [&text, &String::from_utf8(output.stderr).unwrap()] {
        assert!(!shown.contains(secret.trim()), "a secret is shown: {shown}");
        assert!(!shown.contains("consent.created") || text.contains("true"), "{shown}");
    }
    (output.status.code(), serde_json::from_str(&text).unwrap())
}

/// P18: what was signed verifies, whole or from files, and says what it is.
#[test]
fn what_was_signed_verifies_from_standard_input_and_from_files() {
    let site = Site::new();
    let request = signed("evt_1", SECRET);
    let (code, shown) = report(&site, SECRET, &request);
    assert_eq!(code, Some(0));
    assert_eq!((&shown["verified"], &shown["event_id"]), (&true.into(), &"evt_1".into()));

    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    fs::write(site.path().join("headers"), head).unwrap();
    fs::write(site.path().join("body"), body).unwrap();
    fs::write(site.path().join("secret"), format!("{SECRET}\n")).unwrap();
    for (args, input) in [
        (&["--headers", "headers", "--body", "body"][..], ""),
        (&["--headers", "headers"], body),
        (&["--body", "body"], head),
    ] {
        let output = verify(&site, SECRET, args, input.as_bytes());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!((output.status.code(), &*text), (Some(0), "verified: consent.created evt_1\n"));
    }
    let by_file = ["verify", "--dialect", "consentproof", "--secret-file", "secret"];
    let told = site.ask_with_input(&by_file, &request);
    assert_eq!(told, "verified: consent.created evt_1\n");
}

/// What commonly happens to requests is told apart, in words that show no body and no secret.
#[test]
fn what_is_wrong_is_said_in_plain_words() {
    let site = Site::new();
    let request = signed("evt_1", SECRET);
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let with_body = |body: &str| {
        let head = request.split_once("\r\n\r\n").unwrap().0;
        let head: Vec<&str> =
            head.lines().filter(|line| !line.starts_with("content-length")).collect();
        format!("{}\r\n\r\n{body}", head.join("\r\n"))
    };
    let pretty = body.replace("{\"id\"", "{ \"id\"").replace(':', ": ");
    assert_ne!(pretty, body);
    let quoted = serde_json::to_string(body).unwrap();
    let bare = SECRET.strip_prefix("whsec_").unwrap();
    let cases = [
        (SECRET, request.replace("x-signature", "x_signature"), "header", "`x_signature`"),
        (SECRET, "GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "header", "1 other headers"),
        (SECRET, with_body(&format!("{body}\n")), "body", "line break or space was added"),
        (SECRET, with_body(&format!("\u{feff}{body}")), "body", "byte order mark"),
        (SECRET, with_body(&pretty), "body", "parsed and written anew"),
        (SECRET, with_body(&quoted), "body", "in quotation marks"),
        (SECRET, with_body(""), "body", "empty"),
        (SECRET, request[..request.len() - 1].to_owned(), "body", "content-length announces"),
        (bare, request.clone(), "secret", "prefix `whsec_` is missing"),
        (&format!(" {SECRET}"), request.clone(), "secret", "spaces or line breaks"),
        (&format!("'{SECRET}'"), request.clone(), "secret", "quotation marks"),
        ("another-secret-of-16", request.clone(), "secret", "another webhook's secret"),
    ];
    for (secret, request, about, words) in cases {
        let (code, shown) = report(&site, secret, &request);
        assert_eq!((code, &shown["verified"]), (Some(1), &false.into()), "{words}: {shown}");
        let told = shown["findings"].as_array().unwrap().iter().any(|finding| {
            finding["about"] == about && finding["text"].as_str().unwrap().contains(words)
        });
        assert!(told, "{words}: {shown}");
    }
}

/// SW-3: the time is signed with id and body. Old requests are refused, and how old they are is said; with the time of their receipt they verify.
#[test]
fn an_old_request_is_told_from_a_wrong_one() {
    let site = Site::new();
    let secret = StandardWebhooks.new_secret(SecretForm::Shared, &[7; 32]);
    let (event, at) = (EventId::from_key(1 << 40), Timestamp::from_millis(1_705_314_600_000));
    let rendered = Rendered { body: r#"{"type":"consent.created","data":{}}"#.into() };
    let (endpoint, secrets) = (EndpointId::from_key(1), [Zeroizing::new(secret.clone())]);
    let signing =
        Signing { event, endpoint, original: None, secrets: &secrets, at, token: [0; 16] };
    let wire = StandardWebhooks.sign(&rendered, &signing);
    let lines = wire.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
    let request = format!("{}\n{}", lines.collect::<String>(), str::from_utf8(&wire.body).unwrap());
    let verify = |request: &str, at: &str| {
        let args = ["verify", "--dialect", "standard_webhooks", "--json", "--at", at];
        let mut command = abide(site.path(), &args);
        command.env("ABIDE_VERIFY_SECRET", &secret).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
        let output = process.wait_with_output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let (code, shown) = verify(&request, "2024-01-15T10:32:00Z");
    assert_eq!((code, &shown["event_id"]), (Some(0), &event.to_string().into()), "{shown}");
    for (at, words) in [
        ("2024-01-15T12:45:00Z", "signed 2 h 15 min before"),
        ("1705313000", "signed 26 min 40 s after"),
    ] {
        let (code, shown) = verify(&request, at);
        let text = shown["findings"][0]["text"].as_str().unwrap();
        assert_eq!(code, Some(1), "{shown}");
        assert!(text.contains(words) && text.contains("Nothing else is wrong"), "{shown}");
    }
    let (code, shown) = verify(&format!("{request} "), "2024-01-15T10:32:00Z");
    let text = shown["findings"][0]["text"].as_str().unwrap();
    assert!(code == Some(1) && text.contains("at the body's end"), "{shown}");
}

#[test]
fn a_wrong_call_is_told_from_a_wrong_request() {
    let site = Site::new();
    let request = signed("evt_1", SECRET);
    for (args, input, named) in [
        (&["--at", "yesterday"][..], &*request, "RFC 3339"),
        (&["--body", "missing"], "X-A: 1\n", "missing"),
        (&[], "no request", "empty line"),
    ] {
        let output = verify(&site, SECRET, args, input.as_bytes());
        let told = String::from_utf8(output.stderr).unwrap();
        let code = if named == "missing" { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        assert!(told.contains(named), "{args:?}: {told}");
    }
    let (code, told) = site.refused(&["verify", "--dialect", "consentproof"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("--secret-file"), "{told}");
    let (code, told) = site.refused(&["verify", "--dialect", "morse", "--secret-file", "x"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("consentproof"), "{told}");
}

#[test]
fn each_shell_gets_completions_of_all_commands() {
    let site = Site::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = site.ask(&["completions", shell]);
        for word in ["master-key", "verify", "allow-network"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    assert_eq!(site.refused(&["completions", "ed"]).0, Some(2));
    let help = site.ask(&["--help"]);
    assert!(help.contains("Exit codes: 0 done"), "{help}");
}
