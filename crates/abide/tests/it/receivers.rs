//! The receivers that we hand out, each as a process of its own, against real deliveries: what is copied has to work
//! unchanged. They verify with their languages' own cryptography, so they also check ours.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use abide_core::delivery::DeliveryState;
use abide_core::event::{Event, EventKind, sample};
use abide_core::ids::{EndpointId, EventId};
use abide_core::shell::{Clock as _, draw};
use abide_dialects::{
    Content, CopyableReceiver, Dialect, SecretForm, SignedBy, Signing, WireRequest, all, receivers,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::program::{Lines, PATIENCE, lines_of, lines_of_errors};
use crate::world::{Dice, MachineClock, World};

/// A receiver that runs; ends with this value.
struct Running {
    process: Child,
    lines: Lines,
    errors: Lines,
    address: SocketAddr,
    _folder: TempDir,
}

impl Running {
    /// The program as it lies in the repository, told by variables.
    fn told(receiver: &CopyableReceiver, secret: &str) -> Self {
        let variables = [("WEBHOOK_SECRET", secret), ("PORT", "0")];
        Self::start(receiver, receiver.source, &variables)
    }

    /// The program with its values filled in, as an endpoint's owner is shown it.
    fn filled_in(receiver: &CopyableReceiver, secret: &str) -> Self {
        Self::start(receiver, &receiver.filled_in(secret, 0), &[])
    }

    fn start(receiver: &CopyableReceiver, source: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(receiver.file), source).unwrap();
        let mut words = receiver.command.split(' ');
        let mut process = Command::new(words.next().unwrap())
            .args(words)
            .current_dir(folder.path())
            .env_remove("WEBHOOK_SECRET")
            .env_remove("PORT")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", receiver.command));
        let (lines, errors) = (lines_of(&mut process), lines_of_errors(&mut process));
        let first = lines.wait_for_text("listening on http://");
        let address = first.rsplit('/').next().unwrap().parse().unwrap();
        Self { process, lines, errors, address, _folder: folder }
    }

    /// Posts a request and answers the status.
    fn post(&self, request: &WireRequest) -> u16 {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let headers: Vec<String> =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (headers, length) = (headers.concat(), request.body.len());
        let head =
            format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), &request.body].concat()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// SW-8, P18: Node.js.
#[tokio::test]
async fn sw8_the_node_receivers_take_real_deliveries() {
    every_case("Node.js").await;
}

/// SW-8, P18: Python.
#[tokio::test]
async fn sw8_the_python_receivers_take_real_deliveries() {
    every_case("Python").await;
}

/// SW-8, P18: Ruby.
#[tokio::test]
async fn sw8_the_ruby_receivers_take_real_deliveries() {
    every_case("Ruby").await;
}

/// Every dialect's receiver in that language, with every form of secret.
async fn every_case(language: &str) {
    let world = World::new().await;
    for dialect in all() {
        let receiver = receivers(dialect.name()).iter().find(|known| known.language == language);
        let receiver = receiver.expect("every dialect has one in each language");
        for form in dialect.secret_forms() {
            let case = Case::new(*dialect, receiver, *form);
            case.takes_a_delivery(&world).await;
            case.tells_duplicates_and_refuses_what_is_not_signed();
            case.refuses_under_another_secret(&world).await;
        }
    }
}

struct Case {
    dialect: &'static dyn Dialect,
    receiver: &'static CopyableReceiver,
    name: String,
    /// What Abide signs with.
    secret: String,
    /// What the receiver verifies with.
    held: String,
}

impl Case {
    fn new(
        dialect: &'static dyn Dialect,
        receiver: &'static CopyableReceiver,
        form: SecretForm,
    ) -> Self {
        let secret = dialect.new_secret(form, &draw(&Dice));
        let held = dialect.public_key(&secret).unwrap_or_else(|| secret.clone());
        let name = format!("{}/{} {}", dialect.name(), receiver.file, form.as_str());
        Self { dialect, receiver, name, secret, held }
    }

    /// SW-6: also while the secret is being replaced, where the dialect lets both sign.
    async fn takes_a_delivery(&self, world: &World) {
        let running = Running::told(self.receiver, &self.held);
        let endpoint = world.endpoint(self.dialect, running.address, &self.secret).await;
        let person = world.record().await;
        let delivery = world.settled(endpoint, 1).await;
        assert_eq!(delivery.state, DeliveryState::Delivered, "{}", self.name);
        assert_eq!(delivery.attempts[0].status, Some(204), "{}", self.name);
        let line = running.lines.wait_for_text("verified");
        assert_eq!(line, format!("consent.created {} verified", delivery.event), "{}", self.name);
        assert!(!line.contains(&person), "{line}");
        if self.dialect.signed_by() == SignedBy::EveryLive {
            world.replace_secret(self.dialect, endpoint).await;
            world.record().await;
            let next = world.settled(endpoint, 2).await;
            assert_eq!(next.state, DeliveryState::Delivered, "{}", self.name);
            running.lines.wait_for_text(&next.event.to_string());
        }
        world.delete(endpoint).await;
    }

    fn tells_duplicates_and_refuses_what_is_not_signed(&self) {
        let running = Running::told(self.receiver, &self.held);
        let now = MachineClock.now();
        let sample = |number: i64| Event {
            id: EventId::from_key((now.as_millis() << 21) | number),
            ..sample(EventKind::ConsentWithdrawn)
        };
        let signed = |event: &Event, late_millis: i64| {
            let secrets = [Zeroizing::new(self.secret.clone())];
            let (endpoint, at) = (EndpointId::from_key(1), now.plus_millis(-late_millis));
            let signing = Signing {
                event: event.id,
                endpoint,
                original: None,
                secrets: &secrets,
                at,
                token: [0; 16],
            };
            self.dialect.sign(&self.dialect.render(&Content::Event(event)), &signing)
        };
        let first = signed(&sample(1), 0);
        assert_eq!(running.post(&first), 204, "{}", self.name);
        assert!(running.lines.wait_for_text("consent.withdrawn").ends_with(" verified"));
        assert_eq!(running.post(&first), 204, "{}", self.name);
        assert!(running.lines.wait_for_text("consent.withdrawn").ends_with(" duplicate"));

        let mut changed = signed(&sample(2), 0);
        changed.body = [&changed.body[..], b" "].concat().into();
        assert_eq!(running.post(&changed), 401, "{}", self.name);
        running.errors.wait_for_text("refused: ");
        let mut bare = signed(&sample(3), 0);
        bare.headers.retain(|(name, _)| !name.contains("signature"));
        assert_eq!(running.post(&bare), 401, "{}", self.name);
        running.errors.wait_for_text("refused: ");
        // ConsentProof does not sign the time, so nothing can be built on it.
        let late = if self.dialect.name() == "consentproof" { 204 } else { 401 };
        assert_eq!(running.post(&signed(&sample(4), 301_000)), late, "{}", self.name);
        let early = running.post(&signed(&sample(5), -330_000));
        assert_eq!(early, late, "{}", self.name);
    }

    /// The failure is recorded, and the next attempt has its time.
    async fn refuses_under_another_secret(&self, world: &World) {
        let running = Running::filled_in(self.receiver, &one_character_changed(&self.held));
        let endpoint = world.endpoint(self.dialect, running.address, &self.secret).await;
        world.record().await;
        let delivery = world.settled(endpoint, 1).await;
        assert_eq!(delivery.attempts[0].status, Some(401), "{}", self.name);
        assert_eq!(delivery.state, DeliveryState::Pending, "{}", self.name);
        assert!(delivery.due_at.is_some(), "{}", self.name);
        running.errors.wait_for_text("refused: ");
        world.delete(endpoint).await;
    }
}

/// Another secret of the same form.
fn one_character_changed(secret: &str) -> String {
    let place = secret.len() / 2;
    let other = if &secret[place..=place] == "a" { "b" } else { "a" };
    format!("{}{other}{}", &secret[..place], &secret[place + 1..])
}

/// I12: without a secret, or with the private half of a key pair, a receiver says what it wants and does not start.
#[test]
fn i12_a_receiver_does_not_start_without_a_secret_or_with_a_private_key() {
    let folder = tempfile::tempdir().unwrap();
    for dialect in all() {
        for receiver in receivers(dialect.name()) {
            fs::write(folder.path().join(receiver.file), receiver.source).unwrap();
            let mut wrong = vec![None];
            if dialect.secret_forms().contains(&SecretForm::KeyPair) {
                wrong.push(Some(dialect.new_secret(SecretForm::KeyPair, &draw(&Dice))));
            }
            for secret in wrong {
                let mut words = receiver.command.split(' ');
                let mut command = Command::new(words.next().unwrap());
                command.args(words).current_dir(folder.path()).env("PORT", "0");
                command.env_remove("WEBHOOK_SECRET").envs(secret.map(|it| ("WEBHOOK_SECRET", it)));
                let output = command.output().unwrap();
                let said = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(1), "{} {said}", receiver.command);
                assert!(said.starts_with("Set WEBHOOK_SECRET to "), "{said}");
                assert!(!said.contains("whsk_"), "{said}");
            }
        }
    }
}
