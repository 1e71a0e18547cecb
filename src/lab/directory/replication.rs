//! Two replicas come to agree: every attribute, and every value of a link, carries the stamp of the write that it
//! comes from, and the greater stamp wins (MS-ADTS 3.1.1.1.9, MS-DRSR 4.1.10.6).
//!
//! - A replica asks another for what it wrote since the last time. What it takes it writes under a number of its own.
//! - A deletion is a write like another; what arrives late at a tombstone is dropped.
//! - What lies below a tombstone afterwards moves to `LostAndFound`, and of two objects of one name the older is renamed.

use super::delete;
use super::dn::{Dn, Rdn};
use super::ids::Guid;
use super::schema::{self, Trait};
use super::store::{Held, Linked, Object, Pen, Replica};

/// Takes over what `from` has written since the last time. Says whether anything changed.
pub fn pull(to: &mut Replica, from: &Replica, now: i64) -> bool {
    let since = to.seen.get(&from.dsa).copied().unwrap_or(0);
    if from.usn <= since {
        return false;
    }
    let mut news: Vec<&Object> = from.objects.values().filter(|object| object.changed > since).collect();
    news.sort_by_key(|object| (object.created, object.changed));
    let mut taken = Vec::new();
    for object in news {
        if let Some(merged) = merge(to.get(object.guid), object, to.usn + 1) {
            let pen = to.pen(now);
            taken.push(merged.guid);
            to.put(merged, &pen);
        }
    }
    to.seen.insert(from.dsa, from.usn);
    for guid in &taken {
        settle(to, *guid, now);
    }
    !taken.is_empty()
}

/// The object with everything that is newer in `theirs`; `None` if nothing is.
fn merge(ours: Option<&Object>, theirs: &Object, usn: u64) -> Option<Object> {
    let mut merged = ours.cloned().unwrap_or_else(|| Object {
        attributes: std::collections::BTreeMap::new(),
        links: std::collections::BTreeMap::new(),
        created: usn,
        ..theirs.clone()
    });
    let mut changed = ours.is_none();
    for (name, held) in &theirs.attributes {
        if schema::find(name).is_some_and(|attribute| attribute.is(Trait::Local)) {
            continue;
        }
        if merged.attributes.get(name).is_none_or(|own| own.stamp < held.stamp) {
            merged.attributes.insert(name.clone(), Held { usn, ..held.clone() });
            changed = true;
            if name == "name" {
                merged.parent = theirs.parent;
            }
        }
    }
    for (link, targets) in &theirs.links {
        let own = merged.links.entry(link.clone()).or_default();
        for (target, linked) in targets {
            if own.get(target).is_none_or(|own| own.stamp < linked.stamp) {
                own.insert(*target, Linked { usn, ..linked.clone() });
                changed = true;
            }
        }
    }
    changed.then_some(merged)
}

/// Puts right what two writes that did not know of each other left behind.
fn settle(replica: &mut Replica, guid: Guid, now: i64) {
    let Some(object) = replica.get(guid).cloned() else { return };
    if object.head {
        return;
    }
    if object.is_tombstone() {
        let bin = replica.head_of(&object).and_then(|head| replica.deleted_objects(head.guid)).map(|bin| bin.guid);
        let pen = replica.pen(now);
        if object.parent == bin {
            let mut object = object;
            if delete::strip(&mut object, &pen) {
                replica.put(object, &pen);
            }
            delete::unlink(replica, guid, &pen);
        } else {
            // It was moved elsewhere at the same time.
            delete::bury(replica, guid, &pen);
        }
        let below: Vec<Guid> = replica.children(guid).map(|child| child.guid).collect();
        for child in below {
            settle(replica, child, now);
        }
        return;
    }
    drop_dead_links(replica, &object, now);
    let orphan = object.parent.is_none_or(|parent| replica.get(parent).is_none_or(Object::is_tombstone));
    if orphan {
        let lost = replica.domain().map(|domain| domain.guid).and_then(|domain| {
            let part = Dn::parse("CN=LostAndFound")?.0.into_iter().next()?;
            replica.child(domain, &part).map(|lost| lost.guid)
        });
        if let Some(lost) = lost {
            let pen = replica.pen(now);
            rename(replica, guid, Some(lost), None, &pen);
        }
    }
    conflict(replica, guid, now);
}

fn drop_dead_links(replica: &mut Replica, object: &Object, now: i64) {
    let is_dead = |target: &Guid| replica.get(*target).is_some_and(Object::is_tombstone);
    let dead: Vec<(String, Guid)> = object
        .links
        .keys()
        .flat_map(|link| object.targets(link).filter(is_dead).map(|target| (link.clone(), target)).collect::<Vec<_>>())
        .collect();
    if dead.is_empty() {
        return;
    }
    let pen = replica.pen(now);
    let mut object = object.clone();
    for (link, target) in dead {
        pen.link(&mut object, &link, target, false);
    }
    replica.put(object, &pen);
}

/// Of two living objects of one name the one that was named later keeps it.
fn conflict(replica: &mut Replica, guid: Guid, now: i64) {
    let Some(object) = replica.get(guid) else { return };
    let (Some(parent), Some(name)) = (object.parent, object.text("name")) else { return };
    let part = Rdn::new(object.rdn_attribute(), name);
    let named = |object: &Object| object.attributes.get("name").map(|held| held.stamp);
    let other = replica
        .children(parent)
        .find(|other| other.guid != guid && part.matches(other.rdn_attribute(), other.text("name").unwrap_or_default()));
    let Some(other) = other else { return };
    let loser = if named(object) < named(other) { guid } else { other.guid };
    let mangled = format!("{name}\nCNF:{loser}");
    let pen = replica.pen(now);
    rename(replica, loser, None, Some(&mangled), &pen);
}

fn rename(replica: &mut Replica, guid: Guid, parent: Option<Guid>, name: Option<&str>, pen: &Pen) {
    let Some(mut object) = replica.get(guid).cloned() else { return };
    let name = name.map_or_else(|| object.text("name").unwrap_or_default().to_owned(), str::to_owned);
    let rdn = object.rdn_attribute().to_ascii_lowercase();
    object.parent = parent.or(object.parent);
    pen.set_text(&mut object, "name", name.clone());
    pen.set_text(&mut object, &rdn, name);
    replica.put(object, pen);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::dn::Name;
    use super::*;
    use crate::lab::contoso;

    const CHAT: &str = "CN=ocschat,OU=Service,DC=contoso,DC=lan";

    fn world() -> [Replica; 2] {
        contoso::build(&BTreeMap::new(), 1_000)
    }

    fn named(replica: &Replica, name: &str) -> Option<Guid> {
        replica.find(&Name::parse(name)?).map(|object| object.guid)
    }

    fn write(replica: &mut Replica, guid: Guid, attribute: &str, text: &str, now: i64) {
        let mut object = replica.get(guid).cloned().expect("it is there");
        let pen = replica.pen(now);
        pen.set_text(&mut object, attribute, text);
        replica.put(object, &pen);
    }

    /// Until neither has news for the other.
    fn converge([one, two]: &mut [Replica; 2]) {
        for _ in 0..4 {
            pull(two, one, 9_000);
            pull(one, two, 9_000);
        }
        assert!(!pull(two, one, 9_000) && !pull(one, two, 9_000), "it comes to rest");
        assert_eq!(one.objects.len(), two.objects.len());
        for (guid, object) in &one.objects {
            let other = two.get(*guid).expect("both have it");
            assert_eq!(one.dn(object), two.dn(other));
            for (name, held) in
                object.attributes.iter().filter(|(name, _)| !schema::find(name).is_some_and(|a| a.is(Trait::Local)))
            {
                assert_eq!(held.values, other.attributes[name].values, "{name}");
            }
            for link in object.links.keys() {
                assert_eq!(object.targets(link).collect::<Vec<_>>(), other.targets(link).collect::<Vec<_>>(), "{link}");
            }
        }
    }

    #[test]
    fn the_write_of_the_greater_version_wins_and_among_equals_the_later() {
        let mut both = world();
        let guid = named(&both[0], CHAT).expect("it is there");
        write(&mut both[0], guid, "title", "one", 2_000);
        write(&mut both[0], guid, "title", "two", 2_001);
        write(&mut both[1], guid, "title", "later, but of a smaller version", 3_000);
        write(&mut both[0], guid, "company", "earlier", 2_000);
        write(&mut both[1], guid, "company", "later", 3_000);
        converge(&mut both);
        let object = both[1].get(guid).expect("it is there");
        assert_eq!((object.text("title"), object.text("company")), (Some("two"), Some("later")));
    }

    #[test]
    fn a_change_that_meets_a_deletion_is_lost_and_the_tombstone_stays_bare() {
        let mut both = world();
        let guid = named(&both[0], CHAT).expect("it is there");
        let pen = both[0].pen(2_000);
        delete::bury(&mut both[0], guid, &pen);
        write(&mut both[1], guid, "mail", "new@contoso.lan", 3_000);
        let group = named(&both[1], "CN=Staff,OU=Groups,DC=contoso,DC=lan").expect("it is there");
        let mut object = both[1].get(group).cloned().expect("it is there");
        let pen = both[1].pen(3_000);
        pen.link(&mut object, "member", guid, true);
        both[1].put(object, &pen);
        converge(&mut both);
        for replica in &both {
            let tombstone = replica.get(guid).expect("it is there");
            assert!(tombstone.is_tombstone() && tombstone.text("mail").is_none());
            assert_eq!(replica.linking(guid, "member").count(), 0);
        }
    }

    #[test]
    fn a_rename_that_meets_a_deletion_leaves_a_tombstone_among_the_tombstones() {
        let mut both = world();
        let guid = named(&both[0], CHAT).expect("it is there");
        let pen = both[0].pen(2_000);
        delete::bury(&mut both[0], guid, &pen);
        write(&mut both[1], guid, "name", "renamed", 3_000);
        converge(&mut both);
        let tombstone = both[0].get(guid).expect("it is there");
        let bin = both[0].deleted_objects(both[0].domain().expect("a domain").guid).map(|bin| bin.guid);
        assert_eq!(tombstone.parent, bin);
        assert!(tombstone.text("name").is_some_and(|name| name.ends_with(&format!("\nDEL:{guid}"))));
    }

    #[test]
    fn two_objects_of_one_name_are_told_apart_and_the_later_keeps_it() {
        let mut both = world();
        let mut made = Vec::new();
        for (at, now) in [(0, 2_000), (1, 3_000)] {
            let parent = named(&both[at], "OU=Service,DC=contoso,DC=lan");
            let class = schema::class_named("contact").expect("it is known");
            let pen = both[at].pen(now);
            let object = super::super::add::blank(Guid::random(), parent, class, "twice", &pen);
            made.push(object.guid);
            both[at].put(object, &pen);
        }
        converge(&mut both);
        assert_eq!(named(&both[0], "CN=twice,OU=Service,DC=contoso,DC=lan"), Some(made[1]));
        let loser = both[0].get(made[0]).and_then(|object| object.text("name")).unwrap_or_default();
        assert_eq!(loser, format!("twice\nCNF:{}", made[0]));
    }

    #[test]
    fn what_was_put_below_a_deleted_container_is_found_in_lost_and_found() {
        let mut both = world();
        let staff = named(&both[0], "OU=Groups,DC=contoso,DC=lan");
        let staff = staff.expect("it is there");
        let children: Vec<Guid> = both[0].children(staff).map(|child| child.guid).collect();
        for guid in children.into_iter().chain([staff]) {
            let pen = both[0].pen(2_000);
            delete::bury(&mut both[0], guid, &pen);
        }
        let class = schema::class_named("contact").expect("it is known");
        let pen = both[1].pen(3_000);
        let object = super::super::add::blank(Guid::random(), Some(staff), class, "late", &pen);
        let late = object.guid;
        both[1].put(object, &pen);
        converge(&mut both);
        assert_eq!(named(&both[0], "CN=late,CN=LostAndFound,DC=contoso,DC=lan"), Some(late));
    }
}
