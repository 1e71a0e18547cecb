//! The layers: `main → cli → { view, connector, journal, lab } → run → plan → { error, foreign, regular, secret, time }`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::{Path, PathBuf};

/// A layer's module, and the modules of the crate that it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("foreign", &[]),
    ("regular", &[]),
    ("secret", &["error"]),
    ("time", &["error"]),
    ("remoting", &["error", "secret", "time"]),
    ("sip", &[]),
    ("plan", &["error", "foreign", "secret", "time"]),
    ("run", &["plan", "error", "foreign", "regular", "secret", "time"]),
    ("journal", &["run", "plan", "error", "foreign", "regular", "secret", "time"]),
    ("connector", &["remoting", "sip", "run", "plan", "error", "foreign", "regular", "secret", "time"]),
    ("view", &["run", "plan", "error", "foreign", "secret", "time"]),
    ("lab", &["remoting", "sip", "run", "plan", "error", "foreign", "secret", "time"]),
    ("cli", &["view", "connector", "journal", "lab", "run", "plan", "error", "foreign", "regular", "secret", "time"]),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

fn module_of(path: &Path, src: &Path) -> String {
    let first = path.strip_prefix(src).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Every `crate::module` that a text names, and every `crate::{module, …}`.
fn named(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    for line in code {
        for rest in line.split("crate::").skip(1) {
            let list = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
            let mut word = |text: &str| {
                let name: String = text.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                names.push(name);
            };
            match list {
                Some(list) => list.split(',').for_each(&mut word),
                None => word(rest),
            }
        }
    }
    names
}

#[test]
fn a_module_names_only_modules_of_the_layers_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    let mut wrong = Vec::new();
    for path in all {
        let module = module_of(&path, &src);
        if module == "main" || module == "lib" {
            continue;
        }
        let (_, below) =
            LAYERS.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("no layer is named for `{module}`"));
        for name in named(&std::fs::read_to_string(&path).unwrap()) {
            let is_layer = LAYERS.iter().any(|(layer, _)| *layer == name);
            if is_layer && name != module && !below.contains(&name.as_str()) {
                wrong.push(format!("{}: `{module}` names `{name}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_scheduler_has_no_clock_no_file_and_nothing_to_await() {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run");
    for pure in
        ["scheduler.rs", "fold.rs", "state.rs", "decide.rs", "event.rs", "command.rs", "calls.rs", "scope.rs", "questions.rs"]
    {
        let text = std::fs::read_to_string(run.join(pure)).unwrap();
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for forbidden in
            ["async ", ".await", "tokio", "std::fs", "Instant::now", "SystemClock", "Timestamp::now", "thread", "random"]
        {
            assert!(!code.contains(forbidden), "{pure} holds `{forbidden}`");
        }
    }
}

#[test]
fn s55_nothing_below_the_command_line_asks_whether_this_is_a_rehearsal() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    for path in all.iter().filter(|path| module_of(path, &src) != "cli") {
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let asks = line.contains("if ") && ["dry_run", "is_rehearsal", "rehearsing"].iter().any(|word| line.contains(word));
            assert!(!asks, "{}: {line}", path.display());
        }
    }
}
