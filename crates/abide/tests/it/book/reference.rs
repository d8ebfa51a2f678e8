//! The parts of the book that are made of the program, and what ties the pages together.
//!
//! `cargo xtask book` writes the made parts anew; without it a difference is a failure.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use abide_core::access::Scope;
use abide_core::delivery::{DeliveryState, ErrorClass, Reason};
use abide_core::endpoint::EndpointState;
use abide_core::event::EventKind;
use abide_core::job::JobKind;
use abide_core::user::Role;

use super::pages::{all, source};
use crate::program::{Site, abide};

const BEGIN: &str = "<!-- made: by `cargo xtask book` -->\n";
const END: &str = "<!-- made: end -->\n";

/// Compares the made part of a page with what it is made of now, or writes it.
fn hold(page: &str, made: &str) {
    let path = source().join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (stands, after) = rest.split_once(END).unwrap();
    if stands.trim() == made.trim() {
        return;
    }
    assert!(
        std::env::var_os("ABIDE_WRITE_BOOK").is_some(),
        "{page} says something else than the program: run `cargo xtask book`\n{made}"
    );
    fs::write(path, format!("{before}{BEGIN}\n{}\n\n{END}{after}", made.trim())).unwrap();
}

#[test]
fn the_command_line_is_described_as_it_is() {
    let site = Site::new();
    let mut text = String::new();
    let mut wanted = vec![Vec::new()];
    while let Some(path) = wanted.pop() {
        let help = help(&site, &path);
        let name = [&["abide".to_owned()], path.as_slice()].concat().join(" ");
        let depth = "#".repeat(path.len().clamp(1, 2) + 1);
        // Into a String, which cannot fail.
        let _ = writeln!(text, "{depth} `{name}`\n\n```text\n{}\n```\n", help.trim_end());
        let mut under: Vec<_> = commands(&help).map(|name| [&path[..], &[name]].concat()).collect();
        under.reverse();
        wanted.extend(under);
    }
    hold("reference/command-line.md", &text);
}

fn help(site: &Site, path: &[String]) -> String {
    let mut command = abide(site.path(), &[]);
    // As wide as any terminal gets it, whatever terminal the test is run from.
    command.args(path).arg("--help").env("COLUMNS", "100").stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{path:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The commands that a help text lists.
fn commands(help: &str) -> impl Iterator<Item = String> + '_ {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    })
}

#[test]
fn every_error_class_is_explained_as_the_program_does() {
    let mut table = "| class | what happened | what to do |\n|---|---|---|\n".to_owned();
    for class in ErrorClass::ALL {
        let (what, todo) = (class.what_happened(), class.what_to_do());
        let _ = writeln!(table, "| `{}` | {what} | {todo} |", class.as_str());
    }
    hold("reference/error-classes.md", &table);
}

/// A name that the program knows is on the page that explains its kind.
#[test]
fn every_name_is_explained_where_readers_look_for_it() {
    let page = |name: &str| fs::read_to_string(source().join(name)).unwrap();
    let deliveries = page("concepts/deliveries.md");
    let names = DeliveryState::ALL.map(DeliveryState::as_str);
    let names = names.into_iter().chain(Reason::ALL.map(Reason::as_str));
    for name in names.chain(JobKind::ALL.map(JobKind::as_str)) {
        assert!(deliveries.contains(&format!("`{name}`")), "{name}");
    }
    let endpoints = page("concepts/endpoints.md");
    for state in EndpointState::ALL {
        assert!(endpoints.contains(&format!("`{}`", state.as_str())), "{state:?}");
    }
    let events = page("concepts/events.md");
    for kind in EventKind::ALL {
        assert!(events.contains(&format!("`{}`", kind.as_str())), "{kind:?}");
    }
    let organizations = page("concepts/organizations.md");
    for scope in Scope::ALL {
        assert!(organizations.contains(&format!("`{}`", scope.as_str())), "{scope:?}");
    }
    for role in Role::ALL {
        let row = format!("| `{}` | {} |", role.as_str(), role.meaning());
        assert!(organizations.contains(&row), "{row}");
    }
    for dialect in abide_dialects::all() {
        let path = format!("dialects/{}.md", dialect.name().replace('_', "-"));
        assert!(page("SUMMARY.md").contains(&path), "{path} is missing");
    }
}

#[test]
fn every_setting_is_listed_and_no_other() {
    let site = Site::new();
    let help = help(&site, &["serve".to_owned()]);
    let page = fs::read_to_string(source().join("reference/settings.md")).unwrap();
    assert_eq!(names(&page), names(&help));
}

/// The `--flags` and `ABIDE_VARIABLES` in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let words = text.split(|c| !is_inside(c));
    words
        .filter(|word| {
            (word.starts_with("--") && word.len() > 2 && !word.starts_with("---"))
                || word.starts_with("ABIDE_")
        })
        .collect()
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let summary = fs::read_to_string(source().join("SUMMARY.md")).unwrap();
    let pages = all();
    for page in &pages {
        if page.path.starts_with(source()) && page.name != "SUMMARY.md" {
            assert!(summary.contains(&format!("({})", page.name)), "{} is in no menu", page.name);
        }
        for link in links(&page.text) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = page.path.parent().unwrap().join(file);
            let path = if file.is_empty() { page.path.clone() } else { path };
            let Ok(path) = fs::canonicalize(path) else {
                panic!("{}: {link} leads nowhere", page.name);
            };
            // The book may be built and read without the repository around it.
            let leaves = page.path.starts_with(source()) && !path.starts_with(source());
            assert!(!leaves, "{}: {link} leads out of the book", page.name);
            assert!(heading.is_empty() || has_heading(&path, heading), "{}: {link}", page.name);
        }
    }
}

/// Where the links of a page lead, those in blocks of code left out.
fn links(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    let parts = outside.flat_map(|part| part.split("](").skip(1));
    parts.filter_map(|rest| rest.split(')').next()).collect()
}

fn has_heading(path: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-") == wanted
    })
}
