//! Lines for people and for pipes. The only place that writes to standard output and standard error, log lines aside.
//!
//! A reader that went away is no reason to stop serving, so errors of writing are dropped.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line of the answer, to standard output.
pub(crate) fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// A line about the answer, to standard error.
pub(crate) fn complain(line: impl Display) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Whether somebody reads standard output on a screen.
pub(crate) fn somebody_reads() -> bool {
    io::stdout().is_terminal()
}

/// How many columns the screen has that standard output goes to; `None` where it goes elsewhere.
pub(crate) fn columns() -> Option<usize> {
    if !somebody_reads() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// How far something is, on standard error where that is a terminal, and nowhere else. `form` is a template of indicatif's;
/// without an expectation the bar has no length.
pub(crate) fn bar(expected: Option<u64>, form: &str) -> ProgressBar {
    let bar = expected.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar
}

/// Asks on the terminal, and answers whether it was agreed to; `None` where nobody can be asked.
pub(crate) fn agreed(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    drop(write!(io::stderr().lock(), "{question} [y/N] "));
    let mut answer = String::new();
    // No line is no agreement.
    drop(io::stdin().read_line(&mut answer));
    Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
