//! Asking before something that cannot be taken back.

use clap::Args;

use crate::config::Usage;
use crate::exit::Refused;
use crate::terminal;

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Agreement {
    /// Do it without asking; needed where no terminal is there to ask on
    #[arg(long)]
    yes: bool,
}

impl Agreement {
    /// Asks, unless it was agreed to before.
    pub(super) fn ask(self, question: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        match terminal::agreed(question) {
            Some(true) => Ok(()),
            Some(false) => Err(Refused("left as it is".to_owned()).into()),
            None => {
                Err(Usage(format!("{question} Say --yes: there is no terminal to ask on")).into())
            }
        }
    }
}
