//! What the demo does through the API, and which webhook each deed must bring.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::api::Api;
use super::receiver::Receiver;

/// Plays the samples one after the other, each up to its webhook.
pub(super) async fn play(api: &Api, receiver: &mut Receiver) -> anyhow::Result<()> {
    let webhook = format!(
        r#"{{"url": "http://{}/webhooks/consentproof", "events": ["*"], "secret": "{}"}}"#,
        receiver.address(),
        receiver.secret(),
    );
    deed(api, "Subscribe the receiver to everything", "/v1/webhooks", &webhook).await?;

    let policy = r#"{"policyType": "marketing_consent", "version": "2026-01", "title": "News by e-mail",
    "content": "We write to you about our products at most once a week.", "effectiveDate": "2026-01-01T00:00:00Z"}"#;
    let policy = deed(api, "Publish the text that people agree to", "/v1/policies", policy).await?;
    receiver.print_until("policy.created").await?;

    let grant = format!(
        r#"{{"subject_id": "user_123", "subject_email": "user@example.com", "policy_id": "{policy}",
    "consent_type": "marketing", "granted": true, "metadata": {{"ip_address": "192.168.1.1", "source": "signup_form"}}}}"#
    );
    let consent = deed(api, "Somebody agrees", "/v1/consent", &grant).await?;
    receiver.print_until("consent.created").await?;

    let withdraw = format!("/v1/consent/{consent}/withdraw");
    deed(api, "... and takes it back", &withdraw, "{}").await?;
    receiver.print_until("consent.withdrawn").await?;

    let batch = r#"{"consents": [
    {"subject_id": "user_124", "consent_type": "marketing", "granted": true},
    {"subject_id": "user_125", "consent_type": "marketing", "granted": false},
    {"subject_id": "user_126", "consent_type": "analytics", "granted": true}]}"#;
    deed(api, "Three decisions at once", "/v1/consent/batch", batch).await?;
    receiver.print_until("consent.batch_created").await
}

/// Posts, shows what was sent and answered, and answers the id of what was made, if it has one.
async fn deed(api: &Api, title: &str, path: &str, json: &str) -> anyhow::Result<String> {
    api.voice.tell(format_args!("\n{title}\n\n  POST {path}\n    {json}"));
    let (status, text) = api.post(path, json).await?;
    api.voice.note(&json!({"called": {"path": path, "status": status}}));
    api.voice.tell(format_args!("  answer {status}\n    {text}"));
    let answer: Value = serde_json::from_str(&text).context("the answer is no JSON")?;
    Ok(answer["data"]["id"].as_str().unwrap_or_default().to_owned())
}
