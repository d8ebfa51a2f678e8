//! Which servers a store opens on, and what is said of those that it does not.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abide_storage::suite::{Dice, masters};
use abide_storage_postgres::{OpenError, PostgresOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::Machine;
use crate::cluster::Cluster;

const PASSWORD: &str = "secret-marker";

fn open(url: &str) -> Result<(), OpenError> {
    // Each a node of its own.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let seed = NEXT.fetch_add(1, Ordering::Relaxed);
    let options = PostgresOptions {
        url,
        keys: masters(),
        chance: Arc::new(Dice::seeded(seed)),
        node: crate::node(),
        machine: Arc::new(Machine::default()),
    };
    abide_storage_postgres::open(options).map(drop)
}

/// What is said of a server that no store opens on.
#[track_caller]
fn refused(url: &str) -> String {
    let error = open(url).expect_err("refused");
    let said = format!("{error} {error:?}");
    assert!(!said.contains(PASSWORD), "a password is shown");
    error.to_string()
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("whole");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("whole")).expect("whole")
}

/// A certificate for those names, and its key.
fn certificate(by: &CertifiedIssuer<'static, KeyPair>, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let key = KeyPair::generate().expect("whole");
    let made = CertificateParams::new(names).expect("whole").signed_by(&key, by).expect("whole");
    (made.pem(), key.serialize_pem())
}

/// I12: a server that cannot prove who it is gets neither password nor data.
#[test]
fn i12_a_server_must_prove_itself_over_tls() {
    let (ours, others) = (authority(), authority());
    let mut cluster = Cluster::new();
    let with_tls = |cluster: &mut Cluster, (certificate, key): (String, String)| {
        cluster.stop();
        cluster.write("server.crt", &certificate);
        cluster.write("server.key", &key);
        cluster.start(&["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key"]);
    };
    let trusted = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(trusted.path(), ours.pem()).unwrap();
    let own_roots =
        |mode: &str| format!("?sslmode={mode}&sslrootcert={}", trusted.path().display());

    with_tls(&mut cluster, certificate(&ours, &["127.0.0.1"]));
    open(&cluster.url(&own_roots("verify-full"))).expect("a server that is trusted");
    open(&cluster.url(&own_roots("require"))).expect("a server that is trusted");
    let said = refused(&cluster.url("?sslmode=verify-full"));
    assert!(said.contains("certificate"), "no issuer of the system's: {said}");

    with_tls(&mut cluster, certificate(&ours, &["db.example.com"]));
    for mode in ["verify-full", "require", "verify-ca"] {
        let said = refused(&cluster.url(&own_roots(mode)));
        assert!(said.contains("certificate"), "another host's, {mode}: {said}");
    }
    with_tls(&mut cluster, certificate(&others, &["127.0.0.1"]));
    let said = refused(&cluster.url(&own_roots("verify-full")));
    assert!(said.contains("certificate"), "another issuer's: {said}");

    cluster.stop();
    cluster.start(&[]);
    let said = refused(&cluster.url(&own_roots("verify-full")));
    assert!(said.contains("TLS"), "no TLS where it is wanted: {said}");
    open(&cluster.url("")).expect("on loopback, what the server has");
}

#[test]
fn a_wrong_password_is_refused_and_not_shown() {
    let mut cluster = Cluster::new();
    cluster.start(&[]);
    let wrong = cluster.url("").replace(PASSWORD, "wrong-marker");
    let error = open(&wrong).expect_err("refused");
    let said = format!("{error} {error:?}");
    assert!(said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("wrong-marker"), "{said}");
    open(&cluster.url("")).expect("the right one");
}

#[test]
fn a_server_that_is_not_there_is_named_within_seconds() {
    let begun = Instant::now();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let said = refused(&format!("postgres://me:{PASSWORD}@127.0.0.1:{port}/abide"));
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
    assert!(said.contains("refused"), "{said}");
    // One that takes the connection and says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let said = refused(&format!("postgres://me:{PASSWORD}@127.0.0.1:{port}/abide"));
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
    assert!(said.contains("no answer"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_url_says_what_it_may() {
    for (url, word) in [
        ("postgres://me:secret-marker@db/abide?colour=blue", "colour"),
        ("postgres://me:secret-marker@db/abide?sslmode=maybe", "sslmode=maybe"),
        // To another machine, nothing goes unencrypted unless that is said.
        ("postgres://me:secret-marker@db/abide?sslmode=prefer", "sslmode=prefer"),
        ("postgres://me:secret-marker@db/abide?sslmode=allow", "sslmode=allow"),
        ("postgres://me:secret-marker@db/abide?pooler=session", "pooler=session"),
        ("postgres://me:secret-marker@db/abide?sslrootcert=/no/such/file", "/no/such/file"),
        ("mysql://me:secret-marker@db/abide", "URL"),
        ("", "URL"),
    ] {
        let error = open(url).expect_err(url);
        assert!(matches!(error, OpenError::Address(_)), "{url}: {error}");
        let said = format!("{error} {error:?}");
        assert!(said.contains(word), "{url}: {said}");
        assert!(!said.contains(PASSWORD), "{url}: a password is shown");
    }
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.pem");
    std::fs::write(&none, "no certificate\n").unwrap();
    let said = refused(&format!("postgres://db/abide?sslrootcert={}", none.display()));
    assert!(said.contains("no certificate"), "{said}");
}
