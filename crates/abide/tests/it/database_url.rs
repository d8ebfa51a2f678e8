//! Commands where the data are in PostgreSQL: each works there, or says that it does not.

use std::fs;
use std::process::Output;

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::postgres::Database;
use crate::program::{Site, abide};

/// A database of its own, for as long as this lives.
pub(crate) struct Place {
    runtime: Runtime,
    /// There until it is dropped.
    database: Option<Database>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let database = Some(runtime.block_on(Database::new()));
        Self { runtime, database }
    }

    pub(crate) fn url(&self) -> String {
        self.database.as_ref().unwrap().url()
    }

    fn ask(&self, statement: &str) -> i64 {
        self.runtime.block_on(self.database.as_ref().unwrap().ask(statement))
    }

    pub(crate) fn run(&self, statements: &str) {
        self.runtime.block_on(self.database.as_ref().unwrap().run(statements));
    }

    /// Carries out statements in another database.
    pub(crate) fn run_at(&self, url: &str, statements: &str) {
        self.connected(url, async |client| client.batch_execute(statements).await);
    }

    /// The one number that a statement answers in another database.
    pub(crate) fn ask_at(&self, url: &str, statement: &str) -> i64 {
        self.connected(url, async |client| client.query_one(statement, &[]).await).get(0)
    }

    fn connected<T>(
        &self,
        url: &str,
        work: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
    ) -> T {
        self.runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
            let driven = tokio::spawn(connection);
            let done = work(&client).await.unwrap();
            drop(client);
            driven.await.unwrap().unwrap();
            done
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        drop(self.database.take());
    }
}

fn complaint(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// A backup of the folder, with success, would be none of the data; a restoration would not bring them back.
#[test]
fn what_works_on_a_folder_alone_refuses_a_database() {
    let site = Site::new();
    site.serve().stop();
    let before = fs::read(site.data().join("abide.db")).unwrap();
    site.ask(&["backup", "good.tar"]);
    let url = "postgres://abide:hush-hush@127.0.0.1:1/abide";
    fs::write(site.path().join("abide.toml"), format!("database_url = \"{url}\"")).unwrap();
    for (args, tool) in [
        (&["backup", "made.tar"][..], "pg_dump"),
        (&["restore", "--replace", "good.tar"], "pg_restore"),
    ] {
        let by_flag = site.run(&[args, &["--database-url", url]].concat());
        let by_variable = abide(site.path(), args).env("ABIDE_DATABASE_URL", url).output().unwrap();
        let by_file = site.run(&[args, &["--config", "abide.toml"]].concat());
        for output in [by_flag, by_variable, by_file] {
            let (code, why) = complaint(&output);
            assert_eq!((code, output.stdout.len()), (Some(3), 0), "{args:?}: {why}");
            assert!(why.contains(tool) && why.contains("postgresql.md"), "{why}");
            assert!(!why.contains("hush"), "{why}");
        }
    }
    assert!(!site.path().join("made.tar").exists());
    assert_eq!(fs::read(site.data().join("abide.db")).unwrap(), before);
}

#[test]
fn a_database_is_brought_to_this_version() {
    let (site, place) = (Site::new(), Place::new());
    let migrate = |args: &[&str]| -> Value {
        let url = place.url();
        let text = site.ask(&[&["migrate", "--json", "--database-url", &url], args].concat());
        serde_json::from_str(&text).unwrap()
    };
    let names = |answer: &Value| answer["migrations"].as_array().unwrap().len();
    let all = migrate(&["--dry-run"]);
    assert!(names(&all) >= 2, "{all}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(place.ask(tables), 0, "looking changed something");
    let applied = migrate(&[]);
    assert_eq!(applied["migrations"], all["migrations"]);
    assert!(place.ask(tables) > 10);
    assert_eq!(names(&migrate(&["--dry-run"])) + names(&migrate(&[])), 0);
    // It is the store that a node opens, and nothing was made on this machine for it.
    assert!(!site.data().exists() && !site.key_file().exists());
    let url = place.url();
    site.start(
        abide(site.path(), &["serve", "--listen", "127.0.0.1:0", "--database-url", &url])
            .env("ABIDE_DEV", "1"),
    )
    .stop();

    let text = site.ask(&["migrate", "--database-url", &url]);
    assert!(text.contains("nothing to apply"), "{text}");
    place.run("INSERT INTO migrations (number, sha256) VALUES (999, '')");
    for dry_run in [&[][..], &["--dry-run"]] {
        let (code, why) = site.refused(&[&["migrate", "--database-url", &url], dry_run].concat());
        assert!(code == Some(3) && why.contains("newer"), "{code:?} {why}");
        let nobody = "postgres://abide:hush-hush@127.0.0.1:1/abide";
        let (code, why) = site.refused(&[&["migrate", "--database-url", nobody], dry_run].concat());
        assert!(code == Some(4) && why.contains("127.0.0.1:1/abide"), "{code:?} {why}");
        assert!(!why.contains("hush"), "{why}");
    }
}

/// A server that runs on the folder and keeps its data there is not asked for what is in PostgreSQL; one that works on the
/// same database is.
#[test]
fn a_command_works_where_its_url_says() {
    let (embedded, node, place) = (Site::new(), Site::new(), Place::new());
    let url = place.url();
    let server = embedded.serve();
    let serving = ["serve", "--listen", "127.0.0.1:0", "--dev", "--database-url", &url];
    let beside = node.start(&mut abide(node.path(), &serving));
    let key_file = node.key_file();
    let there = ["--database-url", &url, "--master-key", key_file.to_str().unwrap()];
    embedded.ask(&[&["keys", "create", "--name", "in-postgres"], &there[..]].concat());
    let named = "SELECT count(*) FROM api_keys WHERE name = 'in-postgres'";
    assert_eq!(place.ask(named), 1);
    let listed = embedded.ask(&["keys", "list"]);
    assert!(!listed.contains("in-postgres"), "{listed}");
    let listed = embedded.ask(&[&["keys", "list"], &there[..]].concat());
    assert!(listed.contains("in-postgres"), "{listed}");
    // The node's own folder: its server answers, with the URL and without it.
    for args in [&["keys", "list"][..], &["keys", "list", "--database-url", &url]] {
        let listed = node.ask(args);
        assert!(listed.contains("in-postgres"), "{listed}");
    }
    beside.stop();
    server.stop();
}

/// I11: who was erased after a backup stays erased where the backup is restored, by the journal of a node; and no node serves
/// such a database before, nor goes on with one that is put in the place of its own.
#[test]
fn i11_who_was_erased_stays_erased_in_a_restored_database() {
    let (site, place) = (Site::new(), Place::new());
    let url = place.url();
    let start = |url: &str| {
        let serving = ["serve", "--listen", "127.0.0.1:0", "--dev", "--database-url", url];
        site.start(&mut abide(site.path(), &serving))
    };
    let server = start(&url);
    let api = server.api(&site.admin_key());
    for person in ["ada", "eve"] {
        api.consent(person);
    }
    server.stop();
    // A copy of this moment, as a restored backup is one.
    let name = url.rsplit('/').next().unwrap().to_owned();
    let (restored, again) =
        (format!("{name}_restored"), url.replace(&name, &format!("{name}_restored")));
    place.run(&format!("CREATE DATABASE {restored} TEMPLATE {name}"));
    let server = start(&url);
    let read = |server: &crate::program::Server, person: &str| {
        server.api(&site.admin_key()).get(&format!("/v1/consent?subject_id={person}")).1["data"]
            .clone()
    };
    site.ask(&["subjects", "erase", "--reference", "ada", "--database-url", &url]);
    assert_eq!(read(&server, "ada").as_array().unwrap().len(), 0);
    assert_eq!(read(&server, "eve").as_array().unwrap().len(), 1);
    let erase_again = |url: &str| {
        site.run(&[
            "subjects",
            "erase-again",
            "--restored-to",
            "2026-01-01T00:00:00Z",
            "--database-url",
            url,
        ])
    };
    let (code, why) = complaint(&erase_again(&url));
    assert!(code == Some(3) && why.contains("stop every node first"), "{code:?} {why}");
    server.stop();

    let journal = site.path().join("abide-data.key.erasures");
    let away = site.path().join("away");
    fs::rename(&journal, &away).unwrap();
    let (code, why) = complaint(&erase_again(&again));
    assert!(code == Some(3) && why.contains("no erasure journal"), "{code:?} {why}");
    fs::rename(&away, &journal).unwrap();
    for role in ["all", "api", "deliver"] {
        let serving =
            ["serve", "--listen", "127.0.0.1:0", "--role", role, "--database-url", &again];
        let (code, why) = site.refused(&serving);
        assert!(
            code == Some(3) && why.contains("lacks 1 of the erasures"),
            "{role}: {code:?} {why}"
        );
        assert!(why.contains("abide subjects erase-again"), "{why}");
    }
    let done = erase_again(&again);
    let text = String::from_utf8(done.stdout.clone()).unwrap();
    assert!(
        text.contains("erased again: people 1, organizations 0"),
        "{text} {:?}",
        complaint(&done)
    );
    let server = start(&again);
    assert_eq!(read(&server, "ada").as_array().unwrap().len(), 0);
    assert_eq!(read(&server, "eve").as_array().unwrap().len(), 1);
    // As where it was restored once more, under the running node.
    place.run_at(&again, "DELETE FROM erasures");
    assert_eq!(server.wait().code(), Some(3));
    assert!(site.log().contains("lacks 1 of the erasures"), "{}", site.log());
    place.run(&format!("DROP DATABASE {restored} WITH (FORCE)"));
    let (code, why) =
        complaint(&site.run(&["subjects", "erase-again", "--restored-to", "2026-01-01T00:00:00Z"]));
    assert!(code == Some(2) && why.contains("abide restore"), "{code:?} {why}");
}
