//! What the parts of an export hold, read as streams of XML. What documents and published code say of their shape is relied
//! on; the rest is taken if it is there, and *not known* if it is not.
//!
//! Kept are numbers and the names of rooms and categories: never a message, never a person.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::time::Instant;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::super::cs::shown;
use super::package::{Bounded, Package};

/// The parts that published code reads in real exports.
pub const DOCUMENTED: [&str; 4] = ["AdGroups.xml", "AdUsers.xml", "AdAffiliations.xml", "ChatRooms.xml"];
const CATEGORIES: &str = "ChatCategories.xml";
const MESSAGES: &str = "Messages.xml";
/// Deeper than anything in an export.
const DEEPEST: usize = 32;
/// Of a name, in bytes. Longer ones are counted as this long, which is too long anyway.
const LONGEST: usize = 4096;
/// Rooms and categories whose names are held.
const MOST_NAMED: usize = 500_000;

/// A room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// Its own name.
    pub name: String,
    /// The id of its category, if it is told.
    pub category: Option<String>,
    /// Whether it is disabled.
    pub disabled: bool,
}

/// A category.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Category {
    /// Its own name.
    pub name: String,
    /// The id of the one that it lies in.
    pub parent: Option<String>,
}

/// What an export holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The names of all parts.
    pub parts: Vec<String>,
    /// The documented ones that are not there.
    pub missing: Vec<&'static str>,
    /// All rooms.
    pub rooms: Vec<Room>,
    /// Categories by their ids; `None` if they are not in it.
    pub categories: Option<BTreeMap<String, Category>>,
    /// Messages; `None` if they are not in it.
    pub messages: Option<u64>,
    /// People.
    pub people: u64,
    /// Of these, those without a user principal name: people of other companies.
    pub federated: u64,
    /// Groups.
    pub groups: u64,
}

/// Reads everything once.
///
/// # Errors
/// It is not what an export looks like, or a bound was passed.
pub fn read<R: Read + Seek>(package: &mut Package<R>, until: Option<Instant>) -> Result<Contents, String> {
    let mut contents = Contents { parts: package.parts.iter().map(|part| part.name.clone()).collect(), ..Contents::default() };
    contents.missing =
        DOCUMENTED.into_iter().filter(|name| !contents.parts.iter().any(|own| own.eq_ignore_ascii_case(name))).collect();
    walk(package, until, "AdGroups.xml", &mut |piece| {
        contents.groups += u64::from(matches!(piece, Piece::Begin("Pool/AdGroups/Group", _)));
        Ok(())
    })?;
    let mut named = false;
    walk(package, until, "AdUsers.xml", &mut |piece| {
        match piece {
            Piece::Begin("Pool/AdUsers/User", _) => named = false,
            Piece::End("Pool/AdUsers/User/UserPrincipalName", text) => named |= !text.trim().is_empty(),
            Piece::End("Pool/AdUsers/User", _) => {
                contents.people += 1;
                contents.federated += u64::from(!named);
            }
            _ => {}
        }
        Ok(())
    })?;
    walk(package, until, "AdAffiliations.xml", &mut |_| Ok(()))?;
    let mut room = Room::default();
    walk(package, until, "ChatRooms.xml", &mut |piece| {
        match piece {
            Piece::Begin("Pool/ChatRooms/ChatRoom", start) => {
                room = Room {
                    name: String::new(),
                    category: attribute(start, "categoryId")?,
                    disabled: attribute(start, "isDisabled")?.is_some_and(|text| is_on(&text)),
                };
            }
            Piece::End("Pool/ChatRooms/ChatRoom/Name", text) => text.clone_into(&mut room.name),
            Piece::End("Pool/ChatRooms/ChatRoom", _) => {
                if room.name.trim().is_empty() {
                    return Err(format!("room {} has no name", contents.rooms.len() + 1));
                }
                enough(contents.rooms.len())?;
                contents.rooms.push(std::mem::take(&mut room));
            }
            _ => {}
        }
        Ok(())
    })?;
    let mut all = BTreeMap::new();
    let (mut category, mut id) = (Category::default(), None);
    let there = walk(package, until, CATEGORIES, &mut |piece| {
        match piece {
            Piece::Begin("Pool/ChatCategories/ChatCategory", start) => {
                id = attribute(start, "id")?;
                category = Category { name: String::new(), parent: attribute(start, "parentId")? };
            }
            Piece::End("Pool/ChatCategories/ChatCategory/Name", text) => text.clone_into(&mut category.name),
            Piece::End("Pool/ChatCategories/ChatCategory", _) => {
                enough(all.len())?;
                let id = id.take().unwrap_or_else(|| format!("#{}", all.len()));
                all.insert(id, std::mem::take(&mut category));
            }
            _ => {}
        }
        Ok(())
    })?;
    contents.categories = there.then_some(all);
    let mut messages = 0;
    let there = walk(package, until, MESSAGES, &mut |piece| {
        messages += u64::from(matches!(piece, Piece::Begin("Pool/Messages/Message", _)));
        Ok(())
    })?;
    contents.messages = there.then_some(messages);
    Ok(contents)
}

fn enough(count: usize) -> Result<(), String> {
    if count < MOST_NAMED { Ok(()) } else { Err(format!("it lists more than {MOST_NAMED}")) }
}

/// As published code reads a flag.
fn is_on(text: &str) -> bool {
    matches!(text.trim(), "1") || text.trim().eq_ignore_ascii_case("true")
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let found = start.try_get_attribute(name).map_err(|error| error.to_string())?;
    let Some(found) = found else { return Ok(None) };
    let value = found.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
    Ok(Some(crate::foreign::cut(value.into_owned(), LONGEST)))
}

/// What is met on the way through a part; elements by their path.
enum Piece<'p, 'b> {
    Begin(&'p str, &'p BytesStart<'b>),
    /// With its own text.
    End(&'p str, &'p str),
}

type Each<'e> = &'e mut dyn FnMut(Piece<'_, '_>) -> Result<(), String>;

/// Goes through a part; whether there is one.
fn walk<R: Read + Seek>(package: &mut Package<R>, until: Option<Instant>, name: &str, each: Each<'_>) -> Result<bool, String> {
    match package.part(name, until)? {
        None => Ok(false),
        Some(part) => through(part, each).map(|()| true).map_err(|why| format!("the part `{name}`: {}", shown(&why))),
    }
}

fn through(part: Bounded<impl Read>, each: Each<'_>) -> Result<(), String> {
    let mut reader = Reader::from_reader(part);
    let mut buffer = Vec::new();
    let (mut path, mut text) = (String::new(), String::new());
    let mut depth = 0_usize;
    let mut begun = false;
    loop {
        buffer.clear();
        reader.get_mut().renew();
        match reader.read_event_into(&mut buffer).map_err(|error| error.to_string())? {
            Event::Start(start) => {
                depth += 1;
                enter(&mut path, &mut text, &start, depth, &mut begun)?;
                each(Piece::Begin(&path, &start))?;
            }
            Event::Empty(start) => {
                enter(&mut path, &mut text, &start, depth + 1, &mut begun)?;
                each(Piece::Begin(&path, &start))?;
                each(Piece::End(&path, ""))?;
                leave(&mut path);
            }
            Event::End(_) => {
                each(Piece::End(&path, &text))?;
                leave(&mut path);
                text.clear();
                depth = depth.saturating_sub(1);
            }
            Event::Text(piece) => add(&mut text, &piece.xml10_content()),
            Event::CData(piece) => add(&mut text, &piece.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                Some(c) => add(&mut text, c.encode_utf8(&mut [0; 4])),
                None => match quick_xml::escape::resolve_predefined_entity(&reference) {
                    Some(known) => add(&mut text, known),
                    None => return Err("it uses an entity that is not declared".to_owned()),
                },
            },
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            // What could make it grow, or reach elsewhere.
            Event::DocType(_) => return Err("it declares a document type, which no export does".to_owned()),
            Event::Eof if depth == 0 && begun => return Ok(()),
            Event::Eof => return Err("it ends in its middle".to_owned()),
        }
    }
}

fn enter(path: &mut String, text: &mut String, start: &BytesStart<'_>, depth: usize, begun: &mut bool) -> Result<(), String> {
    let name = start.name();
    let name: &str = name.as_ref();
    if depth == 1 && (*begun || name != "Pool") {
        return Err("its outermost element is not a single `Pool`".to_owned());
    }
    if depth > DEEPEST || name.len() > 200 {
        return Err("its elements are nested too deeply, or have names that are too long".to_owned());
    }
    *begun = true;
    text.clear();
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(name);
    Ok(())
}

fn leave(path: &mut String) {
    let up = path.rfind('/').unwrap_or(0);
    path.truncate(up);
}

/// More than any name has is not held.
fn add(text: &mut String, piece: &str) {
    let room = LONGEST.saturating_sub(text.len());
    text.push_str(&piece[..piece.floor_char_boundary(room)]);
}
