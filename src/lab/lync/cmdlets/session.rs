//! What every session has, whatever the roles: `Get-Command`.

use super::ALL;
use crate::lab::lync::forest::{Cs, Forest};
use crate::lab::lync::run::offered;
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::cmdlets::general::tell_commands;

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[Cs {
    name: "Get-Command",
    class: "Microsoft.PowerShell.Commands.GetCommandCommand",
    module: "Microsoft.PowerShell.Core",
    parameters: &[Parameter::new("Name", Kind::Texts).at(0), Parameter::new("CommandType", Kind::Texts).also(&["Type"])],
    run: get_command,
}];

fn get_command(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    tell_commands(stage, bound, ALL.iter().copied().flatten().filter(|cmdlet| offered(forest, cmdlet)).collect())
}
