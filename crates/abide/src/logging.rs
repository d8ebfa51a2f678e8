//! Logs: to standard error, for people on a terminal, as JSON lines otherwise.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::config::Usage;

/// Starts logging. `level` is a level's name, which then holds for Abide's own crates while others are heard from
/// `warn` on, or a filter such as `info,abide_engine=debug`.
pub(crate) fn start(level: &str) -> Result<(), Usage> {
    let filter = filter(level)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = if io::stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).with_ansi(false).try_init()
    };
    // A second start, as `demo` within a test may do it, keeps the first one's.
    drop(started);
    Ok(())
}

/// Other crates' lower levels are left out by design: they may print headers and bodies (I11).
fn filter(level: &str) -> Result<EnvFilter, Usage> {
    let text = match level {
        "off" => "off".to_owned(),
        "error" => "error".to_owned(),
        "warn" | "info" | "debug" | "trace" => format!("warn,abide={level}"),
        filter if filter.contains(['=', ',']) => filter.to_owned(),
        _ => return Err(bad(level)),
    };
    EnvFilter::try_new(text).map_err(|_| bad(level))
}

fn bad(level: &str) -> Usage {
    Usage(format!(
        "`{level}` is no log level: use off, error, warn, info, debug, trace, or a filter such as \
         `info,abide_engine=debug`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_hold_for_our_crates_and_filters_are_taken_as_they_are() {
        assert_eq!(filter("trace").unwrap().to_string(), "abide=trace,warn");
        assert_eq!(
            filter("info,abide_engine=debug").unwrap().to_string(),
            "abide_engine=debug,info"
        );
        assert!(filter("loud").is_err());
        assert!(filter("abide=loud").is_err());
    }
}
