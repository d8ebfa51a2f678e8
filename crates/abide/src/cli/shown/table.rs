//! A list as a table that fits the terminal.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::terminal;

/// A list as it is shown.
pub(in crate::cli) struct Table {
    /// Column names. The last column gives way where the terminal is narrow; the others, ids above all, never do.
    head: &'static [&'static str],
    rows: Vec<Row>,
}

/// A row of a table.
pub(in crate::cli) struct Row {
    /// As many as there are columns.
    pub(in crate::cli) cells: Vec<String>,
    /// What is shown on a line of its own below it.
    pub(in crate::cli) below: Option<String>,
}

const GAP: usize = 2;
/// A column is never cut to less.
const LEAST: usize = 12;

impl Table {
    pub(in crate::cli) fn new(head: &'static [&'static str], rows: Vec<Row>) -> Self {
        Self { head, rows }
    }

    /// For the terminal it is shown on; where there is none, nothing is cut.
    pub(in crate::cli) fn to_text(&self) -> String {
        self.within(terminal::columns())
    }

    fn within(&self, columns: Option<usize>) -> String {
        let mut widths: Vec<usize> = self.head.iter().map(|name| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = cell.width().max(*width);
            }
        }
        if let (Some(columns), Some((last, others))) = (columns, widths.split_last_mut()) {
            let taken: usize = others.iter().map(|width| width + GAP).sum();
            *last = (*last).min(columns.saturating_sub(taken).max(LEAST));
        }
        let mut text = String::new();
        let head = self.head.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>();
        line(&head, &widths, &mut text);
        for row in &self.rows {
            line(&row.cells, &widths, &mut text);
            if let Some(below) = &row.below {
                // Into a String, which cannot fail.
                let _ = writeln!(text, "  {below}");
            }
        }
        text.trim_end().to_owned()
    }
}

fn line(cells: &[String], widths: &[usize], text: &mut String) {
    let start = text.len();
    for (cell, width) in cells.iter().zip(widths) {
        let cell = cut(cell, *width);
        text.push_str(&cell);
        text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + GAP));
    }
    let end = text[start..].trim_end().len();
    text.truncate(start + end);
    text.push('\n');
}

fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(url: &str) -> Table {
        let cells = ["whk_01hm6aqh20e0081yv76g00x9wf", "paused", "standard_webhooks", url];
        let cells = cells.map(str::to_owned).to_vec();
        Table::new(&["id", "state", "dialect", "url"], vec![Row { cells, below: None }])
    }

    #[test]
    fn a_table_fits_eighty_columns_and_cuts_no_id() {
        let long = "https://example.org/a/rather/long/path/with/a/längerer/Name";
        let text = table(long).within(Some(80));
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
        assert!(text.contains("whk_01hm6aqh20e0081yv76g00x9wf  paused  standard_webhooks  https"));
        assert!(text.ends_with('…'), "{text}");
        assert!(table(long).within(None).ends_with(long), "a pipe gets it whole");
        assert!(table(long).within(Some(10)).contains("whk_01hm6aqh20e0081yv76g00x9wf"));
    }
}
