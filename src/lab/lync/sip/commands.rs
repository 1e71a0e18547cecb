//! The commands of chat rooms, and their replies ([MS-XCCOSIP]). Of what a reply may hold, what a sign-in looks at is here.
//! Codes other than 200 are the lab's own.

use super::rooms::{Database, Room};
use super::route::{Kind, Place};
use crate::lab::world::World;
use crate::sip::xccos::{Element, Envelope};

/// Rooms in one reply, unless the client wants fewer.
const MOST_ROOMS: usize = 500;
/// Messages in one reply.
const MOST_MESSAGES: u32 = 50;

const OK: (u16, &str) = (200, "SUCCESS_OK");
const NOT_UNDERSTOOD: (u16, &str) = (400, "FAILED_NOT_UNDERSTOOD");
const NOT_A_MEMBER: (u16, &str) = (403, "FAILED_NOT_A_MEMBER");
const NO_DATABASE: (u16, &str) = (503, "FAILED_NO_DATABASE");

type Answer = Result<Element, (u16, &'static str)>;

/// The reply to a command; `None` to what is none.
pub fn reply(world: &World, place: &Place, user: &str, id: &str, command: &Envelope) -> Option<Envelope> {
    if command.content.name != "cmd" {
        return None;
    }
    let empty = Element::default();
    let asked = command.content.child("data").unwrap_or(&empty);
    let answer = match (command.name().unwrap_or_default(), place.kind) {
        ("requri", _) => Ok(data().holding(Element::new("uib").with("uri", place.uri()))),
        // It hands out servers, and knows no rooms.
        (_, Kind::Lookup) => Err(NOT_UNDERSTOOD),
        ("getserverinfo", _) => Ok(server_info(place, asked)),
        ("getassociations", _) => associations(world, place, user, asked),
        ("bjoin", _) => join(world, place, user, asked),
        ("bccontext", _) => context(world, place, user, asked),
        _ => Err(NOT_UNDERSTOOD),
    };
    let (said, data) = match answer {
        Ok(data) => (OK, data),
        Err(said) => (said, data()),
    };
    Some(Envelope::reply(id, command, said, data))
}

fn data() -> Element {
    Element::new("data")
}

fn server_info(place: &Place, asked: &Element) -> Element {
    let kind = asked.child("sib").and_then(|sib| sib.get("infoType")).unwrap_or("123");
    let info = Element::new("sib")
        .with("infoType", kind)
        .with("serverTime", jiff::Timestamp::now().to_string())
        .with("searchLimit", "999")
        .with("messageSizeLimit", "512")
        .with("storySizeLimit", "4096")
        .with("rootUri", format!("ma-cat://{}/6c0f9d2a-0010-4000-8000-000000000001", place.domain));
    data().holding(info)
}

fn rooms(world: &World, place: &Place, user: &str) -> Result<(Database, Vec<Room>), (u16, &'static str)> {
    let database = Database::open(world, place).map_err(|_| NO_DATABASE)?;
    let rooms = database.rooms_of(user).map_err(|_| NO_DATABASE)?;
    Ok((database, rooms))
}

fn uri(place: &Place, room: &Room) -> String {
    format!("ma-chan://{}/{}", place.domain, room.guid)
}

fn chanib(place: &Place, room: &Room) -> Element {
    Element::new("chanib")
        .with("uri", uri(place, room))
        .with("name", room.name.as_str())
        .with("description", room.description.as_str())
}

fn associations(world: &World, place: &Place, user: &str, asked: &Element) -> Answer {
    let most = asked.child("association").and_then(|wanted| wanted.get("maxResults")?.parse().ok());
    let (_, rooms) = rooms(world, place, user)?;
    let shown = rooms.iter().take(most.unwrap_or(MOST_ROOMS).min(MOST_ROOMS));
    Ok(shown.fold(data(), |data, room| data.holding(chanib(place, room))))
}

fn join(world: &World, place: &Place, user: &str, asked: &Element) -> Answer {
    let (_, rooms) = rooms(world, place, user)?;
    let wanted = asked.all("chanid").filter_map(|wanted| wanted.get("value"));
    let joined = wanted.filter_map(|guid| rooms.iter().find(|room| room.guid.eq_ignore_ascii_case(guid)));
    let joined = joined.fold(data(), |data, room| data.holding(chanib(place, room)));
    if joined.children.is_empty() { Err(NOT_A_MEMBER) } else { Ok(joined) }
}

fn context(world: &World, place: &Place, user: &str, asked: &Element) -> Answer {
    let wanted = asked.child("chanib").and_then(|room| room.get("uri")).ok_or(NOT_UNDERSTOOD)?;
    let last = asked.child("bcq").and_then(|query| query.child("last")).ok_or(NOT_UNDERSTOOD)?;
    let count: u32 = last.get("cnt").and_then(|count| count.parse().ok()).ok_or(NOT_UNDERSTOOD)?;
    let (database, rooms) = rooms(world, place, user)?;
    let room = rooms.iter().find(|room| uri(place, room).eq_ignore_ascii_case(wanted)).ok_or(NOT_A_MEMBER)?;
    let messages = database.last(room, count.min(MOST_MESSAGES)).map_err(|_| NO_DATABASE)?;
    let found = messages.into_iter().fold(chanib(place, room), |chanib, message| {
        let one = Element::new("msg")
            .with("id", "grpchat")
            .with("chanUri", uri(place, room))
            .with("author", message.author)
            .with("ts", message.time)
            .with("chatId", message.id.to_string());
        chanib.holding(one.holding(Element::new("chat").saying(message.content)))
    });
    Ok(data().holding(found))
}
