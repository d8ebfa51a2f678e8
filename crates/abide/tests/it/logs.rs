//! What a run logs at its most talkative.

use serde_json::json;

use crate::http::Api;
use crate::program::Site;
use crate::receiver::{Receiver, SECRET};

/// What must not be found, each in a form that no id or digest has by chance.
const PERSONAL: [&str; 8] = [
    "margarethe",
    "Quittenbaum",
    "203.0.113.77",
    "Heckenschere",
    "purpose-xyzzy",
    "geheimer-pfad",
    "abt_forged",
    "kaputt-margarine",
];

/// I11, I12: at trace level, through success, refusal, broken input, failed delivery, erasing and a crash, no log line
/// holds a secret or a personal datum.
#[test]
fn logs_hold_no_secret_and_nothing_personal() {
    let site = Site::new();
    let receiver = Receiver::start();
    let mut secrets = vec![SECRET.to_owned()];
    for level in ["trace", "trace,abide=trace"] {
        let server = site.serve_with(&["--log", level]);
        let key = site.admin_key();
        let api = server.api(&key);
        api.subscribe(receiver.address, SECRET);
        let nobody = json!({"url": "http://127.0.0.1:1/geheimer-pfad", "events": ["*"]});
        let (status, answer) = api.post("/v1/webhooks", &nobody);
        assert_eq!(status, 201, "{answer}");
        secrets.push(answer["data"]["secret"].as_str().unwrap().to_owned());
        let consent = json!({
            "subject_id": "margarethe", "subject_email": "m@Quittenbaum.example",
            "consent_type": "purpose-xyzzy", "granted": true,
            "metadata": {"ip_address": "203.0.113.77", "note": "Heckenschere"},
        });
        let (status, answer) = api.post("/v1/consent", &consent);
        assert_eq!(status, 201, "{answer}");
        receiver.next();
        let id = answer["data"]["id"].as_str().unwrap();
        api.post(&format!("/v1/consent/{id}/withdraw"), &json!({}));
        receiver.next();
        for broken in [
            "{\"subject_id\": \"margarethe",
            "[\"kaputt-margarine\"]",
            "{\"granted\": \"Heckenschere\"}",
        ] {
            assert_eq!(api.call("POST", "/v1/consent", broken).unwrap().0, 400, "{broken}");
        }
        api.get("/v1/consent/margarethe?email=m@Quittenbaum.example");
        assert_eq!(Api::new(server.address, "abt_forged").get("/v1/webhooks").0, 401);
        let minted = site.ask(&["keys", "create", "--name", "Heckenschere", "--json"]);
        let minted: serde_json::Value = serde_json::from_str(&minted).unwrap();
        for key in [&key, &minted] {
            secrets.push(key["api_secret"].as_str().unwrap()[4..].to_owned());
        }
        site.ask(&["subjects", "erase", "--reference", "margarethe"]);
        site.ask(&["master-key", "add"]);
        site.ask(&["master-key", "rotate"]);
        server.kill();
        site.serve_with(&["--log", level]).stop();
    }
    let key_file = std::fs::read_to_string(site.key_file()).unwrap();
    let master_keys = key_file.lines().filter_map(|line| line.split(' ').nth(1));
    secrets.extend(master_keys.filter(|key| key.len() == 44).map(str::to_owned));
    let log = site.log();
    assert!(log.contains("\"TRACE\"") || log.contains("\"DEBUG\""), "nothing was logged: {log}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("a log line is JSON");
        for text in PERSONAL.iter().copied().chain(secrets.iter().map(String::as_str)) {
            assert!(!line.contains(text), "`{text}` is in the log: {line}");
        }
    }
}
