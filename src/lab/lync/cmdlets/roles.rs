//! `Get-CsAdminRole`, `Get-CsAdminRoleAssignment`: who may do what through the remote PowerShell.

use super::ALL;
use super::common::{FILTER, FORCE, IDENTITY, Known, LOCAL_STORE, give, object, texts};
use crate::lab::lync::deployment::Role;
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Stage};
use crate::lab::windows::machine::same;
use crate::remoting::clixml::Value;

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsAdminRole",
        class: "Microsoft.Rtc.Management.Internal.GetAdminRoleCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, FILTER, LOCAL_STORE],
        run: get,
    },
    Cs {
        name: "Get-CsAdminRoleAssignment",
        class: "Microsoft.Rtc.Management.Internal.GetAdminRoleAssignmentCmdlet",
        module: MODULE,
        parameters: &[IDENTITY.needed(), FORCE, LOCAL_STORE],
        run: assignments,
    },
];

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let known = forest.deployment.roles.iter().map(|role| {
        let own = ALL.iter().copied().flatten().map(|cmdlet| cmdlet.name).filter(|name| name.contains("-Cs"));
        let mut cmdlets: Vec<&str> = own.filter(|name| role.allows(name)).collect();
        cmdlets.sort_unstable();
        let properties = vec![
            ("Identity", Value::from(role.name.as_str())),
            // All of the lab's roles are built in.
            ("IsStandardRole", true.into()),
            ("Cmdlets", texts(cmdlets)),
            ("ConfigScopes", texts(["Global"])),
            ("UserScopes", texts(["Global"])),
            ("Template", Value::Nil),
        ];
        let value = object("Microsoft.Rtc.Management.WritableConfig.Settings.Roles.Role", &role.name, properties);
        Known { identity: role.name.clone(), also: Vec::new(), value }
    });
    give(stage, bound, "role", known.collect())
}

fn assignments(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let name = bound.text("Identity").unwrap_or_default();
    // The account's short name, and nothing else, is what it takes.
    let has = |role: &&Role| role.members.iter().any(|member| member.rsplit('\\').next().is_some_and(|own| same(own, name)));
    for role in forest.deployment.roles.iter().filter(has) {
        stage.output(Value::from(role.name.as_str()));
    }
    Ok(())
}
