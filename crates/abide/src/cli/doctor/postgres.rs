//! The data in PostgreSQL: the way there, the server, the tables, the nodes that share them and what waits for them.

use std::collections::BTreeSet;
use std::time::Duration;

use abide_storage::nodes::{Node, Standing};

use super::data::Seen;
use super::{Check, size};
use crate::config::{DatabaseUrl, Place};
use crate::control::{Found, RunsWith};
use crate::wiring::postgres::{self, Connections, Ears, Examined, Link, Partitions, Waiting};
use crate::{control, folder};

/// The oldest server that Abide is tried on.
const OLDEST: i64 = 140_000;
/// Beyond this a node does not know the database's time well enough to sign, and stops.
const TOO_SLOW: Duration = Duration::from_secs(2);
/// Each call asks several times, one after the other: beyond this every caller feels it.
const SLOW: Duration = Duration::from_millis(20);
/// A clock that is further off shows in logs and signs nothing wrongly.
const CLOCKS_APART: i64 = 1_000;
/// What has been due for so long waits for something else than its turn.
const OVERDUE: Duration = Duration::from_mins(5);

/// Master key, and everything that the database can be asked.
pub(super) async fn examine(place: &Place, url: &DatabaseUrl, checks: &mut Vec<Check>) -> Seen {
    let mut seen = Seen::default();
    let shown = match postgres::shown(url) {
        Ok(shown) => shown,
        Err(error) => {
            let todo = "give it as postgres://USER:PASSWORD@HOST:PORT/DATABASE; the book lists its options";
            checks.push(Check::problem("database", error.to_string(), todo));
            return seen;
        }
    };
    match control::find(&place.data).await {
        Ok(Found::Server(Some(runs_with))) if runs_with.database.as_ref() == Some(&shown) => {
            seen.served = true;
            seen.runs_with = Some(runs_with);
        }
        Ok(Found::Server(Some(RunsWith { database, .. }))) => {
            let other = database.unwrap_or_else(|| "the embedded database".to_owned());
            checks.push(Check::warning(
                "server",
                format!("the server that runs on {} works on {other}", place.data.display()),
                "give the database URL that it has, or name the folder of a node of this database with --data",
            ));
        }
        Ok(Found::Server(None) | Found::Nobody) => {}
        Err(error) => checks.push(Check::problem(
            "server",
            format!("{error:#}"),
            "run as the owner of the data folder",
        )),
    }
    let keys = match folder::open(place) {
        Ok(keys) => keys,
        Err(error) => {
            let todo = "see the text; the database cannot be judged without the keys";
            checks.push(Check::problem("master key", format!("{error:#}"), todo));
            return seen;
        }
    };
    let held = format!(
        "{} in {}, current {}",
        keys.iter().len(),
        place.key_file.display(),
        keys.current().id()
    );
    match postgres::examine(url.clone(), keys).await {
        Ok(found) => checks.extend(judge(&found, place, &held)),
        Err(error) => checks.push(Check::problem(
            "database",
            format!("{error:#}"),
            "look whether the server runs, lets this user in from here, and has the database; the URL's options may be wrong",
        )),
    }
    seen
}

fn judge(found: &Examined, place: &Place, held: &str) -> Vec<Check> {
    let mut checks = vec![
        server(found),
        link(found),
        distance(found),
        time(found),
        durability(found),
        migrations(found),
        privileges(found),
        connections(&found.connections),
        ears(found),
    ];
    if let Some((keys, partitions, nodes, waiting)) = &found.store {
        checks.push(match keys {
            Ok(()) => Check::ok("master key", format!("{held}; the database knows them")),
            Err(problem) => Check::problem(
                "master key",
                problem.clone(),
                format!(
                    "put the right {} in its place: each node has the same",
                    place.key_file.display()
                ),
            ),
        });
        checks.push(partitioned(partitions, nodes));
        checks.push(who(nodes, waiting));
        checks.push(deliveries(waiting));
    }
    checks
}

fn server(found: &Examined) -> Check {
    let text = format!("{}, PostgreSQL {}, {}", found.at, found.version, size(found.bytes));
    if found.version_number < OLDEST {
        return Check::problem("database", text, "use PostgreSQL 14 or later");
    }
    Check::ok("database", text)
}

fn link(found: &Examined) -> Check {
    match found.link {
        Link::Tls => Check::ok("tls", "over TLS, to a server that has proven itself"),
        Link::Local => Check::ok("tls", "in the clear, within this machine"),
        Link::Clear => Check::warning(
            "tls",
            "in the clear: whoever is on the way reads everything, the password first",
            "let the server have a certificate, and leave `sslmode=disable` out of the URL",
        ),
    }
}

fn distance(found: &Examined) -> Check {
    let text = format!("the server answers within {:.1} ms", found.took.as_secs_f64() * 1e3);
    let name = "distance";
    match found.took {
        took if took > TOO_SLOW => Check::problem(
            name,
            text,
            "a node that cannot tell the time to within a second sends nothing: bring it nearer to the server",
        ),
        took if took > SLOW => Check::warning(
            name,
            text,
            "every call waits for several answers: bring node and server together",
        ),
        _ => Check::ok(name, text),
    }
}

fn time(found: &Examined) -> Check {
    let ahead = found.ahead_millis;
    let text = match ahead {
        0.. => format!("the database is {ahead} ms ahead of this machine"),
        _ => format!("the database is {} ms behind this machine", -ahead),
    };
    if ahead.abs() - found.took.as_millis() as i64 > CLOCKS_APART {
        let todo = "nodes go by the database's, so nothing is signed wrongly; keep both by NTP, the database's first: its time \
                    is in every signature";
        return Check::warning("time", text, todo);
    }
    Check::ok("time", text)
}

fn durability(found: &Examined) -> Check {
    if found.unsafe_settings.is_empty() {
        return Check::ok("durability", "what is answered is on disk");
    }
    let off: Vec<String> =
        found.unsafe_settings.iter().map(|(name, value)| format!("{name} is {value}")).collect();
    Check::problem(
        "durability",
        off.join(", "),
        "turn it on: else decisions that were answered with success are lost with the power",
    )
}

fn migrations(found: &Examined) -> Check {
    let name = "migrations";
    if let Some(altered) = found.altered {
        return Check::problem(
            name,
            format!(
                "{altered} was another one when it was applied: the tables are of an unreleased version"
            ),
            "begin with an empty database",
        );
    }
    let text = format!("{} of {} applied", found.applied, found.known);
    match found.applied.cmp(&found.known) {
        std::cmp::Ordering::Equal => Check::ok(name, text),
        std::cmp::Ordering::Less => Check::warning(
            name,
            text,
            "the next start applies the rest, and so does `abide migrate`; take a backup first where there are data",
        ),
        std::cmp::Ordering::Greater => Check::problem(
            name,
            format!("{} applied, and this version knows {}", found.applied, found.known),
            "use the newer version of Abide that wrote the tables",
        ),
    }
}

fn privileges(found: &Examined) -> Check {
    if found.lacks.is_empty() {
        return Check::ok("privileges", "tables and partitions can be made and changed");
    }
    Check::problem(
        "privileges",
        format!("the user of the URL lacks {}", found.lacks.join(", and ")),
        "let the database be the user's own: ALTER DATABASE ... OWNER TO ...; and REASSIGN OWNED for tables",
    )
}

fn connections(found: &Connections) -> Check {
    let Connections { allowed, used, needed, pooled } = *found;
    let name = "connections";
    let text = format!("{used} of {allowed} in use; a node takes up to {needed}");
    match (pooled, allowed.saturating_sub(used)) {
        (true, _) => Check::ok(name, format!("{text}, of which the pooler decides")),
        (false, _) if allowed < needed => Check::problem(
            name,
            text,
            "raise the limit (max_connections, or that of the user or the database), or put a pooler before the server",
        ),
        (false, free) if free < needed => Check::warning(
            name,
            text,
            "one more node would not get its own: raise max_connections, or put a pooler before the server",
        ),
        (false, _) => Check::ok(name, text),
    }
}

fn ears(found: &Examined) -> Check {
    let name = "doorbell";
    match &found.ears {
        Ears::Hear(after) => Check::ok(
            name,
            format!("nodes hear each other, within {:.1} ms", after.as_secs_f64() * 1e3),
        ),
        Ears::Deaf => Check::problem(
            name,
            "what is rung at one connection is not heard at another",
            "most likely a pooler in transaction mode stands before the server: say `pooler=transaction` in the URL, and \
             with `direct=HOST:PORT` where the server itself is",
        ),
        Ears::NoDirect => Check::warning(
            name,
            "nobody can listen through the pooler: nodes look for each other's work by themselves, every half second",
            "say with `direct=HOST:PORT` in the URL where the server itself is",
        ),
        Ears::Refused(why) => Check::problem(
            name,
            format!("no connection to listen on: {why}"),
            "with `direct=HOST:PORT` in the URL, look whether the server lets this user in there",
        ),
    }
}

fn partitioned(found: &Partitions, nodes: &[Node]) -> Check {
    let name = "partitions";
    let is_served = nodes.iter().any(|node| node.standing != Standing::Gone);
    match (found.missing.is_empty(), found.in_default) {
        (true, false) => {
            Check::ok(name, "there for what is written in the next 30 days and longer")
        }
        (true, true) => Check::warning(
            name,
            "rows lie in the partition for what has none: they are found, and cleaned away slowly",
            "nothing needs to be done now; look in the nodes' logs why a partition could not be made",
        ),
        (false, _) if is_served => Check::warning(
            name,
            format!("not there: {}", found.missing.join(", ")),
            "a node makes them within the hour; if not, its log says why",
        ),
        (false, _) => Check::warning(
            name,
            format!("not there: {}", found.missing.join(", ")),
            "start a node, which makes them",
        ),
    }
}

fn who(nodes: &[Node], waiting: &Waiting) -> Check {
    let name = "nodes";
    if nodes.is_empty() {
        return Check::warning(name, "none is at work", "start one with `abide serve`");
    }
    let shown = |node: &Node| format!("{} {}", node.name, node.standing.as_str());
    let text = nodes.iter().map(shown).collect::<Vec<_>>().join(", ");
    let delivers = nodes.iter().any(|node| node.role != "api" && node.standing == Standing::Alive);
    if !delivers {
        let todo = "start a node that delivers: with --role deliver, or all";
        return match waiting.pending {
            0 => Check::warning(name, format!("{text}; none delivers"), todo),
            _ => Check::problem(name, format!("{text}; none delivers, and something waits"), todo),
        };
    }
    if nodes.iter().any(|node| node.standing != Standing::Alive) {
        let todo = "look after the machine of whoever is not alive; others have its work. `abide nodes` says more";
        return Check::warning(name, text, todo);
    }
    let versions: BTreeSet<&str> = nodes.iter().map(|node| node.version.as_str()).collect();
    if versions.len() > 1 {
        let versions = versions.into_iter().collect::<Vec<_>>().join(" and ");
        let text = format!("{text}; of versions {versions}");
        return Check::warning(name, text, "bring all to the newest one");
    }
    Check::ok(name, text)
}

fn deliveries(waiting: &Waiting) -> Check {
    let Waiting { pending, parked, held, at_least, overdue_millis } = *waiting;
    let bound = if at_least { "at least " } else { "" };
    let text = format!("{bound}{pending} pending, {parked} parked, {held} held");
    let overdue = Duration::from_millis(overdue_millis.cast_unsigned());
    if overdue > OVERDUE {
        return Check::warning(
            "deliveries",
            format!("{text}; the oldest has been due for {} minutes", overdue.as_secs() / 60),
            "look whether a node delivers, and at /metrics of those that do",
        );
    }
    Check::ok("deliveries", text)
}
