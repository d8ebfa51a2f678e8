//! `abide listen` and `abide demo`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;

use abide_core::Timestamp;
use abide_core::event::{EventKind, sample};
use abide_core::ids::{EndpointId, EventId};
use abide_core::shell::Clock as _;
use abide_dialects::consentproof::ConsentProof;
use abide_dialects::standard_webhooks::StandardWebhooks;
use abide_dialects::{Content, Dialect as _, Rendered, SecretForm, Signing, WireRequest};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::program::{Lines, PATIENCE, Site, abide, end_of, lines_of, signal};
use crate::receiver::SECRET;
use crate::world::MachineClock;

struct Listener {
    process: Child,
    lines: Lines,
    address: SocketAddr,
}

impl Listener {
    fn start(site: &Site, args: &[&str]) -> Self {
        Self::speaking("consentproof", SECRET, site, args)
    }

    fn speaking(dialect: &str, secret: &str, site: &Site, args: &[&str]) -> Self {
        let listen = ["listen", "--dialect", dialect, "--listen", "127.0.0.1:0", "--json"];
        let mut command = abide(site.path(), &listen);
        command.args(args).env("ABIDE_LISTEN_SECRET", secret).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = lines_of(&mut process);
        let first: Value = serde_json::from_str(&lines.wait_for_text("listening")).unwrap();
        let address = first["listening"].as_str().unwrap().parse().unwrap();
        Self { process, lines, address }
    }

    fn line(&self) -> Value {
        serde_json::from_str(&self.lines.wait_for_text("{")).unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) fn signed(event: &str, secret: &str) -> String {
    let body = format!(r#"{{"id":"{event}","type":"consent.created","data":{{}}}}"#);
    let rendered = Rendered { body: body.into() };
    let endpoint = EndpointId::from_key(1);
    let at = Timestamp::from_millis(0);
    let (event_id, secrets) = (EventId::from_key(1), [Zeroizing::new(secret.to_owned())]);
    let signing = Signing {
        event: event_id,
        endpoint,
        original: None,
        secrets: &secrets,
        at,
        token: [0; 16],
    };
    on_the_wire(&ConsentProof.sign(&rendered, &signing))
}

fn on_the_wire(wire: &WireRequest) -> String {
    let body = std::str::from_utf8(&wire.body).unwrap();
    let headers: Vec<String> =
        wire.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nhost: x\r\n{}content-length: {length}\r\n\r\n{body}",
        headers.concat()
    )
}

/// Sends over one connection, and answers the statuses.
pub(crate) fn statuses(address: SocketAddr, requests: &[String]) -> Vec<String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut statuses = Vec::new();
    for request in requests {
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        statuses.push(String::from_utf8(answer).unwrap()[9..12].to_owned());
    }
    statuses
}

/// P18: verified as a receiver of the contract does, over one connection kept open; duplicates are told apart by id.
#[test]
fn a_receiver_verifies_tells_duplicates_and_answers_as_told() {
    let site = Site::new();
    let listener = Listener::start(&site, &["--status", "202"]);
    let requests = [
        signed("evt_1", SECRET),
        signed("evt_1", SECRET),
        signed("evt_2", SECRET),
        signed("evt_3", "another-secret-of-16"),
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
    ];
    assert_eq!(statuses(listener.address, &requests), ["202", "202", "202", "401", "401"]);
    let lines: Vec<Value> = (0..5).map(|_| listener.line()).collect();
    let ids: Vec<_> = lines.iter().map(|line| line["verified"]["event_id"].as_str()).collect();
    assert_eq!(ids, [Some("evt_1"), Some("evt_1"), Some("evt_2"), None, None]);
    let duplicates: Vec<_> =
        lines.iter().map(|line| line["verified"]["duplicate"].as_bool()).collect();
    assert_eq!(duplicates, [Some(false), Some(true), Some(false), None, None]);
    assert!(lines[3]["refused"]["why"].as_str().unwrap().contains("signature"));
    assert!(lines[4]["refused"]["why"].as_str().unwrap().contains("x-signature"));
}

/// SW-5, SW-8: with the public key alone, an event of each kind verifies; one that was signed long ago does not.
#[test]
fn sw8_a_receiver_of_standard_webhooks_needs_the_public_key_alone() {
    let site = Site::new();
    let secret = StandardWebhooks.new_secret(SecretForm::KeyPair, &[7; 32]);
    let public = StandardWebhooks.public_key(&secret).unwrap();
    let listener = Listener::speaking("standard_webhooks", &public, &site, &[]);
    let secrets = [Zeroizing::new(secret)];
    let signed = |kind, late: i64| {
        let event = sample(kind);
        let at = MachineClock.now().plus_millis(-late);
        let endpoint = EndpointId::from_key(1);
        let signing = Signing {
            event: event.id,
            endpoint,
            original: None,
            secrets: &secrets,
            at,
            token: [0; 16],
        };
        on_the_wire(
            &StandardWebhooks.sign(&StandardWebhooks.render(&Content::Event(&event)), &signing),
        )
    };
    let requests: Vec<String> = EventKind::ALL.map(|kind| signed(kind, 0)).to_vec();
    assert_eq!(statuses(listener.address, &requests), vec!["200"; EventKind::ALL.len()]);
    for kind in EventKind::ALL {
        assert_eq!(listener.line()["verified"]["event_type"], kind.as_str());
    }
    let late = [signed(EventKind::ConsentCreated, 400_000)];
    assert_eq!(statuses(listener.address, &late), ["401"]);
    assert!(listener.line()["refused"]["why"].as_str().unwrap().contains("time"));
}

/// I12: a secret that can verify nothing is refused at once, and not repeated.
#[test]
fn i12_a_receiver_does_not_start_with_a_secret_of_no_use() {
    let site = Site::new();
    let listen = ["listen", "--dialect", "standard_webhooks", "--listen", "127.0.0.1:0"];
    let output =
        abide(site.path(), &listen).env("ABIDE_LISTEN_SECRET", "whsec_hidden").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--secret must be `whsec_`") && !said.contains("hidden"), "{said}");
}

/// A server of one's own: notes each request as it came, and answers the next of these statuses.
fn own_server(answers: &'static [&'static str]) -> (SocketAddr, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut answers = answers.iter();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let text = loop {
                let mut part = [0; 4096];
                let read = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..read]);
                let text = String::from_utf8(request.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let mut lines = head.lines();
                let length = lines.find_map(|line| line.strip_prefix("content-length: "));
                if body.len() == length.unwrap().parse::<usize>().unwrap() {
                    break (head.to_owned(), body.to_owned());
                }
            };
            sender.send(text).unwrap();
            let answer = answers.next().unwrap();
            let answer =
                format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, requests)
}

/// What is passed on is what came, byte for byte, and only what verified; the sender hears what the server answers.
#[test]
fn verified_webhooks_are_passed_on_as_they_came_and_others_are_not() {
    let site = Site::new();
    let (server, requests) = own_server(&["204 No Content", "503 Busy", "302 Found"]);
    let url = format!("http://{server}/hooks/abide?x=1");
    let listener = Listener::start(&site, &["--forward", &url]);
    let sent = [
        signed("evt_1", SECRET),
        signed("evt_2", "another-secret-of-16"),
        signed("evt_1", SECRET),
        signed("evt_3", SECRET),
    ];
    assert_eq!(statuses(listener.address, &sent), ["204", "401", "503", "302"]);
    for request in [&sent[0], &sent[2], &sent[3]] {
        let (head, body) = requests.recv_timeout(PATIENCE).unwrap();
        assert!(head.starts_with("POST /hooks/abide?x=1 HTTP/1.1\r\n"), "{head}");
        let (sent_head, sent_body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, sent_body);
        for header in sent_head.lines().skip(1).filter(|line| !line.starts_with("host: ")) {
            assert!(head.lines().any(|line| line == header), "{header} is not in {head}");
        }
    }
    assert!(requests.try_recv().is_err(), "what did not verify was passed on");
    let lines: Vec<Value> = (0..4).map(|_| listener.line()).collect();
    assert_eq!(lines[0]["verified"]["forwarded"]["status"], 204);
    assert!(lines[0]["verified"]["forwarded"]["millis"].is_u64(), "{}", lines[0]);
    assert!(lines[1]["refused"].is_object(), "{}", lines[1]);
    assert_eq!(lines[2]["verified"]["duplicate"], true);
    assert_eq!(lines[2]["verified"]["status"], 503);
}

#[test]
fn without_an_answer_of_ones_own_server_the_sender_hears_502() {
    let site = Site::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = Listener::start(&site, &["--forward", &format!("http://{gone}/")]);
    assert_eq!(statuses(listener.address, &[signed("evt_1", SECRET)]), ["502"]);
    let line = listener.line();
    assert!(line["verified"]["forwarded"]["status"].is_null(), "{line}");
    let problem = line["verified"]["forwarded"]["problem"].as_str().unwrap();
    assert!(problem.contains("cannot connect"), "{problem}");
    let secret = ["listen", "--dialect", "consentproof", "--secret", SECRET];
    for (more, named) in [
        (&["--forward", "http://app.example/x"][..], "--insecure-http"),
        (&["--forward", "app:3000"], "--forward"),
        (&["--forward", "http://localhost/", "--status", "200"], "--status"),
    ] {
        let (code, problem) = site.refused(&[&secret, more].concat());
        assert_eq!(code, Some(2), "{problem}");
        assert!(problem.contains(named), "{problem}");
    }
}

#[test]
fn a_receiver_reads_no_endless_body_and_ends_when_told() {
    let site = Site::new();
    let mut listener = Listener::start(&site, &[]);
    let mut stream = TcpStream::connect(listener.address).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n").unwrap();
    let (mut sent, part) = (0, vec![b' '; 65_536]);
    // Until the receiver hangs up, which it does long before the end.
    while stream.write_all(&part).is_ok() && sent < 16_000 {
        sent += 1;
    }
    assert!(sent < 16_000, "it read a gigabyte");
    let line = listener.line();
    assert_eq!(line["refused"]["status"], 413);
    signal(&listener.process, "TERM");
    assert_eq!(end_of(&mut listener.process, PATIENCE).unwrap().code(), Some(0));
}

/// P12, P18: the main job, whole: a decision through the API arrives signed at another process and verifies there.
#[test]
fn the_demo_shows_decisions_arriving_and_verifying_and_leaves_nothing() {
    let site = Site::new();
    let temporary = site.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let any = ["demo", "--once", "--listen", "127.0.0.1:0", "--receiver", "127.0.0.1:0"];
    let output = abide(site.path(), &any).env("TMPDIR", &temporary).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for event in ["policy.created", "consent.created", "consent.withdrawn", "consent.batch_created"]
    {
        let arrived = |line: &str| {
            line.contains("receiver: ") && line.contains(event) && line.contains("verified  first")
        };
        assert!(text.lines().any(arrived), "{event}: {text}");
    }
    assert!(text.contains("DEVELOPMENT MODE"));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "the temporary folder stayed");
}

#[test]
fn the_demo_tells_programs_what_it_does_in_json_lines() {
    let site = Site::new();
    let any = ["demo", "--once", "--json", "--listen", "127.0.0.1:0", "--receiver", "127.0.0.1:0"];
    let lines: Vec<Value> =
        site.ask(&any).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["started"]["server"].as_str().unwrap().starts_with("http://127."));
    let count = |name: &str| lines.iter().filter(|line| line[name].is_object()).count();
    assert_eq!((count("called"), count("verified"), count("refused")), (5, 4, 0), "{lines:?}");
}

#[test]
fn the_demo_stays_up_until_it_is_interrupted_and_its_key_works() {
    let site = Site::new();
    let stay = ["demo", "--listen", "127.0.0.1:0", "--receiver", "127.0.0.1:0", "--data", "kept"];
    let mut process = abide(site.path(), &stay).stdout(Stdio::piped()).spawn().unwrap();
    let lines = lines_of(&mut process);
    let url = lines.wait_for_text("curl http://");
    let address = url.split(['/', ' ']).nth(3).unwrap().parse().unwrap();
    let header = lines.wait_for_text("Bearer ");
    let token = header.split(['\'', ' ']).find(|word| word.starts_with("abt_")).unwrap();
    crate::http::Api::new(address, token).consent("by-hand");
    assert!(lines.wait_for_text("receiver: consent.created").contains("verified"));
    signal(&process, "INT");
    assert_eq!(end_of(&mut process, PATIENCE).unwrap().code(), Some(0));
    assert!(site.path().join("kept/abide.db").exists() && site.path().join("kept.key").exists());
}
