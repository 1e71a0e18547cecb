//! What a Group Chat client does, in its order: it calls the address that it knows and asks where its server is, calls that
//! server, asks what it is and which rooms the user has, joins them and reads their last messages.
//!
//! That order is Microsoft's ("Group Chat Call Flows"; [MS-OCSPROT] section 2.5.21).

use serde_json::{Map, json};
use tokio::io::{AsyncRead, AsyncWrite};

use super::args::{Product, Wanted};
use super::broke::Broke;
use super::call::Call;
use super::dial::{Dialed, dial};
use super::link::Link;
use crate::connector::lync::cs::{Checked, shown};
use crate::sip::Uri;
use crate::sip::xccos::Element;

/// Rooms that are asked for.
const MOST_ROOMS: usize = 500;
/// Rooms that are joined, if the step names none: until one of them has messages.
const TRIED: usize = 10;
/// Messages that are read of a room, as a client reads them when it opens one.
const LAST: u32 = 25;

/// A room as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Room {
    uri: String,
    name: String,
}

/// Signs in, looks, and signs out.
///
/// # Errors
/// Where it broke.
pub async fn visit(wanted: &Wanted) -> Result<Checked, Broke> {
    let Dialed { stream, local } = dial(wanted).await?;
    let mut link = Link::new(stream, wanted.time);
    let user = wanted.user.as_str();
    let mut call = Call::invite(&mut link, wanted.address.as_str(), user, local).await?;
    let told = call.ask(&mut link, "requri", Element::new("data")).await?;
    let uri =
        told.child("uib").and_then(|uib| uib.get("uri")).filter(|uri| Uri::parse(uri).is_some_and(|uri| uri.user.is_some()));
    let uri = uri.ok_or_else(|| Broke::Unknown(format!("{} named no server", shown(&call.server))))?.to_owned();
    call.bye(&mut link).await?;
    let mut call = Call::invite(&mut link, &uri, user, local).await?;
    let seen = look(&mut link, &mut call, wanted).await?;
    // What was seen was seen, whether the goodbye is heard or not.
    let (server, product) = (call.server.clone(), call.product.clone());
    let _ = call.bye(&mut link).await;
    judge(wanted, &server, product.as_deref(), &seen)
}

/// What a client saw of its rooms.
#[derive(Debug, Default)]
struct Seen {
    rooms: Vec<Room>,
    /// Those that were joined, with how many messages each showed.
    joined: Vec<(String, usize)>,
}

async fn look<S>(link: &mut Link<S>, call: &mut Call, wanted: &Wanted) -> Result<Seen, Broke>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let data = || Element::new("data");
    let domain = wanted.address.domain();
    let about = Element::new("sib").with("domain", domain).with("infoType", "123");
    let info = call.ask(link, "getserverinfo", data().holding(about)).await?;
    if info.child("sib").is_none() {
        return Err(Broke::Unknown(format!("getserverinfo at {}: the reply tells nothing", shown(&call.server))));
    }
    let mine =
        Element::new("association").with("domain", domain).with("type", "MEMBER").with("maxResults", MOST_ROOMS.to_string());
    let found = call.ask(link, "getassociations", data().holding(mine)).await?;
    let mut seen = Seen { rooms: rooms(&found), ..Seen::default() };
    let chosen: Vec<Room> = match wanted.rooms.as_slice() {
        [] => seen.rooms.iter().take(TRIED).cloned().collect(),
        names => seen.rooms.iter().filter(|room| names.iter().any(|name| same(name, &room.name))).cloned().collect(),
    };
    for room in chosen {
        let Some((domain, value)) = room.uri.strip_prefix("ma-chan://").and_then(|rest| rest.split_once('/')) else {
            return Err(Broke::Unknown(format!("the address `{}` of a room is not understood", shown(&room.uri))));
        };
        let id = Element::new("chanid").with("key", "0").with("domain", domain).with("value", value);
        let joined = call.ask(link, "bjoin", data().holding(id)).await?;
        if !rooms(&joined).iter().any(|one| one.uri.eq_ignore_ascii_case(&room.uri)) {
            return Err(Broke::Unknown(format!("bjoin: `{}` is not among the rooms that were joined", shown(&room.name))));
        }
        let last = Element::new("bcq").holding(Element::new("last").with("cnt", LAST.to_string()));
        let which = Element::new("chanib").with("uri", room.uri.as_str());
        let context = call.ask(link, "bccontext", data().holding(which).holding(last)).await?;
        let messages =
            context.all("chanib").flat_map(|chanib| chanib.all("msg")).filter(|one| one.child("chat").is_some()).count();
        seen.joined.push((room.name, messages));
        if wanted.rooms.is_empty() && messages > 0 && seen.messages() >= wanted.min_messages {
            break;
        }
    }
    Ok(seen)
}

impl Seen {
    fn messages(&self) -> u64 {
        self.joined.iter().map(|(_, messages)| u64::try_from(*messages).unwrap_or(u64::MAX)).sum()
    }
}

fn rooms(data: &Element) -> Vec<Room> {
    let room = |chanib: &Element| Some(Room { uri: chanib.get("uri")?.to_owned(), name: chanib.get("name")?.to_owned() });
    data.all("chanib").filter_map(room).collect()
}

fn same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// The product and its version, from `RTCC/5.0.0.0 …`: the communications library that came with Lync Server 2010 says 4, that of
/// 2007 R2 says 3, that of 2013 says 5. `None` if it says something else.
fn product(said: &str) -> Option<(Product, &str)> {
    let version = said.split_whitespace().find_map(|word| word.strip_prefix("RTCC/"))?;
    match version.split('.').next()? {
        "3" | "4" => Some((Product::GroupChat, version)),
        "5" => Some((Product::PersistentChat, version)),
        _ => None,
    }
}

/// What it means.
fn judge(wanted: &Wanted, server: &str, said: Option<&str>, seen: &Seen) -> Result<Checked, Broke> {
    let known = said.and_then(product);
    let rooms = u64::try_from(seen.rooms.len()).unwrap_or(u64::MAX);
    let mut wrong = Vec::new();
    match (wanted.expect, known) {
        (Some(expected), Some((is, _))) if is != expected => wrong.push(match is {
            Product::GroupChat => {
                "a Group Chat server of 2010 or older answered: the address still leads to the old pool".to_owned()
            }
            Product::PersistentChat => "a Persistent Chat server of 2013 answered already".to_owned(),
        }),
        (Some(_), None) => {
            let said = shown(said.unwrap_or("nothing"));
            return Err(Broke::Unknown(format!(
                "{} does not say in a way that is understood which version it is: `{said}`",
                shown(server)
            )));
        }
        _ => {}
    }
    if rooms < wanted.min_rooms {
        wrong.push(format!("{} has {rooms} rooms there, of at least {}", wanted.user, wanted.min_rooms));
    }
    for name in wanted.rooms.iter().filter(|name| !seen.rooms.iter().any(|room| same(name, &room.name))) {
        wrong.push(format!("the room `{}` is not among the {rooms} of {}", shown(name), wanted.user));
    }
    if seen.messages() < wanted.min_messages {
        wrong.push(format!(
            "{} messages were seen in {} rooms, of at least {}",
            seen.messages(),
            seen.joined.len(),
            wanted.min_messages
        ));
    }
    let best = seen.joined.iter().max_by_key(|(_, messages)| *messages).map(|(name, _)| name.clone());
    let mut outputs = Map::new();
    outputs.insert("server".to_owned(), json!(server));
    outputs.insert("version".to_owned(), json!(known.map(|(_, version)| version)));
    outputs.insert("rooms".to_owned(), json!(rooms));
    outputs.insert("messages".to_owned(), json!(seen.messages()));
    outputs.insert("room".to_owned(), json!(best));
    let about = format!(
        "{} signed in at {} and was sent to {}: {rooms} rooms, {} messages seen",
        wanted.user,
        wanted.address,
        shown(server),
        seen.messages()
    );
    let seen = if wrong.is_empty() { about } else { format!("{about}; but {}", wrong.join("; and ")) };
    Ok(Checked { holds: wrong.is_empty(), seen, outputs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_communications_library_and_nothing_is_guessed() {
        assert_eq!(product("RTCC/5.0.0.0 PersistentChat"), Some((Product::PersistentChat, "5.0.0.0")));
        assert_eq!(product("UCCAPI RTCC/4.0.7577.0"), Some((Product::GroupChat, "4.0.7577.0")));
        for unknown in ["", "RTC/5.0", "RTCC/", "RTCC/6.0.0.0", "RTCC/55"] {
            assert_eq!(product(unknown), None, "{unknown}");
        }
    }
}
