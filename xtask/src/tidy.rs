//! House rules that the compiler does not hold. Each rule is a function from files to findings; why a
//! rule is there stands above it.

mod imports;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::say;
use crate::source::{self, Source};

/// A file above this wants splitting along what it is about.
const MOST_LINES: usize = 800;

/// Names that say nothing about what is inside, so that everything ends up there.
const EMPTY_NAMES: [&str; 7] = ["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// A test of this name walks the migrations: from empty, and from each released version.
const MIGRATION_TEST: &str = "every_migration";

/// Absolute folders of the machines we work on. Put together here, so that this file has none.
const MACHINE_FOLDERS: [&str; 3] = ["work", "root", "farm"];

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let tree = Tree::read(root)?;
    largest(&tree.sources).into_iter().for_each(say);
    let findings = tree.findings();
    for finding in &findings {
        say(finding);
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings", findings.len());
    }
    Ok(())
}

/// A broken rule: where, and what to do.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    place: String,
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.what)
    }
}

/// What the rules look at.
#[derive(Default)]
struct Tree {
    sources: Vec<Source>,
    /// Path and text of every text file but lock files.
    texts: Vec<(String, String)>,
    /// Path of every file.
    paths: Vec<String>,
}

impl Tree {
    fn read(root: &Path) -> anyhow::Result<Self> {
        let paths = source::files(root, ".")?;
        let mut texts = Vec::new();
        for path in paths.iter().filter(|path| !source::has_extension(path, "lock")) {
            let bytes = fs::read(root.join(path)).with_context(|| path.clone())?;
            texts.extend(String::from_utf8(bytes).ok().map(|text| (path.clone(), text)));
        }
        let sources = source::rust_files(root, &["crates", "simulation", "xtask"])?;
        Ok(Self { sources, texts, paths })
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for source in &self.sources {
            findings.extend(module_docs(source));
            findings.extend(size(source));
            findings.extend(empty_names(source));
            findings.extend(ignored_tests(source));
            findings.extend(imports::named(source));
        }
        for (path, text) in &self.texts {
            findings.extend(machine_paths(path, text));
            findings.extend(left_open(path, text));
            findings.extend(imports::manifest(path, text));
            findings.extend(planted_faults(path, text));
        }
        findings.extend(self.migrations());
        findings.extend(self.map());
        findings
    }

    fn text(&self, path: &str) -> Option<&str> {
        let found = self.texts.iter().find(|(one, _)| one == path);
        found.map(|(_, text)| text.as_str())
    }

    /// A migration that the list or the test does not know runs for the first time at a user's site.
    fn migrations(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for path in &self.paths {
            let Some((package, file)) = path.split_once("/migrations/") else { continue };
            let list = format!("{package}/src/migrations.rs");
            let tested = self.sources.iter().filter(|source| source.path.starts_with(package));
            let mut tests = tested.flat_map(Source::tests);
            if !is_migration_name(file) {
                findings.push(Finding::new(path, "a migration is called `NNNN_name.sql`"));
            } else if !self.text(&list).is_some_and(|text| text.contains(file)) {
                findings.push(Finding::new(path, format!("not in {list}")));
            } else if !tests.any(|test| test.name.contains(MIGRATION_TEST)) {
                let what = format!("no test of {package} is called `...{MIGRATION_TEST}...`");
                findings.push(Finding::new(path, what));
            }
        }
        findings
    }

    /// The map shows every folder of code, or a newcomer will not find it.
    fn map(&self) -> Vec<Finding> {
        let map = self.text("ARCHITECTURE.md").unwrap_or_default();
        let folders = self.paths.iter().filter_map(|path| path.strip_suffix("/Cargo.toml"));
        folders
            .filter(|folder| !map.contains(&format!("`{folder}`")))
            .map(|folder| Finding::new("ARCHITECTURE.md", format!("does not mention {folder}")))
            .collect()
    }
}

fn is_migration_name(file: &str) -> bool {
    let Some((number, name)) = file.split_once('_') else { return false };
    let name = name.strip_suffix(".sql").unwrap_or_default();
    number.len() == 4
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A module opens with what it is for: readers decide there whether to go on.
fn module_docs(source: &Source) -> Option<Finding> {
    let in_src = source.path.split('/').any(|part| part == "src");
    let opens = source.text.starts_with("//!");
    (in_src && !opens).then(|| Finding::new(&source.path, "opens without `//!` module docs"))
}

fn size(source: &Source) -> Option<Finding> {
    let lines = source.text.lines().count();
    (lines > MOST_LINES)
        .then(|| Finding::new(&source.path, format!("{lines} lines; above {MOST_LINES}, split it")))
}

fn largest(sources: &[Source]) -> Vec<String> {
    let mut sizes: Vec<_> =
        sources.iter().map(|source| (source.text.lines().count(), &source.path)).collect();
    sizes.sort_by(|a, b| b.cmp(a));
    let lines = sizes.iter().take(10).map(|(lines, path)| format!("{lines:>5} {path}"));
    std::iter::once("the largest files, in lines".to_owned()).chain(lines).collect()
}

fn empty_names(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let parts = source.path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    for name in parts.filter(|part| EMPTY_NAMES.contains(part)) {
        findings
            .push(Finding::new(&source.path, format!("`{name}` says nothing: name the purpose")));
    }
    for at in source.words("mod") {
        let rest = source.code[at + "mod".len()..].trim_start();
        let name = rest.split(|character| !source::is_word(character)).next().unwrap_or_default();
        if EMPTY_NAMES.contains(&name) {
            let place = format!("{}:{}", source.path, source.line(at));
            findings.push(Finding::new(place, format!("`{name}` says nothing: name the purpose")));
        }
    }
    findings
}

/// What breaks the product on purpose is never in a build of its own accord: the feature is no crate's default, the
/// simulation alone asks others for it, and a build without debug assertions refuses it.
fn planted_faults(path: &str, text: &str) -> Vec<Finding> {
    const FEATURE: &str = "faults";
    let mut findings = Vec::new();
    if path == "crates/core/src/fault.rs"
        && !text.contains("#[cfg(not(debug_assertions))]\ncompile_error!")
    {
        findings.push(Finding::new(path, "must not compile without debug assertions"));
    }
    let Some(folder) = path.strip_suffix("/Cargo.toml") else { return findings };
    let table: toml::Table = text.parse().unwrap_or_default();
    let features = table.get("features").and_then(toml::Value::as_table);
    for (name, of) in features.into_iter().flatten() {
        let asks = of.as_array().into_iter().flatten().filter_map(toml::Value::as_str);
        if name != FEATURE && asks.clone().any(|asked| asked.contains(FEATURE)) {
            findings.push(Finding::new(path, format!("`{name}` plants faults in the product")));
        }
    }
    let dependencies = ["dependencies", "dev-dependencies", "build-dependencies"];
    let asks = dependencies.iter().filter_map(|kind| table.get(*kind)).any(|all| {
        let all = all.as_table().into_iter().flatten();
        all.filter_map(|(_, one)| one.get("features")?.as_array())
            .flatten()
            .any(|feature| feature.as_str() == Some(FEATURE))
    });
    if asks || folder == "crates/abide" && features.is_some_and(|all| all.contains_key(FEATURE)) {
        findings
            .push(Finding::new(path, "asks for faults in the product: only the simulation does"));
    }
    findings
}

/// A test that does not run proves nothing.
fn ignored_tests(source: &Source) -> Vec<Finding> {
    let ignored = source.code.match_indices("#[ignore");
    ignored
        .map(|(at, _)| {
            let place = format!("{}:{}", source.path, source.line(at));
            Finding::new(place, "an ignored test: run it, shorten it or remove it")
        })
        .collect()
}

fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let folders = MACHINE_FOLDERS.map(|folder| format!("/{folder}/"));
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| folders.iter().any(|folder| line.contains(folder)))
        .map(|(index, _)| {
            let place = format!("{path}:{}", index + 1);
            Finding::new(place, "a path of one machine: write it relative to the repository")
        })
        .collect()
}

/// A figure to be measured, left in a text that people read.
fn left_open(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().enumerate().filter(|_| source::has_extension(path, "md"));
    let open = lines.filter(|(_, line)| {
        line.split(|character| !source::is_word(character)).any(|word| word == "TBM")
    });
    open.map(|(index, _)| {
        Finding::new(format!("{path}:{}", index + 1), "TBM: measure it, or leave the figure out")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let texts: Vec<_> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let rust = files.iter().filter(|(path, _)| source::has_extension(path, "rs"));
        Tree {
            sources: rust.map(|(path, text)| Source::new(path, text)).collect(),
            paths: texts.iter().map(|(path, _)| path.clone()).collect(),
            texts,
        }
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], findings: &[&str]) {
        let found: Vec<_> = tree(files).findings().iter().map(ToString::to_string).collect();
        assert_eq!(found, findings);
    }

    #[test]
    fn a_module_opens_with_docs() {
        check(&[("crates/core/src/a.rs", "//! Why.\n")], &[]);
        check(&[("crates/core/tests/it/a.rs", "fn a() {}\n")], &[]);
        check(
            &[("crates/core/src/a.rs", "// no\n"), ("xtask/src/b.rs", "")],
            &[
                "crates/core/src/a.rs: opens without `//!` module docs",
                "xtask/src/b.rs: opens without `//!` module docs",
            ],
        );
    }

    #[test]
    fn no_build_has_planted_faults_of_its_own_accord() {
        let map = ("ARCHITECTURE.md", "`crates/core` `crates/abide`");
        let good = "[features]\nfaults = [\"abide-core/faults\"]\n";
        check(&[map, ("crates/core/Cargo.toml", good)], &[]);
        let guarded = "//! Why.\n#[cfg(not(debug_assertions))]\ncompile_error!(\"no\");\n";
        check(&[map, ("crates/core/src/fault.rs", guarded)], &[]);
        check(
            &[
                map,
                ("crates/abide/Cargo.toml", good),
                ("crates/core/Cargo.toml", "[features]\ndefault = [\"faults\"]\n"),
                ("crates/core/src/fault.rs", "//! Why.\n"),
            ],
            &[
                "crates/abide/Cargo.toml: asks for faults in the product: only the simulation does",
                "crates/core/Cargo.toml: `default` plants faults in the product",
                "crates/core/src/fault.rs: must not compile without debug assertions",
            ],
        );
    }

    #[test]
    fn a_file_has_its_limit() {
        let text = |lines| "//!\n".repeat(lines);
        check(&[("xtask/src/a.rs", &text(MOST_LINES))], &[]);
        check(
            &[("xtask/src/a.rs", &text(MOST_LINES + 1))],
            &["xtask/src/a.rs: 801 lines; above 800, split it"],
        );
    }

    #[test]
    fn the_largest_come_first() {
        let tree = tree(&[("xtask/src/a.rs", "//!\n"), ("xtask/src/b.rs", "//!\n\n")]);
        let lines = largest(&tree.sources);
        assert_eq!(lines[1..], ["    2 xtask/src/b.rs", "    1 xtask/src/a.rs"]);
    }

    #[test]
    fn names_say_something() {
        check(
            &[
                ("crates/core/tests/common/a.rs", ""),
                ("crates/core/src/b.rs", "//!\npub mod utils;\nmod manage;\n"),
            ],
            &[
                "crates/core/tests/common/a.rs: `common` says nothing: name the purpose",
                "crates/core/src/b.rs:2: `utils` says nothing: name the purpose",
            ],
        );
    }

    #[test]
    fn tests_run() {
        check(
            &[("crates/core/tests/a.rs", "// #[ignore]\n#[test]\n#[ignore = \"x\"]\nfn a() {}\n")],
            &["crates/core/tests/a.rs:3: an ignored test: run it, shorten it or remove it"],
        );
    }

    #[test]
    fn no_machine_paths() {
        let text = format!("see ../{0}/a\nsee /{0}/a\n", MACHINE_FOLDERS[0]);
        check(
            &[("README.md", "/home/you/a\n"), ("docs/a.md", &text.replace("../", ".."))],
            &["docs/a.md:2: a path of one machine: write it relative to the repository"],
        );
    }

    #[test]
    fn no_figure_is_left_open() {
        check(
            &[("README.md", "a\nabout TBM minutes\n"), ("docs/a.md", "ATBMB\n"), ("a.rs", "TBM")],
            &["README.md:2: TBM: measure it, or leave the figure out"],
        );
    }

    #[test]
    fn every_migration_is_listed_and_tested() {
        const LIST: &str = "//!\nconst A: &str = \"0001_first.sql\";\n";
        const TEST: &str = "#[test]\nfn every_migration_runs() {}\n";
        let sql = ("crates/storage-sqlite/migrations/0001_first.sql", "");
        let list = ("crates/storage-sqlite/src/migrations.rs", LIST);
        let test = ("crates/storage-sqlite/tests/it/m.rs", TEST);
        check(&[sql, list, test], &[]);
        check(
            &[sql, ("crates/storage-sqlite/src/migrations.rs", "//!\n"), test],
            &["crates/storage-sqlite/migrations/0001_first.sql: \
               not in crates/storage-sqlite/src/migrations.rs"],
        );
        check(
            &[sql, list],
            &["crates/storage-sqlite/migrations/0001_first.sql: \
               no test of crates/storage-sqlite is called `...every_migration...`"],
        );
        check(
            &[("crates/storage-sqlite/migrations/first.sql", ""), list, test],
            &["crates/storage-sqlite/migrations/first.sql: a migration is called `NNNN_name.sql`"],
        );
    }

    #[test]
    fn the_map_shows_every_folder() {
        let manifest = ("crates/core/Cargo.toml", "");
        let twin = "`crates/core-twin`";
        check(&[manifest, ("ARCHITECTURE.md", "| `crates/core` | what things are |")], &[]);
        check(
            &[manifest, ("ARCHITECTURE.md", twin)],
            &["ARCHITECTURE.md: does not mention crates/core"],
        );
    }
}
