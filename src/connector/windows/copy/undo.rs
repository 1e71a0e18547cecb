//! Takes a copy back: what was not there before and is as we left it, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Map;

use super::super::ask::{self, Kind, read};
use super::args::{Args, Verify};
use super::compare::{few, is_same_time};
use super::host::{AT_ONCE, Work};
use super::image::Image;
use super::tree::{File, Tree};
use crate::connector::no_answer::NoAnswer;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::event::Outcome;

/// What is done about what lies at the destination. Paths are relative and in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
struct Back {
    /// Ours, and as we left it.
    remove: Vec<String>,
    /// Ours, and changed since.
    changed: Vec<String>,
    /// There before, and replaced by us.
    replaced: Vec<String>,
}

/// Sorts what lies at the destination. `hash` says what a file there holds.
fn sort(image: &Image, verify: Verify, copy: &Tree, hash: impl Fn(&File) -> Option<String>) -> Back {
    let had: BTreeMap<&str, (u64, i64)> =
        image.had_files.iter().map(|kept| (kept.path.as_str(), (kept.size, kept.modified))).collect();
    let mut back = Back::default();
    let paths: BTreeSet<&str> = image.files.iter().map(|kept| kept.path.as_str()).collect();
    for path in paths {
        let Some(now) = copy.files.get(path) else { continue };
        if let Some((size, modified)) = had.get(path) {
            if *size != now.size || !is_same_time(*modified, now.modified) {
                back.replaced.push(path.to_owned());
            }
            continue;
        }
        let versions = image.files.iter().filter(|kept| kept.path == path && kept.size == now.size);
        let mut is_ours = versions.map(|kept| match verify {
            Verify::Times => is_same_time(kept.modified, now.modified),
            Verify::Sha256 => kept.sha256.is_some() && kept.sha256 == hash(now),
        });
        let list = if is_ours.any(|ours| ours) { &mut back.remove } else { &mut back.changed };
        list.push(path.to_owned());
    }
    back
}

/// Folders that we made and that hold nothing, what lies in others first. What is in `removed` is gone.
fn empty(image: &Image, copy: &Tree) -> Vec<String> {
    let mut full: BTreeSet<String> = BTreeSet::new();
    let ours = |key: &String| !key.is_empty() && image.folders.contains(key) && !image.had_folders.contains(key);
    let keep = copy.files.keys().chain(copy.folders.keys().filter(|key| !key.is_empty() && !ours(key)));
    for path in keep {
        let mut path = path.as_str();
        if copy.folders.contains_key(path) {
            full.insert(path.to_owned());
        }
        while let Some((above, _)) = path.rsplit_once('\\') {
            full.insert(above.to_owned());
            path = above;
        }
    }
    let mut folders: Vec<String> = copy.folders.keys().filter(|key| ours(key) && !full.contains(*key)).cloned().collect();
    // What lies in another folder is longer than that folder.
    folders.sort_by_key(|folder| std::cmp::Reverse(folder.len()));
    folders
}

fn remove(paths: &[String]) -> Command {
    Command::new("Remove-Item").parameter("LiteralPath", Value::list(paths.iter().map(String::as_str))).switch("Force")
}

/// Takes a copy back.
pub async fn undo(work: &mut Work<'_>, args: &Args, image: &Image) -> Outcome {
    let mut begun = false;
    match take_back(work, args, image, &mut begun).await {
        Ok(outcome) => outcome,
        Err(NoAnswer { reason, .. }) if begun => Outcome::Unknown { reason },
        Err(NoAnswer { reason, .. }) => Outcome::NotSent { reason },
    }
}

async fn take_back(work: &mut Work<'_>, args: &Args, image: &Image, begun: &mut bool) -> Result<Outcome, NoAnswer> {
    let Some(copy) = work.destination().await? else { return Ok(Outcome::Applied { outputs: Map::new() }) };
    let keys: BTreeSet<&str> = image.files.iter().map(|kept| kept.path.as_str()).collect();
    let mut complaints = Vec::new();
    if args.verify == Verify::Sha256 {
        let ours: Vec<&File> =
            copy.files.iter().filter(|(key, _)| keys.contains(key.as_str()) && !image.had(key)).map(|(_, file)| file).collect();
        complaints.extend(work.prove(&copy, &ours).await?);
    }
    let back = sort(image, args.verify, &copy, |file| work.known(&copy, file));
    let files: Vec<String> =
        back.remove.iter().filter_map(|key| copy.files.get(key)).map(|file| copy.whole(&file.path)).collect();
    for batch in files.chunks(AT_ONCE) {
        complaints.extend(send(work, remove(batch), begun).await?);
    }
    if let Some(left) = work.destination().await? {
        let folders: Vec<String> =
            empty(image, &left).iter().filter_map(|key| left.folders.get(key)).map(|folder| left.whole(folder)).collect();
        for batch in folders.chunks(AT_ONCE) {
            complaints.extend(send(work, remove(batch), begun).await?);
        }
    }
    for folder in image.missing.iter().rev() {
        let list = Command::new("Get-ChildItem").parameter("LiteralPath", folder.as_str()).switch("Force");
        let there = ask::kind(work.session, folder).await? == Kind::Folder;
        if there && read(work.session, list).await?.is_empty() {
            complaints.extend(send(work, remove(std::slice::from_ref(folder)), begun).await?);
        }
    }
    let left = work.destination().await?.unwrap_or_default();
    let still: Vec<String> = back.remove.iter().filter(|key| left.files.contains_key(*key)).cloned().collect();
    let mut reasons = Vec::new();
    for (list, what) in [
        (&still, "could not be removed"),
        (&back.changed, "were changed since they were copied, or cannot be read, and stay"),
        (&back.replaced, "were there before and were replaced; what they held is lost"),
    ] {
        if !list.is_empty() {
            reasons.push(format!("{} files {what}: {}", list.len(), few(list, &left)));
        }
    }
    if reasons.is_empty() {
        return Ok(Outcome::Applied { outputs: Map::new() });
    }
    reasons.extend(complaints.into_iter().take(1));
    let reason = format!("{} files were removed; {}", back.remove.len() - still.len(), reasons.join("; "));
    Ok(Outcome::Rejected { reason, untouched: !*begun })
}

async fn send(work: &mut Work<'_>, command: Command, begun: &mut bool) -> Result<Option<String>, NoAnswer> {
    match work.session.run(command).await {
        Ok(answer) => {
            *begun = *begun || !answer.never_began();
            Ok(answer.complaint())
        }
        Err(lost) => {
            *begun = *begun || lost.acted;
            Err(lost.reason.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::image::Kept;
    use super::*;

    fn tree(files: &[(&str, u64, i64)], folders: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for (path, size, modified) in files {
            tree.files.insert((*path).to_owned(), File { path: (*path).to_owned(), size: *size, modified: *modified });
        }
        for folder in [""].iter().chain(folders) {
            tree.folders.insert((*folder).to_owned(), (*folder).to_owned());
        }
        tree
    }

    fn image(ours: &[(&str, u64, &str)], had: &[&str]) -> Image {
        let kept = |(path, size, hash): &(&str, u64, &str)| Kept {
            path: (*path).to_owned(),
            size: *size,
            modified: 0,
            sha256: Some((*hash).to_owned()),
        };
        Image { files: ours.iter().map(kept).collect(), ..Image::example(had) }
    }

    #[test]
    fn only_what_was_absent_before_and_is_unchanged_since_is_removed() {
        let image =
            image(&[("new", 1, "x"), ("edited", 1, "x"), ("grown", 1, "x"), ("old", 1, "x"), ("kept", 1, "x")], &["kept", "old"]);
        let copy = tree(
            &[("new", 1, 0), ("edited", 1, 0), ("grown", 2, 0), ("old", 1, 90_000_000), ("kept", 1, 0), ("foreign", 1, 0)],
            &[],
        );
        let back = sort(&image, Verify::Sha256, &copy, |file| Some(if file.path == "edited" { "y" } else { "x" }.to_owned()));
        let expected = Back {
            remove: vec!["new".to_owned()],
            changed: vec!["edited".to_owned(), "grown".to_owned()],
            replaced: vec!["old".to_owned()],
        };
        assert_eq!(back, expected);
        let unread = sort(&image, Verify::Sha256, &copy, |_| None);
        assert_eq!(unread.remove, Vec::<String>::new(), "what cannot be read stays");
    }

    #[test]
    fn any_version_that_an_attempt_copied_is_ours() {
        let image = image(&[("a", 1, "x"), ("a", 1, "y")], &[]);
        let back = |hash: &str| sort(&image, Verify::Sha256, &tree(&[("a", 1, 0)], &[]), |_| Some(hash.to_owned())).remove.len();
        assert_eq!((back("x"), back("y"), back("z")), (1, 1, 0));
    }

    #[test]
    fn only_folders_that_we_made_and_that_hold_nothing_are_removed() {
        let mut image = image(&[], &[]);
        image.folders = ["", "a", "a\\b", "c", "d", "e"].map(str::to_owned).into();
        image.had_folders = ["d".to_owned()].into();
        let left = tree(&[("c\\foreign", 1, 0)], &["a", "a\\b", "c", "d", "e", "e\\foreign"]);
        assert_eq!(empty(&image, &left), ["a\\b", "a"]);
    }
}
