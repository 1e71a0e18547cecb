//! `windows.file`: a look at one path, and at what is free on its drive. Changes nothing.
//!
//! As a step it fails if an expectation does not hold; as a condition it is *done* or *not done*.

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use super::ask::{self, Kind, shown};
use super::copy::{human, modified};
use super::path::Path;
use crate::connector::args::{self, optional, required};
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::connector::powershell::values;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Finding, Level, Observation};
use crate::run::event::{Identity, Outcome, Outputs};

/// A larger file is read only if the step asks what it holds.
const READ: u64 = 64 << 20;

/// The action.
#[derive(Debug)]
pub struct File;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Args {
    path: Path,
    exists: Option<bool>,
    min_free: Option<u64>,
    sha256: Option<String>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let path = Path::parse_or_drive(&args::needed(call, "path")?, "path")?;
        let exists = match call.with.get("exists") {
            None | Some(Json::Null) => None,
            Some(Json::Bool(truth)) => Some(*truth),
            Some(_) => return Err("`exists` is `true` or `false`".to_owned()),
        };
        let min_free = args::text(call, "min_free")?.map(|text| bytes(&text)).transpose()?;
        if min_free.is_some() && path.is_share() {
            return Err("`min_free` needs a path on a drive: what is free on a share is not told".to_owned());
        }
        let sha256 = args::text(call, "sha256")?.map(|text| text.trim().to_lowercase());
        if let Some(odd) = sha256.as_ref().filter(|hash| hash.len() != 64 || !hash.bytes().all(|c| c.is_ascii_hexdigit())) {
            return Err(format!("`sha256` is `{}`, not 64 hexadecimal digits", shown(odd)));
        }
        if exists == Some(false) && sha256.is_some() {
            return Err("what does not exist has no `sha256`".to_owned());
        }
        Ok(Args { path, exists, min_free, sha256 })
    }

    fn commands(&self) -> Vec<Command> {
        let path = self.path.as_str();
        let mut commands = vec![
            Command::new("Test-Path").parameter("LiteralPath", path),
            Command::new("Get-ChildItem").parameter("LiteralPath", path).switch("Force"),
        ];
        if self.sha256.is_some() {
            commands.push(Command::new("Get-FileHash").parameter("LiteralPath", path).parameter("Algorithm", "SHA256"));
        }
        if self.min_free.is_some() {
            commands.push(Command::new("Get-WmiObject").parameter("Class", "Win32_LogicalDisk"));
        }
        commands
    }
}

/// Reads `20 GiB`, `500 MB` or a number of bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: Option<u64> = match unit.trim() {
        "" | "B" | "bytes" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        "KB" | "kB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        _ => None,
    };
    let size = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    size.ok_or_else(|| format!("`min_free` is `{}`, not a size such as `20 GiB`", shown(text)))
}

/// What is at the path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    kind: Option<Kind>,
    size: Option<u64>,
    modified: Option<String>,
    sha256: Option<String>,
    free: Option<u64>,
}

impl Seen {
    fn exists(&self) -> bool {
        matches!(self.kind, Some(Kind::File | Kind::Folder))
    }

    fn outputs(&self) -> Outputs {
        [
            ("exists", json!(self.exists())),
            ("size", json!(self.size)),
            ("sha256", json!(self.sha256)),
            ("modified", json!(self.modified)),
            ("free_bytes", json!(self.free)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

/// Whether what is expected holds, and what was seen.
fn meaning(args: &Args, seen: &Seen) -> (Verdict, String) {
    let what = match (seen.kind, seen.size) {
        (Some(Kind::File), Some(size)) => format!("`{}` is a file of {}", args.path, human(size)),
        (Some(Kind::File), None) => format!("`{}` is a file", args.path),
        (Some(Kind::Folder), _) => format!("`{}` is a folder", args.path),
        _ => format!("there is nothing at `{}`", args.path),
    };
    let mut wrong = Vec::new();
    if let Some(wanted) = args.exists.filter(|wanted| *wanted != seen.exists()) {
        wrong.push(if wanted { "it has to exist".to_owned() } else { "it must not exist".to_owned() });
    }
    if let Some(wanted) = &args.sha256
        && seen.sha256.as_ref() != Some(wanted)
    {
        let found = seen.sha256.as_deref().unwrap_or("none");
        wrong.push(format!("its SHA-256 has to be {wanted} and is {found}"));
    }
    if let Some(wanted) = args.min_free
        && seen.free.is_none_or(|free| free < wanted)
    {
        let free = seen.free.map_or_else(|| "unknown".to_owned(), human);
        wrong.push(format!("{} have to be free on its drive, and {free} are", human(wanted)));
    }
    if wrong.is_empty() { (Verdict::Done, what) } else { (Verdict::NotDone, format!("{what}; {}", wrong.join("; "))) }
}

async fn look(session: &mut Session, args: &Args) -> Result<Seen, NoAnswer> {
    let path = args.path.as_str();
    let mut seen = Seen { kind: Some(ask::kind(session, path).await?), ..Seen::default() };
    if seen.kind == Some(Kind::File) {
        let list = Command::new("Get-ChildItem").parameter("LiteralPath", path).switch("Force");
        let objects = ask::read(session, list).await?;
        let named = |object: &&Value| values::text(object, "FullName").is_ok_and(|full| full.eq_ignore_ascii_case(path));
        let file = objects.iter().find(named).or_else(|| objects.first().filter(|_| objects.len() == 1));
        let file = file.ok_or_else(|| format!("`{}` is a file that is not listed", args.path))?;
        seen.size = file.get("Length").and_then(Value::as_u64);
        seen.modified = modified(file).ok().and_then(time);
        let size = seen.size.ok_or_else(|| format!("the size of `{}` is not told", args.path))?;
        if args.sha256.is_some() || size <= READ {
            match ask::hashes(session, &[path.to_owned()]).await {
                Ok((found, complaint)) => {
                    seen.sha256 = found.into_values().next();
                    if let (None, Some(why), true) = (&seen.sha256, complaint, args.sha256.is_some()) {
                        return Err(why.into());
                    }
                }
                Err(error) if args.sha256.is_some() => return Err(error),
                // An older host, and nobody asked.
                Err(_) => {}
            }
        }
    }
    if let Some(drive) = args.path.drive() {
        match ask::free(session, drive).await {
            Ok(free) => seen.free = Some(free),
            Err(error) if args.min_free.is_some() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(seen)
}

/// A moment as people and expressions read it.
fn time(ticks: i64) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(ticks) * 100).ok()?;
    Some(time.to_string())
}

impl File {
    async fn seen(&self, hosts: &Hosts, call: &Call) -> Result<(Verdict, String, Outputs), NoAnswer> {
        let args = Args::read(call)?;
        let mut session = hosts.look(call).await?;
        let seen = look(&mut session, &args).await;
        session.close().await;
        let seen = seen?;
        let (verdict, text) = meaning(&args, &seen);
        Ok((verdict, text, seen.outputs()))
    }
}

#[async_trait]
impl Action for File {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "windows.file",
            doc: "looks at a path on a Windows host, and at what is free on its drive",
            args: vec![
                required("host", ArgType::Host, "the host"),
                required("path", ArgType::String, "a file or a folder"),
                optional("exists", ArgType::Boolean, "whether it has to exist, or must not"),
                optional("min_free", ArgType::String, "what has to be free on its drive, such as `20 GiB`"),
                optional("sha256", ArgType::String, "what the file has to hold"),
            ],
            one_of: Vec::new(),
            effect: Effect::Read,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: vec!["exists", "size", "sha256", "modified", "free_bytes"],
        }
    }

    async fn preflight(&self, _hosts: &Hosts, call: &Call) -> Vec<Finding> {
        Args::read(call).err().map(|message| Finding { level: Level::Fatal, message }).into_iter().collect()
    }

    async fn describe(&self, _hosts: &Hosts, call: &Call) -> Description {
        let line = Args::read(call).map_or_else(|why| why, |args| format!("look at `{}`", args.path));
        Description { lines: vec![line], rehearsable: true, outputs: Map::new() }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        match self.seen(hosts, call).await {
            Ok((verdict, seen, outputs)) => {
                Observation { verdict, seen, facts: outputs.clone(), outputs, identity: Identity::new() }
            }
            Err(error) => Observation::unknown(error.reason),
        }
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call) {
            Ok(args) => args.commands().iter().map(by_hand::line).collect(),
            Err(why) => vec![format!("# {why}")],
        }
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        match self.seen(hosts, call).await {
            Ok((Verdict::Done, _, outputs)) => Outcome::Applied { outputs },
            Ok((_, reason, _)) => Outcome::Rejected { reason, untouched: true },
            Err(error) => Outcome::NotSent { reason: error.reason },
        }
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(exists: Option<bool>, min_free: Option<u64>, sha256: Option<&str>) -> Args {
        let path = Path::parse("D:\\a.txt", "path").unwrap_or_else(|why| panic!("{why}"));
        Args { path, exists, min_free, sha256: sha256.map(str::to_owned) }
    }

    #[test]
    fn every_expectation_must_hold() {
        let there = Seen { kind: Some(Kind::File), size: Some(1), sha256: Some("x".to_owned()), free: Some(10), modified: None };
        let nothing = Seen { kind: Some(Kind::Nothing), free: Some(10), ..Seen::default() };
        let holds = |args: &Args, seen: &Seen| meaning(args, seen).0 == Verdict::Done;
        assert!(holds(&args(None, None, None), &nothing));
        assert!(holds(&args(Some(true), Some(10), Some("x")), &there));
        assert!(!holds(&args(Some(true), None, None), &nothing));
        assert!(!holds(&args(Some(false), None, None), &there));
        assert!(!holds(&args(None, Some(11), None), &there));
        assert!(!holds(&args(None, Some(1), None), &Seen { free: None, ..there.clone() }));
        assert!(!holds(&args(None, None, Some("y")), &there));
        assert!(!holds(&args(None, None, Some("x")), &nothing));
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(bytes("20 GiB"), Ok(20 << 30));
        assert_eq!(bytes("500MB"), Ok(500_000_000));
        assert_eq!(bytes("7"), Ok(7));
        for wrong in ["", "GiB", "20 gib", "-1", "1.5 GiB", "99999999999 TiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
