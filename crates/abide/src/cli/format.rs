//! The form of an answer: lines for people, or one JSON document on standard output for programs.

use std::fmt::Display;

use clap::Args;
use serde::Serialize;

use super::paging::Listed;
use super::shown::Table;
use crate::terminal::{complain, say};

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Format {
    /// Answer in JSON: one document, alone on standard output
    #[arg(long)]
    json: bool,
}

impl Format {
    /// The answer itself, in the form that was asked for.
    pub(super) fn answer(self, json: &impl Serialize, text: impl Display) -> anyhow::Result<()> {
        if self.json {
            say(serde_json::to_string(json)?);
        } else {
            let text = text.to_string();
            if !text.is_empty() {
                say(text);
            }
        }
        Ok(())
    }

    /// A list: for people only the table, and not even that where it is empty.
    pub(super) fn list(self, listed: &Listed, table: &Table) -> anyhow::Result<()> {
        let text = if listed.items.is_empty() { String::new() } else { table.to_text() };
        self.answer(listed, text)
    }

    /// What to do next: never part of the answer.
    pub(super) fn advise(self, line: impl Display) {
        if self.json {
            complain(line);
        } else {
            say(line);
        }
    }
}
