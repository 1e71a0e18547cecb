//! What a person should hear before an import, and what an import does about it.

use std::collections::{BTreeMap, BTreeSet};

use super::flatten::{Flat, LONGEST, flatten, length};
use super::model::{Data, Kind, Principal};

/// What Active Directory knows of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It may be used.
    Enabled,
    /// The account is disabled, or not enabled for Lync.
    Disabled,
}

/// What is there already, by name in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Existing {
    /// Categories.
    pub categories: BTreeSet<String>,
    /// Rooms.
    pub rooms: BTreeSet<String>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Everything with its new name.
    pub flat: Flat,
    /// What will be other than it was.
    pub warnings: Vec<String>,
    /// What cannot be imported.
    pub errors: Vec<String>,
    /// What else a report tells.
    pub notes: Vec<String>,
    /// Places of rooms that are left out.
    pub left_out: BTreeSet<usize>,
    /// Principals that lose what they were in rooms, by number, and why: as `prinDisabled` has it.
    pub shut_out: BTreeMap<i64, i64>,
}

/// Looks at everything.
#[must_use]
pub fn check(data: &Data, known: &BTreeMap<String, Known>, existing: &Existing) -> Check {
    let mut check = Check { flat: flatten(data), ..Check::default() };
    for principal in &data.principals {
        check.principal(principal, known);
    }
    check.names(existing);
    let rooms: Vec<_> = check.flat.rooms.iter().filter(|room| room.loses_invites).map(|room| room.name.clone()).collect();
    for name in rooms {
        check
            .warnings
            .push(format!("Chat room '{name}': invitations are on, and those of its category are off. They are set to false."));
    }
    let managers = data.root_roles.iter().filter(|role| role.manager && !check.shut_out.contains_key(&role.principal)).count();
    if managers > 0 {
        check.notes.push(format!("{managers} managers of the root category become managers of every chat room."));
    }
    check
}

impl Check {
    fn principal(&mut self, own: &Principal, known: &BTreeMap<String, Known>) {
        match (own.kind, known.get(&own.uri.to_lowercase())) {
            (Kind::Federated, _) => {
                self.warnings.push(format!("{}: federated users have no access to Persistent Chat.", own.uri));
                self.shut_out.insert(own.id, 1);
            }
            // Groups have no address: whether the directory knows one is not looked up.
            (Kind::Group | Kind::Folder, _) | (Kind::User, Some(Known::Enabled)) => {}
            (Kind::User, found) => {
                let (why, number) = if found.is_some() { ("disabled", 1) } else { ("not found", 2) };
                self.warnings.push(format!("principal not provisioned: {} ({why} in Active Directory)", own.uri));
                self.shut_out.insert(own.id, number);
            }
        }
    }

    fn names(&mut self, existing: &Existing) {
        let mut seen = BTreeSet::new();
        for category in &self.flat.categories {
            let name = &category.name;
            if length(name) > LONGEST {
                self.errors.push(format!("Category '{name}': the name has {} characters; {LONGEST} are allowed.", length(name)));
            }
            if existing.categories.contains(&name.to_lowercase()) {
                self.warnings.push(format!("Category '{name}' exists and is overwritten."));
            }
            if !seen.insert(name.to_lowercase()) {
                self.warnings.push(format!("Category '{name}' stands more than once in the file; the last one counts."));
            }
        }
        seen.clear();
        for room in &self.flat.rooms {
            let name = &room.name;
            let in_category = room.category.and_then(|at| self.flat.categories.get(at));
            if length(name) > LONGEST || in_category.is_some_and(|category| length(&category.name) > LONGEST) {
                let text = format!(
                    "Chat room '{name}': the name has {} characters with those of its categories; {LONGEST} are allowed. It is left out.",
                    length(name)
                );
                self.errors.push(text);
                self.left_out.insert(room.place);
                continue;
            }
            if existing.rooms.contains(&name.to_lowercase()) {
                self.warnings.push(format!("Chat room '{name}' exists and is overwritten."));
            }
            if !seen.insert(name.to_lowercase()) {
                self.warnings.push(format!("Chat room '{name}' stands more than once in the file; the last one counts."));
            }
        }
    }
}
