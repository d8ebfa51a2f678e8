//! `abide import`: bring along what was elsewhere, page by page, through the API of a running server.
//!
//! Each page is one change of its own: the first that is refused ends the import, and running it again leaves what is there
//! as it is. A dry run goes on, so that all there is to mend is told at once.

mod pages;

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use self::pages::{Page, Pages, Policies};
use super::format::Format;
use super::shown::field;
use crate::api_client::{ApiSettings, FieldProblem, Judged};
use crate::exit::Refused;
use crate::terminal::bar;

#[derive(Args)]
pub(crate) struct Options {
    /// JSON Lines of endpoints, policies and consents; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Whether endpoints hear of what is brought along
    #[arg(long, value_name = "WHETHER")]
    webhooks: Webhooks,
    /// Judge every line and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    server: ApiSettings,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Webhooks {
    /// Each change is told as if it were recorded now
    Send,
    /// Nobody is told, now or later
    None,
}

/// Most misfits told: a dry run of a file that is wrong all over ends there.
const MISFITS: usize = 1_000;
/// Most lines named whose hashes differ.
const NAMED: usize = 20;

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let Options { file, webhooks, dry_run, format, server } = options;
    let api = server.settle()?;
    let (reader, bytes) = open(&file)?;
    // Only a dry run leaves nothing behind that later pages could name.
    let policies = if dry_run { Policies::Repeated } else { Policies::Taken };
    let mut pages = Pages::new(reader, policies);
    let query = [
        (
            "webhooks",
            match webhooks {
                Webhooks::Send => "send".to_owned(),
                Webhooks::None => "none".to_owned(),
            },
        ),
        ("dry_run", dry_run.to_string()),
    ];
    let form = match bytes {
        Some(_) => "{bar:40} {percent:>3}%  {elapsed}  {msg}",
        None => "{elapsed}  {msg}",
    };
    let bar = bar(bytes, form);
    let mut told = Told { dry_run, ..Told::default() };
    let mut misfits: Vec<Misfit> = Vec::new();
    let ended = loop {
        let page = match pages.next() {
            Ok(Some(page)) => page,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        match api.post_lines(&["import"], &query, &page.body).await {
            Ok(Judged::Taken(answer)) => told.add(&page, &answer),
            Ok(Judged::Wrong(problems)) => {
                misfits.extend(problems.into_iter().map(|problem| Misfit::of(&page, problem)));
                if !dry_run || misfits.len() >= MISFITS {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
        bar.set_position(pages.bytes());
        bar.set_message(format!("{} lines", told.lines));
    };
    bar.finish_and_clear();
    if let Err(error) = ended {
        return Err(if told.lines > 0 && !dry_run { error.context(told.before()) } else { error });
    }
    if !misfits.is_empty() {
        return Err(Refused(refused(&misfits, &told)).into());
    }
    if told.lines == 0 {
        return Err(Refused(format!("{} holds no line", file.display())).into());
    }
    format.answer(&told, &told)
}

/// The lines, and how many bytes there are of them, where that is known.
fn open(path: &Path) -> anyhow::Result<(Box<dyn BufRead>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let facts = file.metadata().with_context(cannot)?;
    let bytes = facts.is_file().then_some(facts.len());
    Ok((Box::new(BufReader::new(file)), bytes))
}

/// What became of the lines so far.
#[derive(Default, Serialize)]
struct Told {
    dry_run: bool,
    lines: u64,
    created: u64,
    appended: u64,
    unchanged: u64,
    left_out: u64,
    hashes: Hashes,
}

#[derive(Default, Serialize)]
struct Hashes {
    matches: u64,
    differs: u64,
    computed: u64,
    /// The first of those that differ.
    differs_in_lines: Vec<u64>,
}

impl Told {
    fn add(&mut self, page: &Page, answer: &Value) {
        let lines = answer["lines"].as_array().map_or(&[][..], Vec::as_slice);
        for (line, number) in lines.iter().zip(&page.numbers).skip(page.repeated) {
            self.lines += 1;
            match field(line, &["outcome"]).as_str() {
                "created" => self.created += 1,
                "appended" => self.appended += 1,
                "left_out" => self.left_out += 1,
                _ => self.unchanged += 1,
            }
            let hashes = &mut self.hashes;
            match field(line, &["hash"]).as_str() {
                "matches" => hashes.matches += 1,
                "differs" => {
                    hashes.differs += 1;
                    if hashes.differs_in_lines.len() < NAMED {
                        hashes.differs_in_lines.push(*number);
                    }
                }
                "computed" => hashes.computed += 1,
                _ => {}
            }
        }
    }

    /// What stands here already when the rest could not be done.
    fn before(&self) -> String {
        format!(
            "{} lines before were taken; running the import again leaves them as they are",
            self.lines
        )
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dry_run, lines, created, appended, unchanged, left_out, hashes } = self;
        if *dry_run {
            f.write_str("Nothing was changed. It would be: ")?;
        }
        write!(f, "{lines} lines, {created} created, {appended} appended, {unchanged} unchanged")?;
        if *left_out > 0 {
            write!(f, ", {left_out} left out: their people were erased here since")?;
        }
        let Hashes { matches, differs, computed, differs_in_lines } = hashes;
        write!(f, "\nhashes: {matches} match, {differs} differ, {computed} computed")?;
        if !differs_in_lines.is_empty() {
            let numbers: Vec<String> = differs_in_lines.iter().map(u64::to_string).collect();
            let more = if *differs > NAMED as u64 { " and more" } else { "" };
            write!(f, "\ndiffer in lines {}{more}", numbers.join(", "))?;
        }
        Ok(())
    }
}

/// A line that cannot be taken.
struct Misfit {
    /// Its number in the file, from 1; `None` where the server names none of the page's.
    line: Option<u64>,
    /// The field in it, where it is about one.
    field: String,
    problem: String,
}

impl Misfit {
    /// The server counts the lines of its page from 0.
    fn of(page: &Page, FieldProblem { field, problem }: FieldProblem) -> Self {
        let place = field.strip_prefix("lines[").and_then(|rest| rest.split_once(']'));
        let number = place.and_then(|(at, rest)| {
            let number = page.numbers.get(at.parse::<usize>().ok()?)?;
            Some((*number, rest.trim_start_matches('.').to_owned()))
        });
        match number {
            Some((line, field)) => Self { line: Some(line), field, problem },
            None => Self { line: None, field, problem },
        }
    }
}

fn refused(misfits: &[Misfit], told: &Told) -> String {
    let mut text = "these lines cannot be taken:".to_owned();
    for Misfit { line, field, problem } in misfits {
        let line = line.map_or_else(String::new, |line| format!("line {line}: "));
        let field = if field.is_empty() { String::new() } else { format!("`{field}` ") };
        // Into a String, which cannot fail.
        let _ = write!(text, "\n  {line}{field}{problem}");
    }
    let end = match (told.dry_run, told.lines) {
        (true, _) if misfits.len() >= MISFITS => {
            "The lines after them were not looked at. Nothing was changed.".to_owned()
        }
        (true, _) => "Nothing was changed.".to_owned(),
        (false, 0) => "Nothing was taken. Mend these and run the import again.".to_owned(),
        (false, lines) => format!(
            "{lines} lines before were taken. Mend these and run the import again: what is there stays as it is."
        ),
    };
    let _ = write!(text, "\n{end}");
    text
}
