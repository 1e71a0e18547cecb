//! Security descriptors: the self-relative form (MS-DTYP 2.4.6), as far as access is decided by it.

use super::ids::{Guid, Sid};

/// Rights (MS-ADTS 5.1.3.2).
pub mod right {
    /// Create a child.
    pub const CREATE_CHILD: u32 = 0x1;
    /// Delete a child.
    pub const DELETE_CHILD: u32 = 0x2;
    /// See the children.
    pub const LIST: u32 = 0x4;
    /// Validated writes.
    pub const SELF: u32 = 0x8;
    /// Read properties.
    pub const READ: u32 = 0x10;
    /// Write properties.
    pub const WRITE: u32 = 0x20;
    /// Delete with everything below.
    pub const DELETE_TREE: u32 = 0x40;
    /// An extended right, named by its GUID.
    pub const EXTENDED: u32 = 0x100;
    /// Delete the object.
    pub const DELETE: u32 = 0x1_0000;
    /// Read the descriptor.
    pub const READ_CONTROL: u32 = 0x2_0000;
    /// Write the access list.
    pub const WRITE_DAC: u32 = 0x4_0000;
    /// Write the owner.
    pub const WRITE_OWNER: u32 = 0x8_0000;
    /// All of them.
    pub const ALL: u32 = 0xF_01FF;
}

/// The extended right to bring tombstones back.
pub const REANIMATE: &str = "45ec5156-db7e-47bb-b53f-dbeb2d03c40f";
/// The extended right to set a password without knowing the old one.
pub const RESET_PASSWORD: &str = "00299570-246d-11d0-a768-00aa006e0529";

const CONTAINER_INHERIT: u8 = 0x2;
const NO_PROPAGATE: u8 = 0x4;
const INHERIT_ONLY: u8 = 0x8;
const INHERITED: u8 = 0x10;
const DACL_PRESENT: u16 = 0x4;
const DACL_PROTECTED: u16 = 0x1000;
const SELF_RELATIVE: u16 = 0x8000;

/// One entry of an access list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// True to deny.
    pub deny: bool,
    /// Whether it goes down to children, and whether it came from above.
    pub flags: u8,
    /// The rights.
    pub mask: u32,
    /// The attribute, class or extended right that it is about; everything if none.
    pub about: Option<Guid>,
    /// The class of children that inherit it; all if none.
    pub heirs: Option<Guid>,
    /// Whom.
    pub who: Sid,
}

impl Entry {
    /// Allows; goes down to everything below.
    #[must_use]
    pub fn allow_below(who: Sid, mask: u32) -> Self {
        Entry { deny: false, flags: CONTAINER_INHERIT, mask, about: None, heirs: None, who }
    }

    /// Allows here.
    #[must_use]
    pub fn allow(who: Sid, mask: u32) -> Self {
        Entry { flags: 0, ..Self::allow_below(who, mask) }
    }

    /// For this attribute, class or extended right alone.
    #[must_use]
    pub fn about(mut self, what: Guid) -> Self {
        self.about = Some(what);
        self
    }

    /// Whether it counts on the object that carries it.
    #[must_use]
    pub fn counts_here(&self) -> bool {
        self.flags & INHERIT_ONLY == 0
    }

    /// As a child of that class inherits it.
    #[must_use]
    pub fn inherited(&self, class: Guid) -> Option<Self> {
        if self.flags & CONTAINER_INHERIT == 0 {
            return None;
        }
        let keeps = if self.flags & NO_PROPAGATE == 0 { CONTAINER_INHERIT } else { 0 };
        let fits = self.heirs.is_none_or(|heirs| heirs == class);
        let only = if fits { 0 } else { INHERIT_ONLY };
        if !fits && keeps == 0 {
            return None;
        }
        Some(Entry { flags: keeps | only | INHERITED, ..self.clone() })
    }

    /// Whether it came from above.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.flags & INHERITED != 0
    }

    fn to_wire(&self) -> Vec<u8> {
        let object = self.about.is_some() || self.heirs.is_some();
        let mut body = self.mask.to_le_bytes().to_vec();
        if object {
            let present = u32::from(self.about.is_some()) | (u32::from(self.heirs.is_some()) << 1);
            body.extend(present.to_le_bytes());
            for guid in [self.about, self.heirs].into_iter().flatten() {
                body.extend(guid.to_wire());
            }
        }
        body.extend(self.who.to_wire());
        let kind = u8::from(self.deny) + if object { 5 } else { 0 };
        let size = u16::try_from(body.len() + 4).unwrap_or(u16::MAX).to_le_bytes();
        [&[kind, self.flags, size[0], size[1]], body.as_slice()].concat()
    }

    /// Reads one entry and says how long it is. Entries of other kinds (audit) are skipped.
    fn from_wire(bytes: &[u8]) -> Option<(Option<Self>, usize)> {
        let (kind, flags) = (*bytes.first()?, *bytes.get(1)?);
        let size = usize::from(u16::from_le_bytes([*bytes.get(2)?, *bytes.get(3)?]));
        let body = bytes.get(4..size)?;
        let mask = u32_at(body, 0)?;
        let (mut at, mut about, mut heirs) = (4, None, None);
        if matches!(kind, 5 | 6) {
            let present = u32_at(body, 4)?;
            at = 8;
            for (bit, slot) in [(1, &mut about), (2, &mut heirs)] {
                if present & bit != 0 {
                    *slot = Some(Guid::from_wire(body.get(at..at + 16)?)?);
                    at += 16;
                }
            }
        }
        let entry = match kind {
            0 | 1 | 5 | 6 => {
                Some(Entry { deny: matches!(kind, 1 | 6), flags, mask, about, heirs, who: Sid::from_wire(body.get(at..)?)? })
            }
            _ => None,
        };
        Some((entry, size))
    }
}

/// Who owns an object and who may do what with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The owner.
    pub owner: Sid,
    /// The owner's group.
    pub group: Sid,
    /// Whether nothing is inherited.
    pub protected: bool,
    /// The access list, in order.
    pub entries: Vec<Entry>,
}

impl Descriptor {
    /// The parts that `flags` ask for (1 owner, 2 group, 4 access list), self-relative.
    #[must_use]
    pub fn to_wire(&self, flags: u32) -> Vec<u8> {
        let mut control = SELF_RELATIVE;
        let mut parts: Vec<(usize, Vec<u8>)> = Vec::new();
        if flags & 4 != 0 {
            control |= DACL_PRESENT | if self.protected { DACL_PROTECTED } else { 0 };
            let entries: Vec<u8> = self.entries.iter().flat_map(Entry::to_wire).collect();
            let revision = if self.entries.iter().any(|entry| entry.about.is_some() || entry.heirs.is_some()) { 4 } else { 2 };
            let size = u16::try_from(entries.len() + 8).unwrap_or(u16::MAX).to_le_bytes();
            let count = u16::try_from(self.entries.len()).unwrap_or(u16::MAX).to_le_bytes();
            parts.push((16, [&[revision, 0, size[0], size[1], count[0], count[1], 0, 0], entries.as_slice()].concat()));
        }
        if flags & 1 != 0 {
            parts.push((4, self.owner.to_wire()));
        }
        if flags & 2 != 0 {
            parts.push((8, self.group.to_wire()));
        }
        let mut bytes = vec![0; 20];
        bytes[0] = 1;
        bytes[2..4].copy_from_slice(&control.to_le_bytes());
        for (slot, part) in parts {
            let at = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            bytes[slot..slot + 4].copy_from_slice(&at.to_le_bytes());
            bytes.extend(part);
        }
        bytes
    }

    /// Reads a descriptor; parts that it does not have are taken from `before`.
    #[must_use]
    pub fn from_wire(bytes: &[u8], before: &Descriptor) -> Option<Self> {
        if *bytes.first()? != 1 || bytes.len() < 20 {
            return None;
        }
        let control = u16::from_le_bytes([bytes[2], bytes[3]]);
        let mut descriptor = before.clone();
        for (slot, part) in [(4, &mut descriptor.owner), (8, &mut descriptor.group)] {
            let at = usize::try_from(u32_at(bytes, slot)?).ok()?;
            if at != 0 {
                *part = Sid::from_wire(bytes.get(at..)?)?;
            }
        }
        let at = usize::try_from(u32_at(bytes, 16)?).ok()?;
        if control & DACL_PRESENT != 0 && at != 0 {
            descriptor.protected = control & DACL_PROTECTED != 0;
            descriptor.entries.clear();
            let list = bytes.get(at..)?;
            let count = u16::from_le_bytes([*list.get(4)?, *list.get(5)?]);
            let mut rest = list.get(8..)?;
            for _ in 0..count {
                let (entry, size) = Entry::from_wire(rest)?;
                descriptor.entries.extend(entry);
                rest = rest.get(size..)?;
            }
        }
        Some(descriptor)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_comes_back_as_it_was_and_garbage_is_refused() {
        let admins = Sid::builtin(544);
        let descriptor = Descriptor {
            owner: admins.clone(),
            group: admins.clone(),
            protected: true,
            entries: vec![
                Entry { deny: true, ..Entry::allow(Sid::new(1, &[0]), right::DELETE) },
                Entry::allow_below(admins, right::EXTENDED).about(Guid::of_text("x")),
            ],
        };
        let bytes = descriptor.to_wire(7);
        let other = Descriptor { entries: Vec::new(), protected: false, ..descriptor.clone() };
        assert_eq!(Descriptor::from_wire(&bytes, &other), Some(descriptor.clone()));
        for end in 0..bytes.len() {
            // Never a panic, whatever is cut off.
            let _ = Descriptor::from_wire(&bytes[..end], &descriptor);
        }
    }
}
