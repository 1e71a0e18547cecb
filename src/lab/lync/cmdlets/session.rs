//! What every session has, whatever the roles: `Get-Command`.

use super::ALL;
use crate::lab::lync::forest::{Cs, Forest};
use crate::lab::lync::run::offered;
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::cmdlets::general::{command_info, no_such_command};
use crate::lab::windows::wildcard::{Wildcard, is_pattern};

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[Cs {
    name: "Get-Command",
    class: "Microsoft.PowerShell.Commands.GetCommandCommand",
    module: "Microsoft.PowerShell.Core",
    parameters: &[Parameter::new("Name", Kind::Texts).at(0), Parameter::new("CommandType", Kind::Texts).also(&["Type"])],
    run: get_command,
}];

fn get_command(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let mut all: Vec<&Cs> = ALL.iter().copied().flatten().filter(|cmdlet| offered(forest, cmdlet)).collect();
    all.sort_by_key(|cmdlet| cmdlet.name);
    let names = if bound.has("Name") { bound.texts("Name") } else { vec!["*".to_owned()] };
    for name in names {
        let Ok(pattern) = Wildcard::powershell(&name) else { continue };
        let found: Vec<_> = all.iter().filter(|cmdlet| pattern.is_match(cmdlet.name)).collect();
        if found.is_empty() && !is_pattern(&name) {
            stage.report(no_such_command(&name))?;
        }
        for cmdlet in found {
            stage.output(command_info(cmdlet));
        }
    }
    Ok(())
}
