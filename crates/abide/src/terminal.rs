//! Lines for people and for pipes. The only place that writes to standard output and standard error, log lines aside.
//!
//! A reader that went away is no reason to stop serving, so errors of writing are dropped.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

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
