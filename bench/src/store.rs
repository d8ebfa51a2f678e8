//! Putting much into a data folder quickly, while no server has it: through the store's own code where keys are
//! involved, and straight into the tables where not.

use std::sync::Arc;

use abide_core::Timestamp;
use abide_core::access::{Actor, Caller, Scope};
use abide_core::endpoint::{EndpointAuth, EventFilter, Overrides};
use abide_core::rate::RateLimit;
use abide_core::shell::{Chance, draw};
use abide_dialects::consentproof::ConsentProof;
use abide_dialects::{Dialect as _, SecretForm};
use abide_storage::accounts::NewKey;
use abide_storage::endpoints::NewEndpoint;
use abide_storage::sealing::{MasterKeys, Secret};
use abide_storage::{KeySecret, Storage as _};
use abide_storage_sqlite::SqliteOptions;
use anyhow::{Context as _, anyhow};
use aws_lc_rs::rand;
use rusqlite::{Connection, params};

use crate::figures::now_nanos;
use crate::server::Folder;

struct OsChance;

impl Chance for OsChance {
    fn fill(&self, bytes: &mut [u8]) {
        rand::fill(bytes).expect("the operating system gives no random bytes");
    }
}

/// Makes organizations with an endpoint and a token each, the tokens in the order of the URLs.
pub(crate) async fn make_organizations(
    folder: &Folder,
    urls: &[String],
) -> anyhow::Result<Vec<String>> {
    let keys = MasterKeys::read(&folder.key_file()).map_err(|why| anyhow!("{why}"))?;
    let chance: Arc<dyn Chance> = Arc::new(OsChance);
    let options = SqliteOptions {
        data: &folder.data(),
        keys,
        chance: Arc::clone(&chance),
        commit_delay: None,
    };
    let store = abide_storage_sqlite::open(options)?;
    let mut tokens = Vec::new();
    for (number, url) in urls.iter().enumerate() {
        let now = Timestamp::from_millis((now_nanos() / 1_000_000) as i64);
        let organization =
            store.accounts().create_organization(&format!("bench-{number}"), now).await?;
        let by = Caller::new(organization.id, Actor::Operator);
        let secret = KeySecret::mint(&draw(&*chance));
        let new = NewKey {
            name: "bench".to_owned(),
            scopes: vec![Scope::ConsentWrite],
            secret: secret.hash(),
            rate_limit: RateLimit::DEFAULT,
            expires_at: None,
        };
        let key = store.accounts().create_key(&by, new, now).await?;
        tokens.push(secret.issue(key.id).bearer_token.reveal().to_owned());
        let endpoint = NewEndpoint {
            dialect: ConsentProof.name().to_owned(),
            url: url.clone(),
            events: EventFilter::All,
            description: None,
            secret: Secret::from(ConsentProof.new_secret(SecretForm::Shared, &draw(&*chance))),
            rules: ConsentProof.rules(),
            auth: EndpointAuth::default(),
            overrides: Overrides::default(),
        };
        store.endpoints().create(&by, endpoint, now).await?;
    }
    store.close();
    Ok(tokens)
}

/// Makes pending deliveries out of the events that are there: `hanging` to endpoints whose URL has `/hang`, due
/// first, and `healthy` to the others.
pub(crate) fn make_pending(folder: &Folder, hanging: u64, healthy: u64) -> anyhow::Result<()> {
    let mut connection = Connection::open(folder.data().join("abide.db"))?;
    let transaction = connection.transaction()?;
    let numbers = |sql: &str| -> anyhow::Result<Vec<i64>> {
        let mut statement = transaction.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let events = numbers("SELECT event FROM events WHERE subject IS NOT NULL ORDER BY event")?;
    let hang = numbers("SELECT endpoint FROM endpoints WHERE url LIKE '%/hang%'")?;
    let rest = numbers("SELECT endpoint FROM endpoints WHERE url NOT LIKE '%/hang%'")?;
    anyhow::ensure!(!events.is_empty() && !hang.is_empty() && !rest.is_empty(), "nothing to send");
    let now = (now_nanos() / 1_000_000) as i64;
    // Keys are time-ordered: the millisecond above 21 bits of sequence.
    let first = (now << 21) + 1;
    {
        let mut insert = transaction.prepare(
            "INSERT INTO deliveries (delivery, organization, event, endpoint, subject, state, due_at) \
             SELECT ?, organization, event, ?, subject, 'pending', ? FROM events WHERE event = ?",
        )?;
        for number in 0..hanging + healthy {
            let of_hanging = number < hanging;
            let line = if of_hanging { &hang } else { &rest };
            let endpoint = line[number as usize % line.len()];
            let event = events[number as usize % events.len()];
            let due = now - if of_hanging { 60_000 } else { 30_000 };
            insert.execute(params![first + number as i64, endpoint, due, event])?;
        }
    }
    transaction.commit().context("the deliveries were not written")
}
