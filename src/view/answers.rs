//! What a person may answer about a step in doubt, or about one that failed: in the order in which it is worth
//! thinking of, by what the last look saw, with what each answer does. The first one is what is offered to be typed.

use super::next;
use crate::plan::{Step, StepId, Verdict, Work};
use crate::run::state::LastProbe;

/// Something to type, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The whole command.
    pub command: String,
    /// What follows from it.
    pub means: &'static str,
}

/// What may be typed.
#[derive(Debug, Clone, Copy)]
enum Typed {
    Explain,
    Decide(&'static str),
    Amend,
}

use Typed::{Amend, Decide, Explain};

const EXPLAIN: (Typed, &str) = (Explain, "says what is looked for and how to look by hand; changes nothing");
const STOP_IN_DOUBT: (Typed, &str) = (Decide("stop"), "ends the run; the step stays in doubt");
const SKIP: (Typed, &str) = (Decide("skip"), "goes on without it; those that need it start once its own needs are done");

/// About a step in doubt.
///
/// - Seen twice that it is not done, by an attempt that can no longer act: trying again is what is left to do.
/// - Nobody can tell, or the attempt may still act: nothing is offered before it is understood, and what would try
///   again comes last where it could be the second at the same time.
#[must_use]
pub fn in_doubt(run: &str, step: &StepId, last: Option<&LastProbe>) -> Vec<Answer> {
    let retry = (Decide("retry"), "looks first; tries again if it is not done");
    let not_done = (Decide("not-done"), "on your word it is not there and can no longer come: looks, and tries again");
    let done = (Decide("done"), "on your word the effect is there: goes on");
    let order = match last.map(|look| (look.verdict, look.quiesced)) {
        Some((Some(Verdict::NotDone), true)) => [retry, not_done, EXPLAIN, done, SKIP, STOP_IN_DOUBT],
        Some((Some(Verdict::Done), true)) => [done, EXPLAIN, retry, not_done, SKIP, STOP_IN_DOUBT],
        Some((_, true)) => [EXPLAIN, retry, done, not_done, SKIP, STOP_IN_DOUBT],
        Some((_, false)) | None => [EXPLAIN, done, not_done, retry, SKIP, STOP_IN_DOUBT],
    };
    typed(run, step, &order)
}

/// About a step that failed, or a gate that was refused. Where something is in the way, trying again only meets it again. A
/// gate is only ever asked again: nobody answers it by leaving it out.
#[must_use]
pub fn failed(run: &str, step: &Step, last: Option<&LastProbe>) -> Vec<Answer> {
    let stop = (Decide("stop"), "ends the run here");
    if matches!(step.work, Work::Gate(_)) {
        return typed(run, &step.id, &[(Decide("retry"), "asks the question anew"), stop]);
    }
    let done = (Decide("done"), "takes it as done on your word");
    let retry = (Decide("retry"), "looks first, then tries once more");
    let conflict = last.is_some_and(|look| look.verdict == Some(Verdict::Conflict));
    if !conflict {
        return typed(run, &step.id, &[retry, done, SKIP, stop]);
    }
    let retry = (Decide("retry"), "once it is out of the way: looks first, then tries");
    let mut order = vec![EXPLAIN, retry];
    if matches!(step.work, Work::Action(_)) {
        order.push((Amend, "if the plan is wrong: goes on with the mended one, and looks again"));
    }
    order.extend([done, SKIP, stop]);
    typed(run, &step.id, &order)
}

fn typed(run: &str, step: &StepId, order: &[(Typed, &'static str)]) -> Vec<Answer> {
    let command = |what: Typed| match what {
        Explain => next::explain(run, step),
        Decide(word) => next::decide(run, step, word),
        Amend => next::amend(run),
    };
    order.iter().map(|(what, means)| Answer { command: command(*what), means }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, weekend};
    use super::*;

    fn look(verdict: Verdict, quiesced: bool) -> LastProbe {
        LastProbe { verdict: Some(verdict), seen: "seen".to_owned(), at: at(0), quiesced, time_is_over: false, running: false }
    }

    fn first(answers: &[Answer]) -> Vec<&str> {
        answers.iter().take(2).map(|answer| answer.command.as_str()).collect()
    }

    #[test]
    fn the_first_answer_in_doubt_follows_the_last_look() {
        let step = StepId::new("back");
        let offered = |verdict, quiesced| in_doubt("r1", &step, Some(&look(verdict, quiesced)));
        let retry = "relevo decide r1 back retry --reason \"…\"";
        let not_done = "relevo decide r1 back not-done --reason \"…\"";
        let explain = "relevo explain r1 back";
        assert_eq!(first(&offered(Verdict::NotDone, true)), [retry, not_done]);
        // It may still act: a second attempt beside it is the last thing to offer.
        assert_eq!(first(&offered(Verdict::NotDone, false))[0], explain);
        assert_eq!(offered(Verdict::NotDone, false)[3].command, retry);
        for verdict in [Verdict::Unknown, Verdict::Partial, Verdict::Conflict] {
            assert_eq!(first(&offered(verdict, true)), [explain, retry], "{verdict}");
        }
        assert_eq!(first(&in_doubt("r1", &step, None))[0], explain);
    }

    #[test]
    fn where_something_is_in_the_way_a_retry_is_not_the_first_thing_to_type() {
        let plan = weekend();
        let step = plan.step(plan.find("export").unwrap());
        let conflict = look(Verdict::Conflict, true);
        let amend = "relevo resume r1 --amend PLAN";
        let offered = failed("r1", step, Some(&conflict));
        assert_eq!(offered[0].command, "relevo explain r1 export");
        assert!(offered.iter().any(|answer| answer.command == amend), "{offered:?}");
        let plain = failed("r1", step, Some(&look(Verdict::NotDone, true)));
        assert_eq!(plain[0].command, "relevo decide r1 export retry --reason \"…\"");
    }

    #[test]
    fn a_gate_that_was_refused_is_asked_again_or_the_run_ends_and_nothing_else_is_offered() {
        let plan = weekend();
        let gate = plan.step(plan.find("go-live").unwrap());
        let offered: Vec<String> = failed("r1", gate, None).into_iter().map(|answer| answer.command).collect();
        assert_eq!(offered, ["relevo decide r1 go-live retry --reason \"…\"", "relevo decide r1 go-live stop --reason \"…\""]);
    }
}
