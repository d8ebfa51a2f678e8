//! The fields about an endpoint's secret: made here in one of its dialect's forms, or brought along.

use abide_dialects::{Dialect, SecretForm};
use abide_storage::sealing::Secret;
use askama::Template;
use askama::filters::HtmlSafe;

use super::read::{Object, read};
use crate::api::abide::endpoints::input;
use crate::pages::field::{Field, Problems};
use crate::pages::form::Form;

/// What is chosen where a secret is brought along.
const BROUGHT: &str = "brought";

/// The choice of a secret. Written into a template as `{{ secret }}`.
#[derive(Debug, Template)]
#[template(path = "endpoint_secret_fields.html")]
pub(super) struct SecretFields {
    choices: Vec<Choice>,
    brought: Field,
    problem: Option<String>,
}

/// It escapes what it holds by itself.
impl HtmlSafe for SecretFields {}

#[derive(Debug)]
struct Choice {
    value: &'static str,
    label: &'static str,
    meaning: &'static str,
    is_chosen: bool,
}

impl SecretFields {
    /// Of these forms and the one brought along. `chosen` is the value as typed; an unknown one is the first.
    pub(super) fn new(forms: &[SecretForm], chosen: &str, problems: &Problems) -> Self {
        let mut choices: Vec<_> = forms.iter().map(|form| Choice::made(*form)).collect();
        choices.push(Choice {
            value: BROUGHT,
            label: "Bring your own",
            meaning: "One that the receiver has already, or that something else makes.",
            is_chosen: false,
        });
        let place = choices.iter().position(|choice| choice.value == chosen).unwrap_or(0);
        for (at, choice) in choices.iter_mut().enumerate() {
            choice.is_chosen = at == place;
        }
        Self {
            choices,
            brought: Field::password("secret", "Your secret")
                .hinted(
                    "In the form that the dialect's libraries take: for Standard Webhooks whsec_ or whsk_ and base64. Type \
                     it again when this form comes back.",
                )
                .judged(problems),
            problem: problems.of("secret_form").map(str::to_owned),
        }
    }

    /// Whether it is as it is for those who do not care.
    pub(super) fn is_usual(&self) -> bool {
        self.problem.is_none() && self.choices.first().is_some_and(|choice| choice.is_chosen)
    }
}

impl Choice {
    fn made(form: SecretForm) -> Self {
        let (label, meaning) = match form {
            SecretForm::Shared => (
                "A shared secret",
                "Abide makes it, and the receiver verifies with it. What every library can do.",
            ),
            SecretForm::KeyPair => (
                "A key pair",
                "Standard Webhooks alone (v1a, Ed25519): Abide keeps the private key, receivers hold the public one, with \
                 which nobody can sign.",
            ),
        };
        Self { value: form.as_str(), label, meaning, is_chosen: false }
    }
}

/// The secret that a form asks for, judged as the API judges it; without a choice the dialect's usual one.
pub(super) fn judge(
    form: &Form,
    dialect: &dyn Dialect,
    random: &[u8; 32],
    problems: &mut Problems,
) -> Option<Secret> {
    let mut body = Object::default();
    match form.text("secret_form") {
        BROUGHT => body.text("secret", form.text("secret").trim()),
        kind => body.text_if_any("secret_form", kind),
    }
    // The body of a secret is wiped with it.
    let body = Secret::from(body.finish());
    read(body.reveal(), problems, |fields| input::secret(fields, dialect, random))
}
