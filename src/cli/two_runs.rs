//! Two runs at once: what a run acts on is taken before its first record, and what an unfinished or an earlier run of the
//! same plan stands in the way of is said.
//!
//! - A living process on the same target, or on the same plan: refused (73).
//! - An unfinished run that no process holds: go on with it, end it, or run beside it with a reason (8).
//! - An earlier run of the same plan that has done what cannot be seen to be done, or destroyed something: only with a
//!   reason (8).
//!
//! Two runs are of the same plan if the same file with the same targets and parameters was started, or the same texts, targets,
//! parameters and window from the same folder. The run directories have the last word: a lost lock is no way round.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::common::{self, RunsArgs};
use super::open;
use crate::connector::Connectors;
use crate::error::{Exit, Failure};
use crate::foreign::line;
use crate::journal::{self, Conflict, Entry, Machine, RunDir, Taking, TargetLocks, target_locks};
use crate::plan::action::Effect;
use crate::plan::acts::{Access, acts};
use crate::plan::{Plan, StepIx, Verdict, Work, hex, of_inputs};
use crate::run::calls::{self, Desk};
use crate::run::driver::Registry;
use crate::run::event::{Choices, Ending, Holder, Mode};
use crate::run::past::Past;
use crate::run::state::{RunState, StepState};
use crate::view::board::Board;
use crate::view::next;
use crate::view::text::{distance, full, list};

/// What the key of a plan begins with. No host's name holds a space.
const PLAN_KEY: &str = "plan ";
/// Up to so many targets are named in a message.
const NAMED: usize = 4;

/// Options of a run that begins although another one is there.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BesideArgs {
    /// Run beside this unfinished run on the same targets, and why; recorded. May be repeated
    #[arg(long, num_args = 2, value_names = ["RUN", "REASON"], action = clap::ArgAction::Append)]
    beside: Vec<String>,
}

/// Options of a new run that begins although another one is there, or was.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TwoRunsArgs {
    #[command(flatten)]
    beside: BesideArgs,
    /// Do again what an earlier run of the same plan has done, and why; recorded
    #[arg(long, value_name = "REASON")]
    again: Option<String>,
}

impl BesideArgs {
    /// Puts them among the choices.
    pub fn choose(&self, choices: &mut Choices) -> anyhow::Result<()> {
        for pair in self.beside.chunks_exact(2) {
            let reason = reason("--beside RUN", &pair[1])?;
            choices.beside.push((pair[0].clone(), reason));
        }
        Ok(())
    }
}

impl TwoRunsArgs {
    /// Puts them among the choices.
    pub fn choose(&self, choices: &mut Choices) -> anyhow::Result<()> {
        choices.again = self.again.as_deref().map(|text| reason("--again", text)).transpose()?;
        self.beside.choose(choices)
    }
}

fn reason(option: &str, text: &str) -> anyhow::Result<String> {
    if text.trim().is_empty() {
        let failure = Failure::new(Exit::Usage, format!("`{option}` needs a reason"));
        return Err(failure.hint("write why, in quotes; it is recorded").into());
    }
    Ok(text.trim().to_owned())
}

/// What makes two runs runs of the same plan: they are if they have one of these in common.
#[must_use]
pub fn same(file: &Path, plan: &Plan) -> Vec<String> {
    let file = std::fs::canonicalize(file).or_else(|_| std::path::absolute(file)).unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().unwrap_or(&file);
    let hash = |parts: [&str; 3]| hex(&Sha256::digest(parts.join("\0").as_bytes()));
    vec![hash(["whole", &plan.whole, &folder.to_string_lossy()]), hash(["file", &of_inputs(plan), &file.to_string_lossy()])]
}

/// A run that is to begin.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// Its plan.
    pub plan: &'a Plan,
    /// The plan's file.
    pub file: &'a Path,
    /// Its id.
    pub run: &'a str,
    /// Where it will be kept.
    pub runs: &'a RunsArgs,
    /// Command-line choices.
    pub choices: &'a Choices,
}

/// Takes what a new run acts on, and makes sure that no run of the same plan is unfinished. Returns the earlier runs of the
/// same plan, too.
///
/// # Errors
/// Another run is in the way, or the machine's folder cannot be used.
pub fn take(new: &New<'_>, connectors: &Connectors) -> anyhow::Result<(TargetLocks, Vec<(RunDir, Past)>)> {
    let machine = Machine::open().map_err(Failure::from)?;
    let place = real(&new.runs.place());
    let entry = entry(new.run, place.join(new.run), new.plan, new.file, new.choices, connectors);
    let locks = taken(&machine, entry, &place)?;
    let earlier = runs_of(new, &machine);
    let in_the_way = |run: &str| !new.choices.beside.iter().any(|(beside, _)| beside == run);
    let unfinished = earlier.iter().filter(|(dir, past)| past.is_unfinished() && in_the_way(dir.id()));
    let is_alive = |conflict: &Conflict| conflict.entry.as_ref().is_some_and(|entry| journal::holder_alive(&entry.holder));
    let (held, dead): (Vec<_>, Vec<_>) = unfinished.map(|(dir, past)| found(dir, past)).partition(is_alive);
    refuse(Taking::Held(held), &place)?;
    refuse(Taking::Unfinished(dead), &place)?;
    Ok((locks, earlier))
}

/// Takes what a run acts on that goes on. `plan` is the one that it goes on with.
///
/// # Errors
/// Another run is in the way, or the machine's folder cannot be used.
pub fn take_again(
    dir: &RunDir,
    state: &RunState,
    choices: &Choices,
    file: &Path,
    connectors: &Connectors,
) -> anyhow::Result<TargetLocks> {
    let machine = Machine::open().map_err(Failure::from)?;
    remember(dir.path());
    let mut all = choices.clone();
    all.exclude.extend(state.choices.exclude.iter().cloned());
    all.beside.extend(state.choices.beside.iter().cloned());
    let path = real(dir.path());
    let entry = entry(dir.id(), path.clone(), &state.plan, file, &all, connectors);
    let place = path.parent().unwrap_or(&path).to_owned();
    Ok(begun(taken(&machine, entry, &place)?))
}

/// The run exists: its locks outlive this process.
#[must_use]
pub fn begun(mut locks: TargetLocks) -> TargetLocks {
    locks.keep();
    locks
}

/// This process leaves the run.
pub fn leave(locks: TargetLocks, ending: Option<Ending>) {
    let ended = matches!(ending, Some(Ending::Done | Ending::Failed | Ending::Stopped));
    if let Err(error) = locks.leave(ended) {
        // Whoever comes next sees by the journal that the run has ended.
        tracing::warn!(%error, "the locks of targets cannot be given back");
    }
}

/// Forgets what a run acts on that an order has ended, and says what of it may still be at work.
pub fn forget_if_over(dir: &Path) {
    let Some(past) = journal::past(dir).filter(|past| !past.is_unfinished()) else { return };
    if let Err(error) = target_locks::forget(&Machine::usual(), &real(dir)) {
        tracing::warn!(%error, "the locks of targets cannot be given back");
    }
    let in_flight: Vec<String> = past.in_flight.iter().map(|step| format!("`{}`", line(step.as_str()))).collect();
    if !in_flight.is_empty() {
        let names = list(&in_flight, NAMED);
        eprintln!("note: {names}: begun, and not seen to end; it may still act. Look before another run does the same");
    }
}

/// A new run was made of what is intact of a damaged one, and stands for it from now on.
pub fn replaced(dir: &Path) {
    if let Err(error) = target_locks::forget(&Machine::usual(), &real(dir)) {
        tracing::warn!(%error, "the locks of targets cannot be given back");
    }
}

/// Lets others find the folder that this run lies in.
pub fn remember(dir: &Path) {
    let folder = dir.parent().unwrap_or(dir);
    let remembered = Machine::open().map_err(io::Error::other).and_then(|machine| machine.remember(folder));
    if let Err(error) = remembered {
        tracing::warn!(%error, "the folder of this run cannot be written down for others");
    }
}

fn entry(run: &str, dir: PathBuf, plan: &Plan, file: &Path, choices: &Choices, connectors: &Connectors) -> Entry {
    let mut locks = acts(plan, &connectors.catalogue(), &choices.exclude);
    locks.extend(same(file, plan).into_iter().map(|key| (format!("{PLAN_KEY}{key}"), Access::Write)));
    let beside = choices.beside.iter().map(|(run, _)| run.clone()).collect();
    Entry { run: run.to_owned(), dir, plan: plan.name.clone(), holder: Holder::current(), since: common::now(), locks, beside }
}

fn taken(machine: &Machine, entry: Entry, place: &Path) -> anyhow::Result<TargetLocks> {
    match TargetLocks::take(machine, entry).map_err(Failure::from)? {
        Taking::Taken(locks) => Ok(locks),
        other => Err(refuse(other, place).err().unwrap_or_else(|| unreachable!("what is not taken is in the way"))),
    }
}

/// The one path of a folder, whatever links lead to it; as far as it is there already.
fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, std::fs::canonicalize(above).ok()?)));
    match there {
        Some((above, real)) => path
            .strip_prefix(above)
            .map_or(real.clone(), |rest| if rest.as_os_str().is_empty() { real.clone() } else { real.join(rest) }),
        None => path.to_owned(),
    }
}

/// Runs, not rehearsals, of the same plan, in every folder that is known, oldest first.
fn runs_of(new: &New<'_>, machine: &Machine) -> Vec<(RunDir, Past)> {
    let mine = same(new.file, new.plan);
    let file = std::path::absolute(new.file).unwrap_or_else(|_| new.file.to_owned());
    let own = real(&new.runs.place());
    let mut folders = machine.folders();
    if !folders.contains(&own) {
        folders.push(own);
    }
    let mut all = Vec::new();
    for folder in folders {
        for listed in RunDir::list(&folder).unwrap_or_default() {
            if listed.mode != Some(Mode::Execute) {
                continue;
            }
            // What this account cannot read, or must not believe, says nothing here.
            let Ok(dir) = RunDir::open(&folder, &listed.id, new.runs.allow_fs) else { continue };
            let Ok(resolved) = open::resolved(&dir) else { continue };
            if resolved.lab.is_some() {
                continue;
            }
            let by_keys = resolved.same.iter().any(|key| mine.contains(key));
            // Runs of older versions have no keys.
            if !(by_keys || resolved.same.is_empty() && resolved.plan == file) {
                continue;
            }
            let Some(past) = journal::past(dir.path()) else { continue };
            let equal =
                |step: &crate::plan::Step| past.fingerprints.get(&step.id).is_some_and(|print| **print == *step.fingerprint);
            if by_keys || new.plan.steps.iter().all(equal) {
                all.push((dir, past));
            }
        }
    }
    // Where a damaged run was salvaged, the new one stands for it.
    let replaced: Vec<String> = all.iter().filter_map(|(_, past)| past.salvaged_from.clone()).collect();
    all.retain(|(dir, _)| !replaced.iter().any(|run| run == dir.id()));
    all.sort_by_key(|(_, past)| past.began.as_ref().map(|began| began.at));
    all
}

/// A run that was found by its folder alone.
fn found(dir: &RunDir, past: &Past) -> Conflict {
    let plan = open::resolved(dir).map(|resolved| resolved.plan.display().to_string()).unwrap_or_default();
    let entry = past.began.as_ref().zip(past.holder.clone()).map(|(began, holder)| Entry {
        run: dir.id().to_owned(),
        dir: dir.path().to_owned(),
        plan,
        holder,
        since: began.at,
        locks: BTreeMap::new(),
        beside: Vec::new(),
    });
    Conflict { entry, keys: vec![PLAN_KEY.to_owned()] }
}

/// Says what is in the way. Nothing is an answer, too.
fn refuse(taking: Taking, place: &Path) -> anyhow::Result<()> {
    let (conflicts, held) = match taking {
        Taking::Taken(_) => return Ok(()),
        Taking::Held(conflicts) => (conflicts, true),
        Taking::Unfinished(conflicts) => (conflicts, false),
    };
    if conflicts.is_empty() {
        return Ok(());
    }
    let names: Vec<String> =
        conflicts.iter().filter_map(|one| one.entry.as_ref()).map(|entry| format!("`{}`", line(&entry.run))).collect();
    let mut keys: Vec<&String> = conflicts.iter().flat_map(|conflict| &conflict.keys).collect();
    keys.sort();
    keys.dedup();
    let (which, is, its) = match names.as_slice() {
        [] => ("a process whose run is not known".to_owned(), "is", "it"),
        [one] => (format!("run {one}"), "is", "it"),
        many => (format!("runs {}", many.join(", ")), "are", "them"),
    };
    let message = if held {
        format!("{which} {is} at work on {}", things(&keys))
    } else {
        let of_the_plan = keys.iter().any(|key| key.starts_with(PLAN_KEY));
        let acts = if is == "is" { "acts" } else { "act" };
        let what = if of_the_plan { " of the same plan".to_owned() } else { format!(", which {acts} on {} too,", things(&keys)) };
        format!("{which}{what} {is} not finished, and no process goes on with {its}")
    };
    let mut failure = Failure::new(if held { Exit::Held } else { Exit::Refused }, message);
    for conflict in &conflicts {
        failure = match &conflict.entry {
            Some(entry) => about(failure, entry, held, place),
            // Under the run's own name too: a holder that was stopped, or cut off from its lock, and still lives.
            None => {
                failure.detail("it may be an earlier process of this run, stopped or cut off, that has not ended: end it first")
            }
        };
    }
    failure = failure.detail("nothing was started");
    Err(if held {
        failure.hint("wait until it has ended; two runs never change one thing at the same time").into()
    } else {
        let runs: String = conflicts
            .iter()
            .filter_map(|one| one.entry.as_ref())
            .map(|entry| format!(" --beside {} REASON", next::quote(&entry.run)))
            .collect();
        failure.hint(format!("to go on without an end of it, add `{}`; the reason is recorded", runs.trim())).into()
    })
}

/// One run that is in the way: whose it is, how it stands, and what may be typed about it.
fn about(failure: Failure, entry: &Entry, held: bool, place: &Path) -> Failure {
    let Holder { user, host, pid, .. } = &entry.holder;
    let now = common::now();
    let page = common::page();
    let age = format!("{} ({})", full(entry.since, &page.zone), distance(entry.since, now));
    let process = if held { format!(", process {pid} on {}", line(host)) } else { String::new() };
    let mut failure = failure
        .detail(format!("{}: `{}`, by {}{process}, since {age}", line(&entry.run), line(&entry.plan), line(user)))
        .detail(format!("it is kept in {}", line(&entry.dir.display().to_string())));
    let folder = entry.dir.parent().unwrap_or(&entry.dir);
    let runs = (folder != place).then_some(folder);
    if held {
        return failure.hint(format!("`{}` shows how far it is", next::elsewhere("status", &entry.run, "", runs)));
    }
    let opened = RunDir::open(folder, &entry.run, true);
    let read = opened.as_ref().ok().and_then(|dir| open::read(dir, &common::connectors()).ok());
    if let Some((scheduler, _)) = read {
        let board = Board::from(scheduler.state(), now, false);
        let done = format!("{} of {} steps done", board.satisfied, board.rows.len());
        failure = failure.detail(format!("it stands so: {}; {done}", board.standing.as_str()));
        let cut_off = scheduler.state().plan.steps.iter().zip(&scheduler.state().steps).filter(|(_, at)| is_cut_off(at));
        let cut_off: Vec<String> = cut_off.map(|(step, _)| format!("`{}`", line(step.id.as_str()))).collect();
        if !cut_off.is_empty() {
            failure = failure.detail(format!("in doubt: {}", list(&cut_off, NAMED)));
        }
        if let Some((ask, step)) = board.asks.first().and_then(|ask| Some((ask, ask.step.as_ref()?))) {
            let text = line(ask.text.lines().next().unwrap_or_default()).into_owned();
            failure = failure.detail(format!("it waits for an answer about `{}`: {text}", line(step.as_str())));
        }
    }
    if opened.is_err() && *user != Holder::current().user {
        return failure.hint(format!("only {} can go on with it or end it: it was not started with `--group`", line(user)));
    }
    failure
        .hint(format!(
            "`{}` goes on with it; nothing that is done is done again",
            next::elsewhere("resume", &entry.run, "", runs)
        ))
        .hint(format!("`{}` ends it", next::elsewhere("abort", &entry.run, " --reason \"…\"", runs)))
}

/// Whether an attempt has begun whose end is not known.
fn is_cut_off(at: &StepState) -> bool {
    matches!(
        at,
        StepState::Applying { .. } | StepState::Verifying { .. } | StepState::Unsettled { .. } | StepState::InDoubt { .. }
    )
}

/// What two runs have in common, for people.
fn things(keys: &[&String]) -> String {
    let targets: Vec<String> =
        keys.iter().filter(|key| !key.starts_with(PLAN_KEY)).map(|key| format!("`{}`", line(key))).collect();
    let plan = keys.iter().any(|key| key.starts_with(PLAN_KEY));
    match (plan, targets.is_empty()) {
        (true, _) => "the same plan".to_owned(),
        (false, false) => list(&targets, NAMED),
        (false, true) => "the same target".to_owned(),
    }
}

/// Refuses to do again what an earlier run of the same plan has done, unless a person gave a reason. Only what destroys, or
/// what is done once and cannot be seen to be done: everything else looks first.
///
/// # Errors
/// Something would be done again.
pub fn not_again(
    new: &New<'_>,
    earlier: &[(RunDir, Past)],
    state: &RunState,
    registry: &Arc<dyn Registry>,
    desk: &Desk,
) -> anyhow::Result<()> {
    if new.choices.again.is_some() {
        return Ok(());
    }
    let mut again: BTreeMap<StepIx, (&RunDir, &Past)> = BTreeMap::new();
    for (dir, past) in earlier {
        for step in &past.acted {
            let Some(ix) = new.plan.find(step.as_str()) else { continue };
            let equal = past.fingerprints.get(step).is_some_and(|print| **print == *new.plan.step(ix).fingerprint);
            if equal && !past.is_unfinished() && cannot_be_seen(new, ix) {
                again.insert(ix, (dir, past));
            }
        }
    }
    again.retain(|ix, _| !is_done(state, *ix, registry, desk));
    if again.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = again.keys().map(|ix| format!("`{}`", new.plan.step(*ix).id)).collect();
    let (was, them) = if names.len() == 1 { ("was", "it") } else { ("were", "them") };
    let message =
        format!("{} {was} done by an earlier run of the same plan; this run would do {them} again", list(&names, NAMED));
    let mut failure = Failure::new(Exit::Refused, message);
    for (ix, (dir, past)) in &again {
        let step = new.plan.step(*ix);
        let why = if step.is_destructive() { "it destroys something" } else { "nothing can tell whether it is done" };
        let by = past.began.as_ref().map_or("?", |began| began.by.name.as_str());
        let ended = match past.ended {
            Some(Ending::Done) => "is done",
            Some(Ending::Failed) => "failed",
            _ => "was stopped",
        };
        let at = past.last_at.map_or(String::new(), |at| format!(" ({})", distance(at, common::now())));
        failure = failure.detail(format!("{}: by run {} of {}, which {ended}{at}; {why}", step.id, dir.id(), line(by)));
    }
    let resumable = again.values().filter(|(_, past)| past.ended != Some(Ending::Done)).max_by_key(|(_, past)| past.last_at);
    if let Some((dir, _)) = resumable {
        let place = real(&new.runs.place());
        let runs = dir.path().parent().filter(|folder| *folder != place);
        let resume = next::elsewhere("resume", dir.id(), "", runs);
        failure = failure.hint(format!("`{resume}` goes on with that run instead; nothing that is done is done again"));
    }
    Err(failure
        .detail("nothing was started")
        .hint("`--again REASON` does it again; the reason is recorded")
        .hint("a step with a `probe` is looked at first, and what is done is not done again")
        .into())
}

/// Whether the step, if it was done once, might be done a second time unseen.
fn cannot_be_seen(new: &New<'_>, ix: StepIx) -> bool {
    let step = new.plan.step(ix);
    let once = matches!(step.effect(), Effect::Once | Effect::Opaque) && !step.is_probed();
    (step.is_destructive() || once) && !new.choices.exclude.iter().any(|name| step.concerns(name))
}

/// Whether a look shows by positive evidence that the step is done: then it is adopted, and not done again.
fn is_done(state: &RunState, ix: StepIx, registry: &Arc<dyn Registry>, desk: &Desk) -> bool {
    let Work::Action(action) = &state.plan.step(ix).work else { return false };
    if !action.probed {
        return false;
    }
    let call = action.probe.as_ref().map_or(&action.call, |probe| &probe.call);
    let Ok(call) = desk.probe(state, ix, 0, call, ".probe") else { return false };
    let Some(connector) = registry.connector(&call.uses) else { return false };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return false };
    let seen = runtime.block_on(connector.probe(&call));
    runtime.shutdown_background();
    calls::judge(state, ix, action.probe.as_ref(), &seen).0 == Verdict::Done
}
