//! Security descriptors as bytes (\[MS-DTYP\] section 2.4.6): just enough to put one entry in front of the others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::client::Client;

/// `DELETE`.
pub const DELETE: u32 = 0x0001_0000;
/// `DELETE_TREE`.
pub const DELETE_TREE: u32 = 0x0000_0040;
/// `DELETE_CHILD`.
pub const DELETE_CHILD: u32 = 0x0000_0002;
/// `S-1-1-0`.
const EVERYONE: [u8; 12] = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
/// Asks for, and writes, the discretionary list alone (control 1.2.840.113556.1.4.801, flags 4).
const DACL_ONLY: &str = "!1.2.840.113556.1.4.801=MAMCAQQ=";

/// Denies everybody these rights on an object, as the tick box "protect from accidental deletion" does.
pub fn deny(admin: &Client, dn: &str, mask: u32) {
    let have = admin.read(dn, &["nTSecurityDescriptor"]).unwrap().bytes("nTSecurityDescriptor");
    let want = BASE64.encode(with_denial(&have, mask));
    let ldif = format!("dn: {dn}\nchangetype: modify\nreplace: nTSecurityDescriptor\nnTSecurityDescriptor:: {want}\n");
    admin.change_with(&ldif, DACL_ONLY).unwrap();
}

/// The descriptor's discretionary list alone, with one entry more at its beginning.
fn with_denial(descriptor: &[u8], mask: u32) -> Vec<u8> {
    let number = |at: usize| u32::from_le_bytes(descriptor[at..at + 4].try_into().unwrap()) as usize;
    let short = |at: usize| u16::from_le_bytes(descriptor[at..at + 2].try_into().unwrap());
    let list = number(16);
    let entries = &descriptor[list + 8..list + usize::from(short(list + 2))];

    let mut entry = vec![1, 0];
    entry.extend(u16::try_from(8 + EVERYONE.len()).unwrap().to_le_bytes());
    entry.extend(mask.to_le_bytes());
    entry.extend(EVERYONE);

    // Self-relative, with a list that is present; no owner, group or system list.
    let mut all = vec![1, 0];
    all.extend((short(2) & !0x10 | 0x8004).to_le_bytes());
    for offset in [0u32, 0, 0, 20] {
        all.extend(offset.to_le_bytes());
    }
    all.extend([descriptor[list], 0]);
    all.extend(u16::try_from(8 + entry.len() + entries.len()).unwrap().to_le_bytes());
    all.extend((short(list + 4) + 1).to_le_bytes());
    all.extend([0, 0]);
    all.extend(entry);
    all.extend(entries);
    all
}
