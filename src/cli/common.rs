//! Arguments and look-ups that several verbs share.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use jiff::tz::TimeZone;

use super::{in_lab, messages};
use crate::connector::Connectors;
use crate::error::{Exit, Failure};
use crate::journal;
use crate::plan::load::{self, Inputs, Loaded};
use crate::plan::{Plan, StepIx};
use crate::run::event::{Holder, Person};
use crate::run::letters::Sender;
use crate::time::{Clock, SystemClock, Timestamp};
use crate::view::next;
use crate::view::page::Page;

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one object, or one per line for a stream of events.
    Json,
}

/// Where a plan, its targets and its parameters come from.
#[derive(Debug, Clone, clap::Args)]
pub struct PlanArgs {
    /// The plan
    pub plan: PathBuf,
    /// Targets file, instead of the one that the plan names
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
    /// A parameter; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    pub params: Vec<(String, String)>,
    /// A YAML file of parameters; may be repeated
    #[arg(long = "params", value_name = "FILE")]
    pub params_files: Vec<PathBuf>,
    /// A YAML file with the window (`timezone`, `opens`, `closes`, `back_out_by`), instead of the targets' own
    #[arg(long, value_name = "FILE")]
    pub window: Option<PathBuf>,
    /// Use the lab instead of the targets file; the window is ignored. A run or rehearsal begins with a fresh world
    /// unless it says `keep`
    #[cfg(feature = "lab")]
    #[arg(
        long,
        value_enum,
        value_name = "WORLD",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "fresh",
        conflicts_with_all = ["targets", "window"]
    )]
    pub lab: Option<in_lab::World>,
}

fn parse_param(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("`{text}` is not NAME=VALUE"))
}

impl PlanArgs {
    /// A plan without anything else said.
    #[must_use]
    pub fn alone(plan: &Path) -> Self {
        PlanArgs {
            plan: plan.to_owned(),
            targets: None,
            params: Vec::new(),
            params_files: Vec::new(),
            window: None,
            #[cfg(feature = "lab")]
            lab: None,
        }
    }

    /// The folder of the lab, if this is to be done there.
    #[cfg(feature = "lab")]
    pub fn lab(&self) -> anyhow::Result<Option<PathBuf>> {
        self.lab.map(|_| in_lab::folder()).transpose()
    }

    /// A build without the lab does everything elsewhere.
    #[cfg(not(feature = "lab"))]
    #[expect(clippy::unused_self, reason = "the same shape as with the lab")]
    pub fn lab(&self) -> anyhow::Result<Option<PathBuf>> {
        Ok(None)
    }

    /// `--lab` as it was typed.
    #[must_use]
    #[cfg_attr(not(feature = "lab"), expect(clippy::unused_self, reason = "the same shape as with the lab"))]
    pub fn lab_word(&self) -> Option<&'static str> {
        #[cfg(feature = "lab")]
        let word = self.lab.map(|world| match world {
            in_lab::World::Fresh => "--lab",
            in_lab::World::Keep => "--lab=keep",
        });
        #[cfg(not(feature = "lab"))]
        let word = None;
        word
    }

    /// Whether this makes a lab's world anew.
    #[must_use]
    #[cfg_attr(not(feature = "lab"), expect(clippy::unused_self, reason = "the same shape as with the lab"))]
    pub fn in_a_fresh_world(&self) -> bool {
        #[cfg(feature = "lab")]
        let fresh = self.lab == Some(in_lab::World::Fresh);
        #[cfg(not(feature = "lab"))]
        let fresh = false;
        fresh
    }

    /// Sees to it that the lab is up, if this is to be done there. A look at the plan alone never makes a fresh world.
    #[cfg_attr(not(feature = "lab"), expect(clippy::unused_self, reason = "the same shape as with the lab"))]
    pub fn enter_lab(&self, for_show: bool) -> anyhow::Result<()> {
        #[cfg(feature = "lab")]
        if let Some(world) = self.lab {
            in_lab::enter(None, if for_show { in_lab::World::Keep } else { world })?;
        }
        let _ = for_show;
        Ok(())
    }

    /// As the loader wants it; files by absolute path, so that a resume from elsewhere finds them.
    pub fn inputs(&self) -> anyhow::Result<Inputs> {
        let absolute = |path: &PathBuf| std::path::absolute(path);
        Ok(Inputs {
            params: self.params.clone(),
            params_files: self.params_files.iter().map(absolute).collect::<Result<_, _>>()?,
            targets: match self.lab()? {
                Some(folder) => Some(in_lab::targets(&folder)),
                None => self.targets.as_ref().map(absolute).transpose()?,
            },
            window: self.window.as_ref().map(absolute).transpose()?,
            ..Inputs::default()
        })
    }

    /// Loads the plan, or fails with all mistakes.
    pub fn load(&self, connectors: &Connectors) -> anyhow::Result<Loaded> {
        let mut loaded = load_plan(&self.plan, &self.inputs()?, connectors)?;
        if self.lab()?.is_some() {
            in_lab::adapt(&mut loaded.plan);
        }
        Ok(loaded)
    }

    /// Loads the plan for a look at it: parameters without a value get a placeholder.
    pub fn load_for_show(&self) -> anyhow::Result<Loaded> {
        self.enter_lab(true)?;
        let inputs = Inputs { placeholders: true, ..self.inputs()? };
        load_plan(&self.plan, &inputs, &connectors())
    }
}

/// Loads a plan, or prints all mistakes and fails.
pub fn load_plan(plan: &Path, inputs: &Inputs, connectors: &Connectors) -> anyhow::Result<Loaded> {
    match load::load(plan, inputs, &connectors.catalogue()) {
        Ok(loaded) => {
            if !loaded.report.is_empty() {
                eprintln!("{}", loaded.report.render(messages::colour(std::io::stderr().is_terminal())));
            }
            Ok(loaded)
        }
        Err(report) => {
            eprintln!("{}", report.render(messages::colour(std::io::stderr().is_terminal())));
            let message = format!("{} cannot be used: {}", plan.display(), report.summary());
            Err(Failure::new(Exit::InvalidPlan, message).hint("nothing was started or changed").into())
        }
    }
}

/// The connectors of this build.
#[must_use]
pub fn connectors() -> Connectors {
    in_lab::connectors(false)
}

/// Where runs are kept.
#[derive(Debug, Clone, clap::Args)]
pub struct RunsArgs {
    /// Folder that holds the run directories
    #[arg(long, value_name = "DIR", default_value = "runs", env = "RELEVO_RUNS")]
    pub runs: PathBuf,
    /// Accept a run directory on a network or user-space file system
    #[arg(long)]
    pub allow_fs: bool,
}

impl RunsArgs {
    /// The folder as people find it from anywhere.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        std::path::absolute(&self.runs).unwrap_or_else(|_| self.runs.clone())
    }

    /// Makes the commands that are printed fit for typing: they name the folder where it is not the usual one.
    pub fn say_where(&self) {
        let usual = std::env::var_os("RELEVO_RUNS").map_or_else(|| PathBuf::from("runs"), PathBuf::from);
        if self.runs != usual {
            next::runs_are_in(&self.place());
        }
    }
}

/// The step of that name.
///
/// # Errors
/// There is none; a name that is near is told.
pub fn find_step(plan: &Plan, step: &str) -> anyhow::Result<StepIx> {
    plan.find(step).ok_or_else(|| {
        let failure = Failure::new(Exit::Usage, format!("the plan has no step `{step}`"));
        match crate::plan::diagnostic::nearest(step, plan.steps.iter().map(|step| step.id.as_str())) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")).into(),
            None => failure.hint("`relevo status --all` lists the steps").into(),
        }
    })
}

/// The account that types this.
#[must_use]
pub fn me() -> Person {
    Person { name: Holder::current().user, claimed: false }
}

/// Whoever types this, at a run whose files they may write.
#[must_use]
pub fn here() -> Sender {
    Sender { person: me(), holds: true }
}

/// Now, by the system's clock.
#[must_use]
pub fn now() -> Timestamp {
    SystemClock::default().now()
}

/// The page that standard output is.
#[must_use]
pub fn page() -> Page {
    let term = console::Term::stdout();
    let is_terminal = std::io::stdout().is_terminal();
    let width = if is_terminal { term.size_checked().map_or(80, |(_, columns)| usize::from(columns)) } else { 100 };
    let mut page = Page::plain(width, TimeZone::system());
    page.whole = !is_terminal;
    page.colour = messages::colour(is_terminal);
    page
}

/// Prints a value as JSON.
pub fn print_json(value: &serde_json::Value) {
    outln!("{}", serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Makes writing past a file-size limit an error instead of a signal.
pub fn guard_signals() {
    // The handler outlives the runtime that installs it. Without it a limit kills the process, which is as safe as
    // any crash; nothing else depends on it.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
        let _entered = runtime.enter();
        let _ = journal::ignore_file_size_signal();
    }
}
