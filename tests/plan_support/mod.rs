//! What the tests of the plan language share: a small catalogue of actions, and loading.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where something is not as it must be")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

use relevo::plan::action::{ActionSpec, ArgSpec, ArgType, Catalogue, Effect, UndoGrade};
use relevo::plan::diagnostic::Report;
use relevo::plan::load::{Inputs, Loaded, load};

fn arg(name: &'static str, kind: ArgType, required: bool) -> ArgSpec {
    ArgSpec { name, kind, required, doc: "an argument of a test" }
}

fn generic(name: &'static str, effect: Effect, args: Vec<ArgSpec>) -> ActionSpec {
    ActionSpec {
        name,
        doc: "an action of a test",
        args,
        one_of: Vec::new(),
        effect,
        generic: true,
        destructive: false,
        undo: UndoGrade::None,
        keeps: false,
        discovers: false,
        outputs: Vec::new(),
    }
}

/// `command`, `noop`, `wait` and two typed actions.
pub fn catalogue() -> Catalogue {
    let command = ActionSpec {
        one_of: vec![&["argv", "shell"]],
        ..generic(
            "command",
            Effect::Opaque,
            vec![
                arg("argv", ArgType::StringList, false),
                arg("shell", ArgType::String, false),
                arg("cwd", ArgType::String, false),
                arg("env", ArgType::StringMap, false),
                arg("stdin", ArgType::Text, false),
            ],
        )
    };
    let wait = ActionSpec {
        generic: false,
        ..generic(
            "wait",
            Effect::Read,
            vec![
                arg("until", ArgType::Probe, true),
                arg("stable_for", ArgType::Duration, false),
                arg("poll", ArgType::Duration, false),
            ],
        )
    };
    let service = ActionSpec {
        generic: false,
        outputs: vec!["state"],
        undo: UndoGrade::Full,
        keeps: false,
        discovers: false,
        ..generic(
            "test.service",
            Effect::Ensure,
            vec![
                arg("host", ArgType::Host, true),
                arg("services", ArgType::StringList, true),
                arg("state", ArgType::String, true),
                arg("count", ArgType::Integer, false),
                arg("share", ArgType::Number, false),
                arg("force", ArgType::Boolean, false),
                arg("extra", ArgType::Any, false),
            ],
        )
    };
    let delete = ActionSpec {
        generic: false,
        destructive: true,
        undo: UndoGrade::Lossy,
        keeps: false,
        discovers: false,
        outputs: vec!["guid"],
        ..generic(
            "test.user.delete",
            Effect::Once,
            vec![arg("directory", ArgType::Directory, true), arg("sip_address", ArgType::String, true)],
        )
    };
    Catalogue::new([command, generic("noop", Effect::Read, vec![]), wait, service, delete])
}

/// Loads a plan with the test catalogue.
pub fn load_file(path: &Path) -> Result<Loaded, Report> {
    load(path, &Inputs::default(), &catalogue())
}

/// Loads a text as a plan in a folder of its own; `files` lie beside it.
pub fn load_text(text: &str, files: &[(&str, &str)]) -> Result<Loaded, Report> {
    load_with(text, files, &Inputs::default())
}

/// The same with inputs.
pub fn load_with(text: &str, files: &[(&str, &str)], inputs: &Inputs) -> Result<Loaded, Report> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().join("plan.yaml");
    std::fs::write(&path, text).unwrap();
    load(&path, inputs, &catalogue())
}

/// The plan, or a panic with the report.
#[track_caller]
pub fn good(text: &str, files: &[(&str, &str)]) -> Loaded {
    load_text(text, files).unwrap_or_else(|report| panic!("{}", report.render(false)))
}

/// The messages of a text that is no plan, with line and column.
#[track_caller]
pub fn bad(text: &str, files: &[(&str, &str)]) -> Vec<String> {
    let report = load_text(text, files).expect_err("the plan has mistakes");
    messages(&report)
}

/// One line per finding.
pub fn messages(report: &Report) -> Vec<String> {
    let one = |finding: &relevo::plan::diagnostic::Finding| match finding.place {
        Some((line, column)) => format!("{line}:{column} {}", finding.message),
        None => finding.message.clone(),
    };
    report.findings.iter().map(one).collect()
}

/// A plan of the given steps.
pub fn steps(steps: &str) -> String {
    format!("relevo: 1\nname: test\nsteps:\n{steps}")
}

/// The plans of a folder of fixtures.
pub fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plans").join(folder);
    let mut plans: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("targets"))
        .collect();
    plans.sort();
    plans
}
