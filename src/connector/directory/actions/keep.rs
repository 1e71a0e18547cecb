//! Reads everything that a deletion would destroy. Anything that cannot be read is an error: nothing may be destroyed
//! then.

use std::path::Path;

use super::super::dn::{Address, Dn};
use super::super::filter::Filter;
use super::super::find;
use super::super::guard::Pinned;
use super::super::image::{BeforeImage, Membership};
use super::super::session::{Deleted, Dialer, Scope, Session};
use super::super::shown;
use super::super::target::Target;
use crate::run::connector;

/// What evidence of this kind is called in the journal.
pub const KIND: &str = "before-image";

/// The before-image of a living object.
///
/// # Errors
/// It could not be read whole, or it is not the pinned object.
pub async fn image(dialer: &Dialer, target: &Target, session: &mut Session, pinned: &Pinned) -> Result<BeforeImage, String> {
    let guid = pinned.guid;
    let at = Address::Guid(guid);
    let read = session.read(&at, &["*", "nTSecurityDescriptor", "memberOf"], Deleted::Hidden).await;
    let object = read.map_err(|error| error.message)?.ok_or_else(|| format!("the object {guid} is not among the living"))?;
    if object.guid() != Some(guid) || object.sid().as_ref() != Some(&pinned.sid) {
        return Err(format!("`{}` is not the object {guid}, {}", shown(&object.dn), pinned.sid));
    }
    if object.values("nTSecurityDescriptor").is_empty() {
        return Err("its security descriptor could not be read; let the account read it".to_owned());
    }
    let name = object.name()?;
    let domain = Dn::parse(&session.root().domain)?;
    let dc = session.root().host.clone();
    let mut groups = groups_of(session, &Address::Dn(domain.clone()), &name).await?;
    let mut catalog = find::catalog(dialer, target, session).await.map_err(|error| error.reason)?;
    groups.extend(groups_of(&mut catalog, &Address::Root, &name).await?);
    for group in object.texts("memberOf") {
        let dn = Dn::parse(group)?;
        if !groups.iter().any(|known| known.dn == dn) {
            let read = session.read(&Address::Dn(dn.clone()), &["objectGUID"], Deleted::Hidden).await;
            let guid = read.map_err(|error| error.message)?.and_then(|entry| entry.guid());
            groups.push(Membership { guid: guid.ok_or_else(|| format!("the group `{}` could not be read", shown(group)))?, dn });
        }
    }
    groups.sort_by_key(|group| group.guid);
    groups.dedup_by_key(|group| group.guid);
    BeforeImage::take(&object, jiff::Timestamp::now(), &domain, &dc, groups)
}

/// The groups that name it as a member, below `base`.
async fn groups_of(session: &mut Session, base: &Address, member: &Dn) -> Result<Vec<Membership>, String> {
    let filter = Filter::equal("member", member.to_string());
    let found = session.search(base, Scope::Subtree, &filter, &["objectGUID"], Deleted::Hidden).await;
    let entries = found.map_err(|error| format!("its groups could not be read: {}", error.message))?;
    let membership = |entry: &super::super::entry::Entry| -> Result<Membership, String> {
        let guid = entry.guid().ok_or_else(|| format!("the objectGUID of the group `{}` could not be read", shown(&entry.dn)))?;
        Ok(Membership { dn: entry.name()?, guid })
    };
    entries.iter().map(membership).collect()
}

/// No before-image is larger.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What an attempt kept.
///
/// # Errors
/// It cannot be read, was changed, or is none.
pub fn load(kept: &connector::BeforeImage) -> Result<BeforeImage, String> {
    BeforeImage::from_bytes(&kept.read(LARGEST)?).map_err(|why| format!("`{}`: {why}", shown(&kept.path.display().to_string())))
}

/// Reads a before-image from a file that a person named. If its name is a SHA-256, as in a run's evidence, it must hold what
/// has that SHA-256; otherwise it is read as it is.
///
/// # Errors
/// As [`load`].
pub fn load_named(path: &Path) -> Result<BeforeImage, String> {
    let named = shown(&path.display().to_string());
    let cannot = |error: std::io::Error| format!("the before-image `{named}` cannot be read: {error}");
    let meta = std::fs::metadata(path).map_err(cannot)?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(format!("`{named}` is no before-image"));
    }
    if let Some(sha256) = sha256_of_name(path) {
        return load(&connector::BeforeImage { path: path.to_owned(), sha256, bytes: meta.len() });
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    BeforeImage::from_bytes(&bytes).map_err(|why| format!("`{named}`: {why}"))
}

/// The SHA-256 that a file is named by.
fn sha256_of_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    (name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_ascii_lowercase())
}

/// The image for people: how much it is, the groups, what an undo would lose.
#[must_use]
pub fn words(image: &BeforeImage) -> Vec<String> {
    let class = image.values("objectClass").last().and_then(|class| class.as_text()).unwrap_or("of unknown class");
    let mut lines = vec![format!("a `{}` with {} attributes", shown(class), image.object.attributes.len())];
    if image.groups.is_empty() {
        lines.push("in no group but its primary one".to_owned());
    } else {
        let names: Vec<String> = image.groups.iter().map(|group| format!("`{}`", shown(&group.dn.to_string()))).collect();
        lines.push(format!("in {} groups: {}", names.len(), names.join("; ")));
    }
    lines
}
