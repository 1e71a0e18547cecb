//! `windows.copy`: copies a folder or a file on a host, and proves the copy.
//!
//! ```text
//! args     what it takes                         image  what was there before, and what was to be copied
//! tree     what lies below a folder              host   the looks, and the one place that copies
//! compare  a source held against its copy        undo   takes it back
//! ```
//!
//! A copy is done when every file has the same content as its source, not when it has the same size. Reading takes longer than
//! a look may: so what was read is remembered for as long as the process lives and size and time of the file stay the same; and a
//! look that would have to read too much says *partial*, upon which an attempt reads with the step's time.

mod args;
mod compare;
mod host;
mod image;
mod tree;
mod undo;

use async_trait::async_trait;
use serde_json::{Map, json};

use self::args::{Args, Verify};
use self::compare::size;
pub use self::compare::size as human;
use self::host::{LOOK_BYTES, Seen, Work};
use self::image::Image;
pub use self::tree::modified;
use super::ask::{self, Kind, MACHINE, shown};
use super::path::Path;
use crate::connector::args::{optional, required};
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::host::Logon;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::plan::action::{ArgType, Effect, Undo, UndoGrade, UndoOf};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Level, Observation, Pin};
use crate::run::event::{EvidenceRef, Identity, Outcome, Outputs};

/// The action.
#[derive(Debug)]
pub struct Copy;

/// The image of the first attempt, if there was one.
fn kept(call: &Call) -> Result<Option<Image>, String> {
    call.before_image.as_ref().map(|kept| Image::from_bytes(&kept.read(image::LARGEST)?)).transpose()
}

fn bound(call: &Call) -> Option<&str> {
    call.identity.get(MACHINE).map(String::as_str)
}

/// `copied` are the files that were not there before the first attempt.
fn outputs(seen: &Seen, image: Option<&Image>) -> Outputs {
    let copied = image.map_or(0, |image| seen.source.files.keys().filter(|key| !image.had(key)).count());
    let pairs = [("files", json!(seen.source.files.len())), ("bytes", json!(seen.source.bytes())), ("copied", json!(copied))];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Copy {
    async fn look(&self, hosts: &Hosts, call: &Call, session: &mut Session) -> Result<Observation, NoAnswer> {
        let args = Args::read(call)?;
        let image = kept(call)?;
        let conflict = |why: String| Observation { verdict: Verdict::Conflict, ..Observation::unknown(why) };
        let mut work = match Work::begin(hosts, session, &args, bound(call)).await? {
            Ok(work) => work,
            Err(why) => return Ok(conflict(why)),
        };
        let identity = Identity::from([(MACHINE.to_owned(), work.machine.clone())]);
        let seen = match work.see().await? {
            Ok(seen) => seen,
            Err(why) => return Ok(Observation { identity, ..conflict(why) }),
        };
        let (found, complaints) = work.compare_all(&seen, image.as_ref(), Some(LOOK_BYTES)).await?;
        let mut text = found.words(&seen.source, &args);
        if let Some(first) = complaints.first() {
            text = format!("{text}; {}", shown(first));
        }
        let outputs = outputs(&seen, image.as_ref());
        Ok(Observation { verdict: found.verdict(), seen: text, facts: outputs.clone(), outputs, identity })
    }

    /// What a run should know beforehand.
    async fn survey(&self, hosts: &Hosts, call: &Call, session: &mut Session, args: &Args) -> Result<Vec<Finding>, NoAnswer> {
        let mut findings = Vec::new();
        let mut add = |level, message| findings.push(Finding { level, message });
        for share in args.shares() {
            // Nobody is let in where nothing is delegated: an error is the answer "no".
            let reached = ask::kind(session, share.root()).await.is_ok_and(|kind| kind == Kind::Folder);
            let (level, message) = second_hop(&session.host().logon, share, reached);
            add(level, message);
        }
        let mut work = match Work::begin(hosts, session, args, bound(call)).await? {
            Ok(work) => work,
            Err(message) => {
                add(Level::Fatal, message);
                return Ok(findings);
            }
        };
        match work.see().await? {
            // An earlier step may make it.
            Err(message) => add(Level::Warning, message),
            Ok(seen) => {
                let smallest = seen.source.files.values().min_by_key(|file| file.size);
                if let (Verify::Sha256, Some(file)) = (args.verify, smallest)
                    && let Err(error) = ask::hashes(work.session, &[seen.source.whole(&file.path)]).await
                {
                    add(Level::Fatal, format!("{}; `verify: times` does without", error.reason));
                    return Ok(findings);
                }
                let (now, _) = work.compare_all(&seen, kept(call)?.as_ref(), Some(LOOK_BYTES)).await?;
                if now.verdict() == Verdict::Conflict {
                    add(Level::NotNow, now.words(&seen.source, args));
                }
                let missing = seen.source.bytes().saturating_sub(seen.copy.bytes());
                if let Some(drive) = args.to.drive()
                    && let Ok(free) = ask::free(work.session, drive).await
                    && free < missing
                {
                    add(Level::Warning, format!("{} are free on `{drive}`, and {} are to be copied", size(free), size(missing)));
                }
            }
        }
        Ok(findings)
    }

    /// What is there now, and what is about to be copied.
    async fn keep(&self, hosts: &Hosts, call: &Call, session: &mut Session) -> Result<Image, NoAnswer> {
        let args = Args::read(call)?;
        let mut work = Work::begin(hosts, session, &args, bound(call)).await??;
        let seen = work.see().await??;
        let mut image = match kept(call)? {
            // What is there now may be ours.
            Some(image) => image,
            None => {
                let missing = work.missing().await?;
                Image::take(&work.machine, &args, missing, &seen.copy)
            }
        };
        if args.verify == Verify::Sha256 {
            let files: Vec<&tree::File> = seen.source.files.values().collect();
            if let Some(complaint) = work.prove(&seen.source, &files).await?.first() {
                return Err(format!("the source cannot be read whole: {complaint}").into());
            }
        }
        image.add(&seen.source, |file| work.known(&seen.source, file));
        Ok(image)
    }
}

/// What a path on a share means for a command that runs on a host: it has to go on to a third machine. `reached` is what was
/// seen just now, and both are told, because the way in is what a host of the domain decides by.
fn second_hop(logon: &Logon, path: &Path, reached: bool) -> (Level, String) {
    let hop = format!("`{path}` lies on a share, so the host has to go on to a third machine");
    match (logon, reached) {
        (Logon::Kerberos { .. }, true) => (Level::Fact, format!("{hop}: it did so just now")),
        (Logon::Kerberos { .. }, false) => {
            (Level::Warning, format!("{hop}, which it did not just now; the third machine has to allow the host delegation"))
        }
        (_, true) => {
            let why = "so its session configuration runs as an account of its own, or it stands for a host with Kerberos and \
                       delegation, as the lab's do";
            (
                Level::Warning,
                format!("{hop}. It did so just now, but Windows refuses that after a logon that is not by Kerberos: {why}"),
            )
        }
        (_, false) => {
            let why = "Windows refuses that after a logon that is not by Kerberos: take `package: kerberos` and delegation, or a session \
                       configuration that runs as an account of its own";
            (Level::Warning, format!("{hop}, which it did not just now. {why}"))
        }
    }
}

#[async_trait]
impl Action for Copy {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "windows.copy",
            doc: "copies a folder or a file on a Windows host, and proves the copy",
            args: vec![
                required("host", ArgType::Host, "the host that copies"),
                required("from", ArgType::String, "a folder or a file"),
                required("to", ArgType::String, "a folder; it is made if need be"),
                optional("verify", ArgType::String, "`sha256` (by default), or `times` for size and time of the last change"),
                optional("overwrite", ArgType::Boolean, "whether files that were there before and differ are replaced"),
            ],
            one_of: Vec::new(),
            effect: Effect::Ensure,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: true,
            discovers: false,
            outputs: vec!["files", "bytes", "copied"],
        }
    }

    fn undo_of(&self) -> Option<UndoOf> {
        Some(|with| match with.get("overwrite") {
            None | Some(serde_json::Value::Null | serde_json::Value::Bool(false)) => Undo {
                grade: UndoGrade::Full,
                says: "the files and folders that it brought are removed; nothing else was changed",
            },
            Some(_) => Undo {
                grade: UndoGrade::Lossy,
                says: "the files and folders that it brought are removed; what `overwrite` replaced is lost",
            },
        })
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match Args::read(call) {
            Err(message) => vec![Finding { level: Level::Fatal, message }],
            Ok(args) => {
                let found = async {
                    let mut session = hosts.look(call).await?;
                    let found = self.survey(hosts, call, &mut session, &args).await;
                    session.close().await;
                    found
                };
                found.await.unwrap_or_else(|error: NoAnswer| vec![error.finding()])
            }
        }
    }

    /// To the machine; what is copied may be made by an earlier step.
    async fn pin(&self, hosts: &Hosts, call: &Call) -> Pin {
        let found = async {
            Args::read(call).map_err(NoAnswer::from)?;
            let mut session = hosts.look(call).await?;
            let machine = ask::machine(&mut session).await;
            session.close().await;
            machine
        };
        match found.await {
            Ok(machine) => Pin::Bound {
                seen: format!("bound to the machine `{}`", shown(&machine)),
                identity: Identity::from([(MACHINE.to_owned(), machine)]),
            },
            Err(error) => error.pin(),
        }
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        let mut lines = Vec::new();
        match Args::read(call) {
            Err(why) => lines.push(why),
            Ok(args) => {
                lines.push(format!("copy `{}` to `{}`", args.from, args.to));
                let seen = async {
                    let mut session = hosts.look(call).await?;
                    let seen = async {
                        let mut work = Work::begin(hosts, &mut session, &args, bound(call)).await??;
                        let seen = work.see().await??;
                        let found = work.compare(&seen, kept(call)?.as_ref());
                        Ok::<_, NoAnswer>((seen, found))
                    };
                    let seen = seen.await;
                    session.close().await;
                    seen
                };
                match seen.await {
                    Ok((seen, found)) => {
                        let (files, folders) = (seen.source.files.len(), seen.source.folders.len());
                        lines.push(format!("  {files} files in {folders} folders, {}", size(seen.source.bytes())));
                        lines.push(format!("  now {}", found.words(&seen.source, &args)));
                    }
                    Err(error) => lines.push(format!("  it cannot be looked at now: {}", error.reason)),
                }
            }
        }
        Description { lines, rehearsable: true, outputs: Map::new() }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        let seen = async {
            let mut session = hosts.look(call).await?;
            let seen = self.look(hosts, call, &mut session).await;
            session.close().await;
            seen
        };
        seen.await.unwrap_or_else(|error: NoAnswer| Observation::unknown(error.reason))
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return vec![format!("# {why}")],
        };
        let (from, to) = (args.from.as_str(), args.to.as_str());
        let list = |path: &str| {
            by_hand::line(&Command::new("Get-ChildItem").parameter("LiteralPath", path).switch("Recurse").switch("Force"))
        };
        let quoted = [from, to].map(by_hand::quoted);
        let mut lines = vec![
            format!("$from = {}; $to = {}", quoted[0], quoted[1]),
            "$base = if (Test-Path -LiteralPath $from -PathType Container) { $from } else { [IO.Path]::GetDirectoryName($from) }"
                .to_owned(),
            "$files = Get-ChildItem -LiteralPath $from -Recurse -Force".to_owned(),
            by_hand::line(&Command::new("New-Item").parameter("Path", to).parameter("ItemType", "Directory").switch("Force")),
        ];
        let there = if args.overwrite {
            lines.push("# the plan says `overwrite`: what was there before and differs is lost".to_owned());
            String::new()
        } else {
            lines.push("# a file that is there already is never written over; it is named, and compared below".to_owned());
            "elseif (Test-Path -LiteralPath $there) { Write-Warning \"there already, not copied: $there\" } ".to_owned()
        };
        lines.push(format!(
            "foreach ($file in $files) {{ $there = $to + $file.FullName.Substring($base.Length); if ($file.PSIsContainer) {{ $null = \
             New-Item -Path $there -ItemType Directory -Force }} {there}else {{ Copy-Item -LiteralPath $file.FullName -Destination \
             $there -Force }} }}"
        ));
        let how = match args.verify {
            Verify::Sha256 => "Where-Object { -not $_.PSIsContainer } | ForEach-Object { Get-FileHash -LiteralPath $_.FullName }",
            Verify::Times => "Select-Object FullName, Length, LastWriteTimeUtc",
        };
        lines.push("# and compare:".to_owned());
        lines.extend([from, to].map(|path| format!("{} | {how}", list(path))));
        lines
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        let mut session = hosts.look(call).await.map_err(|error| error.reason)?;
        let image = self.keep(hosts, call, &mut session).await;
        session.close().await;
        let image = image.map_err(|error| error.reason)?;
        let stored = evidence.store(image::KIND, &image.to_bytes());
        stored.map(Some).map_err(|error| format!("the before-image could not be stored: {error}"))
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let refused = |reason| Outcome::Rejected { reason, untouched: true };
        let (args, image) = match Args::read(call).and_then(|args| Ok((args, kept(call)?))) {
            Ok(read) => read,
            Err(reason) => return refused(reason),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = match Work::begin(hosts, &mut session, &args, bound(call)).await {
            Ok(Ok(mut work)) => work.copy(image.as_ref()).await,
            Ok(Err(why)) => refused(why),
            Err(error) => Outcome::NotSent { reason: error.reason },
        };
        session.close().await;
        outcome
    }

    async fn undo(&self, hosts: &Hosts, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        let refused = |reason| Outcome::Rejected { reason, untouched: true };
        let Some(bytes) = before_image else {
            return refused("there is no before-image, so that nobody knows what was there before".to_owned());
        };
        let read = Args::read(call).and_then(|args| {
            let image = Image::from_bytes(bytes)?;
            if image.to != args.to.as_str() || image.verify != args.verify.word() {
                return Err(format!(
                    "the before-image is of a copy to `{}`, compared by {}",
                    shown(&image.to),
                    shown(&image.verify)
                ));
            }
            Ok((args, image))
        });
        let (args, image) = match read {
            Ok(read) => read,
            Err(reason) => return refused(reason),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = match Work::begin(hosts, &mut session, &args, Some(&image.machine)).await {
            Ok(Ok(mut work)) => undo::undo(&mut work, &args, &image).await,
            Ok(Err(why)) => refused(why),
            Err(error) => Outcome::NotSent { reason: error.reason },
        };
        session.close().await;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overwrite_replaces_is_lost_and_the_grade_says_so() {
        let of = Copy.undo_of().unwrap_or_else(|| panic!("it depends on the arguments"));
        assert_eq!(of(&json!({ "from": "D:\\a", "to": "D:\\b" })).grade, UndoGrade::Full);
        assert_eq!(of(&json!({ "overwrite": false })).grade, UndoGrade::Full);
        // What is decided later may be `true`.
        for overwrite in [json!(true), json!("${{ steps.a.outputs.b }}")] {
            let undo = of(&json!({ "overwrite": overwrite }));
            assert!(undo.grade == UndoGrade::Lossy && undo.says.contains("lost"), "{undo:?}");
        }
    }

    #[test]
    fn the_warning_of_a_second_hop_says_what_was_seen_and_what_windows_does() {
        let path = Path::parse("\\\\fs01\\data\\x", "to").unwrap_or_else(|why| panic!("{why}"));
        let password = serde_json::from_value(json!({ "env": "X" })).unwrap_or_else(|why| panic!("{why}"));
        let ntlm = Logon::Ntlm { user: "u".to_owned(), password };
        let (level, said) = second_hop(&ntlm, &path, true);
        assert!(
            level == Level::Warning && said.contains("did so just now, but Windows refuses") && said.contains("lab"),
            "{said}"
        );
        let (level, said) = second_hop(&ntlm, &path, false);
        assert!(level == Level::Warning && said.contains("kerberos") && said.contains("delegation"), "{said}");
    }
}
