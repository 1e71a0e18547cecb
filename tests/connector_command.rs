//! `command` with real programs: what survives whom, what is found again, and what is answered.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relevo::connector::{Command, output_files};
use relevo::plan::action::{ArgType, Effect};
use relevo::plan::{Extract, Output, StepId, Verdict};
use relevo::run::connector::{Call, Connector, Level, Look, Quiescence};
use relevo::run::event::Outcome;
use relevo::time::Span;
use serde_json::{Value, json};

const CANARY: &str = "CANARY-7f3a/+x";

fn run(folder: &Path) -> &str {
    folder.file_name().unwrap().to_str().unwrap()
}

fn call(folder: &Path, step: &str, with: Value) -> Call {
    let Value::Object(with) = with else { panic!("arguments are a map") };
    Call {
        // A run of its own, because programs are also found by their mark, all over the machine.
        run: Arc::from(run(folder)),
        step: StepId::new(step),
        attempt: 1,
        uses: "command".to_owned(),
        with,
        outputs: Arc::from([]),
        identity: relevo::run::event::Identity::new(),
        folder: Arc::from(folder),
        scratch: folder.join("attempts").join(step),
        targets: std::sync::Arc::default(),
        excluded: std::sync::Arc::new([]),
        before_image: None,
        handle: None,
        timeout: None,
        effect: Effect::Opaque,
        probed: false,
        assumed: false,
        until: None,
        sent: relevo::run::connector::Sent::default(),
    }
}

fn output(name: &str, from: &str, regex: Option<&str>, json: Option<&str>, kind: ArgType) -> Output {
    let own = |text: &str| text.to_owned();
    let from = Extract { from: own(from), regex: regex.map(own), json: json.map(own), kind };
    Output { name: name.to_owned(), from: Some(from) }
}

fn stdout(call: &Call) -> String {
    std::fs::read_to_string(&output_files(&call.scratch)[0]).unwrap()
}

/// The names of all files beside the attempt's, in order.
fn left(call: &Call) -> Vec<String> {
    let entries = call.scratch.parent().unwrap().read_dir().unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn apply(call: &Call) -> Outcome {
    runtime().block_on(Command::default().apply(call))
}

fn quiesce(call: &Call) -> Quiescence {
    runtime().block_on(Command::default().quiesce(call))
}

fn is_quiet(call: &Call) -> bool {
    matches!(quiesce(call), Quiescence::Quiet { .. })
}

fn is_busy(call: &Call) -> bool {
    matches!(quiesce(call), Quiescence::Busy { .. })
}

fn rejected(outcome: Outcome) -> String {
    match outcome {
        Outcome::Rejected { reason, untouched: false } => reason,
        other => panic!("{other:?}"),
    }
}

fn not_sent(outcome: Outcome) -> String {
    match outcome {
        Outcome::NotSent { reason } => reason,
        other => panic!("{other:?}"),
    }
}

/// Waits for a condition, at most a minute.
fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what} did not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A pipe with a name: whoever reads it waits until it is released.
struct Fifo(PathBuf);

impl Fifo {
    fn new(folder: &Path) -> Self {
        let path = folder.join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        Fifo(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Lets everybody go who waits now.
    fn release(&self) {
        use std::os::unix::fs::OpenOptionsExt;
        let nonblocking = nix::fcntl::OFlag::O_NONBLOCK.bits();
        drop(std::fs::OpenOptions::new().write(true).custom_flags(nonblocking).open(&self.0));
    }
}

impl Drop for Fifo {
    /// A test that fails must not leave programs behind that wait for ever.
    fn drop(&mut self) {
        self.release();
    }
}

#[test]
fn a_command_that_ends_with_0_is_applied_and_its_output_is_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let call = call(dir.path(), "a", json!({ "argv": ["sh", "-c", "echo out; echo err >&2"] }));
    assert_eq!(apply(&call), Outcome::Applied { outputs: serde_json::Map::new() });
    assert_eq!(stdout(&call), "out\n");
    assert_eq!(std::fs::read_to_string(&output_files(&call.scratch)[1]).unwrap(), "err\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(call.scratch.parent().unwrap()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    assert!(is_quiet(&call));
}

#[test]
fn an_exit_code_is_a_definite_failure_with_the_last_words_of_stderr() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo first >&2; printf 'no \\033[31mrows\\033[0m\\n\\n' >&2; exit 3";
    let reason = rejected(apply(&call(dir.path(), "a", json!({ "shell": script }))));
    assert_eq!(reason, "exit 3: no \\u{1b}[31mrows\\u{1b}[0m");
    let reason = rejected(apply(&call(dir.path(), "b", json!({ "argv": ["false"] }))));
    assert_eq!(reason, "exit 1 and nothing on stderr");
}

#[test]
fn a_script_stops_at_the_first_command_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let call = call(dir.path(), "a", json!({ "shell": "echo one\nfalse\necho two\n" }));
    rejected(apply(&call));
    assert_eq!(stdout(&call), "one\n");
}

#[test]
fn a_signal_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let reason = rejected(apply(&call(dir.path(), "a", json!({ "shell": "kill -SEGV $$" }))));
    assert!(reason.starts_with("killed by SIGSEGV"), "{reason}");
}

#[test]
fn f47_what_cannot_be_started_was_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let of = |step: &str, with: Value| not_sent(apply(&call(dir.path(), step, with)));
    assert_eq!(of("a", json!({ "argv": ["no-such-program-7"] })), "there is no program `no-such-program-7` in the PATH");
    assert_eq!(of("b", json!({ "argv": ["./nothing"] })), "the program `./nothing` does not exist");
    assert!(of("c", json!({ "argv": ["true"], "cwd": "nowhere" })).contains("nowhere` does not exist"));
    let secret = json!({ "argv": ["true"], "env": { "PW": { "$secret": { "env": "RELEVO_TEST_NOT_SET" } } } });
    assert_eq!(of("d", secret), "the secret for `PW`: the environment variable `RELEVO_TEST_NOT_SET` is not set");
    assert!(of("e", json!({ "argv": ["echo", { "$secret": { "env": "HOME" } }] })).contains("`argv[1]` is a secret"));
    // A file that is executable and no program.
    std::fs::write(dir.path().join("junk"), [1, 2, 3]).unwrap();
    std::fs::set_permissions(dir.path().join("junk"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert!(of("f", json!({ "argv": ["./junk"] })).starts_with("`./junk` could not be started"));
}

#[test]
fn s13_arguments_are_words_and_no_shell_sees_them() {
    let dir = tempfile::tempdir().unwrap();
    let call = call(dir.path(), "a", json!({ "argv": ["printf", "<%s>", "; touch x", "$(touch x)", 7, "-n"] }));
    apply(&call);
    assert_eq!(stdout(&call), "<; touch x><$(touch x)><7><-n>");
    assert!(!dir.path().join("x").exists());
}

#[test]
fn directory_environment_and_input_are_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    let script = r#"pwd; echo "$A $B $RELEVO_ATTEMPT ${PATH:+path}"; cat"#;
    let with = json!({ "shell": script, "cwd": "sub", "env": { "A": "x y", "B": 5432 }, "stdin": "in" });
    let mut call = call(dir.path(), "a", with);
    apply(&call);
    let text = stdout(&call);
    let expected = format!("/sub\nx y 5432 {}/a/1 path\nin", run(dir.path()));
    assert!(text.ends_with(&expected), "{text}");
    // More than a pipe holds.
    let long = "x".repeat(300_000);
    call.with.insert("stdin".to_owned(), json!(long));
    call.with.insert("shell".to_owned(), json!("wc -c"));
    call.scratch.set_file_name("b");
    apply(&call);
    assert_eq!(stdout(&call).trim(), "300000");
    assert_eq!(left(&call), ["a.stderr", "a.stdout", "b.stderr", "b.stdout", "pids"]);
}

#[test]
fn a_program_leads_a_group_of_its_own_so_that_the_terminal_does_not_reach_it() {
    let dir = tempfile::tempdir().unwrap();
    let call = call(dir.path(), "a", json!({ "shell": "echo $$; ps -o pgid= -p $$" }));
    assert!(matches!(apply(&call), Outcome::Applied { .. }));
    let printed = stdout(&call);
    let numbers: Vec<&str> = printed.split_whitespace().collect();
    assert!(numbers.len() == 2 && numbers[0] == numbers[1], "{numbers:?}");
}

#[test]
fn without_input_a_program_reads_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(apply(&call(dir.path(), "a", json!({ "argv": ["cat"] }))), Outcome::Applied { .. }));
}

#[test]
fn outputs_are_taken_from_what_was_printed() {
    let dir = tempfile::tempdir().unwrap();
    let script = "cat; echo 'sha256: abc' >&2";
    let printed = json!({ "rooms": 12, "file": "D:\\a.zip", "list": ["a", "b"] }).to_string();
    let mut call = call(dir.path(), "a", json!({ "shell": script, "stdin": printed }));
    call.outputs = Arc::from([
        output("rooms", "stdout", None, Some("/rooms"), ArgType::Integer),
        output("file", "stdout", None, Some("/file"), ArgType::String),
        output("list", "stdout", None, Some("/list"), ArgType::StringList),
        output("sha", "stderr", Some(r"^sha256: (\w+)$"), None, ArgType::String),
        output("code", "exit", None, None, ArgType::Integer),
        Output { name: "own".to_owned(), from: None },
    ]);
    let Outcome::Applied { outputs } = apply(&call) else { panic!("not applied") };
    let expected = json!({ "rooms": 12, "file": "D:\\a.zip", "list": ["a", "b"], "sha": "abc", "code": 0 });
    assert_eq!(Value::Object(outputs), expected);
}

#[test]
fn a_missing_output_is_a_failure_although_the_command_ended_with_0() {
    let dir = tempfile::tempdir().unwrap();
    let mut call = call(dir.path(), "a", json!({ "shell": "echo none" }));
    call.outputs = Arc::from([output("rows", "stdout", Some(r"rows: (\d+)"), None, ArgType::Integer)]);
    let reason = rejected(apply(&call));
    assert_eq!(reason, r"it ended with exit 0, but its output `rows` was not found: `rows: (\d+)` matches nothing in stdout");
}

#[test]
fn an_attempt_is_never_started_twice() {
    let dir = tempfile::tempdir().unwrap();
    let call = call(dir.path(), "a", json!({ "shell": "echo once | tee -a effect" }));
    apply(&call);
    assert!(matches!(apply(&call), Outcome::Unknown { .. }));
    assert_eq!(std::fs::read_to_string(dir.path().join("effect")).unwrap(), "once\n");
}

#[test]
fn the_empty_files_of_an_attempt_that_is_over_serve_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = Fifo::new(dir.path());
    let (command, runtime) = (Command::default(), runtime());
    let of = |step: &str, script: &str| {
        let call = call(dir.path(), step, json!({ "shell": script }));
        assert!(matches!(runtime.block_on(command.apply(&call)), Outcome::Applied { .. }));
        call
    };
    let first = of("a", "true");
    let second = of("b", "echo b");
    // What was printed stays, and what is still held stays with whom it belongs to.
    assert_eq!(left(&first), ["b.stderr", "b.stdout", "pids"]);
    let busy = of("c", "cat fifo >/dev/null 2>&1 &");
    of("d", "true");
    of("e", "true");
    assert_eq!(left(&first), ["b.stderr", "b.stdout", "c.stderr", "c.stdout", "e.stderr", "e.stdout", "pids"]);
    assert_eq!(stdout(&second), "b\n");
    assert!(is_quiet(&first) && is_quiet(&second) && is_busy(&busy));
    until("the end", || {
        fifo.release();
        is_quiet(&busy)
    });
}

#[test]
fn an_attempt_that_never_got_to_a_program_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let look = quiesce(&dead(call(dir.path(), "a", json!({ "argv": ["true"] }))));
    assert_eq!(look, Quiescence::Quiet { seen: "no program was started".to_owned(), ended: None });
}

/// Whoever made the attempt is known to be dead.
fn dead(call: Call) -> Call {
    Call { sent: relevo::run::connector::Sent { dead: true, ago: None }, ..call }
}

#[test]
fn f74_nothing_to_be_seen_of_an_attempt_proves_nothing_unless_whoever_made_it_is_dead() {
    let dir = tempfile::tempdir().unwrap();
    let never = call(dir.path(), "a", json!({ "argv": ["true"] }));
    assert!(matches!(quiesce(&never), Quiescence::CannotTell { .. }), "{:?}", quiesce(&never));
    // A copy of the run's folder: its files are there, and nobody can hold them.
    let original = call(dir.path(), "b", json!({ "argv": ["true"] }));
    assert!(matches!(apply(&original), Outcome::Applied { .. }));
    assert!(is_quiet(&original));
    let copied = tempfile::tempdir().unwrap();
    let copy = call(copied.path(), "b", json!({ "argv": ["true"] }));
    std::fs::create_dir(copied.path().join("attempts")).unwrap();
    for (from, to) in output_files(&original.scratch).iter().zip(output_files(&copy.scratch)) {
        std::fs::copy(from, to).unwrap();
    }
    assert!(matches!(quiesce(&copy), Quiescence::CannotTell { .. }), "{:?}", quiesce(&copy));
    assert!(is_quiet(&dead(copy)));
}

#[test]
fn f74_what_ran_on_another_machine_is_quiet_only_once_a_person_says_that_it_is_off() {
    let dir = tempfile::tempdir().unwrap();
    let call = call(dir.path(), "a", json!({ "argv": ["true"] }));
    assert!(matches!(apply(&call), Outcome::Applied { .. }));
    let pids = dir.path().join("attempts").join("pids");
    let line = std::fs::read_to_string(&pids).unwrap();
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let host = words[3].clone();
    let write = |words: &[String]| std::fs::write(&pids, format!("{}\n", words.join(" "))).unwrap();
    // Another boot of this machine: what ran then is gone. As older versions wrote it, too.
    words[2] = "2f0a6a0c-0000-4000-8000-000000000000".to_owned();
    write(&words);
    assert!(is_quiet(&call));
    write(&words[..4]);
    assert!(is_quiet(&call));
    // A machine of the same name.
    if words[4] != "-" {
        words[4] = "0123456789abcdef".to_owned();
        write(&words);
        assert!(matches!(quiesce(&call), Quiescence::CannotTell { seen } if seen.contains(&host)));
    }
    words[3] = "elsewhere".to_owned();
    write(&words);
    let Quiescence::CannotTell { seen } = quiesce(&call) else { panic!("{:?}", quiesce(&call)) };
    assert!(seen.contains("`elsewhere`"), "{seen}");
    let Quiescence::Quiet { seen, .. } = quiesce(&dead(call)) else { panic!("not quiet") };
    assert!(seen.contains("`elsewhere`, which is off"), "{seen}");
}

/// Not a test of its own: the parent that [`f12_f74_a_program_outlives_the_kill_of_its_parent_and_is_found_again`] kills.
#[test]
fn the_parent_to_be_killed() {
    let Ok(folder) = std::env::var("RELEVO_TEST_PARENT") else { return };
    let folder = PathBuf::from(folder);
    let with = json!({ "shell": "echo begun; touch started; cat fifo; echo done > effect; echo ended" });
    apply(&call(&folder, "a", with));
}

#[test]
fn f12_f74_a_program_outlives_the_kill_of_its_parent_and_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = Fifo::new(dir.path());
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_parent_to_be_killed", "--nocapture"])
        .env("RELEVO_TEST_PARENT", dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the program", || dir.path().join("started").exists());
    parent.kill().unwrap();
    parent.wait().unwrap();
    let call = call(dir.path(), "a", json!({ "shell": "not looked at" }));
    match quiesce(&call) {
        Quiescence::Busy { seen } => assert!(seen.contains("(sh)"), "{seen}"),
        other => panic!("{other:?}"),
    }
    assert!(!dir.path().join("effect").exists());
    until("its end", || {
        fifo.release();
        is_quiet(&call)
    });
    assert_eq!(std::fs::read_to_string(dir.path().join("effect")).unwrap(), "done\n");
    assert_eq!(stdout(&call), "begun\nended\n");
}

#[test]
fn f74_a_grandchild_in_the_background_keeps_the_attempt_busy_whatever_it_hides() {
    for (name, script) in [
        // Without its mark; the handles tell.
        ("handles", "env -i PATH=\"$PATH\" cat fifo &"),
        // Without its mark and with all standard handles redirected; the extra handle of a script tells.
        ("extra", "env -i PATH=\"$PATH\" cat fifo > /dev/null 2>&1 &"),
        // In another session.
        ("session", "env -i PATH=\"$PATH\" setsid cat fifo > /dev/null 2>&1 &"),
        // With every handle closed; the mark tells, where the system shows it.
        #[cfg(target_os = "linux")]
        ("mark", "cat fifo > /dev/null 2>&1 9>&- &"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let fifo = Fifo::new(dir.path());
        let call = call(dir.path(), "a", json!({ "shell": script }));
        assert!(matches!(apply(&call), Outcome::Applied { .. }), "{name}");
        assert!(is_busy(&call), "{name}");
        until(name, || {
            fifo.release();
            is_quiet(&call)
        });
    }
}

#[test]
fn a_failure_is_not_final_while_something_of_the_attempt_still_runs() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = Fifo::new(dir.path());
    let call = call(dir.path(), "a", json!({ "shell": "cat fifo > /dev/null 2>&1 &\necho no >&2\nexit 4" }));
    let reason = "exit 4: no; but a process that it started still runs".to_owned();
    assert_eq!(apply(&call), Outcome::Unknown { reason });
    until("the end", || {
        fifo.release();
        is_quiet(&call)
    });
}

#[test]
fn concurrent_attempts_never_hold_each_others_locks() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = Fifo::new(dir.path());
    let command = Command::default();
    runtime().block_on(async {
        let mut short = tokio::task::JoinSet::new();
        let mut long = tokio::task::JoinSet::new();
        let mut calls = Vec::new();
        for n in 0..200 {
            let (name, argv, set) = if n % 2 == 0 {
                // Without the mark, so that only the locks can tell.
                (format!("long{n}"), json!(["env", "-i", "/bin/cat", fifo.path()]), &mut long)
            } else {
                (format!("short{n}"), json!(["true"]), &mut short)
            };
            let call = call(dir.path(), &name, json!({ "argv": argv }));
            calls.push(call.clone());
            let command = command.clone();
            set.spawn(async move {
                let outcome = command.apply(&call).await;
                // At once: nothing else of this attempt is left, while a hundred others run or start.
                (outcome, command.quiesce(&call).await)
            });
        }
        while let Some(ended) = short.join_next().await {
            let (outcome, quiescence) = ended.unwrap();
            assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
            assert!(matches!(quiescence, Quiescence::Quiet { .. }), "{quiescence:?}");
        }
        let mut busy = tokio::task::JoinSet::new();
        for call in calls.into_iter().filter(|call| call.step.as_str().starts_with("long")) {
            let command = command.clone();
            busy.spawn(async move { while !matches!(command.quiesce(&call).await, Quiescence::Busy { .. }) {} });
        }
        busy.join_all().await;
        loop {
            fifo.release();
            match tokio::time::timeout(Duration::from_millis(10), long.join_next()).await {
                Ok(None) => break,
                Ok(Some(ended)) => {
                    let (outcome, quiescence) = ended.unwrap();
                    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
                    assert!(matches!(quiescence, Quiescence::Quiet { .. }), "{quiescence:?}");
                }
                Err(_) => {}
            }
        }
    });
}

#[test]
fn f73_a_timeout_ends_the_whole_group_and_is_never_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let _fifo = Fifo::new(dir.path());
    let mut call = call(dir.path(), "a", json!({ "shell": "cat fifo & cat fifo" }));
    call.timeout = Some(Span::from_millis(200));
    let Outcome::Unknown { reason } = apply(&call) else { panic!("not unknown") };
    assert!(reason.starts_with("timed out after 200ms; killed (killed by SIGTERM"), "{reason}");
    assert!(is_quiet(&call));
}

#[test]
fn a_group_that_does_not_listen_is_killed_after_the_grace() {
    let dir = tempfile::tempdir().unwrap();
    let _fifo = Fifo::new(dir.path());
    // In the first the leader does not listen; in the second it ends when asked, and its child does not.
    for (step, script) in [("leader", "trap '' TERM; cat fifo"), ("other", "(trap '' TERM; cat fifo) & cat fifo")] {
        let mut call = call(dir.path(), step, json!({ "shell": script }));
        call.timeout = Some(Span::from_millis(200));
        let outcome = runtime().block_on(Command::with_grace(Span::from_millis(100)).apply(&call));
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        until("the end of the group", || is_quiet(&call));
    }
}

#[test]
fn an_attempt_that_is_given_up_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = Fifo::new(dir.path());
    let call = call(dir.path(), "a", json!({ "shell": "touch started; cat fifo; touch effect" }));
    let command = Command::default();
    runtime().block_on(async {
        tokio::select! {
            outcome = command.apply(&call) => panic!("{outcome:?}"),
            () = async { while !dir.path().join("started").exists() { tokio::task::yield_now().await } } => {}
        }
    });
    assert!(is_busy(&call));
    until("the end", || {
        fifo.release();
        is_quiet(&call)
    });
    assert!(dir.path().join("effect").exists());
}

#[test]
fn a_probe_reads_and_leaves_the_attempts_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let action = call(dir.path(), "a", json!({ "shell": "echo of the attempt" }));
    apply(&action);
    let mut probe = action.clone();
    probe.with = json!({ "shell": "echo seen; echo \"<${RELEVO_ATTEMPT-}>\" >&2; exit 1" }).as_object().unwrap().clone();
    let seen = runtime().block_on(Command::default().probe(&probe));
    assert_eq!(seen.verdict, Verdict::Unknown);
    assert_eq!(Value::Object(seen.facts), json!({ "exit": 1, "stdout": "seen\n", "stderr": "<>\n" }));
    assert_eq!(seen.seen, "exit 1: seen");
    assert_eq!(stdout(&action), "of the attempt\n");
    assert_eq!(left(&action), ["a.stderr", "a.stdout", "pids"]);
}

#[test]
fn a_probe_that_is_late_ends_with_its_program() {
    let dir = tempfile::tempdir().unwrap();
    let _fifo = Fifo::new(dir.path());
    let mut probe = call(dir.path(), "a", json!({ "shell": "echo $$ > pid; cat fifo" }));
    probe.timeout = Some(Span::from_millis(200));
    let seen = runtime().block_on(Command::default().probe(&probe));
    assert_eq!((seen.verdict, seen.seen.as_str()), (Verdict::Unknown, "no answer within 200ms"));
    let pid: i32 = std::fs::read_to_string(dir.path().join("pid")).unwrap().trim().parse().unwrap();
    let pid = nix::unistd::Pid::from_raw(pid);
    // The process and not its group: of a group that never was, one would be told the same.
    until("the end of the probe", || nix::sys::signal::kill(pid, None).is_err());
}

#[test]
fn much_output_stays_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let probe = call(dir.path(), "a", json!({ "shell": "head -c 5000000 /dev/zero | tr '\\0' x; echo" }));
    let seen = runtime().block_on(Command::default().probe(&probe));
    assert_eq!(seen.facts["stdout"].as_str().unwrap().len(), 64 * 1024);
    assert!(seen.seen.len() < 1000);
}

#[test]
fn i12_s26_a_secret_reaches_the_program_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pw"), format!("{CANARY}\n")).unwrap();
    let secret = json!({ "$secret": { "file": "pw" } });
    let leak = r#"read line || true; [ "$line" = "$PW" ]; echo "$PW"; echo "$PW" | base64; echo "bad password $PW" >&2"#;
    let with = json!({ "shell": leak, "env": { "PW": secret }, "stdin": secret });
    let mut call = call(dir.path(), "a", with);
    call.outputs = Arc::from([output("all", "stdout", None, None, ArgType::String)]);
    let outcome = apply(&call);
    assert!(
        matches!(&outcome, Outcome::Applied { outputs } if outputs["all"].as_str().unwrap().starts_with("[secret]\n")),
        "{outcome:?}"
    );
    let mut said = vec![format!("{outcome:?}")];
    call.scratch.set_file_name("b");
    call.with.insert("shell".to_owned(), json!(format!("{leak}; exit 3")));
    let outcome = apply(&call);
    assert_eq!(rejected(outcome.clone()), "exit 3: bad password [secret]");
    said.push(format!("{outcome:?}"));
    let command = Command::default();
    let runtime = runtime();
    said.push(format!("{:?}", runtime.block_on(command.probe(&call))));
    said.push(format!("{:?}", runtime.block_on(command.describe(&call))));
    said.push(format!("{:?}", runtime.block_on(command.preflight(&call))));
    said.push(command.by_hand(&call).join("\n"));
    for said in said {
        assert!(!said.contains("7f3a") && !said.contains("Q0FOQVJZ"), "{said}");
    }
}

#[test]
fn s26_a_secret_across_the_cut_leaves_no_half_behind() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pw"), CANARY).unwrap();
    let script = "head -c 65530 /dev/zero | tr '\\0' x; printf %s \"$PW\"";
    let probe = call(dir.path(), "a", json!({ "shell": script, "env": { "PW": { "$secret": { "file": "pw" } } } }));
    let seen = runtime().block_on(Command::default().probe(&probe));
    assert!(seen.facts["stdout"].as_str().unwrap().ends_with("xx[secre"), "half of it was left");
}

#[test]
fn f90_a_preflight_finds_what_would_fail_and_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let with = json!({
        "argv": ["no-such-program-7"], "cwd": "nowhere",
        "env": { "A": { "$secret": { "env": "RELEVO_TEST_NOT_SET" } }, "B": { "$secret": { "command": ["touch", "x"] } } },
        "stdin": { "$secret": { "file": "none" } },
    });
    let findings = runtime().block_on(Command::default().preflight(&call(dir.path(), "a", with)));
    assert_eq!(findings.len(), 4, "{findings:?}");
    // A folder, like a program that is named by its path, may be made by an earlier step.
    let warnings: Vec<&str> =
        findings.iter().filter(|finding| finding.level < Level::Fatal).map(|finding| finding.message.as_str()).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("nowhere"), "{findings:?}");
    assert!(!dir.path().join("x").exists());
    let fine = runtime().block_on(Command::default().preflight(&call(dir.path(), "a", json!({ "argv": ["true"] }))));
    assert_eq!(fine, []);
}

#[test]
fn the_description_shows_references_and_the_hand_gets_lines_to_paste() {
    let dir = tempfile::tempdir().unwrap();
    let with = json!({
        "argv": ["psql", "-c", "select 1"],
        "env": { "PGPASSWORD": { "$secret": { "env": "PW" } }, "PGHOST": "db 1" },
        "stdin": "it's",
    });
    let call = call(dir.path(), "a", with);
    let command = Command::default();
    let folder = dir.path().display();
    assert_eq!(
        runtime().block_on(command.describe(&call)).lines,
        [
            "run psql -c 'select 1'".to_owned(),
            format!("in {folder}"),
            "with PGHOST=db 1".to_owned(),
            "with PGPASSWORD: secret from the environment variable `PW`".to_owned(),
            "reading 4 bytes of text".to_owned(),
        ]
    );
    let typed = r#"printf %s 'it'\''s' | PGHOST='db 1' PGPASSWORD="$PW" psql -c 'select 1'"#.to_owned();
    assert_eq!(command.by_hand(&call), [format!("cd {folder}"), typed]);
}
