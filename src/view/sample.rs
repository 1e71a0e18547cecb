//! Plans and states made by hand, for the tests of the views: no loader, no engine, fixed clocks and ids.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::page::Page;
use crate::plan::action::{Effect, UndoGrade};
use crate::plan::{Action, Call, Estimate, Gate, Manual, OnFailure, Plan, Retry, Step, StepId, StepIx, Targets, Window, Work};
use crate::run::event::{Event, Holder, Mode, Person, Record};
use crate::run::state::{RunState, StepFacts, StepState};
use crate::time::{Span, Timestamp};

/// 2026-11-28 02:00 UTC, a Saturday; 03:00 in Madrid.
pub const T0: i64 = 1_795_831_200_000;

/// So many seconds after [`T0`].
pub fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(T0 + secs * 1000)
}

/// One hour east of Greenwich.
pub fn zone() -> TimeZone {
    TimeZone::posix("CET-1").unwrap()
}

/// A plain page of that width.
pub fn page(width: usize) -> Page {
    Page::plain(width, zone())
}

pub fn person(name: &str) -> Person {
    Person { name: name.to_owned(), claimed: false }
}

/// A record of an event.
pub fn record(seq: u64, secs: i64, event: Event) -> Record {
    Record { seq, epoch: 1, prev: "0".repeat(64), at: at(secs), letter: None, event }
}

fn step(id: &str, work: Work) -> Step {
    let written = id.split('[').next().unwrap_or(id);
    Step {
        id: StepId::new(id),
        written: Arc::from(written),
        item: None,
        name: None,
        work,
        needs: Vec::new(),
        when: None,
        before: Vec::new(),
        after: Vec::new(),
        limits: Vec::new(),
        acts_on: Vec::new(),
        timeout: None,
        deadline: None,
        retry: Retry { attempts: 3, interval: Span::from_secs(10), backoff: 2.0, max_interval: Span::from_secs(120) },
        on_failure: OnFailure::Ask,
        in_doubt: None,
        stable_for: Span::from_secs(2),
        outputs: Vec::new().into(),
        estimate: None,
        point_of_no_return: false,
        not_before: None,
        owner: None,
        tags: Vec::new(),
        fingerprint: Arc::from("00"),
        line: 1,
    }
}

/// An action.
pub fn action(id: &str, uses: &str, effect: Effect, with: Value) -> Step {
    let call = Call { uses: uses.to_owned(), with };
    let work = Action {
        call,
        effect,
        destructive: false,
        keeps: false,
        probe: None,
        undo: None,
        undo_grade: UndoGrade::Full,
        undo_says: None,
        probed: true,
    };
    step(id, Work::Action(Box::new(work)))
}

/// A `noop`.
pub fn noop(id: &str) -> Step {
    action(id, "noop", Effect::Read, json!({}))
}

pub fn gate(id: &str, ask: &str, approvers: &[&str], quorum: u32) -> Step {
    let approvers = approvers.iter().map(|&role| role.to_owned()).collect();
    let expires = Some(Span::from_secs(7200));
    step(
        id,
        Work::Gate(Box::new(Gate {
            ask: ask.to_owned(),
            approvers,
            quorum,
            not_initiator: quorum > 1,
            expires,
            valid_for: None,
        })),
    )
}

pub fn manual(id: &str, instructions: &str) -> Step {
    let manual = Manual { instructions: instructions.to_owned(), evidence: Vec::new(), probe: None, by: vec!["lead".into()] };
    step(id, Work::Manual(Box::new(manual)))
}

pub fn checkpoint(id: &str) -> Step {
    step(id, Work::Checkpoint)
}

impl Step {
    pub(super) fn called(mut self, name: &str) -> Step {
        self.name = Some(name.to_owned());
        self
    }

    pub(super) fn taking(mut self, minutes: u64) -> Step {
        let p50 = Span::from_secs(minutes * 60);
        self.estimate = Some(Estimate { p50, p90: Span::from_secs(minutes * 120), undo: None });
        self
    }

    pub(super) fn undo(mut self, grade: UndoGrade, destructive: bool) -> Step {
        if let Work::Action(action) = &mut self.work {
            action.undo_grade = grade;
            action.destructive = destructive;
        }
        self
    }

    pub(super) fn of(mut self, item: &str) -> Step {
        self.item = Some((Arc::from("server"), json!(item)));
        self
    }

    pub(super) fn owned_by(mut self, owner: &str) -> Step {
        self.owner = Some(owner.to_owned());
        self
    }

    pub(super) fn no_return(mut self) -> Step {
        self.point_of_no_return = true;
        self
    }
}

/// A plan of steps, each with the ids that it needs.
pub fn plan(steps: Vec<(Step, &[&str])>) -> Plan {
    let index: HashMap<StepId, StepIx> = steps.iter().zip((0..).map(StepIx)).map(|((s, _), ix)| (s.id.clone(), ix)).collect();
    let mut groups: BTreeMap<String, Vec<StepIx>> = BTreeMap::new();
    for ((step, _), ix) in steps.iter().zip((0..).map(StepIx)).filter(|((step, _), _)| step.item.is_some()) {
        groups.entry(step.written.to_string()).or_default().push(ix);
    }
    let mut dependants = vec![Vec::new(); steps.len()];
    let mut out = Vec::new();
    for (ix, (mut step, needs)) in (0..).map(StepIx).zip(steps) {
        for need in needs {
            match groups.get(*need) {
                Some(instances) => step.needs.extend(instances),
                None => step.needs.push(*index.get(*need).unwrap()),
            }
        }
        step.needs.sort_unstable();
        step.needs.dedup();
        for need in &step.needs {
            dependants[need.at()].push(ix);
        }
        out.push(step);
    }
    let mut targets = Targets::default();
    targets.roles.insert("lead".to_owned(), vec!["ops-lead".to_owned()]);
    targets.roles.insert("directory".to_owned(), vec!["ad-admin".to_owned()]);
    Plan {
        name: "Group Chat to Persistent Chat".to_owned(),
        description: None,
        steps: out,
        dependants,
        limits: Vec::new(),
        max_parallel: 8,
        window: None,
        params: Map::new(),
        targets: std::sync::Arc::new(targets),
        folder: std::path::PathBuf::from("."),
        index,
        groups,
        sha256: "5c".repeat(32),
        whole: "5d".repeat(32),
    }
}

/// Eighteen steps of a weekend, with every kind of step.
pub fn weekend() -> Plan {
    let service = |host: &str, state: &str| json!({ "host": host, "services": ["OCSChat"], "state": state });
    let mut plan = plan(vec![
        (action("preflight", "powershell", Effect::Read, json!({ "host": "lync_admin" })).taking(2), &[]),
        (
            action("stop-legacy[gc01]", "windows.service", Effect::Ensure, service("gc01", "stopped"))
                .called("Disable the 2010 pool")
                .of("gc01")
                .taking(5),
            &["preflight"],
        ),
        (
            action("stop-legacy[gc02]", "windows.service", Effect::Ensure, service("gc02", "stopped"))
                .called("Disable the 2010 pool")
                .of("gc02")
                .taking(5),
            &["preflight"],
        ),
        (manual("tell-users", "Post the notice on the intranet:\nchat is away until Monday."), &["preflight"]),
        (
            action("export", "lync.chat.export", Effect::Once, json!({ "host": "lync_admin", "file": "D:\\mig\\chat.zip" }))
                .called("Export rooms and messages")
                .owned_by("chat team")
                .taking(40),
            &["stop-legacy"],
        ),
        (action("import-check", "lync.chat.import_check", Effect::Read, json!({ "host": "lync_admin" })).taking(10), &["export"]),
        (action("import", "lync.chat.import", Effect::Once, json!({ "host": "lync_admin" })).taking(60), &["import-check"]),
        (action("files", "command", Effect::Opaque, json!({ "argv": ["robocopy", "/MIR"] })).taking(30), &["export"]),
        (action("counts", "lync.chat.counts", Effect::Read, json!({ "host": "lync_admin" })).taking(5), &["import", "files"]),
        (
            gate("delete-ok", "The counts agree. Delete the well-known user?", &["lead", "directory"], 2),
            &["counts", "tell-users"],
        ),
        (
            action(
                "delete-user",
                "ad.user.delete",
                Effect::Cas,
                json!({ "directory": "contoso", "sip_address": "sip:ocschat@contoso.com" }),
            )
            .undo(UndoGrade::Lossy, true)
            .taking(1),
            &["delete-ok"],
        ),
        (action("uri-free", "ad.settle", Effect::Read, json!({ "directory": "contoso" })).taking(5), &["delete-user"]),
        (action("endpoint", "lync.endpoint.create", Effect::Keyed, json!({ "host": "lync_admin" })).taking(1), &["uri-free"]),
        (checkpoint("before-go-live"), &["endpoint"]),
        (gate("go-live", "Start the 2013 servers?", &["lead"], 1), &["before-go-live"]),
        (
            action("start-2013[pc01]", "lync.service", Effect::Ensure, service("pc01", "running"))
                .undo(UndoGrade::None, false)
                .of("pc01")
                .taking(5)
                .no_return(),
            &["go-live"],
        ),
        (
            action("start-2013[pc02]", "lync.service", Effect::Ensure, service("pc02", "running"))
                .undo(UndoGrade::None, false)
                .of("pc02")
                .taking(5)
                .no_return(),
            &["go-live"],
        ),
        (action("sign-in", "lync.client.sign_in", Effect::Read, json!({ "host": "lync_admin" })).taking(2), &["start-2013"]),
    ]);
    plan.window = Some(Window {
        timezone: "Europe/Madrid".to_owned(),
        opens: at(-5 * 3600),
        closes: at(50 * 3600),
        back_out_by: Some(at(41 * 3600)),
    });
    plan
}

/// A run of the plan, started at [`T0`], all steps pending.
pub fn run_of(plan: Plan) -> RunState {
    let mut state = RunState::new(Arc::new(plan));
    state.run = "20261128-0300-k7".to_owned();
    state.mode = Mode::Execute;
    state.initiator = Some(person("ops-lead"));
    state.on_duty = Some(person("ops-lead"));
    state.started = Some(at(0));
    state.last_at = Some(at(0));
    state.seq = 1;
    state.holder = Some(Holder { host: "jump01".into(), boot_id: "b".into(), pid: 4711, started: 1, user: "ops-lead".into() });
    state
}

impl RunState {
    /// Puts a step into a state.
    pub fn put(&mut self, id: &str, to: StepState) {
        let ix = self.plan.find(id).unwrap();
        self.put_for_views(ix, to);
    }

    /// Changes what else is known of a step.
    pub fn fact(&mut self, id: &str, change: impl FnOnce(&mut StepFacts)) {
        let ix = self.plan.find(id).unwrap();
        change(&mut self.facts[ix.at()]);
    }

    /// A step done by an attempt from `begun` to `ended` (seconds).
    pub fn done(&mut self, id: &str, begun: i64, ended: i64) {
        self.put(id, StepState::Done { how: crate::run::event::How::Applied, at: at(ended) });
        self.fact(id, |facts| {
            facts.attempts = 1;
            facts.first_started = Some(at(begun));
            facts.started = Some(at(begun));
            facts.changed = Some(at(ended));
        });
    }

    /// A step whose attempt is in flight since `begun`.
    pub fn applying(&mut self, id: &str, attempt: u32, begun: i64) {
        self.put(id, StepState::Applying { attempt, since: at(begun) });
        self.fact(id, |facts| {
            facts.attempts = attempt;
            facts.first_started = facts.first_started.or(Some(at(begun)));
            facts.started = Some(at(begun));
            facts.changed = Some(at(begun));
        });
    }
}
