//! `lync.chat.import`: the data into the database of a Persistent Chat pool.
//!
//! - An import merges into what is there, and no document says what a second one does. So the counts of the database decide
//!   what became of one, and after half of one nothing is imported before the backup is back.
//! - It destroys: rooms and categories of the same name are overwritten. Before the first attempt the counts and the identity of
//!   the backup are kept.

pub(super) mod guard;
mod judge;

use async_trait::async_trait;
use serde_json::{Map, json};
use uuid::Uuid;

use self::judge::{Before, Counts, Expected, Seen, meaning};
use super::super::cs::{self, shown};
use super::files::{self, Place};
use super::keep;
use crate::connector::args;
use crate::connector::mssql::path::FilePath;
use crate::connector::mssql::restore;
use crate::connector::mssql::row::Row;
use crate::connector::mssql::sql::{self, Sql};
use crate::connector::mssql::{self, history};
use crate::connector::mssql::{queries, sql::same};
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::{Action, beside};
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Level, Observation, Quiescence};
use crate::run::event::{EvidenceRef, Outcome, Outputs};

/// The action.
#[derive(Debug)]
pub struct Import;

/// What follows where an attempt has left half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnPartial {
    /// A person restores.
    Ask,
    /// The next attempt restores first.
    Restore,
}

struct Args {
    instance: String,
    file: Place,
    sha256: String,
    report: Place,
    place: sql::Place,
    database: String,
    backup: restore::Args,
    expected: Expected,
    /// Rooms and messages of the database when it was backed up, if that is known.
    backed_up: Option<(i64, i64)>,
    on_partial: OnPartial,
    /// Servers whose services must not run; found in the topology if it is empty.
    computers: Vec<String>,
    services: Vec<String>,
}

fn number(call: &Call, name: &str) -> Result<i64, String> {
    let text = args::needed(call, name)?;
    let number: Option<i64> = text.trim().parse().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| format!("`{name}` is `{}`, not a number of {name}", shown(&text)))
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let database = sql::checked(args::text(call, "database")?.unwrap_or_else(|| "mgc".to_owned()), "database")?;
        let place = sql::Place::read(call)?;
        let file = FilePath::parse(&args::needed(call, "backup")?).map_err(|why| format!("`backup`: {why}"))?;
        let expected = Expected { rooms: number(call, "rooms")?, messages: number(call, "messages")? };
        if expected.rooms == 0 && expected.messages == 0 {
            return Err("`rooms` and `messages` are both 0: an import of nothing could not be told from none".to_owned());
        }
        let backed_up = match (call.with.contains_key("rooms_before"), call.with.contains_key("messages_before")) {
            (false, false) => None,
            (true, true) => Some((number(call, "rooms_before")?, number(call, "messages_before")?)),
            _ => return Err("`rooms_before` and `messages_before` belong together".to_owned()),
        };
        let on_partial = match args::text(call, "on_partial")?.as_deref() {
            None | Some("ask") => OnPartial::Ask,
            Some("restore") => OnPartial::Restore,
            Some(other) => return Err(format!("`on_partial` is `ask` or `restore`, not `{}`", shown(other))),
        };
        let computers = args::list(call, "computers")?;
        let instance = super::instance(call)?;
        if !instance.eq_ignore_ascii_case(place.instance.as_str()) {
            return Err(format!(
                "`db_instance` is {instance} and `instance` is {}: the same name, or nobody can tell that what is imported into is what is \
                 counted and restored",
                place.instance
            ));
        }
        Ok(Args {
            instance,
            file: Place::read(call, "file", ".zip")?,
            sha256: files::sha256(call)?.ok_or("`sha256` is missing")?,
            report: Place::read(call, "report", ".html")?,
            backup: restore::Args::of(place.clone(), database.clone(), database.clone(), file)?,
            place,
            database,
            expected,
            backed_up,
            on_partial,
            computers: computers.iter().map(|name| cs::parse_fqdn(name, "computers")).collect::<Result<_, _>>()?,
            services: args::list(call, "services")?,
        })
    }

    fn command(&self) -> Command {
        guard::command(&self.instance, &self.file.path, &self.report.path).parameter("Confirm", false)
    }

    fn counting(&self, seconds: i32) -> Command {
        self.place.statement(&self.database, queries::CHAT, seconds)
    }

    /// What a person types to get rid of half an import.
    fn way_back(&self, before: Option<&Before>) -> String {
        let command = by_hand::line(&self.backup.command(before.map_or(1, |before| before.position)));
        format!("restore the database before anything is imported again, with nobody connected to it: `{command}`")
    }

    /// As the probe tells it: with `restore`, half of it is not done, since the next attempt begins with the restore.
    fn told(&self, (verdict, seen): (Verdict, String), before: Option<&Before>) -> (Verdict, String) {
        match (verdict, self.on_partial) {
            (Verdict::Partial, OnPartial::Restore) => {
                (Verdict::NotDone, format!("{seen}; the next attempt first restores the database from the backup"))
            }
            (Verdict::Partial, OnPartial::Ask) => (Verdict::Partial, format!("{seen}; {}", self.way_back(before))),
            _ => (verdict, seen),
        }
    }
}

fn kept(call: &Call, args: &Args) -> Result<Option<Before>, String> {
    let Some(image) = cs::kept(call)? else { return Ok(None) };
    of_image(image, args).map(Some)
}

fn of_image(image: serde_json::Value, args: &Args) -> Result<Before, String> {
    let before: Before =
        serde_json::from_value(image).map_err(|error| format!("the before-image cannot be understood: {error}"))?;
    if same(&before.database, &args.database) && same(&before.instance, args.place.instance.as_str()) {
        Ok(before)
    } else {
        Err(format!("the before-image is of `{}` on {}", shown(&before.database), shown(&before.instance)))
    }
}

/// What the database holds.
async fn counts(sql: &mut Sql, args: &Args) -> Result<Counts, String> {
    let rows = sql.read(args.counting(sql.seconds())).await?;
    let [row] = rows.as_slice() else { return Err(format!("the counts came in {} rows", rows.len())) };
    let row = Row::of(row.clone())?;
    let one = |name: &str| row.number(name)?.ok_or_else(|| format!("SQL Server's answer has nothing in the column `{name}`"));
    Ok(Counts { rooms: one("rooms")?, categories: one("categories")?, messages: one("messages")? })
}

async fn look(call: &Call, sql: &mut Sql, on_files: &mut Session, args: &Args) -> Result<Seen, NoAnswer> {
    // First what is under way, then what there is.
    let under_way = history::under_way(sql).await?;
    let busy = under_way.iter().find(|one| one.may_concern("RESTORE", &args.database)).map(history::UnderWay::words);
    let databases = history::databases(sql).await?;
    let state = history::state(&databases, &args.database).map(str::to_owned);
    let counts = if state.as_deref() == Some("ONLINE") { counts(sql, args).await } else { Err("it is not ONLINE".to_owned()) };
    let report = files::written(on_files, &args.report).await?;
    Ok(Seen { state, busy, counts, report, ended: keep::ended(call) })
}

/// The sessions of a look: with the database, and with the files.
async fn sessions(hosts: &Hosts, call: &Call, args: &Args) -> Result<(Sql, Session), NoAnswer> {
    let sql = Sql::within(hosts.look_at(call, "sql_host").await?, args.place.clone());
    match hosts.look_at(call, "file_host").await {
        Ok(on_files) => Ok((sql, on_files)),
        Err(error) => {
            sql.close().await;
            Err(error)
        }
    }
}

async fn observed(hosts: &Hosts, call: &Call) -> Result<Observation, NoAnswer> {
    let args = Args::read(call)?;
    let before = kept(call, &args)?;
    let (mut sql, mut on_files) = sessions(hosts, call, &args).await?;
    let seen = look(call, &mut sql, &mut on_files, &args).await;
    sql.close().await;
    on_files.close().await;
    let seen = seen?;
    let (verdict, text) = args.told(meaning(args.expected, &seen, before.as_ref()), before.as_ref());
    let outputs = match (verdict, before, &seen.counts) {
        (Verdict::Done, Some(before), Ok(now)) => outputs(&before, now, None),
        _ => Map::new(),
    };
    Ok(Observation { verdict, facts: outputs.clone(), outputs, ..Observation::unknown(text) })
}

/// What has arrived. A room that was there and was overwritten is none that has.
fn outputs(before: &Before, now: &Counts, warnings: Option<usize>) -> Outputs {
    Map::from_iter([
        ("warnings".to_owned(), json!(warnings)),
        ("rooms".to_owned(), json!(now.rooms - before.counts.rooms)),
        ("messages".to_owned(), json!(now.messages - before.counts.messages)),
    ])
}

/// Puts the database back as it was before the first attempt. `Err` is how the attempt ended.
async fn put_back(sql: &mut Sql, args: &Args, before: &Before) -> Result<(), Outcome> {
    match restore::put_back(sql, &args.backup, &before.backup_set).await {
        Outcome::Applied { .. } => {}
        other => return Err(other),
    }
    match counts(sql, args).await {
        Ok(now) if now == before.counts => Ok(()),
        Ok(now) => {
            let (now, then) = (now.words(), before.counts.words());
            let reason = format!(
                "the backup was restored, and the database holds {now} and not {then}, as before: the backup is not of then"
            );
            Err(Outcome::Rejected { reason, untouched: false })
        }
        Err(reason) => Err(Outcome::Unknown { reason }),
    }
}

async fn attempt(call: &Call, args: &Args, sql: &mut Sql, on_files: &mut Session, lync: &mut Session) -> Outcome {
    let before = match kept(call, args) {
        Ok(Some(before)) => before,
        Ok(None) => return Outcome::NotSent { reason: "what the database held before is not known".to_owned() },
        Err(reason) => return Outcome::NotSent { reason },
    };
    let refused = |why: String| cs::rejected(format!("nothing was imported: {why}"));
    match ready(args, on_files, lync).await {
        Err(error) => return Outcome::NotSent { reason: error.reason },
        Ok(Some(why)) => return refused(why),
        Ok(None) => {}
    }
    let seen = match look(call, sql, on_files, args).await {
        Ok(seen) => seen,
        Err(error) => return Outcome::NotSent { reason: error.reason },
    };
    let is_first = call.attempt <= before.attempt;
    let restore_first = match (meaning(args.expected, &seen, Some(&before)), args.on_partial) {
        // An attempt before this one may have overwritten what is not counted.
        ((Verdict::NotDone, _), on_partial) => on_partial == OnPartial::Restore && !is_first,
        ((Verdict::Partial, why), _) if is_first => {
            return Outcome::NotSent { reason: format!("somebody else changed the database since it was counted: {why}") };
        }
        ((Verdict::Done, _), _) => {
            let outputs = seen.counts.map(|now| outputs(&before, &now, None)).unwrap_or_default();
            return Outcome::Applied { outputs };
        }
        ((Verdict::Partial, _), OnPartial::Restore) => true,
        ((Verdict::Partial, why), OnPartial::Ask) => return refused(format!("{why}; {}", args.way_back(Some(&before)))),
        ((Verdict::Unknown | Verdict::Conflict, reason), _) => return Outcome::NotSent { reason },
    };
    if restore_first && let Err(outcome) = put_back(sql, args, &before).await {
        return outcome;
    }
    if let Err(reason) = keep::forget_ends(call) {
        return Outcome::NotSent { reason };
    }
    let answer = match lync.run(args.command()).await {
        Ok(answer) => answer,
        Err(lost) => return lost.outcome(),
    };
    super::keep_said(call, &answer, files::text(on_files, &args.report.path).await);
    if answer.complaint().is_some() {
        return answer.outcome(false, Map::new());
    }
    if let Err(reason) = keep::note_end(call) {
        return Outcome::Unknown { reason: format!("the import ended without an error, and that could not be noted: {reason}") };
    }
    let warnings = answer.warnings.len() + answer.more;
    match look(call, sql, on_files, args).await {
        Ok(seen) => match (meaning(args.expected, &seen, Some(&before)), &seen.counts) {
            ((Verdict::Done, _), Ok(now)) => Outcome::Applied { outputs: outputs(&before, now, Some(warnings)) },
            ((_, why), _) => Outcome::Unknown { reason: format!("the import ended without an error, and yet: {why}") },
        },
        Err(error) => Outcome::Unknown {
            reason: format!("the import ended without an error; what it did cannot be seen: {}", error.reason),
        },
    }
}

/// Why nothing may be imported now.
async fn ready(args: &Args, on_files: &mut Session, lync: &mut Session) -> Result<Option<String>, NoAnswer> {
    if let Some(why) = guard::file(on_files, &args.file, &args.sha256).await? {
        return Ok(Some(why));
    }
    let running = standing(args, lync).await?;
    Ok((!running.is_empty())
        .then(|| format!("services of the pool run, and the import needs them stopped: {}", running.join("; "))))
}

async fn standing(args: &Args, lync: &mut Session) -> Result<Vec<String>, NoAnswer> {
    let computers = if args.computers.is_empty() { guard::servers(lync, &args.instance).await? } else { args.computers.clone() };
    guard::running(lync, &computers, &args.services).await
}

#[async_trait]
impl Action for Import {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.chat.import",
            doc: "imports an export into the database of a Persistent Chat pool",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::required("file_host", ArgType::Host, "the same machine, by its plain PowerShell remoting"),
                args::required("db_instance", ArgType::String, "of Persistent Chat, such as `sql01.contoso.com\\RTC`"),
                args::required("file", ArgType::String, "the ZIP, a path on the Front End"),
                args::required("sha256", ArgType::String, "what the ZIP has to be"),
                args::required("report", ArgType::String, "where the cmdlet writes its report, a path that ends in `.html`"),
                args::required("sql_host", ArgType::Host, "the host that the SQL Server module runs on"),
                args::required("instance", ArgType::String, "the same instance, as that host reaches it"),
                args::optional("database", ArgType::String, "its content database; `mgc` by default"),
                args::optional("encrypt", ArgType::String, "as for `mssql.backup`"),
                args::required("backup", ArgType::String, "the backup of the database from before, a path on the server"),
                args::required("rooms", ArgType::Integer, "rooms of the export"),
                args::required("messages", ArgType::Integer, "messages of the export"),
                args::optional("rooms_before", ArgType::Integer, "rooms of the database when it was backed up"),
                args::optional("messages_before", ArgType::Integer, "messages of it then"),
                args::optional("on_partial", ArgType::String, "after half an import: `ask` (by default) or `restore`"),
                args::optional(
                    "computers",
                    ArgType::StringList,
                    "servers whose services must not run; those of the pool by default",
                ),
                args::optional("services", ArgType::StringList, "their short names; all services of Lync there if left out"),
            ],
            one_of: Vec::new(),
            effect: Effect::Once,
            generic: false,
            // Rooms and categories of the same name are overwritten.
            destructive: true,
            // What people wrote into the database since is lost.
            undo: UndoGrade::Lossy,
            keeps: true,
            discovers: false,
            outputs: vec!["warnings", "rooms", "messages"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(message) => return cs::wrong(message),
        };
        let mut found = match hosts.look_at(call, "sql_host").await {
            Err(error) => vec![error.finding()],
            Ok(session) => {
                let mut sql = Sql::within(session, args.place.clone());
                let counted = counts(&mut sql, &args).await;
                sql.close().await;
                match counted {
                    Ok(counts) => vec![cs::finding(Level::Fact, format!("`{}` holds {}", shown(&args.database), counts.words()))],
                    Err(why) => cs::wrong(format!("`{}` cannot be counted: {why}", shown(&args.database))),
                }
            }
        };
        found.extend(cs::offered(hosts, call, &["Get-CsService", "Import-CsPersistentChatData", "Get-CsWindowsService"]).await);
        found
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return cs::not_described(&why),
        };
        let mut lines =
            vec![format!("import `{}` into `{}` on {}", shown(&args.file.path), shown(&args.database), args.instance)];
        lines.push(match observed(hosts, call).await {
            Ok(seen) => format!("  before: {}", seen.seen),
            Err(error) => format!("  could not be looked at: {}", error.reason),
        });
        lines.push(format!("  after:  up to {} rooms and {} messages more", args.expected.rooms, args.expected.messages));
        lines.push("  rooms and categories of the same name are overwritten".to_owned());
        lines.push("  going back restores the backup: what was written into the database since is lost".to_owned());
        cs::described(lines, Map::new())
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        observed(hosts, call).await.unwrap_or_else(|error| Observation::unknown(error.reason))
    }

    fn by_hand(&self, hosts: &Hosts, call: &Call) -> Vec<String> {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return vec![format!("# {why}")],
        };
        let mut lines = vec!["# guard, in Lync's own PowerShell: no service of the pool may run".to_owned()];
        if args.computers.is_empty() {
            lines.push("# its servers; then Get-CsWindowsService for each of them".to_owned());
            lines.extend(guard::topology().iter().map(by_hand::line));
            lines.push(by_hand::line(&guard::listing("<server>")));
        }
        lines.extend(args.computers.iter().map(|computer| by_hand::line(&guard::listing(computer))));
        lines.extend([
            "# guard, on the machine itself".to_owned(),
            by_hand::connection_to(hosts, call, "file_host"),
            format!("{}   # must be {}", by_hand::line(&files::hashing(&args.file.path)), args.sha256),
            "# guard, on the SQL host: note the counts, before and after".to_owned(),
            by_hand::connection_to(hosts, call, "sql_host"),
            by_hand::line(&args.counting(sql::SHORT)),
            "# do it once, in Lync's own PowerShell".to_owned(),
            by_hand::line(&args.command()),
            format!("# after: at most {} rooms and exactly {} messages more", args.expected.rooms, args.expected.messages),
            "# after half of it, and to take it back, on the SQL host; everything written since the backup is lost".to_owned(),
        ]);
        lines.extend(args.backup.by_hand());
        lines
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        let args = Args::read(call)?;
        let before = match kept(call, &args)? {
            Some(before) => before,
            None => {
                let (mut sql, mut on_files) = sessions(hosts, call, &args).await.map_err(|error| error.reason)?;
                let before = first(call, &mut sql, &mut on_files, &args).await;
                sql.close().await;
                on_files.close().await;
                before?
            }
        };
        cs::keep(evidence, &json!(before))
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return cs::rejected(format!("nothing was imported: {why}")),
        };
        let not_sent = |error: NoAnswer| Outcome::NotSent { reason: error.reason };
        let mut sql = match hosts.attempt_at(call, "sql_host").await {
            Ok(session) => Sql::within(session, args.place.clone()),
            Err(error) => return not_sent(error),
        };
        let further = async { Ok::<_, NoAnswer>((hosts.look_at(call, "file_host").await?, hosts.attempt(call).await?)) };
        let outcome = match further.await {
            Err(error) => not_sent(error),
            Ok((mut on_files, mut lync)) => {
                let outcome = attempt(call, &args, &mut sql, &mut on_files, &mut lync).await;
                lync.close().await;
                on_files.close().await;
                outcome
            }
        };
        sql.close().await;
        outcome
    }

    /// A restore may be on its way in it.
    /// A repetition begins with the restore.
    async fn goes_on(&self, hosts: &Hosts, call: &Call) -> Option<Quiescence> {
        let args = match Args::read(call) {
            Ok(args) if args.on_partial == OnPartial::Restore => args,
            Ok(_) => return None,
            Err(seen) => return Some(Quiescence::CannotTell { seen }),
        };
        let sql = hosts.look_at(call, "sql_host").await.map(|session| Sql::within(session, args.place.clone()));
        mssql::goes_on(sql, "RESTORE", &args.database).await
    }

    fn shells(&self, call: &Call) -> Vec<(String, Uuid)> {
        args::needed(call, "sql_host").map(|host| vec![(host.clone(), beside(call, &host))]).unwrap_or_default()
    }

    async fn undo(&self, hosts: &Hosts, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        let read = || {
            let args = Args::read(call)?;
            let bytes = before_image.ok_or("it is not known what the database held before")?;
            let before = of_image(cs::image(bytes)?, &args)?;
            Ok::<_, String>((args, before))
        };
        let (args, before) = match read() {
            Ok(read) => read,
            Err(why) => return cs::rejected(format!("nothing was restored: {why}")),
        };
        let not_sent = |error: NoAnswer| Outcome::NotSent { reason: error.reason };
        let mut sql = match hosts.attempt_at(call, "sql_host").await {
            Ok(session) => Sql::within(session, args.place.clone()),
            Err(error) => return not_sent(error),
        };
        let outcome = match take_back(hosts, call, &args, &mut sql, &before).await {
            Ok(()) => Outcome::Applied { outputs: Map::new() },
            Err(outcome) => outcome,
        };
        sql.close().await;
        outcome
    }
}

/// What is kept before the first attempt: the backup must be there by then.
async fn first(call: &Call, sql: &mut Sql, on_files: &mut Session, args: &Args) -> Result<Before, String> {
    let found = restore::backup_set(sql, &args.backup).await;
    let (backup_set, position) = found.map_err(|why| format!("the backup from before: {why}"))?;
    let counts = counts(sql, args).await?;
    if let Some((rooms, messages)) = args.backed_up.filter(|was| *was != (counts.rooms, counts.messages)) {
        return Err(format!(
            "the database holds {}, and held {rooms} rooms and {messages} messages when it was backed up: a restore would lose what came \
             since; back it up again",
            counts.words()
        ));
    }
    Ok(Before {
        relevo_chat_import: 1,
        instance: args.place.instance.as_str().to_owned(),
        database: args.database.clone(),
        counts,
        attempt: call.attempt,
        backup_set,
        position,
        report: files::written(on_files, &args.report).await.map_err(|error| error.reason)?,
    })
}

/// Restores the backup from before, unless the database is as it was.
async fn take_back(hosts: &Hosts, call: &Call, args: &Args, sql: &mut Sql, before: &Before) -> Result<(), Outcome> {
    if counts(sql, args).await.is_ok_and(|now| now == before.counts) {
        return Ok(());
    }
    let not_sent = |error: NoAnswer| Outcome::NotSent { reason: error.reason };
    let mut lync = hosts.look(call).await.map_err(not_sent)?;
    let running = standing(args, &mut lync).await;
    lync.close().await;
    let running = running.map_err(not_sent)?;
    if !running.is_empty() {
        return Err(cs::rejected(format!("nothing was restored: services of the pool run: {}", running.join("; "))));
    }
    put_back(sql, args, before).await
}
