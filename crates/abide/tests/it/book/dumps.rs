//! What the page on PostgreSQL says of backups is done as it says, with PostgreSQL's own programs: the page's commands are run
//! against a server of the tests, with other names for what they make there.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use abide_core::Timestamp;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::pages::{self, Block, Page};
use super::play::shell;
use crate::cluster::{Cluster, programs};
use crate::database_url::Place;
use crate::http::Api;
use crate::program::{PATIENCE, Server, Site, abide, pause};
use crate::receiver::{Receiver, SECRET};

/// How people are found at a node.
fn known(api: &Api, person: &str) -> usize {
    let (status, found) = api.get(&format!("/v1/consent?subject_id={person}"));
    assert_eq!(status, 200, "{found}");
    found["data"].as_array().unwrap().len()
}

const PAGE: &str = "tasks/postgresql.md";
/// The page's server, and what is there by the page.
const NAMED: &str = "postgres://abide:choose-one@db.example.com";

/// Tables whose rows stay as they are while nothing is recorded and nothing sent.
const TABLES: [&str; 12] = [
    "organizations",
    "subjects",
    "identifiers",
    "consents",
    "decisions",
    "decision_feed",
    "events",
    "event_feed",
    "endpoints",
    "deliveries",
    "attempts",
    "audit",
];

fn page() -> Page {
    pages::all().into_iter().find(|page| page.name == PAGE).unwrap()
}

/// The page's command that has this in it.
fn command<'a>(page: &'a Page, part: &str) -> &'a str {
    let mut commands = page.blocks.iter().filter_map(|block| match block {
        Block::NotRun(text) if text.contains(part) => Some(text),
        _ => None,
    });
    let (Some(command), None) = (commands.next(), commands.next()) else {
        panic!("{part} is not there once")
    };
    command
}

/// Nodes that a database believes alive. A restored one has those of its own moment, which here is a few seconds ago.
const AT_WORK: &str = "SELECT count(*) FROM nodes WHERE heartbeat_at > database_time(0) - 11000";

/// Waits until a statement counts nothing in a database.
fn until_none(place: &Place, url: &str, statement: &str) {
    let begun = Instant::now();
    while place.ask_at(url, statement) > 0 {
        assert!(begun.elapsed() < PATIENCE, "{statement}");
        pause(Duration::from_millis(20));
    }
}

/// Whoever does what the page says.
struct Reader {
    site: Site,
    /// Somebody who may do everything on the server.
    place: Place,
    /// The role, the database, and how the other one's name begins.
    name: String,
    admin: Config,
    page: Page,
}

impl Reader {
    fn new() -> Self {
        let place = Place::new();
        let admin: Config = place.url().parse().unwrap();
        let name = format!("{}_reader", place.url().rsplit('/').next().unwrap());
        Self { site: Site::new(), place, name, admin, page: page() }
    }

    fn host(&self) -> String {
        let [Host::Tcp(host)] = self.admin.get_hosts() else { panic!("a server on this machine") };
        host.clone()
    }

    fn port(&self) -> String {
        self.admin.get_ports()[0].to_string()
    }

    /// A database of the page by its name there, as its owner reaches it.
    fn url(&self, database: &str) -> String {
        self.with_own_names(&format!("{NAMED}/{database}"))
    }

    fn with_own_names(&self, text: &str) -> String {
        let (name, host, port) = (&self.name, self.host(), self.port());
        let user = self.admin.get_user().unwrap();
        let own = [
            ("psql -U postgres".to_owned(), format!("psql -U {user} -d postgres")),
            ("ROLE abide ".to_owned(), format!("ROLE {name} ")),
            ("OWNER abide ".to_owned(), format!("OWNER {name} ")),
            ("DATABASE abide ".to_owned(), format!("DATABASE {name} ")),
            ("DATABASE again ".to_owned(), format!("DATABASE {name}_again ")),
            (
                format!("{NAMED}/abide"),
                format!("postgres://{name}:choose-one@{host}:{port}/{name}"),
            ),
            (
                format!("{NAMED}/again"),
                format!("postgres://{name}:choose-one@{host}:{port}/{name}_again"),
            ),
        ];
        own.iter().fold(text.to_owned(), |text, (page, own)| text.replace(page, own))
    }

    /// Types a command of the page.
    fn types(&self, part: &str, database: &str) -> Output {
        let command = command(&self.page, part);
        let mut shell = shell(self.site.path());
        let password = String::from_utf8(self.admin.get_password().unwrap_or_default().to_vec());
        let paths = shell.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap();
        let paths = [programs()].into_iter().chain(std::env::split_paths(paths));
        let paths = std::env::join_paths(paths).unwrap();
        shell.env("PATH", paths);
        shell.arg("-c").arg(self.with_own_names(command)).stdin(Stdio::null());
        shell.env("PGHOST", self.host()).env("PGPORT", self.port());
        shell.env("PGPASSWORD", password.unwrap());
        shell.env("ABIDE_DATABASE_URL", self.url(database)).output().unwrap()
    }

    fn does(&self, part: &str, database: &str) -> String {
        let done = self.types(part, database);
        assert!(done.status.success(), "{part}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    fn serve(&self, database: &str) -> Server {
        let serving = ["serve", "--listen", "127.0.0.1:0", "--dev"];
        let mut command = abide(self.site.path(), &serving);
        self.site.start(command.env("ABIDE_DATABASE_URL", self.url(database)))
    }

    /// A number for all that stands in each table.
    fn content(&self, database: &str) -> Vec<(&'static str, i64)> {
        let number = |table: &'static str| {
            let rows = format!(
                "SELECT coalesce(sum(('x' || left(md5(row_of::text), 12))::bit(48)::bigint), 0)::bigint FROM {table} AS row_of"
            );
            (table, self.place.ask_at(&self.url(database), &rows))
        };
        TABLES.map(number).to_vec()
    }

    /// Waits until a database has nothing more to do.
    fn settled(&self, database: &str) {
        let open = "SELECT (SELECT count(*) FROM deliveries WHERE state <> 'delivered') \
                    + (SELECT count(*) FROM unnumbered_decisions) + (SELECT count(*) FROM unnumbered_events)";
        until_none(&self.place, &self.url(database), open);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let name = &self.name;
        for statement in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("DROP DATABASE IF EXISTS {name}_again WITH (FORCE)"),
            format!("DROP ROLE IF EXISTS {name}"),
        ] {
            self.place.run(&statement);
        }
    }
}

/// I11: a database is dumped while a node runs, and restored elsewhere: all is there as it was, no node serves it before
/// everybody is erased again who was erased meanwhile, and then one goes on with it.
#[test]
fn i11_a_database_is_dumped_and_restored_as_the_page_says() {
    let reader = Reader::new();
    reader.does("CREATE ROLE", "abide");
    let receiver = Receiver::start();
    let server = reader.serve("abide");
    let api = server.api(&reader.site.admin_key());
    api.subscribe(receiver.address, SECRET);
    for person in ["ada", "eve"] {
        api.consent(person);
    }
    reader.settled("abide");
    let content = reader.content("abide");
    reader.does("pg_dump", "abide");
    assert_eq!(reader.content("abide"), content, "something moved meanwhile");

    let erased = reader.site.ask(&["subjects", "erase", "--reference", "ada"]);
    assert!(erased.contains("is erased"), "{erased}");
    api.consent("late");
    server.stop();

    reader.does("pg_restore", "abide");
    assert_eq!(reader.content("again"), content);
    let mut serve = abide(reader.site.path(), &["serve", "--listen", "127.0.0.1:0", "--dev"]);
    let refused = serve.env("ABIDE_DATABASE_URL", reader.url("again")).output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    until_none(&reader.place, &reader.url("again"), AT_WORK);
    let told = reader.does("erase-again", "again");
    assert!(told.contains("erased again: people 1, organizations 0"), "{told}");

    let server = reader.serve("again");
    let api = server.api(&reader.site.admin_key());
    assert_eq!(["ada", "eve", "late"].map(|person| known(&api, person)), [0, 1, 0]);
    let new = api.consent("new");
    while receiver.next().object != new {}
    server.stop();
}

/// A server that keeps its log, in folders of its own.
struct Keeping {
    cluster: Cluster,
    place: Place,
    page: Page,
}

impl Keeping {
    /// What the page says, with this cluster's folders.
    fn in_own_folders(&self, text: &str) -> String {
        text.replace("/backups/", &format!("{}/backups/", self.cluster.folder.display()))
    }

    /// A line of the page's configuration.
    fn setting(&self, name: &str) -> String {
        let begin = format!("{name} = ");
        let value = self.page.text.lines().find_map(|line| line.strip_prefix(begin.as_str()));
        let value = self.in_own_folders(value.unwrap().trim_matches('\''));
        format!("{name}={value}")
    }

    fn start(&mut self, settings: &[&str]) {
        self.cluster.start(settings);
    }

    /// Runs something as the server's account.
    fn runs(&self, script: &str) {
        let mut shell = self.cluster.command("/bin/sh");
        let paths = std::env::var("PATH").unwrap();
        let paths = format!("{}:{paths}", programs().display());
        shell.env("PATH", paths).env("PGHOST", "127.0.0.1").env("PGPASSWORD", "secret-marker");
        shell.env("PGPORT", self.cluster.port.to_string());
        let done = shell.args(["-e", "-c", script]).output().unwrap();
        assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn ask(&self, statement: &str) -> i64 {
        self.place.ask_at(&self.cluster.url(""), statement)
    }
}

/// I11: a server goes back to a moment by its log, as the page says, and who was erased afterwards stays erased.
#[test]
fn i11_a_server_goes_back_to_a_moment_as_the_page_says() {
    let (site, page) = (Site::new(), page());
    let mut server = Keeping { cluster: Cluster::new(), place: Place::new(), page };
    server.runs("mkdir -p backups/wal");
    let (mode, archive) = (server.setting("archive_mode"), server.setting("archive_command"));
    server.start(&[&mode, &archive]);
    let url = server.cluster.url("");
    let serve = || site.serve_with(&["--database-url", &url]);
    let node = serve();
    let api = node.api(&site.admin_key());
    api.consent("ada");
    server.runs(&server.in_own_folders(command(&server.page, "pg_basebackup")));
    api.consent("eve");
    let moment = server.ask("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 100");
    let moment = Timestamp::from_millis(moment).to_string();
    pause(Duration::from_millis(200));
    site.ask(&["subjects", "erase", "--reference", "ada"]);
    api.consent("late");
    server.ask("SELECT (pg_switch_wal() - '0/0')::bigint");
    let unarchived = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'";
    until_none(&server.place, &url, unarchived);
    node.stop();
    server.cluster.stop();

    server.runs("mv data before; cp -R backups/base data; touch data/recovery.signal");
    let target = moment.replace('T', " ").replace('Z', "+00");
    let target = format!("recovery_target_time={target}");
    let settings = ["restore_command", "recovery_target_action"].map(|name| server.setting(name));
    server.start(&[&settings[0], &settings[1], &target]);
    until_none(&server.place, &url, "SELECT pg_is_in_recovery()::int::bigint");
    until_none(&server.place, &url, AT_WORK);
    let (code, why) = site.refused(&["serve", "--listen", "127.0.0.1:0", "--database-url", &url]);
    assert_eq!(code, Some(3), "{why}");
    let again = ["subjects", "erase-again", "--restored-to", &moment, "--database-url", &url];
    let told = site.ask(&again);
    assert!(told.contains("erased again: people 1, organizations 0"), "{told}");
    let node = serve();
    let api = node.api(&site.admin_key());
    assert_eq!(["ada", "eve", "late"].map(|person| known(&api, person)), [0, 1, 0]);
    node.stop();
}
