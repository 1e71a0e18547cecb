//! Which run is meant.
//!
//! - A run that is named is looked for in the folder of runs, and where none was named, in those that the machine knows.
//! - Unnamed, a verb that changes something means the only unfinished run. Of several it takes none: it lists them and asks.
//! - Unnamed, a verb that reads means the newest unfinished run, or else the newest.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::common::{self, RunsArgs};
use super::{messages, open};
use crate::error::{Exit, Failure};
use crate::foreign::line;
use crate::journal::{self, DirError, Listed, Machine, RunDir};
use crate::run::event::{Ending, Mode};
use crate::run::past::Past;
use crate::time::Timestamp;
use crate::view::board::{Ask, Board, Standing};
use crate::view::next;
use crate::view::text::{cut, distance, pad};

/// So much of a plan's name stands in a list.
const NAME: usize = 40;
/// So much of a question.
const QUESTION: usize = 90;

/// A run in a folder of runs.
struct Found {
    folder: PathBuf,
    listed: Listed,
    /// Another run was made of what is intact of it.
    replaced: bool,
    /// Read once it is asked for.
    past: OnceCell<Option<Past>>,
}

impl Found {
    /// `None` if its journal cannot be read.
    fn past(&self) -> Option<&Past> {
        self.past.get_or_init(|| journal::past(&self.folder.join(&self.listed.id))).as_ref()
    }

    /// Whether it waits for somebody. One that cannot be read may.
    fn is_unfinished(&self) -> bool {
        !self.replaced && self.listed.mode != Some(Mode::Rehearsal) && self.past().is_none_or(Past::is_unfinished)
    }

    /// The same, or a rehearsal that is at work.
    fn is_open(&self) -> bool {
        let at_work = |past: &Past| past.ended.is_none() && past.holder.as_ref().is_some_and(journal::holder_alive);
        self.is_unfinished() || self.past().is_some_and(at_work)
    }
}

impl RunsArgs {
    /// Whether somebody said where runs are kept.
    fn is_said(&self) -> bool {
        self.runs != Path::new("runs") || std::env::var_os("RELEVO_RUNS").is_some()
    }

    /// Where runs are looked for: in the folder that was named or is here, or else in all that the machine knows.
    fn folders(&self) -> Vec<PathBuf> {
        if self.is_said() || self.runs.is_dir() { vec![self.runs.clone()] } else { Machine::usual().folders() }
    }

    /// Opens the run of that name; without one, the newest that is unfinished, or else the newest: for verbs that read.
    pub fn open(&self, run: Option<&str>) -> anyhow::Result<RunDir> {
        self.say_where();
        if let Some(id) = run {
            return self.open_named(id);
        }
        let mut all = self.all()?;
        let last = all.len().checked_sub(1);
        let newest = if last == Some(0) { last } else { all.iter().rposition(Found::is_open).or(last) };
        newest.map_or_else(|| Err(self.none()), |at| self.open_found(&all.swap_remove(at)))
    }

    /// Opens the run of that name; without one, the only one that is unfinished, or else the newest that is no rehearsal:
    /// for verbs that change something.
    ///
    /// # Errors
    /// More than one is unfinished, and nobody is at a terminal who could say which.
    pub fn open_run(&self, run: Option<&str>) -> anyhow::Result<RunDir> {
        self.say_where();
        if let Some(id) = run {
            return self.open_named(id);
        }
        let (mut unfinished, mut ended): (Vec<Found>, Vec<Found>) = self.all()?.into_iter().partition(Found::is_unfinished);
        match unfinished.len() {
            0 => {
                ended.retain(|found| found.listed.mode != Some(Mode::Rehearsal));
                ended.last().map_or_else(|| Err(self.none()), |found| self.open_found(found))
            }
            1 => self.open_found(&unfinished[0]),
            _ => {
                let rows: Vec<Row> = unfinished.iter().map(|found| self.row(found)).collect();
                let at = choose(&rows)?;
                self.open_found(&unfinished.swap_remove(at))
            }
        }
    }

    fn open_named(&self, id: &str) -> anyhow::Result<RunDir> {
        let here = RunDir::open(&self.runs, id, self.allow_fs);
        if let (Err(DirError::NotFound { .. }), false) = (&here, self.is_said()) {
            for folder in Machine::usual().folders() {
                if let Ok(dir) = RunDir::open(&folder, id, self.allow_fs) {
                    next::runs_are_in(&folder);
                    return Ok(dir);
                }
            }
        }
        Ok(tidy(here.map_err(Failure::from)?))
    }

    fn open_found(&self, found: &Found) -> anyhow::Result<RunDir> {
        if found.folder != self.runs {
            next::runs_are_in(&found.folder);
        }
        Ok(tidy(RunDir::open(&found.folder, &found.listed.id, self.allow_fs).map_err(Failure::from)?))
    }

    fn none(&self) -> anyhow::Error {
        let message = format!("there are no runs in {}", self.place().display());
        Failure::new(Exit::NothingToResume, message)
            .hint("`relevo run PLAN` starts one; `--runs DIR` says where runs are kept")
            .into()
    }

    /// All runs and rehearsals, oldest first. In folders that only the machine knows, those that this account may use.
    ///
    /// # Errors
    /// The folder that is meant cannot be read.
    fn all(&self) -> anyhow::Result<Vec<Found>> {
        let mut all = Vec::new();
        for folder in self.folders() {
            let listed = match RunDir::list(&folder) {
                Err(error) if folder == self.runs => {
                    return Err(match error.kind() {
                        std::io::ErrorKind::PermissionDenied => journal::run_dir::may_not_list(&self.runs),
                        _ => Failure::io(self.place().display(), &error),
                    }
                    .into());
                }
                listed => listed.unwrap_or_default(),
            };
            for listed in listed {
                if folder != self.runs && RunDir::open(&folder, &listed.id, self.allow_fs).is_err() {
                    continue;
                }
                all.push(Found { replaced: false, past: OnceCell::new(), folder: folder.clone(), listed });
            }
        }
        all.sort_by(|a, b| (a.listed.started, &a.listed.id).cmp(&(b.listed.started, &b.listed.id)));
        // Where a damaged run was salvaged, the new one stands for it.
        let replaced: BTreeSet<String> = match all.len() {
            0 | 1 => BTreeSet::new(),
            _ => all.iter().filter_map(|found| found.past()?.salvaged_from.clone()).collect(),
        };
        for found in &mut all {
            found.replaced = replaced.contains(&found.listed.id);
        }
        Ok(all)
    }

    fn row(&self, found: &Found) -> Row {
        let elsewhere = (found.folder != self.runs).then(|| found.folder.clone());
        let Listed { id, started, mode, closed } = found.listed.clone();
        let mut row = Row {
            id,
            started,
            mode,
            elsewhere,
            plan: String::new(),
            state: if closed { "is closed to this account".to_owned() } else { "cannot be read: see `relevo verify`".to_owned() },
            key: if closed { "closed" } else { "unreadable" },
            asks: Vec::new(),
        };
        let connectors = common::connectors();
        let read = RunDir::open(&found.folder, &row.id, self.allow_fs).ok().and_then(|dir| open::read(&dir, &connectors).ok());
        if let Some((scheduler, _)) = read {
            let board = Board::from(scheduler.state(), common::now(), open::is_live(&scheduler));
            row.plan.clone_from(&board.plan);
            board.standing.as_str().clone_into(&mut row.state);
            row.key = board.standing.key();
            if board.standing == Standing::Interrupted && found.past().is_some_and(|past| past.stopped) {
                "ended by a person; something was in flight".clone_into(&mut row.state);
                row.key = "stopped";
            }
            row.asks = board.asks.into_iter().filter(|ask| ask.step.is_some()).collect();
        } else if let Some(past) = found.past() {
            // The stored plan is of another version, but the journal can be read.
            (row.state, row.key) = match past.ended {
                Some(Ending::Done) => ("done".to_owned(), "done"),
                Some(_) => ("ended".to_owned(), "ended"),
                None => ("not ended".to_owned(), "unknown"),
            };
        }
        row
    }
}

/// A run in a list.
pub struct Row {
    id: String,
    started: Option<Timestamp>,
    mode: Option<Mode>,
    /// Its folder, if it is not the usual one.
    elsewhere: Option<PathBuf>,
    plan: String,
    state: String,
    key: &'static str,
    asks: Vec<Ask>,
}

impl Row {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let ask = |ask: &Ask| json!({ "step": ask.step, "why": ask.why.as_str(), "text": ask.text, "expires": ask.expires });
        json!({
            "run": self.id,
            "started": self.started,
            "mode": self.mode,
            "plan": self.plan,
            "state": self.key,
            "runs": self.elsewhere,
            "asks": self.asks.iter().map(ask).collect::<Vec<_>>(),
        })
    }

    /// The first line of its most pressing question.
    fn question(&self) -> Option<String> {
        let ask = self.asks.first()?;
        let step = ask.step.as_ref()?;
        let text = line(ask.text.trim().lines().next().unwrap_or_default()).into_owned();
        let more = if self.asks.len() > 1 { format!(" (and {} more)", self.asks.len() - 1) } else { String::new() };
        Some(format!("{} {}: {}{more}", ask.why.as_str(), line(step.as_str()), cut(&text, QUESTION)))
    }
}

/// Tells what is wrong with folders of a run that nothing is believed from.
fn tidy(dir: RunDir) -> RunDir {
    dir.untidy().iter().for_each(|line| messages::warn(line));
    dir
}

/// All runs and rehearsals, oldest first.
///
/// # Errors
/// The folder that is meant cannot be read.
pub fn list(runs: &RunsArgs) -> anyhow::Result<Vec<Row>> {
    runs.say_where();
    Ok(runs.all()?.iter().map(|found| runs.row(found)).collect())
}

/// A list for people: id, kind, age, state, plan; beneath it what it waits for.
#[must_use]
pub fn lines(rows: &[Row], now: Timestamp) -> Vec<String> {
    let mut out = Vec::new();
    let ids = rows.iter().map(|row| row.id.len()).max().unwrap_or(0);
    for row in rows {
        let kind = match row.mode {
            Some(Mode::Execute) => "run",
            Some(Mode::Rehearsal) => "rehearsal",
            None => "unreadable",
        };
        let age = row.started.map_or_else(|| "?".to_owned(), |at| distance(at, now));
        let plan = cut(&line(&row.plan), NAME);
        out.push(format!("{}  {kind:<10}  {}  {}  {plan}", pad(&row.id, ids), pad(&age, 11), row.state));
        if let Some(question) = row.question() {
            out.push(format!("{}  waits: {question}", pad("", ids)));
        }
        if let Some(folder) = &row.elsewhere {
            out.push(format!("{}  in {}", pad("", ids), line(&folder.display().to_string())));
        }
    }
    out
}

/// Says on standard error that runs beside the one that is shown are unfinished, too.
pub fn note_others(runs: &RunsArgs, shown: &RunDir) {
    let others: Vec<String> = runs
        .all()
        .unwrap_or_default()
        .iter()
        .filter(|found| found.listed.id != shown.id() && found.is_unfinished())
        .map(|found| found.listed.id.clone())
        .collect();
    if !others.is_empty() {
        let are = if others.len() == 1 { "is" } else { "are" };
        let names = crate::view::text::list(&others, 4);
        eprintln!("note: {names} {are} unfinished, too; `relevo status --list` shows what each waits for");
    }
}

/// Asks which one is meant.
fn choose(rows: &[Row]) -> anyhow::Result<usize> {
    let now = common::now();
    let what = format!("{} runs are unfinished, and none is named", rows.len());
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let mut failure = Failure::new(Exit::Usage, what);
        failure.details = lines(rows, now);
        failure = failure.detail("nothing was changed");
        for row in rows {
            failure = failure.hint(format!("`{}`", typed_with(row)));
        }
        return Err(failure.into());
    }
    eprintln!("{what}:");
    for (at, row) in rows.iter().enumerate() {
        for (n, text) in lines(std::slice::from_ref(row), now).iter().enumerate() {
            if n == 0 { eprintln!("{:>3}  {text}", at + 1) } else { eprintln!("     {text}") }
        }
    }
    eprint!("which one? (1 to {}, Enter for none): ", rows.len());
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim().parse::<usize>() {
        Ok(number) if (1..=rows.len()).contains(&number) => Ok(number - 1),
        _ => Err(Failure::new(Exit::Usage, "no run was named; nothing was changed").into()),
    }
}

/// The command as it was typed, with the run in its place: behind the verb.
fn typed_with(row: &Row) -> String {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let (verb, rest) = words.split_first().map_or(("", &[][..]), |(verb, rest)| (verb.as_str(), rest));
    let rest: String = rest.iter().map(|word| format!(" {}", next::quote(word))).collect();
    let folder =
        row.elsewhere.as_ref().map_or(String::new(), |folder| format!(" --runs {}", next::quote(&folder.display().to_string())));
    format!("relevo {verb} {}{rest}{folder}", next::quote(&row.id))
}
