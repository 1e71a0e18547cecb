//! How the commands that we tell people to type are spelled. The only place that knows the command line's grammar.

use std::path::Path;
use std::sync::OnceLock;

use crate::plan::StepId;

/// ` --runs DIR`, for a process whose runs are not where they would be looked for.
static RUNS: OnceLock<String> = OnceLock::new();

/// Says where the runs of this process are, once. Commands that name a run then say so, too: they are copied from a
/// screen and typed at another one.
pub fn runs_are_in(folder: &Path) {
    // The first place stays: a process has one.
    let _ = RUNS.set(format!(" --runs {}", quote(&folder.display().to_string())));
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

/// `relevo resume RUN`.
#[must_use]
pub fn resume(run: &str) -> String {
    here(format!("relevo resume {}", quote(run)))
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

/// `relevo rehearse PLAN`.
#[must_use]
pub fn rehearse(plan: &str) -> String {
    format!("relevo rehearse {}", quote(plan))
}

/// `relevo run PLAN`.
#[must_use]
pub fn run(plan: &str) -> String {
    format!("relevo run {}", quote(plan))
}

/// A word as it must be typed in a shell: `stop[gc01]` in quotes, or the shell takes it for a pattern.
///
/// Double quotes mean the same to POSIX shells, PowerShell and cmd.exe, unless the word holds what they expand.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '+' | ',');
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.contains(['$', '`', '"', '\\', '!', '%']) {
        format!("'{}'", super::escape::line(&word.replace('\'', "'\\''")))
    } else {
        format!("\"{}\"", super::escape::line(word))
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
    fn a_word_that_a_shell_would_expand_stands_in_single_quotes() {
        assert_eq!(quote("a[$(reboot)]"), "'a[$(reboot)]'");
        assert_eq!(quote("it's $x"), "'it'\\''s $x'");
    }
}
