//! `Get-CsPersistentChatCategory`, from the databases of the pools, and `Get-CsPersistentChatConfiguration`.

use super::rooms::{absent, of_pool, pools, shown, who};
use crate::lab::lync::chat::model::{Category, Data};
use crate::lab::lync::deployment::ChatPool;
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::errors::error;
use crate::lab::windows::machine::same;
use crate::lab::windows::wildcard::Wildcard;
use crate::remoting::clixml::Value;

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsPersistentChatCategory",
        class: "Microsoft.Rtc.Management.Chat.Cmdlets.GetCategoryCmdlet",
        module: MODULE,
        parameters: &[
            Parameter::new("Identity", Kind::Text).at(0),
            Parameter::new("PersistentChatPoolFqdn", Kind::Text),
            Parameter::new("AsObject", Kind::Switch),
        ],
        run: categories,
    },
    Cs {
        name: "Get-CsPersistentChatConfiguration",
        class: "Microsoft.Rtc.Management.Chat.Cmdlets.GetChatConfigurationCmdlet",
        module: MODULE,
        parameters: &[
            Parameter::new("Identity", Kind::Text).at(0),
            Parameter::new("Filter", Kind::Text),
            Parameter::new("LocalStore", Kind::Switch),
        ],
        run: configuration,
    },
];

fn categories(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let (pools, name) = pools(forest, bound)?;
    let domain = forest.deployment.sip_domains.first().cloned().unwrap_or_default();
    let mut found = false;
    for pool in pools {
        let data = match of_pool(stage, forest, &pool) {
            Ok(data) => data,
            Err(record) => {
                stage.report(record)?;
                continue;
            }
        };
        for own in data.categories.iter().filter(|own| name.as_ref().is_none_or(|name| same(name, &own.name))) {
            found = true;
            stage.output(object(&pool, &domain, &data, own, bound.is_on("AsObject")));
        }
    }
    match name {
        Some(_) if !found => stage.report(absent("The category", bound.text("Identity").unwrap_or_default())),
        _ => Ok(()),
    }
}

fn object(pool: &ChatPool, domain: &str, data: &Data, own: &Category, by_name: bool) -> Value {
    let identity = format!("{}\\{}", pool.fqdn, own.name);
    let names = shown(data, by_name);
    let rooms = data.rooms.iter().filter(|room| room.category.as_ref() == Some(&own.id)).count();
    let allowed: Vec<String> = own.scope.iter().filter_map(|id| names.get(id).cloned()).collect();
    Value::typed(
        &["Microsoft.Rtc.Management.Chat.Cmdlets.Category", "System.Object"],
        Some(&identity),
        [
            ("Identity", Value::from(identity.as_str())),
            ("CategoryUri", format!("ma-cat://{domain}/{}", own.id).into()),
            ("Name", own.name.as_str().into()),
            ("Description", own.description.as_str().into()),
            ("NumberOfChatRooms", i32::try_from(rooms).unwrap_or(i32::MAX).into()),
            ("Invites", own.invites.unwrap_or(false).into()),
            ("FileUpload", own.uploads.into()),
            ("ChatHistory", own.history.into()),
            ("AllowedMembers", Value::list(allowed)),
            ("DeniedMembers", Value::list(Vec::<String>::new())),
            ("Creators", Value::list(who(&own.roles, &names, |role| role.creator))),
        ],
    )
}

/// The global settings, as a fresh deployment has them; nobody made others.
fn configuration(stage: &mut Stage<'_>, _: &mut Forest<'_>, bound: &Bound) -> Done {
    if let Some(identity) = bound.text("Identity").filter(|identity| !same(identity, "Global")) {
        let message = format!("Cannot find \"PersistentChatConfiguration\" \"{identity}\".");
        let record = error("ItemNotFound", "ObjectNotFound", "Microsoft.Rtc.Management.ManagementException", message, identity);
        return stage.report(record);
    }
    let taken =
        bound.text("Filter").and_then(|filter| Wildcard::powershell(filter).ok()).is_none_or(|filter| filter.is_match("Global"));
    if taken {
        stage.output(Value::typed(
            &["Microsoft.Rtc.Management.WritableConfig.Settings.PersistentChat.PersistentChatConfiguration", "System.Object"],
            Some("Global"),
            [
                ("Identity", Value::from("Global")),
                ("MaxFileSizeKB", 20_000.into()),
                ("ParticipantUpdateLimit", 75.into()),
                ("DefaultChatHistory", 30.into()),
                ("RoomManagementUrl", Value::Nil),
            ],
        ));
    }
    Ok(())
}
