//! Rooms, categories and principals, as they stand between two databases.

/// Everything but the messages, which are too many to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Data {
    /// People, groups, folders.
    pub principals: Vec<Principal>,
    /// Who belongs to what: a principal's number, and that of the group.
    pub affiliations: Vec<(i64, i64)>,
    /// Categories below the root, parents before children.
    pub categories: Vec<Category>,
    /// Roles at the root of the tree: they count in every room.
    pub root_roles: Vec<Role>,
    /// Rooms.
    pub rooms: Vec<Room>,
}

/// Somebody, or a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal {
    /// `prinID`: what roles and messages name.
    pub id: i64,
    /// `prinGuid`.
    pub guid: String,
    /// `sip:…`, or `ma-grp://…` of a group.
    pub uri: String,
    /// For people.
    pub name: Option<String>,
    /// The userPrincipalName.
    pub upn: Option<String>,
    /// The company.
    pub company: Option<String>,
    /// The distinguished name.
    pub path: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Whether the database has it as disabled.
    pub disabled: bool,
}

/// What a principal is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Somebody of this forest.
    #[default]
    User,
    /// Somebody of another company.
    Federated,
    /// A group.
    Group,
    /// A container of the directory.
    Folder,
}

/// A category.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Category {
    /// `nodeGuid`.
    pub id: String,
    /// That of the category it lies in; `None` for one right below the root.
    pub parent: Option<String>,
    /// Its own name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whether rooms may send invitations; `None` if that is up to the parent.
    pub invites: Option<bool>,
    /// Whether messages are kept.
    pub history: bool,
    /// Whether files may be uploaded.
    pub uploads: bool,
    /// Who has which role.
    pub roles: Vec<Role>,
    /// Who may be a member of a room.
    pub scope: Vec<i64>,
}

/// A room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// `nodeGuid`.
    pub id: String,
    /// `nodeID` in the database that it came from; 0 if it came from elsewhere.
    pub node: i64,
    /// The category that it lies in; `None` at the root, or if that is not known.
    pub category: Option<String>,
    /// Its own name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Whether it sends invitations; `None` if that is up to the category.
    pub invites: Option<bool>,
    /// Whether it is shut.
    pub disabled: bool,
    /// Whether only presenters may write.
    pub auditorium: bool,
    /// Who may find it and enter.
    pub privacy: Privacy,
    /// Who has which role.
    pub roles: Vec<Role>,
}

/// Who may find a room and enter (`visibility` in the database).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Privacy {
    /// Members find it and enter: 2.
    Secret,
    /// All find it, members enter: 3.
    #[default]
    Closed,
    /// All find it and enter: 6.
    Open,
}

/// What a principal is in a room or category.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Role {
    /// Who.
    pub principal: i64,
    /// May make rooms.
    pub creator: bool,
    /// May change the room.
    pub manager: bool,
    /// May write in an auditorium.
    pub presenter: bool,
    /// May enter.
    pub member: bool,
}

/// A message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The room's `nodeGuid`.
    pub room: String,
    /// Its number in the room.
    pub id: i64,
    /// Who wrote it, by number.
    pub author: i64,
    /// When, in ticks of .NET (a tenth of a microsecond, since the year 1).
    pub time: i64,
    /// Whether it is an alert.
    pub alert: bool,
    /// What it says.
    pub content: String,
    /// The same in RTF, if the client sent that.
    pub rtf: Option<String>,
}

impl Privacy {
    /// As the database keeps it.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Privacy::Secret => 2,
            Privacy::Closed => 3,
            Privacy::Open => 6,
        }
    }

    /// From the database's number.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        match number {
            2 => Privacy::Secret,
            6 => Privacy::Open,
            _ => Privacy::Closed,
        }
    }

    /// As the cmdlets call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Privacy::Secret => "Secret",
            Privacy::Closed => "Closed",
            Privacy::Open => "Open",
        }
    }

    /// From the cmdlets' word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Privacy::Secret, Privacy::Closed, Privacy::Open].into_iter().find(|own| own.name() == name)
    }
}

impl Kind {
    /// As the export calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::User => "User",
            Kind::Federated => "FederatedUser",
            Kind::Group => "Group",
            Kind::Folder => "Folder",
        }
    }

    /// From the export's word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Kind::User, Kind::Federated, Kind::Group, Kind::Folder].into_iter().find(|own| own.name() == name)
    }

    /// Whether it is a person.
    #[must_use]
    pub fn is_person(self) -> bool {
        matches!(self, Kind::User | Kind::Federated)
    }
}
