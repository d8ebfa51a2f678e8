//! Where settings come from, and what is said of wrong ones.

use std::fs;

use crate::program::{Site, abide};

#[test]
fn a_flag_wins_over_its_variable_that_over_the_file_that_over_the_default() {
    let site = Site::new();
    fs::write(site.path().join("abide.toml"), "listen = \"127.0.0.2:0\"\nlog = \"warn\"\n")
        .unwrap();
    let ip = |args: &[&str], variable: Option<&str>| {
        let mut command = abide(site.path(), &["serve"]);
        command.args(args);
        if let Some(variable) = variable {
            command.env("ABIDE_LISTEN", variable);
        }
        let server = site.start(&mut command);
        let ip = server.address.ip().to_string();
        server.stop();
        ip
    };
    let file = ["--config", "abide.toml"];
    assert_eq!(ip(&file, None), "127.0.0.2");
    assert_eq!(ip(&file, Some("127.0.0.3:0")), "127.0.0.3");
    let flag = ["--config", "abide.toml", "--listen", "127.0.0.4:0"];
    assert_eq!(ip(&flag, Some("127.0.0.3:0")), "127.0.0.4");
}

#[test]
fn wrong_settings_are_named_and_exit_with_2() {
    let site = Site::new();
    let file = site.path().join("abide.toml");
    for (text, named) in [("lisen = \"x\"", "`lisen`"), ("listen = 1", "listen"), ("=", "line 1")] {
        fs::write(&file, text).unwrap();
        let (code, problem) = site.refused(&["serve", "--config", "abide.toml"]);
        assert_eq!(code, Some(2), "{problem}");
        assert!(problem.contains("abide.toml") && problem.contains(named), "{problem}");
    }
    for args in [
        &["serve", "--config", "none.toml"][..],
        &["serve", "--listen", "nowhere"],
        &["serve", "--drain-seconds", "4000"],
        &["serve", "--allow-network", "10.0.0.0/99"],
        &["serve", "--log", "loud"],
        &["serve", "--public-url", "abide.example.org"],
        &["serve", "--trusted-proxy", "everybody"],
        &["serve", "--nonsense"],
        &["listen", "--dialect", "morse", "--secret", "a-secret-long-enough"],
        &["nonsense"],
        &[],
    ] {
        assert_eq!(site.refused(args).0, Some(2), "{args:?}");
    }
    for (flag, wanted) in [
        ("--listen", "such as 127.0.0.1:8420"),
        ("--allow-network", "such as 10.20.0.0/16"),
        ("--trusted-proxy", "such as 10.20.0.0/16"),
    ] {
        let (_, problem) = site.refused(&["serve", flag, "nonsense"]);
        assert!(problem.contains(flag) && problem.contains(wanted), "{problem}");
    }
    assert!(!site.data().exists());
}

#[test]
fn help_shows_every_variable() {
    let help = Site::new().ask(&["serve", "--help"]);
    for name in [
        "CONFIG",
        "LISTEN",
        "DATA",
        "DEV",
        "MASTER_KEY",
        "ALLOW_NETWORK",
        "PUBLIC_URL",
        "TRUSTED_PROXY",
        "DRAIN_SECONDS",
        "LOG",
        "BENCH_COMMIT_DELAY_MS",
    ] {
        assert!(help.contains(&format!("ABIDE_{name}")), "{name}: {help}");
    }
}

/// I10: plain http is refused without `--dev`, and with it reaches this machine alone.
#[test]
fn dev_opens_loopback_only_and_says_so() {
    let webhook = |url: &str| serde_json::json!({"url": url, "events": ["*"]});
    let site = Site::new();
    let server = site
        .start(abide(site.path(), &["serve", "--listen", "127.0.0.1:0"]).env("ABIDE_DEV", "false"));
    let api = server.api(&site.admin_key());
    let (status, answer) = api.post("/v1/webhooks", &webhook("http://127.0.0.1:9/"));
    assert_eq!(status, 400);
    assert_eq!(answer["error"]["message"], "`url` must begin with https://.");
    server.stop();
    for (value, status) in [("0", 400), ("1", 201)] {
        assert!(!site.log().contains("development mode"));
        let mut command = abide(site.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let server = site.start(command.env("ABIDE_DEV", value));
        let api = server.api(&site.admin_key());
        assert_eq!(api.post("/v1/webhooks", &webhook("http://127.0.0.1:9/")).0, status);
        server.stop();
    }
    let server = site.serve_with(&["--allow-network", "10.0.0.0/8", "--allow-network", "fd00::/8"]);
    let api = server.api(&site.admin_key());
    assert_eq!(api.post("/v1/webhooks", &webhook("http://127.0.0.1:9/")).0, 201);
    assert_eq!(api.post("/v1/webhooks", &webhook("http://10.0.0.1/")).0, 400);
    assert_eq!(
        api.post("/v1/webhooks", &webhook("https://10.0.0.1/")).0,
        201,
        "the operator allowed it"
    );
    assert_eq!(api.post("/v1/webhooks", &webhook("https://192.168.0.1/")).0, 400);
    assert!(site.log().contains("development mode"));
}
