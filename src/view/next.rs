//! How the commands that we tell people to type are spelled. The only place that knows the command line's grammar.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::plan::StepId;

/// ` --runs DIR`, for a process whose runs are not where they would be looked for.
static RUNS: OnceLock<String> = OnceLock::new();

/// Says where the runs of this process are, once. Commands that name a run then say so, too: they are copied from a
/// screen and typed at another one.
pub fn runs_are_in(folder: &Path) {
    // The first place stays: a process has one.
    let _ = RUNS.set(format!(" --runs {}", quote(&folder.display().to_string())));
}

/// Of each rehearsal that this process made or read: its plan and options, as they are typed.
static REHEARSED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Says what a rehearsal was made of: the plan and every option that decides what it was about, word by word. A run that
/// left one of them out would be another run, perhaps of other servers.
pub fn was_rehearsed_with(rehearsal: &str, words: &[String]) {
    let words = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    REHEARSED.lock().unwrap_or_else(PoisonError::into_inner).insert(rehearsal.to_owned(), words);
}

fn again(verb: &str, rehearsal: &str) -> Option<String> {
    let rehearsed = REHEARSED.lock().unwrap_or_else(PoisonError::into_inner);
    rehearsed.get(rehearsal).map(|words| here(format!("relevo {verb} {words}")))
}

fn here(command: String) -> String {
    match RUNS.get() {
        Some(runs) => command + runs,
        None => command,
    }
}

/// `relevo decide RUN STEP ANSWER --reason "…"`.
#[must_use]
pub fn decide(run: &str, step: &StepId, answer: &str) -> String {
    here(format!("relevo decide {} {} {answer} --reason \"…\"", quote(run), quote(step.as_str())))
}

/// `relevo decide RUN GATE go|no-go --question NONCE --reason "…"`: an answer to one asked question and to no other.
#[must_use]
pub fn vote(run: &str, step: &StepId, answer: &str, nonce: &str) -> String {
    if nonce.is_empty() {
        return decide(run, step, answer);
    }
    here(format!("relevo decide {} {} {answer} --question {nonce} --reason \"…\"", quote(run), quote(step.as_str())))
}

/// `relevo extend RUN --by 2h --reason "…"`.
#[must_use]
pub fn extend(run: &str) -> String {
    here(format!("relevo extend {} --by 2h --reason \"…\"", quote(run)))
}

/// `relevo extend RUN --checkpoint ID --reason "…"`.
#[must_use]
pub fn extend_to(run: &str, checkpoint: &StepId) -> String {
    here(format!("relevo extend {} --checkpoint {} --reason \"…\"", quote(run), quote(checkpoint.as_str())))
}

/// `relevo abort RUN --reason "…"`.
#[must_use]
pub fn abort(run: &str) -> String {
    here(format!("relevo abort {} --reason \"…\"", quote(run)))
}

/// `relevo resume RUN`.
#[must_use]
pub fn resume(run: &str) -> String {
    here(format!("relevo resume {}", quote(run)))
}

/// `relevo salvage RUN`.
#[must_use]
pub fn salvage(run: &str) -> String {
    here(format!("relevo salvage {}", quote(run)))
}

/// `relevo VERB RUN …` about a run that is kept in another folder than those of this process, or in the same one (`None`).
#[must_use]
pub fn elsewhere(verb: &str, run: &str, rest: &str, runs: Option<&Path>) -> String {
    let command = format!("relevo {verb} {}{rest}", quote(run));
    match runs {
        Some(folder) => format!("{command} --runs {}", quote(&folder.display().to_string())),
        None => here(command),
    }
}

/// `relevo continue RUN`.
#[must_use]
pub fn go_on(run: &str) -> String {
    here(format!("relevo continue {}", quote(run)))
}

/// `relevo status RUN`.
#[must_use]
pub fn status(run: &str) -> String {
    here(format!("relevo status {}", quote(run)))
}

/// `relevo verify RUN`.
#[must_use]
pub fn verify(run: &str) -> String {
    here(format!("relevo verify {}", quote(run)))
}

/// `relevo explain RUN STEP`.
#[must_use]
pub fn explain(run: &str, step: &StepId) -> String {
    here(format!("relevo explain {} {}", quote(run), quote(step.as_str())))
}

/// `relevo resume RUN --amend PLAN`.
#[must_use]
pub fn amend(run: &str) -> String {
    here(format!("relevo resume {} --amend PLAN", quote(run)))
}

/// `relevo explain RUN STEP --by-hand`.
#[must_use]
pub fn by_hand(run: &str, step: &str) -> String {
    here(format!("relevo explain {} {} --by-hand", quote(run), quote(step)))
}

/// `relevo rehearse PLAN …`, with everything that the rehearsal was made with; how it stands if that is not known.
#[must_use]
pub fn rehearse_again(rehearsal: &str) -> String {
    again("rehearse", rehearsal).unwrap_or_else(|| status(rehearsal))
}

/// `relevo run PLAN …`: the run of exactly what was rehearsed; how it stands if that is not known.
#[must_use]
pub fn run_rehearsed(rehearsal: &str) -> String {
    again("run", rehearsal).unwrap_or_else(|| status(rehearsal))
}

/// A word as it must be typed in a shell: `stop[gc01]` in quotes, or the shell takes it for a pattern.
///
/// Double quotes mean the same to POSIX shells, PowerShell and cmd.exe, unless the word holds what they expand.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '+' | ',' | '=');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.contains(['$', '`', '"', '\\', '!', '%']) {
        format!("'{}'", crate::foreign::line(&word.replace('\'', "'\\''")))
    } else {
        format!("\"{}\"", crate::foreign::line(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_of_a_for_each_is_quoted_so_that_no_shell_expands_it() {
        let step = StepId::new("stop-legacy[gc01]");
        assert_eq!(decide("r1", &step, "retry"), "relevo decide r1 \"stop-legacy[gc01]\" retry --reason \"…\"");
    }

    #[test]
    fn what_was_rehearsed_is_run_with_every_option_of_the_rehearsal() {
        let words = ["plans/a.yaml", "--lab", "--param", "files=D:\\Old data", "--exclude", "gc02"];
        was_rehearsed_with("options", &words.map(str::to_owned));
        assert_eq!(run_rehearsed("options"), "relevo run plans/a.yaml --lab --param 'files=D:\\Old data' --exclude gc02");
        assert_eq!(rehearse_again("options"), run_rehearsed("options").replace(" run ", " rehearse "));
        // Never a command that would run something else.
        assert_eq!(run_rehearsed("of another process"), "relevo status \"of another process\"");
    }

    #[test]
    fn a_word_that_a_shell_would_expand_stands_in_single_quotes() {
        assert_eq!(quote("a[$(reboot)]"), "'a[$(reboot)]'");
        assert_eq!(quote("it's $x"), "'it'\\''s $x'");
    }
}
