//! The book and the README do what they say: every command in them is run, and what they show is what comes.
//!
//! A page is played in a fresh folder, its blocks in their order, as a reader with a few terminals would:
//!
//! | fence | is |
//! |---|---|
//! | `sh` | typed into the reader's shell; it has to succeed |
//! | `sh,background` | typed into a terminal of its own, where it goes on; it is up when it says that it listens or follows |
//! | `text,shows` | what the command before it, or something in the background, prints: `...` stands for anything |
//! | `sh,norun` | not run, for a reason that stands in [`NOT_RUN`] |
//! | `text`, `json`, `toml`, `js`, `nginx`, `http` | to read, no command |
//!
//! Two comments direct the play: `<!-- after: tasks/start.md -->` plays that page first in the same folder, and
//! `<!-- stop: abide listen -->` is the reader's Ctrl-C in the terminal where that runs.
//!
//! Pages use ports that are easy to read; here free ones take their places.

mod dumps;
mod pages;
mod play;
mod reference;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use pages::{Block, Page};
use play::Play;

/// Commands that are shown and not run, by page and first words, each with its reason.
const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "cargo run --release -- demo",
        "builds the program; the demo has tests of its own",
    ),
    ("README.md", "cargo xtask test", "is what runs this test"),
    ("README.md", "cargo build --release", "builds the program"),
    ("tasks/install.md", "cargo install", "builds the program"),
    ("tasks/install.md", "apt-get install", "changes the machine"),
    (
        "tasks/nodes.md",
        "abide serve",
        "needs a PostgreSQL server of its own; `nodes.rs` runs the same",
    ),
    (
        "tasks/nodes.md",
        "abide nodes",
        "needs a PostgreSQL server of its own; `nodes.rs` runs the same",
    ),
    ("tasks/install.md", "abide completions", "writes into the reader's own folders"),
    ("tasks/copy.md", "psql", "changes the reader's own server; `copying.rs` runs the same"),
    ("tasks/copy.md", "abide copy", "empties the reader's own server; `copying.rs` runs the same"),
    (
        "tasks/postgresql.md",
        "abide subjects erase-again",
        "wants a restored database; `book/dumps.rs` runs it on one",
    ),
    (
        "tasks/postgresql.md",
        "psql",
        "changes the reader's own server; `book/dumps.rs` runs it on another",
    ),
    ("tasks/postgresql.md", "export ABIDE_DATABASE_URL", "needs the reader's own server"),
    ("tasks/postgresql.md", "export PGSSLMODE", "is for a server that has a certificate"),
    (
        "tasks/postgresql.md",
        "pg_dump",
        "backs up the reader's own server; `book/dumps.rs` runs it on another",
    ),
    (
        "tasks/postgresql.md",
        "pg_basebackup",
        "backs up the reader's own server; `book/dumps.rs` runs it on another",
    ),
];

/// Pages at once: most of what they do is waiting.
const AT_ONCE: usize = 4;

#[test]
fn every_command_of_the_book_and_the_readme_works() {
    let pages = pages::all();
    let queue: Vec<&Page> = pages.iter().filter(|page| page.has_commands()).collect();
    assert!(queue.len() > 15, "the book is not found");
    let (queue, failures) = (Mutex::new(queue), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop();
                    let Some(page) = next else { break };
                    if let Err(failure) = Play::new(&page.name).page(page, &pages) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_command_that_is_not_run_has_its_reason() {
    let mut found = BTreeSet::new();
    for page in pages::all() {
        for block in &page.blocks {
            if let Block::NotRun(text) = block {
                let excuse = NOT_RUN
                    .iter()
                    .find(|(name, start, _)| *name == page.name && text.starts_with(start));
                let excuse = excuse.unwrap_or_else(|| panic!("{}: {text} is not run", page.name));
                found.insert(*excuse);
            }
        }
    }
    for excuse in NOT_RUN {
        assert!(found.contains(excuse), "{excuse:?} excuses nothing");
    }
}

/// What is shown is found with gaps where the book has dots, and not where a word is another one.
#[test]
fn what_is_shown_is_compared_word_by_word() {
    let printed = "listening on http://127.0.0.1:1\nconsent.created  evt_01  verified  first  420 bytes  -> 200\nend\n";
    for (shown, expected) in [
        ("consent.created  evt_...  verified  first  ... bytes  -> 200", true),
        ("listening on ...\n...\nend", true),
        ("consent.created evt_... verified ...", true),
        ("consent.withdrawn  evt_...  verified  first  ... bytes  -> 200", false),
        ("end\nlistening on ...", false),
        ("verified  first", false),
    ] {
        assert_eq!(play::shows(printed, shown).is_some(), expected, "{shown}");
    }
}
