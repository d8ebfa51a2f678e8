//! Requirements and the tests that name them.
//!
//! `docs/contracts/*.md` lists what each provider's contract asks, one id a row, and our own
//! invariants. A test names an id in its function's first words (`p18_signature_...`), in the comments
//! or attributes directly above it, or in a comment of its body. A case of the storage suite counts as
//! a test once something runs it.
//!
//! An id in scope without a test fails the chore, and so does an id that is in no list, so that
//! neither side can drift.

mod requirement;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::say;
use crate::source::{self, Source, TestFn};
use requirement::{Id, Requirement, Scope};

const LISTS: &str = "docs/contracts";

/// What to show.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// List every test that names this requirement, with file and line.
    #[arg(long)]
    id: Option<String>,
    /// Show also the requirements that are not in scope and have no test.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let mut requirements = Vec::new();
    let mut problems = Vec::new();
    for path in source::files(root, LISTS)?.iter().filter(|path| source::has_extension(path, "md"))
    {
        let text = fs::read_to_string(root.join(path)).with_context(|| path.clone())?;
        let (rows, errors) = requirement::read(path, &text);
        requirements.extend(rows);
        problems.extend(errors);
    }
    let sources = source::rust_files(root, &["crates", "simulation", "xtask"])?;
    let ledger = Ledger::new(requirements, tests(&sources));

    if let Some(id) = &options.id {
        let id = Id::parse(id).with_context(|| format!("`{id}` is not an id"))?;
        return ledger.show_tests(id);
    }
    ledger.table(options.all).into_iter().for_each(say);
    problems.extend(ledger.problems());
    for problem in &problems {
        say(problem);
    }
    if !problems.is_empty() {
        bail!("contracts: {} problems", problems.len());
    }
    Ok(())
}

/// Every test, and every case of the storage suite that something besides its definition names.
fn tests(sources: &[Source]) -> Vec<TestFn> {
    let mut tests: Vec<_> = sources.iter().flat_map(Source::tests).collect();
    let cases = sources.iter().flat_map(Source::suite_cases);
    tests.extend(cases.filter(|case| {
        sources.iter().map(|source| source.words(&case.name).count()).sum::<usize>() > 1
    }));
    tests
}

/// Requirements on one side, tests on the other, joined by id.
struct Ledger {
    requirements: Vec<Requirement>,
    tests: Vec<TestFn>,
    /// Which tests name an id.
    named: BTreeMap<Id, Vec<usize>>,
}

impl Ledger {
    fn new(mut requirements: Vec<Requirement>, tests: Vec<TestFn>) -> Self {
        requirements.sort_by_key(|requirement| requirement.id);
        let mut named: BTreeMap<Id, Vec<usize>> = BTreeMap::new();
        for (index, test) in tests.iter().enumerate() {
            let mut ids = Id::all_in_name(&test.name);
            ids.extend(Id::all_in(&test.said));
            ids.sort();
            ids.dedup();
            for id in ids {
                named.entry(id).or_default().push(index);
            }
        }
        Self { requirements, tests, named }
    }

    fn naming(&self, id: Id) -> &[usize] {
        self.named.get(&id).map_or(&[], Vec::as_slice)
    }

    fn place(&self, test: usize) -> String {
        let TestFn { path, line, name, .. } = &self.tests[test];
        format!("{path}:{line} {name}")
    }

    fn show_tests(&self, id: Id) -> anyhow::Result<()> {
        let known = self.requirements.iter().find(|requirement| requirement.id == id);
        ensure!(known.is_some(), "{id} is in no list of {LISTS}");
        for &test in self.naming(id) {
            say(self.place(test));
        }
        Ok(())
    }

    fn table(&self, all: bool) -> Vec<String> {
        let mut lines = vec![format!("{:<6} {:<8} {:>5}  one of them", "id", "scope", "tests")];
        let mut left_out = BTreeMap::<&str, usize>::new();
        for Requirement { id, scope, .. } in &self.requirements {
            let tests = self.naming(*id);
            if *scope != Scope::In && tests.is_empty() && !all {
                *left_out.entry(id.prefix).or_default() += 1;
                continue;
            }
            let scope = match scope {
                Scope::In => "in scope",
                Scope::NotYet => "not yet",
                Scope::No => "no",
            };
            let one = tests.first().map(|&test| self.place(test)).unwrap_or_default();
            let line = format!("{id:<6} {scope:<8} {:>5}  {one}", tests.len());
            lines.push(line.trim_end().to_owned());
        }
        if !left_out.is_empty() {
            let counts: Vec<_> =
                left_out.iter().map(|(prefix, count)| format!("{count} of {prefix}")).collect();
            lines.push(format!("not in scope, no test (--all shows them): {}", counts.join(", ")));
        }
        lines
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for pair in self.requirements.windows(2).filter(|pair| pair[0].id == pair[1].id) {
            problems
                .push(format!("{}: {} is also at {}", pair[1].place, pair[1].id, pair[0].place));
        }
        for Requirement { id, scope, place } in &self.requirements {
            if *scope == Scope::In && self.naming(*id).is_empty() {
                problems.push(format!("{place}: {id} is in scope and no test names it"));
            }
        }
        for (id, tests) in &self.named {
            if !self.requirements.iter().any(|requirement| requirement.id == *id) {
                problems.push(format!("{}: {id} is in no list", self.place(tests[0])));
            }
        }
        for (index, test) in self.tests.iter().enumerate() {
            for range in Id::ranges_in(&test.said) {
                problems.push(format!("{}: name each id of `{range}`", self.place(index)));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(list: &str, tests: &str) -> Ledger {
        let (requirements, errors) = requirement::read("l.md", list);
        assert!(errors.is_empty());
        Ledger::new(requirements, Source::new("crates/x/src/a.rs", tests).tests())
    }

    #[test]
    fn a_requirement_is_covered_by_name_comment_or_body() {
        let list = "| P1 | in | a |\n| P2 | in | b |\n| I3 | in | c |\n| T4 | not yet | d |\n| T5 | not yet | e |\n";
        let tests = "#[test]\nfn p1_a() {}\n/// P2, T4\n#[test]\nfn b() { /* I3 */ }";
        let ledger = ledger(list, tests);
        assert!(ledger.problems().is_empty());
        assert_eq!(
            ledger.table(false),
            [
                "id     scope    tests  one of them",
                "I3     in scope     1  crates/x/src/a.rs:5 b",
                "P1     in scope     1  crates/x/src/a.rs:2 p1_a",
                "P2     in scope     1  crates/x/src/a.rs:5 b",
                "T4     not yet      1  crates/x/src/a.rs:5 b",
                "not in scope, no test (--all shows them): 1 of T",
            ]
        );
        assert_eq!(ledger.table(true).len(), 6);
        assert!(ledger.show_tests(Id::parse("P2").unwrap()).is_ok());
        assert!(ledger.show_tests(Id::parse("P3").unwrap()).is_err());
    }

    #[test]
    fn a_case_of_the_suite_counts_once_it_is_run() {
        let suite = "pub fn one() {}\npub fn two() {}";
        let suite = Source::new("crates/storage/src/suite.rs", suite);
        let store = "#[test]\nfn conforms() { suite::one(); } // two";
        let store = Source::new("crates/storage-sqlite/tests/it/main.rs", store);
        let names: Vec<_> = tests(&[suite, store]).into_iter().map(|test| test.name).collect();
        assert_eq!(names, ["conforms", "one"]);
    }

    #[test]
    fn gaps_strangers_twins_and_ranges_are_problems() {
        let list = "| P1 | in | a |\n| P2 | not yet | b |\n| P2 | not yet | b |\n";
        let tests = "/// P2-P3\n#[test]\nfn x() {}\n// P1\nfn no_test() {}";
        assert_eq!(
            ledger(list, tests).problems(),
            [
                "l.md:3: P2 is also at l.md:2",
                "l.md:1: P1 is in scope and no test names it",
                "crates/x/src/a.rs:3 x: P3 is in no list",
                "crates/x/src/a.rs:3 x: name each id of `P2-P3`",
            ]
        );
    }
}
