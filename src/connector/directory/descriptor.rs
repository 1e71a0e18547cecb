//! nTSecurityDescriptor: who may do what to an object (\[MS-DTYP\] section 2.4.6). Read only.

use super::guid::Guid;
use super::sid::Sid;

/// `DELETE` (\[MS-ADTS\] 5.1.3.2).
pub const DELETE: u32 = 0x0001_0000;
/// `DELETE_TREE`.
pub const DELETE_TREE: u32 = 0x0000_0040;
/// `DELETE_CHILD`.
pub const DELETE_CHILD: u32 = 0x0000_0002;
/// `READ_CONTROL`: read the descriptor.
pub const READ_CONTROL: u32 = 0x0002_0000;
/// `WRITE_DAC`: change who may do what.
pub const WRITE_DAC: u32 = 0x0004_0000;
/// `LIST_CONTENTS`: see the children.
pub const LIST_CONTENTS: u32 = 0x0000_0004;
/// `READ_PROPERTY`.
pub const READ_PROPERTY: u32 = 0x0000_0010;
/// `WRITE_PROPERTY`.
pub const WRITE_PROPERTY: u32 = 0x0000_0020;

/// Control bit: there is a DACL (\[MS-DTYP\] section 2.4.6).
const DACL_PRESENT: u16 = 0x0004;
/// Control bit: the parts follow the header in one block, the only form that a directory sends.
const SELF_RELATIVE: u16 = 0x8000;
/// Length of the descriptor's header; no part can begin before its end.
const HEADER: usize = 20;
/// Flag of an entry (\[MS-DTYP\] section 2.4.4.1).
const INHERIT_ONLY_ACE: u8 = 0x08;
/// Flag of an entry.
const INHERITED_ACE: u8 = 0x10;

/// A parsed descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The owner, if it has one.
    pub owner: Option<Sid>,
    /// The entries of the DACL, in order; `None` if there is no DACL at all.
    pub entries: Option<Vec<Ace>>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ace {
    /// True for deny, false for allow.
    pub deny: bool,
    /// The rights, generic ones resolved.
    pub mask: u32,
    /// For whom.
    pub sid: Sid,
    /// For one property, right or class of children only.
    pub object: Option<Guid>,
    /// Handed down to children of this class only.
    pub inherited_object: Option<Guid>,
    /// Only handed down to children, without effect on the object itself.
    pub inherit_only: bool,
    /// Came from the parent.
    pub inherited: bool,
}

impl Descriptor {
    /// From the bytes of the attribute. Kinds of entries that are not known are left out; so are conditional ones that
    /// allow. Conditional ones that deny are taken without their condition.
    ///
    /// # Errors
    /// The bytes are not a descriptor.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |what: &str| format!("not a security descriptor: {what}");
        let header = bytes.get(..HEADER).ok_or_else(|| wrong("shorter than its header"))?;
        let control = u16_at(header, 2).unwrap_or_default();
        if header[0] != 1 {
            return Err(wrong("its revision is not 1"));
        }
        if control & SELF_RELATIVE == 0 {
            return Err(wrong("it is not self-relative"));
        }
        // An offset of nought: that part is not there.
        let part = |at: usize| match u32_at(header, at).and_then(|offset| usize::try_from(offset).ok()) {
            Some(0) => Ok(None),
            Some(offset) if offset >= HEADER => {
                bytes.get(offset..).map(Some).ok_or_else(|| wrong("a part begins behind its end"))
            }
            _ => Err(wrong("a part begins within its header")),
        };
        let owner = part(4)?.map(|bytes| Sid::from_prefix(bytes).ok_or_else(|| wrong("its owner is no SID"))).transpose()?;
        let dacl = if control & DACL_PRESENT == 0 { None } else { part(16)? };
        let entries = dacl.map(|acl| entries(acl).ok_or_else(|| wrong("its list of entries is damaged"))).transpose()?;
        Ok(Descriptor { owner, entries })
    }

    /// Whether an entry denies one of these rights on the object itself to whomever: it is meant to be kept. An entry
    /// for one class of children only (such as `DELETE_CHILD` for users) counts as well.
    #[must_use]
    pub fn denies(&self, mask: u32) -> bool {
        self.entries.iter().flatten().any(|entry| entry.deny && !entry.inherit_only && entry.mask & mask != 0)
    }

    /// Whether all these rights are granted to somebody who has these SIDs, and those that everybody has who logged on
    /// (\[MS-DTYP\] section 2.5.3.2). Entries for one property, right or class do not count, neither do those for the
    /// object itself (`SELF`). A forecast for people: the server decides.
    #[must_use]
    pub fn grants(&self, mask: u32, sids: &[Sid]) -> bool {
        self.grants_for(mask, sids, None)
    }

    /// The same, with the entries that are for this property, right or class only.
    #[must_use]
    pub fn grants_for(&self, mask: u32, sids: &[Sid], object: Option<Guid>) -> bool {
        // No DACL: everything is allowed to everybody.
        let Some(entries) = &self.entries else { return true };
        let owns = self.owner.as_ref().is_some_and(|owner| sids.contains(owner));
        let everybody = |sid: &Sid| is(sid, "S-1-1-0") || is(sid, "S-1-5-11");
        let owner_rights = |sid: &Sid| is(sid, "S-1-3-4");
        let mut wanted = mask;
        // What an owner has anyway, unless entries for `OWNER RIGHTS` say otherwise.
        if owns && !entries.iter().any(|entry| owner_rights(&entry.sid) && !entry.inherit_only) {
            wanted &= !(READ_CONTROL | WRITE_DAC);
        }
        for entry in entries.iter().filter(|entry| !entry.inherit_only && (entry.object.is_none() || entry.object == object)) {
            if wanted == 0 {
                break;
            }
            if !(sids.contains(&entry.sid) || everybody(&entry.sid) || (owns && owner_rights(&entry.sid))) {
                continue;
            }
            if entry.deny && entry.mask & wanted != 0 {
                return false;
            }
            if !entry.deny {
                wanted &= !entry.mask;
            }
        }
        wanted == 0
    }
}

fn is(sid: &Sid, text: &str) -> bool {
    Sid::parse(text).as_ref() == Some(sid)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The entries of an ACL (\[MS-DTYP\] section 2.4.5); `None` if it is damaged.
fn entries(acl: &[u8]) -> Option<Vec<Ace>> {
    let size = usize::from(u16_at(acl, 2)?);
    let count = u16_at(acl, 4)?;
    // The header has eight bytes; revision 4 is for directories, 2 for lists without entries for objects.
    if !matches!(acl.first(), Some(2 | 4)) || size < 8 {
        return None;
    }
    let mut rest = acl.get(8..size)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let length = usize::from(u16_at(rest, 2)?);
        let (bytes, after) = rest.split_at_checked(length).filter(|_| length >= 4)?;
        if let Some((deny, for_object)) = kind(bytes[0]) {
            entries.push(entry(bytes, deny, for_object)?);
        }
        rest = after;
    }
    Some(entries)
}

/// Whether a kind of entry denies, and whether it is for one property, right or class (\[MS-DTYP\] section 2.4.4.1).
fn kind(kind: u8) -> Option<(bool, bool)> {
    match kind {
        0x00 => Some((false, false)),
        // The second of each pair is conditional.
        0x01 | 0x0a => Some((true, false)),
        0x05 => Some((false, true)),
        0x06 | 0x0c => Some((true, true)),
        _ => None,
    }
}

/// One entry of a known kind (\[MS-DTYP\] sections 2.4.4.2 to 2.4.4.9); `None` if it is damaged.
fn entry(bytes: &[u8], deny: bool, for_object: bool) -> Option<Ace> {
    let (&[_, flags, _, _], mut body) = bytes.split_first_chunk::<4>()?;
    let mask = resolved(u32_at(body, 0)?);
    body = body.get(4..)?;
    let (mut object, mut inherited_object) = (None, None);
    if for_object {
        let present = u32_at(body, 0)?;
        body = body.get(4..)?;
        for (bit, guid) in [(1, &mut object), (2, &mut inherited_object)] {
            if present & bit != 0 {
                let (bytes, after) = body.split_at_checked(16)?;
                *guid = Some(Guid::from_bytes(bytes)?);
                body = after;
            }
        }
    }
    // What follows the SID is padding, or a condition.
    let sid = Sid::from_prefix(body)?;
    let inherit_only = flags & INHERIT_ONLY_ACE != 0;
    Some(Ace { deny, mask, sid, object, inherited_object, inherit_only, inherited: flags & INHERITED_ACE != 0 })
}

/// Generic rights as the rights that they mean for objects of a directory (\[MS-ADTS\] section 5.1.3.2).
fn resolved(mask: u32) -> u32 {
    const GENERIC: [(u32, u32); 4] = [
        (0x8000_0000, 0x0002_0094), // read
        (0x4000_0000, 0x0002_0028), // write
        (0x2000_0000, 0x0002_0004), // execute
        (0x1000_0000, 0x000f_01ff), // all
    ];
    GENERIC.iter().fold(mask, |mask, &(generic, rights)| if mask & generic == 0 { mask } else { (mask & !generic) | rights })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(text: &str) -> Sid {
        Sid::parse(text).unwrap()
    }

    fn ace(deny: bool, mask: u32, who: &str) -> Ace {
        Ace { deny, mask, sid: sid(who), object: None, inherited_object: None, inherit_only: false, inherited: false }
    }

    fn with(entries: Vec<Ace>) -> Descriptor {
        Descriptor { owner: Some(sid("S-1-5-21-1-2-3-1100")), entries: Some(entries) }
    }

    /// Owner Domain Admins; everyone is denied deletion, handed down; users may be created by one account; an entry
    /// of an unknown kind; a generic right.
    fn sample() -> Vec<u8> {
        let admins = sid("S-1-5-21-1-2-3-512").to_bytes();
        let everyone = sid("S-1-1-0").to_bytes();
        let entry = |kind: u8, flags: u8, body: Vec<u8>| {
            let length = u16::try_from(body.len() + 4).unwrap().to_le_bytes();
            [&[kind, flags][..], &length, &body].concat()
        };
        let user = Guid::parse("bf967aba-0de6-11d0-a285-00aa003049e2").unwrap().to_bytes();
        let entries = [
            entry(1, 0, [&0x0001_0040_u32.to_le_bytes()[..], &everyone].concat()),
            entry(5, 0x1a, [&1_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), &user, &user, &admins].concat()),
            entry(6, 0, [&2_u32.to_le_bytes()[..], &2_u32.to_le_bytes(), &user, &admins].concat()),
            entry(0x11, 0, vec![1, 2, 3, 4]),
            entry(0, 0x10, [&0x1000_0000_u32.to_le_bytes()[..], &admins, &[0; 4]].concat()),
            entry(0x0a, 0, [&0x20_u32.to_le_bytes()[..], &everyone, b"artx"].concat()),
        ];
        let list = entries.concat();
        let size = u16::try_from(list.len() + 8).unwrap().to_le_bytes();
        let acl = [&[4, 0][..], &size, &6_u16.to_le_bytes(), &[0, 0], &list].concat();
        let dacl = 20 + u32::try_from(admins.len()).unwrap();
        [&[1, 0, 4, 0x80][..], &20_u32.to_le_bytes(), &[0; 8], &dacl.to_le_bytes(), &admins, &acl].concat()
    }

    #[test]
    fn a_descriptor_is_read_with_its_owner_and_its_entries_in_order() {
        let read = Descriptor::from_bytes(&sample()).unwrap();
        let user = Guid::parse("bf967aba-0de6-11d0-a285-00aa003049e2");
        let admins = "S-1-5-21-1-2-3-512";
        assert_eq!(read.owner, Some(sid(admins)));
        assert_eq!(
            read.entries.unwrap(),
            [
                ace(true, DELETE | DELETE_TREE, "S-1-1-0"),
                Ace { object: user, inherited_object: user, inherit_only: true, inherited: true, ..ace(false, 1, admins) },
                Ace { inherited_object: user, ..ace(true, DELETE_CHILD, admins) },
                Ace { inherited: true, ..ace(false, 0x000f_01ff, admins) },
                ace(true, WRITE_PROPERTY, "S-1-1-0"),
            ]
        );
    }

    #[test]
    fn a_descriptor_cut_off_anywhere_is_refused() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(Descriptor::from_bytes(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_header_that_cannot_be_is_refused_with_the_reason() {
        for (at, value, reason) in [
            (0, 2, "its revision is not 1"),
            (3, 0, "it is not self-relative"),
            (4, 4, "a part begins within its header"),
            (16, 19, "a part begins within its header"),
            (19, 1, "a part begins behind its end"),
            (20, 9, "its owner is no SID"),
            (48, 3, "its list of entries is damaged"),
            (50, 4, "its list of entries is damaged"),
            (58, 3, "its list of entries is damaged"),
        ] {
            let mut bytes = sample();
            bytes[at] = value;
            if at == 50 {
                bytes[51] = 0;
            }
            assert_eq!(Descriptor::from_bytes(&bytes), Err(format!("not a security descriptor: {reason}")), "byte {at}");
        }
        // Without the bit, or without an offset, there is no list: everything is allowed.
        for at in [2, 16] {
            let mut bytes = sample();
            bytes[at] = 0;
            assert_eq!(Descriptor::from_bytes(&bytes).unwrap().entries, None);
        }
    }

    #[test]
    fn what_denies_deletion_to_whomever_is_meant_to_be_kept() {
        assert!(with(vec![ace(true, DELETE, "S-1-1-0")]).denies(DELETE | DELETE_TREE));
        assert!(with(vec![ace(true, DELETE_TREE, "S-1-5-21-9-9-9-9999")]).denies(DELETE | DELETE_TREE));
        assert!(
            with(vec![Ace { object: Guid::from_bytes(&[1; 16]), ..ace(true, DELETE_CHILD, "S-1-1-0") }]).denies(DELETE_CHILD)
        );
        assert!(!with(vec![ace(true, WRITE_PROPERTY, "S-1-1-0"), ace(false, DELETE, "S-1-1-0")]).denies(DELETE));
        assert!(!with(vec![Ace { inherit_only: true, ..ace(true, DELETE, "S-1-1-0") }]).denies(DELETE));
        assert!(!Descriptor { owner: None, entries: None }.denies(u32::MAX));
    }

    #[test]
    fn rights_are_granted_in_the_order_of_the_entries() {
        let me = [sid("S-1-5-21-1-2-3-1200"), sid("S-1-5-21-1-2-3-1300")];
        let (allow, deny) = (ace(false, DELETE, "S-1-5-21-1-2-3-1300"), ace(true, DELETE, "S-1-1-0"));
        assert!(with(vec![allow.clone(), deny.clone()]).grants(DELETE, &me));
        assert!(!with(vec![deny, allow.clone()]).grants(DELETE, &me));
        assert!(!with(vec![allow.clone()]).grants(DELETE | DELETE_TREE, &me));
        assert!(with(vec![allow.clone(), ace(false, DELETE_TREE, "S-1-5-11")]).grants(DELETE | DELETE_TREE, &me));
        assert!(!with(vec![allow.clone()]).grants(DELETE, &me[..1]));
        assert!(!with(vec![Ace { inherit_only: true, ..allow.clone() }]).grants(DELETE, &me));
        assert!(!with(vec![Ace { object: Guid::from_bytes(&[1; 16]), ..allow }]).grants(DELETE, &me));
        assert!(!with(vec![]).grants(DELETE, &me));
        assert!(Descriptor { owner: None, entries: None }.grants(u32::MAX, &[]));
    }

    #[test]
    fn an_owner_may_read_and_change_the_descriptor_unless_owner_rights_say_otherwise() {
        let owner = [sid("S-1-5-21-1-2-3-1100")];
        assert!(with(vec![ace(true, WRITE_DAC, "S-1-1-0")]).grants(READ_CONTROL | WRITE_DAC, &owner));
        assert!(!with(vec![]).grants(DELETE, &owner));
        let limited = with(vec![ace(false, READ_CONTROL, "S-1-3-4")]);
        assert!(limited.grants(READ_CONTROL, &owner));
        assert!(!limited.grants(WRITE_DAC, &owner));
        assert!(!limited.grants(READ_CONTROL, &[sid("S-1-5-21-1-2-3-1200")]));
    }
}
