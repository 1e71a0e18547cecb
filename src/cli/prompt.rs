//! Answers typed at the terminal: one line each, read on a thread of its own, turned into orders.

use std::io::BufRead as _;

use serde_json::Value;

use crate::plan::{StepId, Work};
use crate::run::event::{Decision, Outputs};
use crate::run::order::Order;
use crate::run::questions::{Kind, Question};
use crate::run::state::{RunState, StepState};
use crate::time::Span;
use crate::view::gate;
use crate::view::page::Page;

/// The question as it reads on a terminal.
#[must_use]
pub fn text(question: Question, state: &RunState, page: &Page) -> String {
    let now = super::common::now();
    let block = match question.kind {
        Kind::Window => Some(gate::window(state, question.step, now, page)),
        _ => gate::question(state, question.step, now, page),
    };
    let block = block.unwrap_or_default();
    format!("{}\ntype {}, and why in the same line", block.trim_end(), words_of(question.kind))
}

/// Lines from the terminal, until it is closed.
#[must_use]
pub fn lines() -> tokio::sync::mpsc::Receiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    // Not a task: a read from a terminal cannot be cancelled, and the process must be able to end without it.
    let reader = move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    };
    // Without the thread nobody can answer here; the inbox still works.
    let _ = std::thread::Builder::new().name("terminal".to_owned()).spawn(reader);
    receiver
}

/// A conversation about one question: evidence is asked for piece by piece.
#[derive(Debug, Default)]
pub struct Conversation {
    /// The question, and the record that put it.
    about: Option<(Question, Option<u64>)>,
    evidence: Outputs,
    missing: Vec<String>,
    reason: String,
}

/// What a line leads to.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// Send this.
    Order(Order),
    /// Say this and wait for another line.
    Say(String),
}

impl Conversation {
    /// Understands a line as the answer to a question.
    pub fn hear(&mut self, line: &str, question: Question, state: &RunState) -> Reply {
        let about = Some((question, state.facts(question.step).asked_by));
        if self.about != about {
            *self = Conversation { about, ..Conversation::default() };
        }
        let step = state.plan.step(question.step).id.clone();
        if let Some(name) = self.missing.first().cloned() {
            self.evidence.insert(name, Value::String(line.trim().to_owned()));
            self.missing.remove(0);
            return self.next_evidence(question, state);
        }
        let mut words = line.trim().splitn(2, char::is_whitespace);
        let word = words.next().unwrap_or("").to_ascii_lowercase();
        let reason = words.next().unwrap_or("").trim().to_owned();
        let about = state.facts(question.step).asked_by;
        let decide = |decision| {
            let (step, reason) = (Some(step.clone()), reason.clone());
            Reply::Order(Order::Decide { step, decision, reason, about, emergency: false })
        };
        // The vote is for the question on the screen, whatever is asked by the time that it is taken up.
        let vote = |go: bool| {
            let shown = match state.step(question.step) {
                StepState::AtGate(asked) => Some((asked.nonce.clone(), asked.binding.clone())),
                _ => None,
            };
            let (nonce, binding) = shown.unzip();
            Reply::Order(Order::Vote { step: step.clone(), go, reason: reason.clone(), nonce, binding })
        };
        match (question.kind, word.as_str()) {
            (_, "pause") => Reply::Order(Order::Pause { reason }),
            (_, "stop") => Reply::Order(Order::Abort { reason }),
            (_, "note") => Reply::Order(Order::Note { text: reason }),
            (Kind::Gate, "go") => vote(true),
            (Kind::Gate, "no-go" | "nogo") => vote(false),
            (Kind::Window, "extend") => extend(&reason),
            (Kind::LapsedGate, "retry") => decide(Decision::Retry),
            (Kind::Failure | Kind::Doubt, "retry") => decide(Decision::Retry),
            (Kind::Failure | Kind::Doubt, "skip") => decide(Decision::Skip),
            (Kind::Failure | Kind::Doubt, "done") => decide(Decision::Done),
            (Kind::Doubt, "not-done") => decide(Decision::NotDone),
            (Kind::Manual, "skip") => decide(Decision::Skip),
            (Kind::Manual, "cannot") => {
                Reply::Order(Order::Answer { step, done: false, reason, evidence: Outputs::new(), about, emergency: false })
            }
            (Kind::Manual, "done") => {
                self.reason = reason;
                if let Work::Manual(manual) = &state.plan.step(question.step).work {
                    self.missing = manual.evidence.iter().map(|field| field.name.clone()).collect();
                }
                self.next_evidence(question, state)
            }
            (kind, _) => Reply::Say(format!("not understood; type {}, and why in the same line", words_of(kind))),
        }
    }

    fn next_evidence(&mut self, question: Question, state: &RunState) -> Reply {
        let step = state.plan.step(question.step);
        let field = match (&step.work, self.missing.first()) {
            (Work::Manual(manual), Some(name)) => manual.evidence.iter().find(|field| field.name == *name),
            _ => None,
        };
        match field {
            Some(field) => Reply::Say(format!("{}:", field.ask.as_deref().unwrap_or(&field.name))),
            None => {
                self.evidence.retain(|_, value| value.as_str() != Some(""));
                let evidence = std::mem::take(&mut self.evidence);
                let reason = std::mem::take(&mut self.reason);
                self.about = None;
                let (step, about) = (step.id.clone(), state.facts(question.step).asked_by);
                Reply::Order(Order::Answer { step, done: true, reason, evidence, about, emergency: false })
            }
        }
    }
}

/// `2h and why`, or `CHECKPOINT and why`.
fn extend(text: &str) -> Reply {
    let (by, reason) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let reason = reason.trim().to_owned();
    match by.parse::<Span>() {
        Ok(span) => {
            let until = Some(super::common::now().plus(span));
            Reply::Order(Order::Extend { until, checkpoint: None, reason, emergency: false })
        }
        Err(_) if by.is_empty() => Reply::Say("for how long (`extend 2h`), or up to which checkpoint?".to_owned()),
        Err(_) => {
            let checkpoint = Some(StepId::new(by));
            Reply::Order(Order::Extend { until: None, checkpoint, reason, emergency: false })
        }
    }
}

/// The words that answer a kind of question.
#[must_use]
pub fn words_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Gate => "`go` or `no-go`",
        Kind::LapsedGate => "`retry` to ask anew, or `stop`",
        Kind::Manual => "`done`, `cannot` or `skip`",
        Kind::Window => "`extend 2h`, `extend CHECKPOINT` or `stop`",
        Kind::Failure => "`retry`, `skip`, `done` or `stop`",
        Kind::Doubt => "`done`, `not-done`, `retry`, `skip` or `stop`",
    }
}
