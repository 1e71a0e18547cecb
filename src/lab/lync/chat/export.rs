//! Writes an export: a ZIP of XML files.
//!
//! What other people's programs read in real exports is written as they read it: `AdGroups.xml`, `AdUsers.xml`,
//! `AdAffiliations.xml`, and of `ChatRooms.xml` the name, the description, whether it is disabled, and the roles. The rest is
//! documented nowhere and is the lab's own: `ChatCategories.xml`, `Messages.xml`, and the other words of a user and a room.

use std::io::{BufWriter, Seek, Write};

use quick_xml::Writer;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::model::{Category, Data, Kind, Message, Principal, Role, Room};
use super::xml::{element, optional, part};
use super::{Trouble, source::Source};

/// How much is exported (`-Level`). Each holds what the one before holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// People and groups.
    User,
    /// And categories.
    Category,
    /// And rooms.
    RoomDirectory,
    /// And messages.
    Content,
    /// The same as `Content`.
    #[default]
    All,
}

/// What to export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How much.
    pub level: Level,
    /// Messages from this time on, in ticks; all if `None`.
    pub since: Option<i64>,
}

impl Wanted {
    /// Whether messages are exported: a start date is only given for their sake.
    #[must_use]
    pub fn messages(&self) -> bool {
        self.level >= Level::Content || (self.level == Level::RoomDirectory && self.since.is_some())
    }
}

fn options() -> SimpleFileOptions {
    // Fast: nobody keeps these files for long.
    SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated).compression_level(Some(1))
}

/// Writes it, and gives how many messages there were. `data` is what is to be exported of the source.
///
/// # Errors
/// The database cannot be read, or the file cannot be written.
pub fn export<W: Write + Seek>(source: &Source<'_>, data: &Data, wanted: &Wanted, into: W) -> Result<u64, Trouble> {
    let mut zip = ZipWriter::new(into);
    write(&mut zip, "AdGroups", |writer| {
        for group in data.principals.iter().filter(|principal| !principal.kind.is_person()) {
            let start = writer.create_element("Group").with_attribute(("principalId", group.id.to_string().as_str()));
            start.write_inner_content(|writer| principal(writer, group))?;
        }
        Ok(())
    })?;
    write(&mut zip, "AdUsers", |writer| {
        for user in data.principals.iter().filter(|principal| principal.kind.is_person()) {
            writer.create_element("User").write_inner_content(|writer| {
                element(writer, "principalId", &user.id.to_string())?;
                optional(writer, "UserPrincipalName", user.upn.as_deref())?;
                principal(writer, user)
            })?;
        }
        Ok(())
    })?;
    write(&mut zip, "AdAffiliations", |writer| affiliations(writer, data))?;
    if wanted.level >= Level::Category {
        write(&mut zip, "ChatCategories", |writer| {
            if !data.root_roles.is_empty() {
                writer.create_element("Root").write_inner_content(|writer| roles(writer, &data.root_roles))?;
            }
            data.categories.iter().try_for_each(|own| category(writer, own))
        })?;
    }
    if wanted.level >= Level::RoomDirectory {
        write(&mut zip, "ChatRooms", |writer| data.rooms.iter().try_for_each(|own| room(writer, own)))?;
    }
    let mut messages = 0;
    if wanted.messages() {
        write(&mut zip, "Messages", |writer| {
            messages = source.messages(&data.rooms, wanted.since.unwrap_or(i64::MIN), |own| message(writer, own))?;
            Ok(())
        })?;
    }
    zip.finish()?.flush()?;
    Ok(messages)
}

type Part<'z, W> = Writer<BufWriter<&'z mut ZipWriter<W>>>;

fn write<W: Write + Seek>(
    zip: &mut ZipWriter<W>,
    name: &str,
    fill: impl FnOnce(&mut Part<'_, W>) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    zip.start_file(format!("{name}.xml"), options())?;
    let mut filled = part(BufWriter::with_capacity(64 << 10, zip), name, fill)?;
    Ok(filled.flush()?)
}

/// What a user and a group have in common.
fn principal<W: Write>(writer: &mut Writer<W>, own: &Principal) -> std::io::Result<()> {
    element(writer, "Guid", &own.guid)?;
    element(writer, "Uri", &own.uri)?;
    optional(writer, "DisplayName", own.name.as_deref())?;
    optional(writer, "Company", own.company.as_deref())?;
    optional(writer, "AdPath", own.path.as_deref())?;
    if own.kind != Kind::User {
        element(writer, "Type", own.kind.name())?;
    }
    if own.disabled {
        element(writer, "Disabled", "1")?;
    }
    Ok(())
}

fn affiliations<W: Write>(writer: &mut Writer<W>, data: &Data) -> Result<(), Trouble> {
    for same in data.affiliations.chunk_by(|one, other| one.0 == other.0) {
        let Some((user, _)) = same.first() else { continue };
        writer.create_element("User").with_attribute(("id", user.to_string().as_str())).write_inner_content(|writer| {
            writer.create_element("Groups").write_inner_content(|writer| {
                for (_, group) in same {
                    writer.create_element("Group").with_attribute(("id", group.to_string().as_str())).write_empty()?;
                }
                Ok(())
            })?;
            Ok(())
        })?;
    }
    Ok(())
}

fn flag(on: bool) -> &'static str {
    if on { "1" } else { "0" }
}

fn roles<W: Write>(writer: &mut Writer<W>, all: &[Role]) -> std::io::Result<()> {
    writer.create_element("Roles").write_inner_content(|writer| {
        for role in all {
            let id = role.principal.to_string();
            let mut start = writer.create_element("Principal").with_attributes([
                ("id", id.as_str()),
                ("isManager", flag(role.manager)),
                ("isMember", flag(role.member)),
                ("isCreator", flag(role.creator)),
            ]);
            if role.presenter {
                start = start.with_attribute(("isPresenter", "1"));
            }
            start.write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn category<W: Write>(writer: &mut Writer<W>, own: &Category) -> Result<(), Trouble> {
    let mut start = writer.create_element("ChatCategory").with_attribute(("id", own.id.as_str()));
    if let Some(parent) = &own.parent {
        start = start.with_attribute(("parentId", parent.as_str()));
    }
    start.write_inner_content(|writer| {
        element(writer, "Name", &own.name)?;
        element(writer, "Desc", &own.description)?;
        optional(writer, "Invites", own.invites.map(flag))?;
        element(writer, "ChatHistory", flag(own.history))?;
        element(writer, "FileUpload", flag(own.uploads))?;
        roles(writer, &own.roles)?;
        writer.create_element("Scope").write_inner_content(|writer| {
            for id in &own.scope {
                writer.create_element("Principal").with_attribute(("id", id.to_string().as_str())).write_empty()?;
            }
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(())
}

fn room<W: Write>(writer: &mut Writer<W>, own: &Room) -> Result<(), Trouble> {
    let mut start =
        writer.create_element("ChatRoom").with_attributes([("isDisabled", flag(own.disabled)), ("id", own.id.as_str())]);
    if let Some(category) = &own.category {
        start = start.with_attribute(("categoryId", category.as_str()));
    }
    start.write_inner_content(|writer| {
        element(writer, "Name", &own.name)?;
        element(writer, "Desc", &own.description)?;
        optional(writer, "Invites", own.invites.map(flag))?;
        element(writer, "Type", if own.auditorium { "Auditorium" } else { "Normal" })?;
        element(writer, "Privacy", own.privacy.name())?;
        roles(writer, &own.roles)
    })?;
    Ok(())
}

fn message<W: Write>(writer: &mut Writer<W>, own: &Message) -> Result<(), Trouble> {
    let (id, author, time) = (own.id.to_string(), own.author.to_string(), own.time.to_string());
    let mut start = writer.create_element("Message").with_attributes([
        ("roomId", own.room.as_str()),
        ("id", id.as_str()),
        ("author", author.as_str()),
        ("time", time.as_str()),
    ]);
    if own.alert {
        start = start.with_attribute(("isAlert", "1"));
    }
    start.write_inner_content(|writer| {
        element(writer, "Content", &own.content)?;
        optional(writer, "Rtf", own.rtf.as_deref())
    })?;
    Ok(())
}
