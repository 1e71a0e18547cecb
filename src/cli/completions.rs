//! `relevo completions SHELL`, and the manual page.

use clap_complete::Shell;

use super::messages::Result;
use crate::error::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub fn completions(args: &Args, command: &mut clap::Command) -> Result {
    clap_complete::generate(args.shell, command, "relevo", &mut std::io::stdout());
    Ok(Exit::Done)
}

pub fn man(command: &clap::Command) -> Result {
    clap_mangen::Man::new(command.clone()).render(&mut std::io::stdout())?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        clap_mangen::Man::new(verb.clone()).render(&mut std::io::stdout())?;
    }
    Ok(Exit::Done)
}
