//! Behind PgBouncer in transaction mode: each transaction may have another connection to the server, and nothing outlives
//! one there.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use abide_core::access::{Actor, Caller};
use abide_storage::Storage as _;

use crate::cluster::{account, as_server, free_port};
use crate::server::Database;
use crate::suite;

/// A pooler with so few connections that every call changes them; it ends with this.
struct Pooler {
    running: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    fn before(database: &Database) -> Self {
        let server: tokio_postgres::Config = database.url().parse().expect("whole");
        let [tokio_postgres::config::Host::Tcp(host)] = server.get_hosts() else {
            panic!("one host")
        };
        let user = server.get_user().expect("whole");
        let password = server.get_password().map(String::from_utf8_lossy);
        let password = password.map_or(String::new(), |text| format!(" password={text}"));
        let port = free_port();
        let folder = tempfile::tempdir().expect("whole");
        let config = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{name} = host={host} port={} dbname={name} user={user}{password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 200\n\
             server_round_robin = 1\n",
            server.get_ports()[0],
            name = server.get_dbname().expect("whole"),
        );
        fs::write(&config, text).expect("whole");
        if let Some((user, group)) = account() {
            for path in [folder.path(), &config] {
                chown(path, Some(user), Some(group)).expect("whole");
            }
        }
        // Where Debian has it, which is on root's path alone.
        let debian = Path::new("/usr/sbin/pgbouncer");
        let program = if debian.is_file() { debian } else { Path::new("pgbouncer") };
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&config).current_dir("/").stdin(Stdio::null());
        as_server(&mut command);
        let running =
            command.spawn().expect("pgbouncer: on Debian, as root, apt-get install pgbouncer");
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "PgBouncer does not come up");
            std::thread::yield_now();
        }
        Self { running, port, _folder: folder }
    }

    /// Past which the server itself is heard.
    fn url_with_direct(&self, database: &Database) -> String {
        let (server, whole): (tokio_postgres::Config, _) =
            (database.url().parse().expect("whole"), database.url());
        let port = server.get_ports()[0];
        // The server itself wants the password that the pooler has.
        let past = whole.replace(&format!(":{port}/"), &format!(":{}/", self.port));
        format!("{past}?pooler=transaction&direct=127.0.0.1:{port}")
    }

    fn url(&self, database: &Database) -> String {
        let direct: tokio_postgres::Config = database.url().parse().expect("whole");
        let (user, name) = (direct.get_user().expect("whole"), direct.get_dbname().expect("whole"));
        format!("postgres://{user}@127.0.0.1:{}/{name}?pooler=transaction", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

macro_rules! conforms_behind_a_pooler {
    ($($area:ident: $($case:ident),+;)+) => {
        $(mod $area { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let database = crate::Database::new().await;
                let pooler = super::Pooler::before(&database);
                let url = pooler.url(&database);
                let store = tokio::task::spawn_blocking(move || crate::open(&url)).await.unwrap();
                super::suite::$area::$case(&*store).await;
            }
        )+ })+
    };
}

// A sample of every kind of call: what differs behind a pooler is how statements and transactions get there.
conforms_behind_a_pooler! {
    accounts: keys_open_until_revoked, organization_names_are_unique;
    consent_search: each_filter_lets_its_own_through, a_hash_is_held_against_what_was_recorded;
    consents: each_operation_leaves_all_its_parts, time_alone_ends_and_begins_permissions;
    counts: p10_totals_count_each_delivery_once;
    deletions: i11_a_deleted_organization_is_unreadable_and_goes;
    deliveries: due_rows_are_claimed_in_order, rows_are_parked_and_taken_in_pages, outcomes_lead_where_core_says;
    delivery_log: p24_deliveries_are_listed_by_page;
    endpoints: a_pause_cancels_and_skips, auth_and_overrides_are_kept;
    exports: an_export_tells_all_that_was_said;
    feeds: events_are_read_in_pages, a_feed_is_begun_at_a_time_or_its_end;
    idempotency: a_call_is_carried_out_once, erasing_a_person_erases_answers;
    imports: what_is_brought_keeps_its_ids_and_times, a_dry_run_leaves_nothing;
    jobs: sw_19_missed_events_are_sent, sw_13_a_gone_endpoints_deliveries_end;
    keys: rotation_in_pages;
    lanes: i7_one_open_attempt;
    policies: each_change_is_told;
    subjects: an_erased_person_is_unreadable;
    users: sessions_live_for_their_time;
}

/// Nodes behind a pooler: one that listens past it hears what is done at the other within 2 s, though that one hears nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_behind_a_pooler_hears_another_one() {
    let database = Database::new().await;
    let pooler = Pooler::before(&database);
    let open = async |url: String, seed| {
        let opened = tokio::task::spawn_blocking(move || crate::open_seeded(&url, seed));
        opened.await.unwrap()
    };
    let hears = open(pooler.url_with_direct(&database), 1).await;
    let deaf = open(pooler.url(&database), 2).await;
    let also = open(pooler.url_with_direct(&database), 3).await;
    let listening = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND query IN ('LISTEN abide', 'SELECT pg_backend_pid()')";
    while database.ask(listening).await < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let made = deaf.accounts().create_organization("us", suite::at(0)).await.unwrap();
    let by = Caller::new(made.id, Actor::Operator);
    for (number, rings) in [(1, &deaf), (2, &also)] {
        let mut listener = hears.doorbell().listen();
        let new = crate::waits::new_endpoint();
        rings.endpoints().create(&by, new, suite::at(number)).await.unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(2), listener.changed()).await;
        assert!(heard.is_ok(), "ring {number} was not heard");
    }
}

/// I3: a node behind a pooler that stands still in the middle of a transaction lets go, too.
#[tokio::test(flavor = "multi_thread")]
async fn i3_a_node_behind_a_pooler_lets_go() {
    let database = Database::new().await;
    let pooler = Pooler::before(&database);
    crate::waits::lets_go_of_what_it_holds(&database, pooler.url(&database)).await;
}

/// A pooler is seen through: whether nodes can hear each other past it, and where nobody said that it is one.
#[test]
fn a_doctor_sees_whether_nodes_hear_each_other() {
    use abide_storage_postgres::{Ears, examine};

    struct Standing;
    impl abide_core::shell::Clock for Standing {
        fn now(&self) -> abide_core::Timestamp {
            suite::at(0)
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let database = runtime.block_on(Database::new());
    let pooler = Pooler::before(&database);
    let url = pooler.url(&database);
    let masters = suite::masters();
    let ears = |url: &str| examine(url, &masters, &Standing).map(|seen| seen.ears);
    assert_eq!(ears(&url).expect("a database"), Ears::NoDirect);
    let heard = ears(&pooler.url_with_direct(&database)).expect("a database");
    assert!(matches!(heard, Ears::Hear(_)), "{heard:?}");
    let unsaid = url.replace("?pooler=transaction", "");
    match ears(&unsaid) {
        // An older PgBouncer loses statements that were prepared, and the look ends there: at one that is not there.
        Err(why) => assert!(why.to_string().contains("26000"), "{why}"),
        Ok(ears) => assert_eq!(ears, Ears::Deaf),
    }
    // Neither was anything made there nor was it needed that something is.
    let seen = examine(&database.url(), &masters, &Standing).expect("a database");
    assert_eq!((seen.applied, seen.store.is_none()), (0, true));
    assert!(seen.ahead_millis > 0 && seen.lacks.is_empty(), "{seen:?}");
    drop(pooler);
    let _inside = runtime.enter();
    drop(database);
}
