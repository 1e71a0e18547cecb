//! `relevo check PLAN`: every mistake at once, nothing touched. With `--connect`, every target is reached, too.

use std::io::IsTerminal;
use std::sync::Arc;

use serde_json::{Value, json};

use super::common::{self, Format, PlanArgs};
use super::messages::{self, Result};
use super::{preflight, trust};
use crate::connector::Connectors;
use crate::error::Exit;
use crate::foreign;
use crate::plan::load::{self, Inputs};
use crate::plan::{Plan, StepIx, Work};
use crate::run::calls::Desk;
use crate::run::connector::{Call, Finding, Level, Look as _, Pin};
use crate::run::rehearsal::Described;
use crate::run::scope;
use crate::run::state::RunState;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// Reach every target and look for what each step needs; changes nothing
    #[arg(long)]
    connect: bool,
    /// What is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn check(args: &Args) -> Result {
    args.plan.enter_lab(true)?;
    let connectors = super::in_lab::connectors(args.plan.lab()?.is_some());
    // Whoever only reads the plan need not have its parameters; whoever connects acts as a run would.
    let inputs = Inputs { placeholders: !args.connect, ..args.plan.inputs()? };
    let result = load::load(&args.plan.plan, &inputs, &connectors.catalogue());
    let (report, found) = match result {
        Ok(loaded) => {
            trust::warn_of_files(&loaded);
            (loaded.report, Some(loaded.plan))
        }
        Err(report) => (report, None),
    };
    let json = args.format == Format::Json;
    if !json && !report.is_empty() {
        eprintln!("{}", report.render(messages::colour(std::io::stderr().is_terminal())));
    }
    if !json {
        match &found {
            Some(plan) => {
                outln!("{}: valid; {} steps, {} limits", args.plan.plan.display(), plan.steps.len(), plan.limits.len());
            }
            None => outln!("{}: not valid; {}", args.plan.plan.display(), report.summary()),
        }
    }
    let steps = found.as_ref().map(|plan| plan.steps.len());
    let valid = found.is_some();
    let surveys = match found {
        Some(plan) if args.connect => connect(plan, &connectors, json)?,
        _ => Vec::new(),
    };
    if json {
        let mut value = json!({ "plan": args.plan.plan, "valid": valid, "steps": steps, "findings": report.to_json() });
        if args.connect {
            value["connected"] = surveys.iter().flat_map(Survey::to_json).collect();
        }
        common::print_json(&value);
    }
    let worst = surveys.iter().flat_map(|survey| &survey.findings).map(|finding| finding.level).max();
    Ok(match worst {
        _ if !valid => Exit::InvalidPlan,
        Some(Level::Unreachable) => Exit::Unreachable,
        Some(Level::NotNow | Level::Fatal) => Exit::Refused,
        Some(Level::Fact | Level::Warning) | None => Exit::Done,
    })
}

/// What was found of targets, or for steps.
struct Survey {
    /// `target` or `step`.
    kind: &'static str,
    /// Which; several where the same was found of one after the other.
    names: Vec<String>,
    findings: Vec<Finding>,
}

impl Survey {
    fn to_json(&self) -> impl Iterator<Item = Value> + '_ {
        let finding = |finding: &Finding| json!({ "level": word(finding.level), "message": finding.message });
        let findings: Vec<Value> = self.findings.iter().map(finding).collect();
        self.names.iter().map(move |name| json!({ self.kind: name, "findings": findings }))
    }

    fn print(&self) {
        let names: Vec<_> = self.names.iter().map(|name| foreign::line(name)).collect();
        outln!("\n{} {}", self.kind, names.join(", "));
        for finding in &self.findings {
            outln!("  {:<12} {}", word(finding.level), foreign::line(&finding.message));
        }
    }
}

/// All that was found. Each is shown as soon as it is known, because a server that does not answer takes its time; only
/// trouble waits until it is clear that the next one does not have the same.
struct Surveys {
    all: Vec<Survey>,
    quiet: bool,
    /// How many of them are shown.
    shown: usize,
}

impl Surveys {
    fn tell(&mut self, kind: &'static str, name: &str, findings: Vec<Finding>) {
        let trouble = findings.iter().any(|finding| finding.level > Level::Warning);
        match self.all.last_mut().filter(|last| last.kind == kind && last.findings == findings) {
            Some(last) if trouble => last.names.push(name.to_owned()),
            _ => self.all.push(Survey { kind, names: vec![name.to_owned()], findings }),
        }
        self.show(self.all.len() - usize::from(trouble));
    }

    fn show(&mut self, until: usize) {
        for survey in self.all.get(self.shown..until).unwrap_or_default().iter().filter(|_| !self.quiet) {
            survey.print();
        }
        self.shown = self.shown.max(until);
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Fact => "ok",
        Level::Warning => "warning",
        Level::NotNow | Level::Fatal => "error",
        Level::Unreachable => "unreachable",
    }
}

/// Every target first, then every step: what it needs, and what it would be bound to.
fn connect(plan: Plan, connectors: &Connectors, quiet: bool) -> anyhow::Result<Vec<Survey>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut surveys = Surveys { all: Vec::new(), quiet, shown: 0 };
    for (name, kind) in &plan.targets.names {
        let findings = runtime.block_on(connectors.survey(&plan.targets, name)).unwrap_or_else(|| {
            let kind = kind.trim_end_matches('s');
            vec![Finding {
                level: Level::Fact,
                message: format!("not reached: this version looks at a {kind} only by its steps"),
            }]
        });
        surveys.tell("target", name, findings);
    }
    let state = RunState::new(Arc::new(plan));
    let folder = Arc::from(state.plan.folder.as_path());
    let scratch = std::env::temp_dir();
    let desk = Desk { run: Arc::from("check"), folder, scratch: scratch.clone(), evidence: scratch };
    for at in 0..state.plan.steps.len() {
        let ix = StepIx(u32::try_from(at).unwrap_or(u32::MAX));
        let step = state.plan.step(ix);
        let Work::Action(action) = &step.work else { continue };
        if scope::is_ruled_out(&state, ix) {
            continue;
        }
        let findings = match desk.action(&state, ix, 0, common::now()) {
            Ok(call) => match connectors.for_action(&action.call.uses) {
                // Only the half that reads.
                Some(connector) => runtime.block_on(look(&Described::new(connector), &state, ix, &call, &desk)),
                None => Vec::new(),
            },
            Err(_) => {
                let message = "its arguments are known only when the steps before it are done".to_owned();
                vec![Finding { level: Level::Fact, message }]
            }
        };
        if !findings.is_empty() {
            surveys.tell("step", step.id.as_str(), findings);
        }
    }
    runtime.shutdown_background();
    surveys.show(surveys.all.len());
    Ok(surveys.all)
}

async fn look(connector: &Described, state: &RunState, ix: StepIx, call: &Call, desk: &Desk) -> Vec<Finding> {
    let mut findings = preflight::findings(connector, state, ix, call, desk).await;
    if findings.iter().all(|finding| finding.level < Level::Fatal) {
        match connector.pin(call).await {
            Pin::NotNeeded => {}
            Pin::Bound { seen, .. } => findings.push(Finding { level: Level::Fact, message: seen }),
            Pin::Cannot { unreachable, reason } => {
                let level = if unreachable { Level::Unreachable } else { Level::Fatal };
                findings.push(Finding { level, message: reason });
            }
        }
    }
    findings
}
