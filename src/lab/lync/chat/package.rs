//! Reads an export. Parts that are not there hold nothing: an export of categories has no rooms.

use std::io::{BufReader, Read, Seek};

use zip::ZipArchive;
use zip::result::ZipError;

use super::Trouble;
use super::model::{Category, Data, Kind, Message, Principal, Privacy, Role, Room};
use super::xml::{Element, number, records};

/// An export.
pub struct Package<R> {
    archive: ZipArchive<R>,
}

impl<R: Read + Seek> Package<R> {
    /// Opens it.
    ///
    /// # Errors
    /// It is no ZIP.
    pub fn open(file: R) -> Result<Self, Trouble> {
        Ok(Package { archive: ZipArchive::new(file)? })
    }

    /// Everything but the messages.
    ///
    /// # Errors
    /// It is not what an export looks like.
    pub fn data(&mut self) -> Result<Data, Trouble> {
        let mut data = Data::default();
        if !self.part("AdUsers", |element| {
            data.principals.push(principal(element, element.content("principalId"))?);
            Ok(())
        })? {
            return Err(Trouble::Malformed("it has no `AdUsers.xml`".to_owned()));
        }
        self.part("AdGroups", |element| {
            let group = principal(element, element.attribute("principalId"))?;
            let kind = if group.kind.is_person() { Kind::Group } else { group.kind };
            data.principals.push(Principal { kind, ..group });
            Ok(())
        })?;
        self.part("AdAffiliations", |element| {
            let user = element.number("id")?;
            let groups = element.child("Groups").map_or(&[][..], |groups| &groups.children);
            for group in groups {
                data.affiliations.push((user, group.number("id")?));
            }
            Ok(())
        })?;
        self.part("ChatCategories", |element| {
            if element.name == "Root" {
                data.root_roles = roles(element)?;
            } else {
                data.categories.push(category(element)?);
            }
            Ok(())
        })?;
        self.part("ChatRooms", |element| {
            data.rooms.push(room(element)?);
            Ok(())
        })?;
        Ok(data)
    }

    /// Its messages, in their order.
    ///
    /// # Errors
    /// It is not what an export looks like, or what `each` says.
    pub fn messages(&mut self, mut each: impl FnMut(&Message) -> Result<(), Trouble>) -> Result<(), Trouble> {
        self.part("Messages", |element| {
            each(&Message {
                room: element.needed("roomId")?.to_owned(),
                id: element.number("id")?,
                author: element.number("author")?,
                time: element.number("time")?,
                alert: element.is("isAlert"),
                content: element.content("Content").unwrap_or_default().to_owned(),
                rtf: element.content("Rtf").map(str::to_owned),
            })
        })?;
        Ok(())
    }

    /// The records of a part; whether there is one.
    fn part(&mut self, name: &str, each: impl FnMut(&Element) -> Result<(), Trouble>) -> Result<bool, Trouble> {
        match self.archive.by_name(&format!("{name}.xml")) {
            Ok(file) => records(BufReader::with_capacity(64 << 10, file), each).map(|()| true),
            Err(ZipError::FileNotFound) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}

fn flag(text: Option<&str>) -> Option<bool> {
    text.map(|text| text.trim() == "1")
}

fn principal(element: &Element, id: Option<&str>) -> Result<Principal, Trouble> {
    let id = number(id.ok_or_else(|| Trouble::Malformed(format!("a `{}` has no `principalId`", element.name)))?)?;
    let text = |name: &str| element.content(name).map(str::to_owned);
    let upn = text("UserPrincipalName");
    // Somebody else's export may say no more than this.
    let uri = text("Uri")
        .or_else(|| upn.as_ref().map(|upn| format!("sip:{upn}")))
        .unwrap_or_else(|| format!("ma-grp://principal/{id}"));
    Ok(Principal {
        id,
        guid: text("Guid").unwrap_or_default(),
        uri,
        name: text("DisplayName"),
        upn,
        company: text("Company"),
        path: text("AdPath"),
        kind: element.content("Type").and_then(Kind::from_name).unwrap_or_default(),
        disabled: flag(element.content("Disabled")).unwrap_or(false),
    })
}

fn roles(element: &Element) -> Result<Vec<Role>, Trouble> {
    let all = element.child("Roles").map_or(&[][..], |roles| &roles.children);
    let role = |own: &Element| {
        Ok(Role {
            principal: own.number("id")?,
            creator: own.is("isCreator"),
            manager: own.is("isManager"),
            presenter: own.is("isPresenter"),
            member: own.is("isMember"),
        })
    };
    all.iter().map(role).collect()
}

fn category(element: &Element) -> Result<Category, Trouble> {
    let scope = element.child("Scope").map_or(&[][..], |scope| &scope.children);
    Ok(Category {
        id: element.needed("id")?.to_owned(),
        parent: element.attribute("parentId").map(str::to_owned),
        name: name(element)?,
        description: element.content("Desc").unwrap_or_default().to_owned(),
        invites: flag(element.content("Invites")),
        history: flag(element.content("ChatHistory")).unwrap_or(true),
        uploads: flag(element.content("FileUpload")).unwrap_or(true),
        roles: roles(element)?,
        scope: scope.iter().map(|own| own.number("id")).collect::<Result<_, _>>()?,
    })
}

fn room(element: &Element) -> Result<Room, Trouble> {
    let name = name(element)?;
    Ok(Room {
        id: element.attribute("id").unwrap_or(&name).to_owned(),
        node: 0,
        category: element.attribute("categoryId").map(str::to_owned),
        name,
        description: element.content("Desc").unwrap_or_default().to_owned(),
        invites: flag(element.content("Invites")),
        disabled: element.is("isDisabled"),
        auditorium: element.content("Type") == Some("Auditorium"),
        privacy: element.content("Privacy").and_then(Privacy::from_name).unwrap_or_default(),
        roles: roles(element)?,
    })
}

fn name(element: &Element) -> Result<String, Trouble> {
    let found = element.content("Name").filter(|name| !name.trim().is_empty());
    found.map(str::to_owned).ok_or_else(|| Trouble::Malformed(format!("a `{}` has no name", element.name)))
}
