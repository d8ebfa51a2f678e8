//! `abide completions`: what a shell needs to complete commands and flags.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use crate::terminal::say;

#[derive(Args)]
#[command(
    after_help = "bash:  abide completions bash > ~/.local/share/bash-completion/completions/abide\n\
    zsh:   abide completions zsh > \"${fpath[1]}/_abide\"\n\
    fish:  abide completions fish > ~/.config/fish/completions/abide.fish"
)]
pub(crate) struct Options {
    /// The shell
    shell: Shell,
}

pub(super) fn run(options: &Options) {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "abide", &mut script);
    say(String::from_utf8_lossy(&script).trim_end());
}
