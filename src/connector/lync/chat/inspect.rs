//! `lync.chat.inspect`: opens an export and says what is in it, before anybody imports it.

use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::PathBuf;
use std::time::Instant;

use async_trait::async_trait;
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};

use super::super::cs::{self, Checked, shown};
use super::files::{self, FETCHED, Place};
use super::names::{self, LONGEST, Names};
use super::package::Package;
use super::parts::{self, Contents};
use super::{keep, some};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, hex};
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Finding, Observation};
use crate::run::event::{Outcome, Outputs};

/// The action.
#[derive(Debug)]
pub struct Inspect;

/// What may fail the step.
const FINDINGS: [&str; 7] = ["missing", "empty", "too_long", "duplicates", "conflicts", "federated", "disabled"];
/// What does, if nothing is said: an import would lose or overwrite something, or bring nothing.
const USUAL: [&str; 5] = ["missing", "empty", "too_long", "duplicates", "conflicts"];

/// What a person's copy of a large export is called, after the step's name.
const COPY: &str = "copy.zip";

struct Args {
    file: Place,
    sha256: Option<String>,
    pool: Option<String>,
    local: Option<PathBuf>,
    fail_on: Vec<String>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let pool = args::text(call, "pool")?.map(|text| cs::parse_fqdn(&text, "pool")).transpose()?;
        if pool.is_some() && !call.with.contains_key("host") {
            return Err("`pool` needs `host`, the remote PowerShell of a Front End, to ask for its rooms".to_owned());
        }
        let fail_on = match call.with.get("fail_on") {
            None | Some(serde_json::Value::Null) => USUAL.map(str::to_owned).to_vec(),
            Some(_) => args::list(call, "fail_on")?,
        };
        if let Some(odd) = fail_on.iter().find(|word| !FINDINGS.contains(&word.as_str())) {
            return Err(format!("`fail_on` knows {}, not `{}`", FINDINGS.join(", "), shown(odd)));
        }
        if pool.is_none() && call.with.contains_key("fail_on") && fail_on.iter().any(|word| word == "conflicts") {
            return Err("`conflicts` in `fail_on` needs `host` and `pool`, whose rooms are looked at".to_owned());
        }
        let local = args::text(call, "local")?.map(PathBuf::from);
        Ok(Args { file: Place::read(call, "file", ".zip")?, sha256: files::sha256(call)?, pool, local, fail_on })
    }
}

/// What the pool has already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Taken {
    rooms: Vec<String>,
    categories: Vec<String>,
}

fn rooms_of(pool: &str) -> Command {
    Command::new("Get-CsPersistentChatRoom").parameter("PersistentChatPoolFqdn", pool)
}

fn categories_of(pool: &str) -> Command {
    Command::new("Get-CsPersistentChatCategory").parameter("PersistentChatPoolFqdn", pool)
}

async fn taken(session: &mut Session, pool: &str) -> Result<Taken, NoAnswer> {
    let mut taken = Taken::default();
    // Whether the plain list has the disabled ones is not documented.
    for command in [rooms_of(pool), rooms_of(pool).parameter("Disabled", true)] {
        let rooms = cs::read(session, command).await?;
        taken.rooms.extend(rooms.iter().filter_map(|room| cs::word(room, "Name")));
    }
    let categories = cs::read(session, categories_of(pool)).await?;
    taken.categories = categories.iter().filter_map(|category| cs::word(category, "Name")).collect();
    taken.rooms.sort();
    taken.rooms.dedup();
    Ok(taken)
}

/// What is in the ZIP, and its SHA-256.
type Opened = (Result<Contents, String>, String);

/// Opens it where it lies, away from the loop that all steps share.
async fn open(from: From, until: Option<Instant>) -> Result<Opened, NoAnswer> {
    let work = move || -> Result<Opened, String> {
        match from {
            From::Bytes(bytes) => {
                let hash = hex(&Sha256::digest(&bytes));
                Ok((contents(Cursor::new(bytes), until), hash))
            }
            From::Local(path) => {
                let wrong = |error: std::io::Error| format!("`{}` cannot be read here: {error}", path.display());
                let mut file = File::open(&path).map_err(wrong)?;
                let mut hash = Sha256::new();
                let mut buffer = vec![0; 1 << 20];
                loop {
                    match file.read(&mut buffer).map_err(wrong)? {
                        0 => break,
                        count => hash.update(&buffer[..count]),
                    }
                    if until.is_some_and(|until| Instant::now() >= until) {
                        return Err("the step's time was over while the file was read".to_owned());
                    }
                }
                Ok((contents(file, until), hex(&hash.finalize())))
            }
        }
    };
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| format!("the export was not read to its end: {error}"))??)
}

/// Where the bytes are.
enum From {
    Bytes(Vec<u8>),
    Local(PathBuf),
}

fn contents(file: impl Read + Seek, until: Option<Instant>) -> Result<Contents, String> {
    parts::read(&mut Package::open(file)?, until)
}

/// What it means.
fn judge(args: &Args, sha256: &str, contents: &Contents, names: &Names, taken: Option<&Taken>) -> Checked {
    let disabled = contents.rooms.iter().filter(|room| room.disabled).count();
    let conflicts = taken.map(|taken| {
        let mut all = names::among(&names.rooms, &taken.rooms);
        all.extend(names::among(names.categories.iter().flatten(), &taken.categories));
        all
    });
    let mut findings: Vec<(&str, String)> = Vec::new();
    if !contents.missing.is_empty() {
        findings.push(("missing", format!("it has no {}", contents.missing.join(", no "))));
    }
    if contents.rooms.is_empty() {
        findings.push(("empty", "it holds no rooms".to_owned()));
    }
    if !names.too_long.is_empty() {
        let text = format!("{} names would be longer than {LONGEST} characters: {}", names.too_long.len(), some(&names.too_long));
        findings.push(("too_long", text));
    }
    if let Some(twice) = names.twice.as_ref().filter(|twice| !twice.is_empty()) {
        findings.push(("duplicates", format!("{} rooms would have the name of another one: {}", twice.len(), some(twice))));
    }
    if let Some(conflicts) = conflicts.as_ref().filter(|conflicts| !conflicts.is_empty()) {
        let text =
            format!("{} rooms and categories are there already and would be overwritten: {}", conflicts.len(), some(conflicts));
        findings.push(("conflicts", text));
    }
    if contents.federated > 0 {
        findings.push(("federated", format!("{} people are of other companies and lose access", contents.federated)));
    }
    if disabled > 0 {
        findings.push(("disabled", format!("{disabled} rooms are disabled")));
    }
    let fails = |(kind, _): &&(&str, String)| args.fail_on.iter().any(|word| word == kind);
    let (bad, known): (Vec<_>, Vec<_>) = findings.iter().partition(fails);
    let told =
        |count: Option<u64>, what: &str| count.map_or_else(|| format!("{what} not known"), |count| format!("{count} {what}"));
    let facts = format!(
        "{} rooms, {}, {}, {} people, {} groups; longest name {}; SHA-256 {sha256}",
        contents.rooms.len(),
        told(contents.categories.as_ref().map(|all| all.len() as u64), "categories"),
        told(contents.messages, "messages"),
        contents.people,
        contents.groups,
        names.longest,
    );
    let texts = bad.iter().chain(&known).map(|(_, text)| text.clone()).chain([facts]);
    let outputs = Map::from_iter([
        ("rooms".to_owned(), json!(contents.rooms.len())),
        ("disabled_rooms".to_owned(), json!(disabled)),
        ("categories".to_owned(), json!(contents.categories.as_ref().map(std::collections::BTreeMap::len))),
        ("messages".to_owned(), json!(contents.messages)),
        ("people".to_owned(), json!(contents.people)),
        ("federated".to_owned(), json!(contents.federated)),
        ("longest_name".to_owned(), json!(names.longest)),
        ("too_long".to_owned(), json!(names.too_long.len())),
        ("conflicts".to_owned(), json!(conflicts.as_ref().map(Vec::len))),
        ("parts".to_owned(), json!(contents.parts.iter().map(|name| shown(name)).collect::<Vec<_>>())),
        ("sha256".to_owned(), json!(sha256)),
    ]);
    Checked { holds: bad.is_empty(), seen: texts.collect::<Vec<_>>().join("; "), outputs }
}

/// For the run's folder: numbers, and names of rooms and categories. No message, and nobody's name.
fn summary(checked: &Checked, contents: &Contents, names: &Names) -> serde_json::Value {
    json!({
        "holds": checked.holds,
        "seen": checked.seen,
        "outputs": checked.outputs,
        "groups": contents.groups,
        "missing": contents.missing,
        "too_long": names.too_long,
        "duplicates": names.twice,
        "rooms": names.rooms,
        "categories": names.categories,
    })
}

fn fails(seen: String) -> Checked {
    Checked { holds: false, seen, outputs: Outputs::new() }
}

/// The bytes of the file that lies on the host, as its hash says; or why the step fails.
async fn bring(session: &mut Session, call: &Call, args: &Args) -> Result<Result<(From, String), Checked>, NoAnswer> {
    let path = shown(&args.file.path);
    let entries = files::list(session, &args.file.folder).await?;
    let Some(entry) = files::find(&entries, &args.file.name) else {
        return Ok(Err(fails(format!("`{path}` is not there"))));
    };
    let hash = files::hash(session, &args.file.path).await?;
    if let Some(wanted) = args.sha256.as_ref().filter(|wanted| **wanted != hash) {
        return Ok(Err(fails(format!("`{path}` has the SHA-256 {hash}, and was to have {wanted}: it is another file"))));
    }
    if let Some(local) = &args.local {
        return Ok(Ok((From::Local(local.clone()), hash)));
    }
    if entry.size > FETCHED {
        let copy = keep::from_a_person(call, COPY);
        return Ok(match copy {
            Some(copy) if copy.exists() => Ok((From::Local(copy), hash)),
            copy => Err(fails(format!(
                "`{path}` has {} bytes, and {FETCHED} are fetched through the session at most; copy it to {} on relevo's machine and \
                 try again (or let `local` name a path by which relevo can read it, such as a share)",
                entry.size,
                copy.map_or_else(|| "a file".to_owned(), |copy| format!("`{}`", copy.display())),
            ))),
        });
    }
    let bytes = files::fetch(session, &args.file.path).await?;
    Ok(Ok((From::Bytes(bytes), hash)))
}

async fn check(hosts: &Hosts, call: &Call) -> Result<Checked, NoAnswer> {
    let args = Args::read(call)?;
    let until = call.timeout.and_then(|limit| Instant::now().checked_add(limit.to_std()));
    let mut session = hosts.look_at(call, "file_host").await?;
    let brought = bring(&mut session, call, &args).await;
    session.close().await;
    let (from, hash) = match brought? {
        Ok(brought) => brought,
        Err(failed) => return Ok(failed),
    };
    let (contents, own) = open(from, until).await?;
    if own != hash {
        let text =
            format!("what was read has the SHA-256 {own}, and the file on the host has {hash}: they are not the same file");
        return Ok(fails(text));
    }
    let contents = match contents {
        Ok(contents) => contents,
        Err(why) => return Ok(fails(format!("`{}` is not what an export looks like: {why}", shown(&args.file.path)))),
    };
    let taken = match &args.pool {
        None => None,
        Some(pool) => {
            let mut lync = hosts.look(call).await?;
            let taken = taken(&mut lync, pool).await;
            lync.close().await;
            Some(taken?)
        }
    };
    let names = names::of(&contents);
    let checked = judge(&args, &hash, &contents, &names, taken.as_ref());
    let bytes = serde_json::to_vec_pretty(&summary(&checked, &contents, &names)).map_err(|error| error.to_string())?;
    keep::keep(call, "inspect.json", &bytes)?;
    Ok(checked)
}

#[async_trait]
impl Action for Inspect {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.chat.inspect",
            doc: "opens an export and fails if an import of it would lose, overwrite or bring nothing",
            args: vec![
                args::required("file_host", ArgType::Host, "the Front End, by its plain PowerShell remoting"),
                args::required("file", ArgType::String, "the ZIP, a path on the Front End"),
                args::optional("sha256", ArgType::String, "what the file has to be"),
                args::optional("local", ArgType::String, "the same file, by a path that relevo itself can read, such as a share"),
                args::optional("host", ArgType::Host, "the remote PowerShell of a Front End, to ask for rooms of `pool`"),
                args::optional("pool", ArgType::String, "the Persistent Chat pool that the data is for, fully qualified"),
                args::optional(
                    "fail_on",
                    ArgType::StringList,
                    "of `missing`, `empty`, `too_long`, `duplicates`, `conflicts` (these by default), `federated`, `disabled`",
                ),
            ],
            one_of: Vec::new(),
            effect: Effect::Read,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: vec![
                "rooms",
                "disabled_rooms",
                "categories",
                "messages",
                "people",
                "federated",
                "longest_name",
                "too_long",
                "conflicts",
                "parts",
                "sha256",
            ],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match Args::read(call) {
            Err(message) => cs::wrong(message),
            Ok(args) if args.pool.is_some() => {
                cs::offered(hosts, call, &["Get-CsPersistentChatRoom", "Get-CsPersistentChatCategory"]).await
            }
            Ok(_) => Vec::new(),
        }
    }

    async fn describe(&self, _hosts: &Hosts, call: &Call) -> Description {
        match Args::read(call) {
            Err(why) => cs::not_described(&why),
            Ok(args) => {
                let mut lines = vec![format!("open the export `{}`", shown(&args.file.path))];
                lines.extend(args.pool.iter().map(|pool| format!("  its names are held against those of `{pool}`")));
                lines.push(format!("  fails on: {}", args.fail_on.join(", ")));
                cs::described(lines, Map::new())
            }
        }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        cs::observe(check(hosts, call).await)
    }

    fn by_hand(&self, hosts: &Hosts, call: &Call) -> Vec<String> {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return vec![format!("# {why}")],
        };
        let wanted = args.sha256.as_deref().unwrap_or("the one that the export gave");
        let mut lines = vec![
            "# on the machine itself".to_owned(),
            by_hand::connection_to(hosts, call, "file_host"),
            by_hand::line(&files::listing(&args.file.folder)),
            format!("{}   # must be {wanted}", by_hand::line(&files::hashing(&args.file.path))),
            format!("# copy it, open it, look into {}", parts::DOCUMENTED.join(", ")),
        ];
        if let Some(pool) = &args.pool {
            lines.push("# in Lync's own PowerShell: none of its rooms and categories should be there already".to_owned());
            lines.extend([rooms_of(pool), categories_of(pool)].iter().map(by_hand::line));
        }
        lines
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        cs::conclude(check(hosts, call).await)
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}
