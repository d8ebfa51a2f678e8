//! Who may know whom: `abide → {server, engine} → {dialects, storage} → core`, the stores beside
//! `storage`. Each crate's own tests may use more: development dependencies are not looked at.

use toml::{Table, Value};

use super::Finding;
use crate::source::{Source, is_word};

/// What a crate's shipped code may know.
struct Rule {
    folder: &'static str,
    /// Crates of ours.
    ours: &'static [&'static str],
    /// Crates of others that belong to another layer.
    never: &'static [&'static str],
}

/// A folder that is not listed, such as a new crate's, may know no crate of ours until it is.
const RULES: [Rule; 8] = [
    Rule {
        folder: "crates/core",
        ours: &[],
        never: &[
            "async-trait",
            "axum",
            "hyper",
            "hyper-util",
            "rusqlite",
            "tokio",
            "tokio-postgres",
        ],
    },
    Rule {
        folder: "crates/dialects",
        ours: &["abide-core"],
        never: &[
            "async-trait",
            "axum",
            "hyper",
            "hyper-util",
            "rusqlite",
            "tokio",
            "tokio-postgres",
        ],
    },
    Rule {
        folder: "crates/storage",
        ours: &["abide-core"],
        never: &["axum", "hyper", "hyper-util", "rusqlite", "tokio-postgres"],
    },
    Rule {
        folder: "crates/storage-sql",
        ours: &["abide-core", "abide-storage"],
        never: &["axum", "hyper", "hyper-util", "rusqlite", "tokio-postgres"],
    },
    Rule {
        folder: "crates/storage-sqlite",
        ours: &["abide-core", "abide-storage", "abide-storage-sql"],
        never: &["axum", "hyper", "hyper-util", "tokio-postgres"],
    },
    Rule {
        folder: "crates/storage-postgres",
        ours: &["abide-core", "abide-storage", "abide-storage-sql"],
        never: &["axum", "hyper", "hyper-util", "rusqlite"],
    },
    Rule {
        folder: "crates/engine",
        ours: &["abide-core", "abide-dialects", "abide-storage"],
        never: &["axum", "rusqlite", "tokio-postgres"],
    },
    Rule {
        folder: "crates/server",
        ours: &["abide-core", "abide-dialects", "abide-storage"],
        never: &["rusqlite", "tokio-postgres"],
    },
];

/// The folders that tie everything together.
const FREE: [&str; 4] = ["bench", "crates/abide", "simulation", "xtask"];

impl Rule {
    fn refuses(&self, package: &str) -> bool {
        let ours = package == "abide" || package.starts_with("abide-");
        (ours && !self.ours.contains(&package)) || self.never.contains(&package)
    }
}

fn rule(folder: &str) -> Option<Rule> {
    if FREE.contains(&folder) {
        return None;
    }
    let known = RULES.into_iter().find(|rule| rule.folder == folder);
    Some(known.unwrap_or(Rule { folder: "", ours: &[], never: &[] }))
}

/// Dependencies in a manifest.
pub(super) fn manifest(path: &str, text: &str) -> Vec<Finding> {
    let Some(folder) = path.strip_suffix("/Cargo.toml") else { return Vec::new() };
    let Some(rule) = rule(folder) else { return Vec::new() };
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return vec![Finding::new(path, error.to_string())],
    };
    let targets = table.get("target").and_then(Value::as_table).into_iter().flatten();
    let places = std::iter::once(&table).chain(targets.filter_map(|(_, part)| part.as_table()));
    places
        .flat_map(dependencies)
        .filter(|package| rule.refuses(package))
        .map(|package| Finding::new(path, format!("must not depend on {package}")))
        .collect()
}

fn dependencies(table: &Table) -> Vec<&str> {
    let kinds = ["dependencies", "build-dependencies"].map(|kind| table.get(kind));
    let entries = kinds.into_iter().flatten().filter_map(Value::as_table).flatten();
    entries
        .map(|(name, entry)| entry.get("package").and_then(Value::as_str).unwrap_or(name))
        .collect()
}

/// Crates of ours that the shipped code names.
pub(super) fn named(source: &Source) -> Vec<Finding> {
    let Some((folder, _)) = source.path.split_once("/src/") else { return Vec::new() };
    let Some(rule) = rule(folder) else { return Vec::new() };
    let own = folder.replace("crates/", "abide-");
    let code = source.shipped_code();
    let starts = code.match_indices("abide_").map(|(at, _)| at);
    starts
        .filter(|&at| !code[..at].ends_with(is_word))
        .filter_map(|at| {
            let name = code[at..].split(|character| !is_word(character)).next()?;
            let package = name.replace('_', "-");
            let ours = RULES.iter().any(|rule| rule.folder.replace("crates/", "abide-") == package);
            (ours && package != own && rule.refuses(&package)).then(|| {
                let place = format!("{}:{}", source.path, source.line(at));
                Finding::new(place, format!("must not know {package}"))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_manifest(path: &str, text: &str, findings: &[&str]) {
        let found: Vec<_> = manifest(path, text).iter().map(ToString::to_string).collect();
        assert_eq!(found, findings);
    }

    #[track_caller]
    fn check_named(path: &str, text: &str, findings: &[&str]) {
        let found = named(&Source::new(path, text));
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, findings);
    }

    #[test]
    fn a_manifest_lists_what_its_layer_may_know() {
        check_manifest(
            "crates/engine/Cargo.toml",
            "[dependencies]\nabide-storage.workspace = true\nhyper = \"1\"\n\
             [dev-dependencies]\nabide-storage-sqlite.workspace = true\n",
            &[],
        );
        check_manifest(
            "crates/abide/Cargo.toml",
            "[dependencies]\nabide-storage-sqlite.workspace = true\n",
            &[],
        );
        check_manifest("Cargo.toml", "[workspace.dependencies]\nrusqlite = \"1\"\n", &[]);
    }

    #[test]
    fn a_wrong_dependency_is_found_wherever_it_hides() {
        check_manifest(
            "crates/server/Cargo.toml",
            "[dependencies]\nabide-engine.workspace = true\nstore = { package = \"abide-storage-sqlite\" }\n\
             [target.'cfg(unix)'.dependencies]\nrusqlite = \"1\"\n",
            &[
                "crates/server/Cargo.toml: must not depend on abide-engine",
                "crates/server/Cargo.toml: must not depend on abide-storage-sqlite",
                "crates/server/Cargo.toml: must not depend on rusqlite",
            ],
        );
        check_manifest(
            "crates/core/Cargo.toml",
            "[dependencies]\ntokio.workspace = true\n",
            &["crates/core/Cargo.toml: must not depend on tokio"],
        );
        check_manifest(
            "crates/newcomer/Cargo.toml",
            "[dependencies]\nabide-core.workspace = true\n",
            &["crates/newcomer/Cargo.toml: must not depend on abide-core"],
        );
        assert_eq!(manifest("crates/core/Cargo.toml", "[").len(), 1);
    }

    #[test]
    fn code_names_only_what_its_layer_may_know() {
        check_named(
            "crates/engine/src/a.rs",
            "//! abide_server\nuse abide_storage::Storage;\nfn abide_listen() { abide_dialects::all() }\n\
             #[cfg(test)]\nmod tests { use abide_storage_sqlite::Store; }\n",
            &[],
        );
        check_named("crates/abide/src/wiring.rs", "use abide_storage_sqlite::Store;", &[]);
        check_named(
            "crates/storage/src/a.rs",
            "macro_rules! a { () => { abide_storage::b() } }",
            &[],
        );
        check_named(
            "crates/server/src/a.rs",
            "use abide_core::A;\nfn b() { abide_storage_sqlite::open() }\n",
            &["crates/server/src/a.rs:2: must not know abide-storage-sqlite"],
        );
    }
}
