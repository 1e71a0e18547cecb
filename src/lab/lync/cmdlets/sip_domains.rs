//! `Get-CsSipDomain`.

use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::remoting::clixml::Value;

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[Cs {
    name: "Get-CsSipDomain",
    class: "Microsoft.Rtc.Management.Xds.GetSipDomainCmdlet",
    module: MODULE,
    parameters: &[
        Parameter::new("Identity", Kind::Text).at(0),
        Parameter::new("Filter", Kind::Text),
        Parameter::new("LocalStore", Kind::Switch),
    ],
    run: get,
}];

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    for (place, name) in forest.deployment.sip_domains.iter().enumerate() {
        if bound.text("Identity").is_some_and(|wanted| !wanted.eq_ignore_ascii_case(name)) {
            continue;
        }
        stage.output(Value::typed(
            &["Microsoft.Rtc.Management.Xds.DisplaySipDomain", "System.Object"],
            Some(name),
            [("Identity", Value::from(name.as_str())), ("Name", name.as_str().into()), ("IsDefault", (place == 0).into())],
        ));
    }
    Ok(())
}
