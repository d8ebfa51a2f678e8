//! `abide export`, against a running server and against one that breaks off.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use serde_json::Value;

use crate::api_client::{as_admin, client};
use crate::program::Site;

/// I12: an export is a whole file of its owner's alone, and nothing that is there is overwritten.
#[test]
fn i12_an_export_is_written_once() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    for who in ["ada", "bob"] {
        api.consent(who);
    }
    let asked = as_admin(&site, &server, &["export", "--out", "all.ndjson", "--json"]);
    assert!(asked.status.success(), "{asked:?}");
    let told: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!((&told["counts"]["decision"], &told["counts"]["key"]), (&2.into(), &1.into()));
    let file = site.path().join("all.ndjson");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("ada@example.org") && text.lines().last().unwrap().contains("trailer"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let again = as_admin(&site, &server, &["export", "--out", "all.ndjson"]);
    assert_eq!(again.status.code(), Some(3));
    assert!(String::from_utf8(again.stderr).unwrap().contains("is there already"));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let drafts = fs::read_dir(site.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".draft"));
    assert_eq!(drafts.count(), 0);
}

/// A document that was cut off, or is not what was sent, is told and not kept.
#[test]
fn what_is_not_whole_is_not_kept() {
    let site = Site::new();
    let header = "{\"type\":\"header\",\"data\":{}}\n";
    let trailer = "{\"type\":\"trailer\",\"data\":{\"counts\":{},\"sha256\":\"00\"}}\n";
    for (body, named) in [
        (header.to_owned(), "no trailer"),
        (format!("{header}{}", &trailer[..20]), "no trailer"),
        (format!("{header}{trailer}"), "hash"),
        (String::new(), "no trailer"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n";
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        });
        let asked = client(&site, &url, "abt_0123456789", &["export", "--out", "cut.ndjson"]);
        server.join().unwrap();
        assert_eq!(asked.status.code(), Some(1), "{asked:?}");
        let text = String::from_utf8(asked.stderr).unwrap();
        assert!(text.contains(named), "{named}: {text}");
        assert_eq!(fs::read_dir(site.path()).unwrap().count(), 0, "something was kept");
    }
}
