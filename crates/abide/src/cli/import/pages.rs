//! A file of lines as pages that a server takes: read as they are sent, so that a file of any size needs the memory of one
//! page, and in a dry run that of its policies.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read as _};

use anyhow::Context as _;
use serde::Deserialize;

use crate::exit::Refused;

/// Most lines of a page.
const LINES: usize = 1_000;
/// Most bytes of a page, ends of lines included.
const BYTES: usize = 4 * 1024 * 1024;

/// What later pages can name of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policies {
    /// What was taken is there.
    Taken,
    /// Nothing is kept: a policy stands again at the beginning of each page that names it.
    Repeated,
}

/// Some lines of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// The lines, each with its end.
    pub(super) body: Vec<u8>,
    /// The number of each in the file, from 1.
    pub(super) numbers: Vec<u64>,
    /// How many of them were in earlier pages.
    pub(super) repeated: usize,
}

pub(super) struct Pages<R> {
    reader: R,
    policies: Policies,
    /// Policies so far by their ids, where they are to be repeated.
    seen: HashMap<String, Line>,
    /// A line that had no room in the page before.
    waiting: Option<Line>,
    /// Lines read.
    number: u64,
    /// Bytes read.
    bytes: u64,
}

#[derive(Debug, Clone)]
struct Line {
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Pages<R> {
    pub(super) fn new(reader: R, policies: Policies) -> Self {
        Self { reader, policies, seen: HashMap::new(), waiting: None, number: 0, bytes: 0 }
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next page; `None` at the end of the file.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Page>> {
        let mut repeated: Vec<Line> = Vec::new();
        let mut lines: Vec<Line> = Vec::new();
        let mut here: HashSet<String> = HashSet::new();
        let (mut count, mut bytes) = (0, 0);
        while let Some(line) = self.line()? {
            let told = match self.policies {
                Policies::Taken => Told::Other,
                Policies::Repeated => Told::of(&line.text),
            };
            let named = match &told {
                Told::Names(policy) if !here.contains(policy) => self.seen.get(policy).cloned(),
                Told::Names(_) | Told::Policy(_) | Told::Other => None,
            };
            let more = named.as_ref().map_or(0, |named| named.text.len());
            let (more_lines, more_bytes) =
                (1 + usize::from(named.is_some()), line.text.len() + more);
            if count + more_lines > LINES || bytes + more_bytes > BYTES {
                self.waiting = Some(line);
                break;
            }
            count += more_lines;
            bytes += more_bytes;
            match told {
                Told::Policy(id) => {
                    here.insert(id.clone());
                    self.seen.insert(id, line.clone());
                }
                Told::Names(policy) => {
                    here.insert(policy);
                }
                Told::Other => {}
            }
            repeated.extend(named);
            lines.push(line);
        }
        if lines.is_empty() {
            return match self.waiting.take() {
                // Not even alone is there room for it.
                Some(line) => Err(too_long(line.number)),
                None => Ok(None),
            };
        }
        let mut page = Page { repeated: repeated.len(), ..Page::default() };
        for Line { number, text } in repeated.into_iter().chain(lines) {
            page.numbers.push(number);
            page.body.extend_from_slice(&text);
        }
        Ok(Some(page))
    }

    /// The next line that is not blank, with its end.
    fn line(&mut self) -> anyhow::Result<Option<Line>> {
        if let Some(line) = self.waiting.take() {
            return Ok(Some(line));
        }
        loop {
            let mut text = Vec::new();
            let limit = BYTES as u64 + 1;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut text);
            let read = read.context("cannot read the lines")?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.bytes += read as u64;
            if text.len() > BYTES {
                return Err(too_long(self.number));
            }
            // Some programs begin a file with it.
            let begun = text.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.number == 1);
            let mut text = begun.unwrap_or(&text).trim_ascii().to_vec();
            if text.is_empty() {
                continue;
            }
            text.push(b'\n');
            return Ok(Some(Line { number: self.number, text }));
        }
    }
}

fn too_long(line: u64) -> anyhow::Error {
    Refused(format!("line {line} is longer than {} MiB", BYTES / (1024 * 1024))).into()
}

/// What a line has to do with policies. What is wrong with it is the server's to say.
enum Told {
    Policy(String),
    Names(String),
    Other,
}

impl Told {
    fn of(text: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            r#type: Cow<'a, str>,
            #[serde(borrow)]
            data: Data<'a>,
        }
        #[derive(Deserialize)]
        struct Data<'a> {
            #[serde(borrow)]
            id: Option<Cow<'a, str>>,
            #[serde(borrow, alias = "policyId", alias = "policyVersionId")]
            policy_id: Option<Cow<'a, str>>,
        }
        let Ok(Envelope { r#type, data }) = serde_json::from_slice(text) else {
            return Self::Other;
        };
        match (&*r#type, data) {
            ("policy", Data { id: Some(id), .. }) => Self::Policy(id.into_owned()),
            ("consent", Data { policy_id: Some(policy), .. }) => Self::Names(policy.into_owned()),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(text: &str, policies: Policies) -> Vec<Page> {
        let mut pages = Pages::new(text.as_bytes(), policies);
        std::iter::from_fn(|| pages.next().unwrap()).collect()
    }

    #[test]
    fn pages_are_bounded_and_know_the_numbers_of_their_lines() {
        let line = "{\"type\":\"consent\",\"data\":{}}";
        let text = format!("\u{feff}{line}\r\n\n  \n{}", format!("{line}\n").repeat(1_000));
        let pages = pages(&text, Policies::Taken);
        assert_eq!(pages.len(), 2);
        assert_eq!((pages[0].numbers.len(), pages[1].numbers.len()), (1_000, 1));
        assert_eq!((&pages[0].numbers[..2], pages[1].numbers[0]), (&[1, 4][..], 1_003));
        assert_eq!(pages[1].body, format!("{line}\n").as_bytes());
        assert!(pages[0].body.starts_with(b"{\"type\":\"consent\",\"data\":{}}\n{"));

        let large = format!("\"{}\"\n", "x".repeat(3 * 1024 * 1024));
        assert_eq!(self::pages(&large.repeat(2), Policies::Taken).len(), 2);
        let too_large = format!("{line}\n\"{}\"\n", "x".repeat(BYTES));
        let mut pages = Pages::new(too_large.as_bytes(), Policies::Taken);
        let error = pages.next().unwrap_err();
        assert!(error.is::<Refused>() && error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn a_dry_run_repeats_the_policies_that_a_page_names() {
        let policy = |id: &str| format!("{{\"type\":\"policy\",\"data\":{{\"id\":\"{id}\"}}}}\n");
        let consent = |id: &str| {
            format!("{{\"type\":\"consent\",\"data\":{{\"policyVersionId\":\"{id}\"}}}}\n")
        };
        let text =
            format!("{}{}{}", policy("a"), policy("b"), consent("b").repeat(999) + &consent("c"));
        let pages = pages(&text, Policies::Repeated);
        assert_eq!(pages.len(), 2);
        assert_eq!((pages[0].numbers.len(), pages[0].repeated), (1_000, 0));
        assert_eq!((pages[1].repeated, &pages[1].numbers[..]), (1, &[2, 1_001, 1_002][..]));
        assert_eq!(pages[1].body, (policy("b") + &consent("b") + &consent("c")).as_bytes());
    }
}
