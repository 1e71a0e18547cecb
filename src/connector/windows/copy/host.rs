//! The looks at a source and its copy, and the one place that copies.

use super::super::ask::{self, HASHED_AT_ONCE, Kind, other_machine, read, shown};
use super::super::path::{Path, too_long};
use super::args::Args;
use super::compare::{Compared, compare, few, same, size};
use super::image::Image;
use super::tree::{File, Tree, parent};
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::event::Outcome;

/// Paths in one `Copy-Item`, `New-Item` or `Remove-Item`.
pub const AT_ONCE: usize = 100;
/// What a look reads at most, source and copy together: an attempt has the step's time, a look has a minute.
pub const LOOK_BYTES: u64 = 512 << 20;
/// Copying again what changed meanwhile.
const ROUNDS: usize = 4;
/// Batches that fail before it is given up.
const FAILURES: usize = 5;

/// One copy on one machine.
pub struct Work<'a> {
    /// For what was read before.
    pub hosts: &'a Hosts,
    /// The host.
    pub session: &'a mut Session,
    /// What is copied where.
    pub args: &'a Args,
    /// The machine's own name.
    pub machine: String,
}

/// A source and its copy, as they are.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The source.
    pub source: Tree,
    /// What is at the destination.
    pub copy: Tree,
}

impl<'a> Work<'a> {
    /// Asks the machine for its name. An inner error is that it is another one than `bound`.
    ///
    /// # Errors
    /// The host does not say.
    pub async fn begin(
        hosts: &'a Hosts,
        session: &'a mut Session,
        args: &'a Args,
        bound: Option<&str>,
    ) -> Result<Result<Work<'a>, String>, NoAnswer> {
        let machine = ask::machine(session).await?;
        Ok(match other_machine(bound, &machine) {
            Some(why) => Err(why),
            None => Ok(Work { hosts, session, args, machine }),
        })
    }

    /// Lists what lies at a path. A file is listed as itself. An inner `None`: nothing is there.
    async fn list(&mut self, path: &Path, may_be_file: bool) -> Result<Option<Tree>, NoAnswer> {
        let list = Command::new("Get-ChildItem").parameter("LiteralPath", path.as_str());
        match ask::kind(self.session, path.as_str()).await? {
            Kind::Nothing => Ok(None),
            Kind::Folder => {
                let objects = read(self.session, list.switch("Recurse").switch("Force")).await.map_err(|error| {
                    let hint = "a tree of more than about 15,000 files is copied in several steps, by its folders";
                    NoAnswer { reason: format!("`{path}`: {}; {hint}", error.reason), ..error }
                })?;
                let mut tree = Tree::read(path.as_str(), &objects)?;
                tree.folders.insert(String::new(), String::new());
                Ok(Some(tree))
            }
            Kind::File if may_be_file => {
                let objects = read(self.session, list.switch("Force")).await?;
                let above = path.as_str().rsplit_once('\\').map_or("", |(above, _)| above);
                let mut tree = Tree::read(above, &objects)?;
                tree.folders.insert(String::new(), String::new());
                Ok(Some(tree))
            }
            Kind::File => {
                let mut tree = Tree::default();
                tree.faults.push(format!("`{path}` is a file, and has to be a folder"));
                Ok(Some(tree))
            }
        }
    }

    /// Lists both sides. An inner error is why nothing can be copied.
    ///
    /// # Errors
    /// The host does not say.
    pub async fn see(&mut self) -> Result<Result<Seen, String>, NoAnswer> {
        let (from, to) = (&self.args.from, &self.args.to);
        let Some(source) = self.list(from, true).await? else {
            return Ok(Err(format!("there is nothing at `{from}`")));
        };
        let copy = self.list(to, false).await?.unwrap_or_default();
        let mut faults = source.faults.clone();
        faults.extend(source.folders.values().filter_map(|folder| too_long(&to.join(folder), true)));
        faults.extend(source.files.values().filter_map(|file| too_long(&to.join(&file.path), false)));
        // What lies there besides is not our business.
        faults.extend(
            copy.faults.iter().filter(|fault| fault.contains("has to be a folder") || fault.contains("junction")).cloned(),
        );
        match faults.as_slice() {
            [] => Ok(Ok(Seen { source, copy })),
            [first] => Ok(Err(format!("it cannot be copied safely: {first}"))),
            [first, rest @ ..] => Ok(Err(format!("it cannot be copied safely: {first}; and {} more", rest.len()))),
        }
    }

    /// What lies at the destination; `None` if nothing does.
    ///
    /// # Errors
    /// The host does not say.
    pub async fn destination(&mut self) -> Result<Option<Tree>, NoAnswer> {
        self.list(&self.args.to, false).await
    }

    /// The destination and the folders above it that are not there, from the top.
    ///
    /// # Errors
    /// The host does not say.
    pub async fn missing(&mut self) -> Result<Vec<String>, NoAnswer> {
        let mut missing = Vec::new();
        let mut path = self.args.to.as_str();
        // A drive or a share is not made.
        while Path::parse(path, "to").is_ok() && ask::kind(self.session, path).await? == Kind::Nothing {
            missing.insert(0, path.to_owned());
            path = path.rsplit_once('\\').map_or("", |(above, _)| above);
        }
        Ok(missing)
    }

    /// What a file holds, if it was read in this process and has not changed since, as far as its size and time tell.
    pub fn known(&self, tree: &Tree, file: &File) -> Option<String> {
        self.hosts.noted(&self.key(&tree.whole(&file.path), file))
    }

    fn key(&self, path: &str, file: &File) -> String {
        let host = self.session.host();
        let path = path.to_lowercase();
        format!("sha256\0{}\0{}\0{path}\0{}\0{}", host.address, self.machine, file.size, file.modified)
    }

    /// Reads files that were not read yet, and remembers what they hold. Gives what was complained of.
    ///
    /// # Errors
    /// The host gave no answer.
    pub async fn prove(&mut self, tree: &Tree, files: &[&File]) -> Result<Vec<String>, NoAnswer> {
        let unknown: Vec<&File> = files.iter().copied().filter(|file| self.known(tree, file).is_none()).collect();
        let mut complaints = Vec::new();
        for batch in unknown.chunks(HASHED_AT_ONCE) {
            let paths: Vec<String> = batch.iter().map(|file| tree.whole(&file.path)).collect();
            let (hashes, complaint) = ask::hashes(self.session, &paths).await?;
            complaints.extend(complaint);
            for (file, path) in batch.iter().zip(&paths) {
                if let Some(hash) = hashes.get(&path.to_lowercase()) {
                    self.hosts.note(self.key(path, file), hash.clone());
                }
            }
        }
        Ok(complaints)
    }

    /// Holds the copy against its source, with what was read of them so far.
    pub fn compare(&self, seen: &Seen, image: Option<&Image>) -> Compared {
        compare(&seen.source, &seen.copy, image, self.args.overwrite, |from, to| {
            let (source, copy) = (self.known(&seen.source, from), self.known(&seen.copy, to));
            same(self.args.verify, from, to, (source.as_deref(), copy.as_deref()))
        })
    }

    /// The same, after reading what is not proved yet, unless that is more than `most` bytes.
    ///
    /// # Errors
    /// The host gave no answer.
    pub async fn compare_all(
        &mut self,
        seen: &Seen,
        image: Option<&Image>,
        most: Option<u64>,
    ) -> Result<(Compared, Vec<String>), NoAnswer> {
        let found = self.compare(seen, image);
        let both = |key: &String| Some((seen.source.files.get(key)?, seen.copy.files.get(key)?));
        let pairs: Vec<(&File, &File)> = found.unproved.iter().filter_map(both).collect();
        let bytes: u64 = pairs.iter().map(|(file, _)| file.size.saturating_mul(2)).sum();
        if pairs.is_empty() || most.is_some_and(|most| bytes > most) {
            return Ok((found, Vec::new()));
        }
        let (source, copy): (Vec<&File>, Vec<&File>) = pairs.into_iter().unzip();
        let mut complaints = self.prove(&seen.source, &source).await?;
        complaints.extend(self.prove(&seen.copy, &copy).await?);
        Ok((self.compare(seen, image), complaints))
    }

    /// Copies until the copy is the same as its source.
    pub async fn copy(&mut self, image: Option<&Image>) -> Outcome {
        // What was sent and what was complained of.
        let mut begun = false;
        let mut complaints: Vec<String> = Vec::new();
        let mut before = None;
        for round in 1..=ROUNDS {
            let unsure = |error: NoAnswer, begun: bool| {
                if begun { Outcome::Unknown { reason: error.reason } } else { Outcome::NotSent { reason: error.reason } }
            };
            let refused = |why: String, begun: bool| {
                let reason = if begun { why } else { format!("nothing was changed: {why}") };
                Outcome::Rejected { reason, untouched: !begun }
            };
            let seen = match self.see().await {
                Ok(Ok(seen)) => seen,
                Ok(Err(why)) => return refused(why, begun),
                Err(error) => return unsure(error, begun),
            };
            let (found, unread) = match self.compare_all(&seen, image, None).await {
                Ok(found) => found,
                Err(error) => return unsure(error, begun),
            };
            let words = found.words(&seen.source, self.args);
            if !found.foreign.is_empty() {
                return refused(format!("files are in the way: {words}"), begun);
            }
            if found.is_done() {
                return Outcome::Applied { outputs: super::outputs(&seen, image) };
            }
            complaints.extend(unread);
            let stuck = before.as_ref() == Some(&found) && !complaints.is_empty();
            if round == ROUNDS || stuck || !found.unproved.is_empty() {
                let why = match (complaints.as_slice(), round) {
                    ([], _) => format!("the source changes faster than it is copied: {}", few(&changed(&found), &seen.source)),
                    (said, _) => said_words(said),
                };
                return refused(format!("{why}; {words}"), begun);
            }
            complaints.clear();
            let progress = Progress { same: found.same, bytes: found.same_bytes, files: seen.source.files.len() };
            match self.send(&seen, &found, progress, &mut begun).await {
                Ok(said) => complaints = said,
                Err(outcome) => return outcome,
            }
            before = Some(found);
        }
        unreachable!("the last round returns")
    }

    /// Makes the folders and copies the files that are missing or differ; gives what was complained of.
    async fn send(
        &mut self,
        seen: &Seen,
        found: &Compared,
        mut progress: Progress,
        begun: &mut bool,
    ) -> Result<Vec<String>, Outcome> {
        let mut complaints = Vec::new();
        let folders: Vec<String> =
            found.folders.iter().filter_map(|key| seen.source.folders.get(key)).map(|folder| self.args.to.join(folder)).collect();
        for batch in folders.chunks(AT_ONCE) {
            let paths = Value::list(batch.iter().map(String::as_str));
            // Without `-Name`, `-Path` is taken as it is.
            let command = Command::new("New-Item").parameter("Path", paths).parameter("ItemType", "Directory").switch("Force");
            complaints.extend(self.run(command, &progress, begun).await?);
        }
        if !complaints.is_empty() {
            return Ok(complaints);
        }
        let mut files: Vec<&File> =
            found.absent.iter().chain(&found.differs).filter_map(|key| seen.source.files.get(key)).collect();
        files.sort_by_key(|file| (parent(&file.path).to_lowercase(), file.path.to_lowercase()));
        let mut failed = 0;
        for of_one_folder in files.chunk_by(|one, two| parent(&one.path).eq_ignore_ascii_case(parent(&two.path))) {
            for batch in of_one_folder.chunks(AT_ONCE) {
                let paths: Vec<String> = batch.iter().map(|file| seen.source.whole(&file.path)).collect();
                for file in batch {
                    // The copy gets the size and the time of its source, which it may have had before with another content.
                    let whole = self.args.to.join(&file.path);
                    self.hosts.forget(&self.key(&whole, file));
                    if let Some(there) = seen.copy.files.get(&file.path.to_lowercase()) {
                        self.hosts.forget(&self.key(&whole, there));
                    }
                }
                let folder = batch.first().map_or("", |file| parent(&file.path));
                let command = Command::new("Copy-Item")
                    .parameter("LiteralPath", Value::list(paths.iter().map(String::as_str)))
                    .parameter("Destination", self.args.to.join(folder))
                    .switch("Force");
                match self.run(command, &progress, begun).await? {
                    None => {
                        progress.same += batch.len();
                        progress.bytes += batch.iter().map(|file| file.size).sum::<u64>();
                    }
                    Some(complaint) => {
                        complaints.push(complaint);
                        failed += 1;
                        if failed == FAILURES {
                            return Ok(complaints);
                        }
                    }
                }
            }
        }
        Ok(complaints)
    }

    /// Sends one command that changes something.
    async fn run(&mut self, command: Command, progress: &Progress, begun: &mut bool) -> Result<Option<String>, Outcome> {
        match self.session.run(command).await {
            Ok(answer) => match answer.complaint() {
                Some(reason) if answer.never_began() && !*begun => Err(Outcome::Rejected { reason, untouched: true }),
                complaint => {
                    *begun = true;
                    Ok(complaint)
                }
            },
            Err(lost) if *begun => Err(Outcome::Unknown { reason: format!("{}; {}", lost.reason, progress.words()) }),
            Err(lost) => Err(lost.outcome()),
        }
    }
}

/// How far a copy is.
struct Progress {
    same: usize,
    bytes: u64,
    files: usize,
}

impl Progress {
    fn words(&self) -> String {
        format!("{} of {} files ({}) had been copied", self.same, self.files, size(self.bytes))
    }
}

/// What is not the same yet.
fn changed(found: &Compared) -> Vec<String> {
    found.differs.iter().chain(&found.absent).chain(&found.folders).cloned().collect()
}

fn said_words(said: &[String]) -> String {
    let mut said: Vec<String> = said.iter().map(|one| shown(one)).collect();
    said.dedup();
    said.truncate(FAILURES);
    said.join("; ")
}
