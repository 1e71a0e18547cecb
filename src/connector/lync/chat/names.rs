//! What the names of rooms and categories become: Persistent Chat has one level of categories, and the names of those above
//! come first.
//!
//! What Microsoft puts between two names is not documented. Three characters are counted, and names are compared with ` - `
//! between their parts; a sub-category whose own name is taken is seen all the same by its last part.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::{Category, Contents};

/// `tblNode.nodeName` is `nvarchar(256)`.
pub const LONGEST: usize = 256;
/// Between two names.
const BETWEEN: &str = " - ";

/// What comes of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Rooms, as they will be called.
    pub rooms: Vec<String>,
    /// Categories, as they will be called; `None` if they are not told.
    pub categories: Option<Vec<String>>,
    /// The longest, in UTF-16 units, as the database counts.
    pub longest: usize,
    /// Those that are too long.
    pub too_long: Vec<String>,
    /// Those that two rooms would have; not known without categories, which may tell them apart.
    pub twice: Option<Vec<String>>,
}

/// Puts prefix and name together.
#[must_use]
pub fn of(contents: &Contents) -> Names {
    let all = contents.categories.as_ref();
    let mut names = Names::default();
    if let Some(all) = all {
        names.categories = Some(all.keys().map(|id| path(all, id).join(BETWEEN)).collect());
    }
    for room in &contents.rooms {
        let above = all.zip(room.category.as_deref()).map(|(all, id)| path(all, id)).unwrap_or_default();
        // A category at the top keeps its name and gives its rooms none.
        let name = if above.len() > 1 { format!("{}{BETWEEN}{}", above.join(BETWEEN), room.name) } else { room.name.clone() };
        names.rooms.push(name);
    }
    let mut seen = BTreeSet::new();
    let mut twice = Vec::new();
    for name in names.rooms.iter().filter(|name| !seen.insert(name.to_lowercase())) {
        twice.push(name.clone());
    }
    names.twice = all.is_some().then_some(twice);
    for name in names.rooms.iter().chain(names.categories.iter().flatten()) {
        let length = name.encode_utf16().count();
        names.longest = names.longest.max(length);
        if length > LONGEST {
            names.too_long.push(name.clone());
        }
    }
    names
}

/// The names from the top down to a category. A circle is left where it closes.
fn path<'c>(all: &'c BTreeMap<String, Category>, id: &str) -> Vec<&'c str> {
    let (mut path, mut seen) = (Vec::new(), BTreeSet::new());
    let mut next = all.get_key_value(id);
    while let Some((_, category)) = next.filter(|(id, _)| seen.insert(id.as_str())) {
        let _ = id;
        path.push(category.name.as_str());
        next = category.parent.as_ref().and_then(|parent| all.get_key_value(parent));
    }
    path.reverse();
    path
}

/// Those of `names` that are among `taken`, without regard to case.
#[must_use]
pub fn among<'n>(names: impl IntoIterator<Item = &'n String>, taken: &[String]) -> Vec<String> {
    let taken: BTreeSet<String> = taken.iter().map(|name| name.to_lowercase()).collect();
    names.into_iter().filter(|name| taken.contains(&name.to_lowercase())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::parts::Room;
    use super::*;

    fn category(name: &str, parent: Option<&str>) -> Category {
        Category { name: name.to_owned(), parent: parent.map(str::to_owned) }
    }

    fn room(name: &str, category: Option<&str>) -> Room {
        Room { name: name.to_owned(), category: category.map(str::to_owned), disabled: false }
    }

    #[test]
    fn a_room_below_the_first_level_gets_the_names_of_all_categories_above_it() {
        let categories = [("a", category("Sales", None)), ("b", category("Spain", Some("a")))];
        let categories = categories.map(|(id, category)| (id.to_owned(), category)).into();
        let rooms = vec![room("News", Some("b")), room("News", Some("a")), room("x", Some("gone")), room("y", None)];
        let names = of(&Contents { rooms, categories: Some(categories), ..Contents::default() });
        assert_eq!(names.rooms, ["Sales - Spain - News", "News", "x", "y"]);
        assert_eq!(names.categories, Some(vec!["Sales".to_owned(), "Sales - Spain".to_owned()]));
        assert_eq!((names.longest, names.twice), (20, Some(Vec::new())));
        assert_eq!(among(&names.rooms, &["NEWS".to_owned()]), ["News"]);
    }

    #[test]
    fn a_circle_of_categories_ends_and_long_names_are_counted_in_utf_16() {
        let categories = [("a", category("A", Some("b"))), ("b", category("B", Some("a")))];
        let categories = categories.map(|(id, category)| (id.to_owned(), category)).into();
        let long = "😀".repeat(129);
        let rooms = vec![room("r", Some("a")), room(&long, None)];
        let names = of(&Contents { rooms, categories: Some(categories), ..Contents::default() });
        assert_eq!((names.rooms[0].as_str(), names.longest, names.too_long.len()), ("B - A - r", 258, 1));
    }

    #[test]
    fn without_categories_nothing_is_said_of_rooms_that_are_called_the_same() {
        let names = of(&Contents { rooms: vec![room("a", None), room("A", None)], ..Contents::default() });
        assert_eq!((names.twice, names.categories), (None, None));
    }
}
