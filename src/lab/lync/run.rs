//! From a pipeline to a cmdlet of Lync, within the roles of whoever calls.

use super::cmdlets;
use super::forest::{Changed, Cs, Forest};
use crate::lab::windows::cmdlet::Stage;
use crate::lab::windows::machine::{Machine, same};
use crate::lab::windows::run::{Ran, conclude, no_language, offer, unknown};
use crate::remoting::psrp::CreatePipeline;

/// What came of a pipeline, and what of the forest has to be kept for it.
#[derive(Debug, Default)]
pub struct Kept {
    /// For the caller and the audit.
    pub ran: Ran,
    /// For the disk.
    pub changed: Changed,
}

/// Runs a pipeline of one cmdlet. `server` is the Front End that was called.
#[must_use]
pub fn run(server: &Machine, mut forest: Forest<'_>, pipeline: &CreatePipeline) -> Kept {
    let first = pipeline.statements.first().and_then(|chain| chain.first());
    let command = first.map(|command| if command.is_script { "script" } else { &command.text }).unwrap_or_default();
    let mut ran = Ran { command: command.to_owned(), ..Ran::default() };
    let Some(command) = pipeline.only_command().filter(|command| !command.is_script) else {
        ran.terminating = Some(Box::new(no_language()));
        return Kept { ran, ..Kept::default() };
    };
    // What a role does not allow is not there at all.
    let Some(cmdlet) = find(&command.text).filter(|cmdlet| offered(&forest, cmdlet)) else {
        ran.terminating = Some(Box::new(unknown(&command.text)));
        return Kept { ran, ..Kept::default() };
    };
    cmdlet.name.clone_into(&mut ran.command);
    let (bound, common) = match offer(cmdlet, command) {
        Ok(bound) => bound,
        Err(record) => {
            ran.terminating = Some(record);
            return Kept { ran, ..Kept::default() };
        }
    };
    let mut server = server.clone();
    let mut stage = Stage::new(&mut server, &[], forest.account);
    stage.take_from(&common);
    let result = (cmdlet.run)(&mut stage, &mut forest, &bound);
    let ran = conclude(cmdlet, stage, &common, result);
    Kept { ran, changed: forest.changed }
}

/// Whether the caller is shown a cmdlet. Those that every session needs are always there.
pub(super) fn offered(forest: &Forest<'_>, cmdlet: &Cs) -> bool {
    !cmdlet.name.contains("-Cs") || forest.deployment.may(forest.account, cmdlet.name)
}

fn find(text: &str) -> Option<&'static Cs> {
    let (module, name) = text.rsplit_once('\\').map_or((None, text), |(module, name)| (Some(module), name));
    let fits = |cmdlet: &&Cs| same(cmdlet.name, name) && module.is_none_or(|module| same(cmdlet.module, module));
    cmdlets::ALL.iter().copied().flatten().find(fits)
}
