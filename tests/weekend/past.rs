//! A run that has ended, opened by the library: what its steps did, and the undo of each of them. No verb does this yet.

use std::path::PathBuf;
use std::sync::Arc;

use relevo::connector::{Connectors, Options};
use relevo::journal::{EvidenceStore, Reader, RunDir};
use relevo::plan::action::{Effect, UndoGrade};
use relevo::plan::load::{Inputs, load};
use relevo::plan::{Action, StepIx, Work};
use relevo::run::calls::Desk;
use relevo::run::connector::{BeforeImage, Call};
use relevo::run::event::{How, Outcome};
use relevo::run::scheduler::Scheduler;
use relevo::run::state::{RunState, StepState};
use relevo::time::Span;
use serde_json::Value;

use crate::world::Weekend;

/// A run and what it takes to undo it.
pub struct Past {
    runtime: tokio::runtime::Runtime,
    connectors: Connectors,
    desk: Desk,
    evidence: EvidenceStore,
    scheduler: Scheduler,
    /// Steps in the order in which they were done.
    done: Vec<StepIx>,
}

impl Past {
    /// Reads the last run of a weekend.
    pub fn of(weekend: &Weekend) -> Self {
        let runs = weekend.runs();
        let id = RunDir::latest(&runs).unwrap().unwrap().id;
        let dir = RunDir::open(&runs, &id, false).unwrap();
        let connectors = Connectors::standard(Options { longest_wait: Some(Span::from_secs(1)) });
        let resolved: Value = serde_json::from_str(&dir.resolved().unwrap()).unwrap();
        let path = |key: &str| resolved[key].as_str().map(PathBuf::from);
        let inputs = Inputs { targets: path("targets"), texts: Some(dir.sources().unwrap()), ..Inputs::default() };
        let plan = load(&path("plan").unwrap(), &inputs, &connectors.catalogue()).unwrap().plan;
        let desk = Desk {
            run: Arc::from(id),
            folder: Arc::from(plan.folder.as_path()),
            scratch: dir.output(),
            evidence: dir.evidence().dir().to_owned(),
        };
        let mut scheduler = Scheduler::new(Arc::new(plan));
        let mut done = Vec::new();
        let mut reader = Reader::open(dir.path()).unwrap();
        let mut feed = |record: relevo::run::event::Record| {
            scheduler.apply(&record).unwrap();
            let state = scheduler.state();
            for (at, step) in state.steps.iter().enumerate() {
                let ix = StepIx(u32::try_from(at).unwrap());
                if matches!(step, StepState::Done { .. }) && !done.contains(&ix) {
                    done.push(ix);
                }
            }
        };
        reader.poll(&mut feed).unwrap();
        reader.poll_rest(&mut feed).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Past { runtime, connectors, desk, evidence: dir.evidence(), scheduler, done }
    }

    /// What is known of the run.
    pub fn state(&self) -> &RunState {
        self.scheduler.state()
    }

    /// A step's id.
    pub fn id(&self, ix: StepIx) -> String {
        self.state().plan.step(ix).id.to_string()
    }

    /// The step of that id.
    pub fn step(&self, id: &str) -> StepIx {
        *self.done.iter().find(|ix| self.id(**ix) == id).unwrap_or_else(|| panic!("`{id}` is not done"))
    }

    /// A step's action.
    pub fn action(&self, ix: StepIx) -> Option<&Action> {
        match &self.state().plan.step(ix).work {
            Work::Action(action) => Some(action),
            _ => None,
        }
    }

    /// What the run itself has done, in the order in which it is taken back: the last first.
    pub fn effects(&self) -> Vec<StepIx> {
        let by_us = |ix: &StepIx| {
            let ours = matches!(self.state().step(*ix), StepState::Done { how: How::Applied | How::Unverified, .. });
            ours && self.action(*ix).is_some_and(|action| action.effect != Effect::Read)
        };
        self.done.iter().rev().copied().filter(by_us).collect()
    }

    /// [`Past::effects`] that can be taken back.
    pub fn undoable(&self) -> Vec<StepIx> {
        let can = |ix: &StepIx| self.action(*ix).is_some_and(|action| action.undo_grade != UndoGrade::None);
        self.effects().into_iter().filter(can).collect()
    }

    /// The call of a step's last attempt.
    pub fn call(&self, ix: StepIx) -> Call {
        let state = self.state();
        self.desk.action(state, ix, state.facts(ix).attempts, state.last_at.unwrap()).unwrap()
    }

    /// Takes a step back.
    pub fn undo(&self, ix: StepIx) -> Outcome {
        // A shell of its own, not the one of the attempt.
        let call = Call { handle: None, ..self.call(ix) };
        let image = call.before_image.as_ref().map(|kept| kept.read(u64::MAX).unwrap());
        let connector = self.connectors.for_action(&call.uses).unwrap();
        self.runtime.block_on(connector.undo(&call, image.as_deref()))
    }

    /// What somebody else does meanwhile with a step's targets.
    pub fn apply(&self, like: StepIx, uses: &str, with: &Value) {
        let mut call = self.call(like);
        call.with.clone_from(with.as_object().unwrap());
        (call.uses, call.before_image, call.timeout) = (uses.to_owned(), None, Some(Span::from_secs(60)));
        (call.identity, call.handle) = (relevo::run::event::Identity::new(), None);
        let connector = self.connectors.for_action(uses).unwrap();
        if let relevo::run::connector::Pin::Bound { identity, .. } = self.runtime.block_on(connector.pin(&call)) {
            call.identity = identity;
        }
        let image = self.runtime.block_on(connector.before_image(&call, &self.evidence)).unwrap();
        call.before_image = image.map(|image| BeforeImage::of(self.evidence.dir(), &image));
        let outcome = self.runtime.block_on(connector.apply(&call));
        assert!(matches!(outcome, Outcome::Applied { .. }), "{uses}: {outcome:?}");
    }
}
