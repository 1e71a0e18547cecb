//! `Get-CsPersistentChatRoom` and `Get-CsPersistentChatAddin`, from the databases of the pools.

use std::collections::BTreeMap;

use super::chat_data::database;
use crate::lab::lync::chat::model::{Category, Data, Principal, Privacy, Role, Room};
use crate::lab::lync::chat::source::Source;
use crate::lab::lync::deployment::ChatPool;
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::errors::error;
use crate::lab::windows::machine::same;
use crate::lab::windows::sql::PERSISTENT_CHAT;
use crate::lab::windows::sql::error::SqlError;
use crate::lab::windows::wildcard::Wildcard;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

const IDENTITY: Parameter = Parameter::new("Identity", Kind::Text).at(0);
const POOL: Parameter = Parameter::new("PersistentChatPoolFqdn", Kind::Text);
const TYPE: &str = "Microsoft.Rtc.Management.Chat.Cmdlets.ChatRoomType";
const PRIVACY: &str = "Microsoft.Rtc.Management.Chat.Cmdlets.ChatRoomPrivacy";
const INVITATIONS: &str = "Microsoft.Rtc.Management.Chat.Cmdlets.ChatRoomInvitations";

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsPersistentChatRoom",
        class: "Microsoft.Rtc.Management.Chat.Cmdlets.GetChatRoomCmdlet",
        module: MODULE,
        parameters: &[
            IDENTITY,
            POOL,
            Parameter::new("Category", Kind::Text),
            Parameter::new("Filter", Kind::Text),
            Parameter::new("SearchDescription", Kind::Switch),
            Parameter::new("Disabled", Kind::Switch),
            Parameter::new("Invitations", Kind::Enumeration(INVITATIONS, &["Inherit", "False"])),
            Parameter::new("Privacy", Kind::Enumeration(PRIVACY, &["Open", "Closed", "Secret"])),
            Parameter::new("Type", Kind::Enumeration(TYPE, &["Normal", "Auditorium"])),
            Parameter::new("Member", Kind::Text),
            Parameter::new("Manager", Kind::Text),
            Parameter::new("ResultSize", Kind::Number),
            Parameter::new("AsObject", Kind::Switch),
        ],
        run: rooms,
    },
    Cs {
        name: "Get-CsPersistentChatAddin",
        class: "Microsoft.Rtc.Management.Chat.Cmdlets.GetAddinCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, POOL],
        run: addins,
    },
];

/// What stands between a pool's name and that of what is in it.
pub(super) fn absent(what: &str, identity: &str) -> ErrorRecord {
    let message = format!("{what} \"{identity}\" was not found.");
    error("ChatObjectNotFound", "ObjectNotFound", "Microsoft.Rtc.Management.ManagementException", message, identity)
}

/// The pools that are asked for: that of an identity, that of a name, or all. And the name behind the pool's.
pub(super) fn pools(forest: &Forest<'_>, bound: &Bound) -> Result<(Vec<ChatPool>, Option<String>), ErrorRecord> {
    let (wanted, name) = match bound.text("Identity") {
        Some(identity) => match identity.split_once('\\') {
            Some((pool, name)) => (Some(pool), Some(name.to_owned())),
            None => return Err(absent("The object", identity)),
        },
        None => (bound.text("PersistentChatPoolFqdn"), None),
    };
    let found = match wanted {
        Some(fqdn) => vec![forest.deployment.chat_pool(fqdn).cloned().ok_or_else(|| absent("The pool", fqdn))?],
        None => forest.deployment.chat_pools.clone(),
    };
    Ok((found, name))
}

/// What is in a pool's database.
pub(super) fn of_pool(stage: &Stage<'_>, forest: &Forest<'_>, pool: &ChatPool) -> Result<Data, ErrorRecord> {
    let wrong = |cause: SqlError| {
        error("ChatDatabase", "ConnectionError", "System.Data.SqlClient.SqlException", cause.message, pool.fqdn.as_str())
    };
    let name = format!("{}\\{}", pool.sql_host, pool.sql_instance);
    let (_, connection) = database(stage.machine, forest, &name, PERSISTENT_CHAT).map_err(wrong)?;
    let read = || Source::of(&connection)?.map_or(Ok(Data::default()), |source| source.data());
    read().map_err(|cause| wrong(SqlError::of(&cause, "")))
}

/// Principals as a cmdlet shows them: by address, or by name.
pub(super) fn shown(data: &Data, by_name: bool) -> BTreeMap<i64, String> {
    let text = |own: &Principal| match &own.name {
        Some(name) if by_name => name.clone(),
        _ => own.uri.clone(),
    };
    data.principals.iter().map(|own| (own.id, text(own))).collect()
}

/// Those of them who are something.
pub(super) fn who(roles: &[Role], names: &BTreeMap<i64, String>, is: fn(&Role) -> bool) -> Vec<String> {
    roles.iter().filter(|role| is(role)).filter_map(|role| names.get(&role.principal).cloned()).collect()
}

/// `Name -like "…"`, `Description -eq "…"`, or a text that the name holds.
struct Filter {
    in_name: bool,
    in_description: bool,
    pattern: Wildcard,
}

impl Filter {
    fn parse(text: &str, description: bool) -> Option<Self> {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}').trim();
        let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
        let escaped = |text: &str| text.replace('`', "``").replace('*', "`*").replace('?', "`?").replace('[', "`[");
        let words: Vec<&str> = text.splitn(3, char::is_whitespace).collect();
        let (field, pattern) = match words.as_slice() {
            [field, operator, value] if operator.eq_ignore_ascii_case("-like") => (Some(*field), unquoted(value)),
            [field, operator, value] if operator.eq_ignore_ascii_case("-eq") => (Some(*field), escaped(&unquoted(value))),
            [_, operator, _] if operator.starts_with('-') => return None,
            _ => (None, format!("*{}*", escaped(&unquoted(text)))),
        };
        let (in_name, in_description) = match field {
            None => (true, description),
            Some(field) if same(field, "Name") => (true, false),
            Some(field) if same(field, "Description") => (false, true),
            Some(_) => return None,
        };
        Some(Filter { in_name, in_description, pattern: Wildcard::powershell(&pattern).ok()? })
    }

    fn takes(&self, room: &Room) -> bool {
        (self.in_name && self.pattern.is_match(&room.name)) || (self.in_description && self.pattern.is_match(&room.description))
    }
}

fn rooms(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let (pools, name) = pools(forest, bound)?;
    let filter = match bound.text("Filter") {
        Some(text) => Some(Filter::parse(text, bound.is_on("SearchDescription")).ok_or_else(|| {
            let message = format!("The filter \"{text}\" is not one that the lab knows.");
            error("ChatFilter", "InvalidArgument", "System.ArgumentException", message, text)
        })?),
        None => None,
    };
    let domain = forest.deployment.sip_domains.first().cloned().unwrap_or_default();
    let mut left = bound.number("ResultSize").map_or(usize::MAX, |most| usize::try_from(most).unwrap_or_default());
    let mut found = false;
    for pool in pools {
        let data = match of_pool(stage, forest, &pool) {
            Ok(data) => data,
            Err(record) => {
                stage.report(record)?;
                continue;
            }
        };
        let (addresses, names) = (shown(&data, false), shown(&data, bound.is_on("AsObject")));
        let categories: BTreeMap<&str, &Category> = data.categories.iter().map(|own| (own.id.as_str(), own)).collect();
        for room in &data.rooms {
            let category = room.category.as_deref().and_then(|id| categories.get(id)).copied();
            let has = |parameter: &str, is: fn(&Role) -> bool| {
                bound.text(parameter).is_none_or(|wanted| who(&room.roles, &addresses, is).iter().any(|own| same(own, wanted)))
            };
            let is = |parameter: &str, own: &str| bound.text(parameter).is_none_or(|wanted| wanted == own);
            let taken = name.as_ref().is_none_or(|name| same(name, &room.name))
                && filter.as_ref().is_none_or(|filter| filter.takes(room))
                && bound.text("Category").is_none_or(|wanted| in_category(&pool, category, wanted))
                && (!bound.has("Disabled") || bound.is_on("Disabled") == room.disabled)
                && is("Privacy", room.privacy.name())
                && is("Type", kind(room))
                && is("Invitations", invitations(room))
                && has("Member", |role| role.member)
                && has("Manager", |role| role.manager);
            if !taken {
                continue;
            }
            found = true;
            if left == 0 {
                continue;
            }
            left -= 1;
            stage.output(object(&pool, &domain, room, category, &names));
        }
    }
    match name {
        Some(_) if !found => stage.report(absent("The chat room", bound.text("Identity").unwrap_or_default())),
        _ => Ok(()),
    }
}

fn in_category(pool: &ChatPool, category: Option<&Category>, wanted: &str) -> bool {
    category.is_some_and(|own| same(&own.name, wanted) || same(&format!("{}\\{}", pool.fqdn, own.name), wanted))
}

fn kind(room: &Room) -> &'static str {
    if room.auditorium { "Auditorium" } else { "Normal" }
}

fn invitations(room: &Room) -> &'static str {
    if room.invites == Some(false) { "False" } else { "Inherit" }
}

fn object(pool: &ChatPool, domain: &str, room: &Room, category: Option<&Category>, names: &BTreeMap<i64, String>) -> Value {
    let identity = format!("{}\\{}", pool.fqdn, room.name);
    let list = |is: fn(&Role) -> bool| Value::list(who(&room.roles, names, is));
    let privacy = match room.privacy {
        Privacy::Open => 0,
        Privacy::Closed => 1,
        Privacy::Secret => 2,
    };
    let off = room.invites == Some(false);
    Value::typed(
        &["Microsoft.Rtc.Management.Chat.Cmdlets.ChatRoom", "System.Object"],
        Some(&identity),
        [
            ("Identity", Value::from(identity.as_str())),
            ("ChatRoomUri", format!("ma-chan://{domain}/{}", room.id).into()),
            ("Name", room.name.as_str().into()),
            ("Description", room.description.as_str().into()),
            ("Disabled", room.disabled.into()),
            ("Type", Value::enumeration(TYPE, kind(room), i32::from(room.auditorium))),
            ("Privacy", Value::enumeration(PRIVACY, room.privacy.name(), privacy)),
            ("Invitations", Value::enumeration(INVITATIONS, invitations(room), i32::from(off))),
            ("Addin", Value::Nil),
            ("Category", category.map_or(Value::Nil, |own| format!("{}\\{}", pool.fqdn, own.name).into())),
            ("CategoryUri", category.map_or(Value::Nil, |own| format!("ma-cat://{domain}/{}", own.id).into())),
            ("Members", list(|role| role.member)),
            ("Managers", list(|role| role.manager)),
            ("Presenters", list(|role| role.presenter)),
        ],
    )
}

/// No pool of the lab has any.
fn addins(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    match pools(forest, bound)? {
        (_, Some(_)) => stage.report(absent("The add-in", bound.text("Identity").unwrap_or_default())),
        _ => Ok(()),
    }
}
