//! The command line as a client: where it takes server and key from, and how it says that it could not.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use crate::program::{Server, Site, abide};

/// A client's command with a key, or whatever is said to be one.
pub(crate) fn client(site: &Site, url: &str, key: &str, args: &[&str]) -> Output {
    let mut command = abide(site.path(), args);
    command.env("ABIDE_URL", url).env("ABIDE_API_KEY", key).stdin(Stdio::null());
    command.output().unwrap()
}

/// The same with the first start's key.
pub(crate) fn as_admin(site: &Site, server: &Server, args: &[&str]) -> Output {
    client_command(site, server, args).stdin(Stdio::null()).output().unwrap()
}

/// The same, to be started.
pub(crate) fn client_command(site: &Site, server: &Server, args: &[&str]) -> Command {
    let mut command = abide(site.path(), args);
    let url = format!("http://{}", server.address);
    let key = site.admin_key();
    command.env("ABIDE_URL", url).env("ABIDE_API_KEY", key["bearer_token"].as_str().unwrap());
    command
}

fn told(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

const LIST: &[&str] = &["endpoints", "list"];

#[test]
fn what_keeps_a_client_from_asking_is_said_with_the_way_out() {
    let site = Site::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let gone = format!("http://{gone}");
    let key = "abt_0123456789";
    for (url, key, code, named) in [
        (&*gone, "", 2, "ABIDE_API_KEY"),
        (&gone, "abs_secret-of-a-pair", 2, "abt_"),
        (&gone, "abt_two words", 2, "abt_"),
        (&gone, key, 4, "--url"),
        ("http://abide.example", key, 2, "--insecure-http"),
        ("abide.example", key, 2, "--url"),
    ] {
        let (found, text) = told(&client(&site, url, key, LIST));
        assert_eq!(found, Some(code), "{text}");
        assert!(text.contains(named), "{named}: {text}");
        assert!(key.is_empty() || !text.contains(key), "it shows the key: {text}");
    }
}

/// A URL with https where plain http is spoken is told as that, and not in a library's words.
#[test]
fn https_to_a_server_of_plain_http_is_told_as_that() {
    let site = Site::new();
    let server = site.serve();
    let url = format!("https://{}", server.address);
    let (code, text) = told(&client(&site, &url, "abt_0123456789", LIST));
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("speaks no TLS") && text.contains("http://"), "{text}");
}

/// I12: a file that holds a key is its owner's alone, and what is wrong with it shows nothing of it.
#[test]
fn the_client_file_gives_server_and_key_and_must_be_its_owners_alone() {
    let site = Site::new();
    let server = site.serve();
    let token = site.admin_key()["bearer_token"].as_str().unwrap().to_owned();
    let folder = site.path().join(".config").join("abide");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("client.toml");
    let write = |text: &str, mode: u32| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    let whole = format!("url = \"http://{}\"\napi_key = \"{token}\"\n", server.address);
    write(&whole, 0o600);
    let output = abide(site.path(), &["endpoints", "list", "--json"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for (text, mode, named) in [
        (&*whole, 0o640, "chmod 600"),
        (&format!("api_key = {token}\n"), 0o600, "line 1"),
        (&format!("url = \"x\"\nkey = \"{token}\"\n"), 0o600, "line 2"),
    ] {
        write(text, mode);
        let output = abide(site.path(), LIST).output().unwrap();
        let (code, shown) = told(&output);
        assert_eq!(code, Some(2), "{shown}");
        assert!(shown.contains(named) && shown.contains("client.toml"), "{shown}");
        assert!(!shown.contains(&token[4..]), "it shows the key: {shown}");
    }
}

#[test]
fn a_refusal_of_the_server_is_told_as_one() {
    let site = Site::new();
    let server = site.serve();
    let url = format!("http://{}", server.address);
    let (code, text) = told(&client(&site, &url, "abt_0123456789", LIST));
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("ABIDE_API_KEY"), "{text}");
    let missing = ["endpoints", "show", "whk_01hm6aqh20e0081yv76g00x9wf"];
    let (code, text) = told(&as_admin(&site, &server, &missing));
    assert_eq!(code, Some(3), "{text}");
    let (code, text) = told(&as_admin(&site, &server, &["endpoints", "show", "../keys"]));
    assert_eq!(code, Some(3), "an id leads to no other path: {text}");
}
