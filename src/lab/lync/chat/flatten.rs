//! One level of categories out of many.
//!
//! - Persistent Chat has one level. A sub-category is renamed: the names of all its parents come first (Microsoft, "Migration
//!   process - details").
//! - A room in a sub-category gets the whole of that in front of its own name, and a name has 256 characters at most.
//! - What stands between two names is documented nowhere. Here it is ` - `.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Category, Data, Room};

/// What stands between the names of a path.
pub const BETWEEN: &str = " - ";
/// The longest name of a node, in UTF-16 units (`nvarchar(256)`).
pub const LONGEST: usize = 256;

/// A category of Persistent Chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatCategory {
    /// Its place in [`Data::categories`].
    pub place: usize,
    /// Its name, with those of its parents.
    pub name: String,
    /// Whether its rooms may send invitations.
    pub invites: bool,
}

/// A room of Persistent Chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatRoom {
    /// Its place in [`Data::rooms`].
    pub place: usize,
    /// The place of its category in [`Flat::categories`]; `None` at the root.
    pub category: Option<usize>,
    /// Its name, with those of its categories.
    pub name: String,
    /// `Some(false)` if it sends no invitations; otherwise its category decides.
    pub invites: Option<bool>,
    /// It was to send invitations, and its category does not let it.
    pub loses_invites: bool,
}

/// Everything with its new name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flat {
    /// Categories.
    pub categories: Vec<FlatCategory>,
    /// Rooms.
    pub rooms: Vec<FlatRoom>,
}

/// How long a name is, as the database counts.
#[must_use]
pub fn length(name: &str) -> usize {
    name.encode_utf16().count()
}

/// Flattens.
#[must_use]
pub fn flatten(data: &Data) -> Flat {
    let by_id: BTreeMap<&str, usize> = data.categories.iter().enumerate().map(|(at, own)| (own.id.as_str(), at)).collect();
    let categories: Vec<FlatCategory> = (0..data.categories.len())
        .map(|place| {
            let chain = chain(&data.categories, &by_id, place);
            let names: Vec<&str> = chain.iter().rev().map(|category| category.name.as_str()).collect();
            // Whoever leaves it open takes what the next above says; off if nobody says anything.
            let invites = chain.iter().find_map(|category| category.invites).unwrap_or(false);
            FlatCategory { place, name: names.join(BETWEEN), invites }
        })
        .collect();
    let rooms = data.rooms.iter().enumerate().map(|(place, room)| {
        let category = room.category.as_deref().and_then(|id| by_id.get(id)).copied();
        let name = name(room, category.map(|at| (&data.categories[at], categories[at].name.as_str())));
        let loses_invites = room.invites == Some(true) && category.is_some_and(|at| !categories[at].invites);
        let invites = if loses_invites { Some(false) } else { room.invites.filter(|on| !on) };
        FlatRoom { place, category, name, invites, loses_invites }
    });
    let rooms = rooms.collect();
    Flat { categories, rooms }
}

/// The name of a room in a category, of which the flattened name is given too.
fn name(room: &Room, category: Option<(&Category, &str)>) -> String {
    match category {
        Some((category, prefix)) if category.parent.is_some() => format!("{prefix}{BETWEEN}{}", room.name),
        _ => room.name.clone(),
    }
}

/// A category, its parent, and so on up. A circle is left where it closes.
fn chain<'a>(all: &'a [Category], by_id: &BTreeMap<&str, usize>, place: usize) -> Vec<&'a Category> {
    let (mut chain, mut seen) = (Vec::new(), BTreeSet::new());
    let mut next = Some(place);
    while let Some(at) = next.filter(|at| seen.insert(*at)) {
        chain.push(&all[at]);
        next = all[at].parent.as_deref().and_then(|id| by_id.get(id)).copied();
    }
    chain
}
