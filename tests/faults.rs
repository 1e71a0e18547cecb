//! The real program while something around it goes wrong: memory, a stopped process, an old copy of the run directory, the
//! disk, the log, targets that do not answer, a reader that does not read, and two people who answer at once.
//!
//! Every test is a row of the fault matrix, by its number in the name; `docs/guarantees.md` has them all.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;
#[path = "support/random.rs"]
mod random;

use std::io::Read as _;
use std::process::Stdio;

use cli_support::{Desk, Working, all_tests, processes, wait_for};
use nix::sys::signal::Signal;
use nix::unistd::Uid;
use random::Random;

/// In flight until the file `go` is there; a second step that must wait.
const STEPS: &str = "  - { id: first, uses: command, effect: once, \
     with: { shell: 'echo first >> \"$LEDGER\"; while [ ! -e go ]; do sleep 0.02; done' }, \
     probe: { uses: command, with: { shell: 'grep -qx first \"$LEDGER\"' } } }\n\
     \x20 - { id: second, needs: [first], uses: command, with: { shell: 'echo second >> \"$LEDGER\"' } }\n";

/// A step that sets a state and can be looked at.
fn effect(id: &str, needs: &str) -> String {
    format!(
        "  - {{ id: {id}, needs: [{needs}], uses: command, effect: ensure, with: {{ shell: 'echo {id} >> \"$LEDGER\"' }}, \
         probe: {{ uses: command, with: {{ shell: 'grep -qx {id} \"$LEDGER\"' }} }} }}\n"
    )
}

/// Runs a shell script at the desk, with the program as `$RELEVO`.
fn script(desk: &Desk, program: &str, before: &[&str], script: &str) -> Working {
    let mut shell = desk.program(program, &[before, &["sh", "-c", script]].concat());
    shell.env("RELEVO", env!("CARGO_BIN_EXE_relevo"));
    desk.working(shell)
}

#[test]
fn f19_a_process_that_gets_no_more_memory_loses_nothing() {
    let desk = Desk::with_steps(STEPS);
    let run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("first");
    // From now on every further page is refused. The process may die of it, at any place.
    let limit = desk.program("prlimit", &["--pid", &run.pid().to_string(), "--as=1"]);
    desk.working(limit).wait().exits(0);
    desk.write("go", "");
    let said = run.wait();
    desk.relevo(&["verify"]).exits(0);
    if said.code != Some(0) {
        desk.relevo(&["resume", "--yes"]).exits(0);
    }
    assert_eq!(desk.ledger(), ["first", "second"], "{}", said.all());
}

#[test]
fn f22_a_stopped_process_keeps_the_run_and_goes_on_when_it_wakes() {
    let desk = Desk::with_steps(STEPS);
    let run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("first");
    run.signal(Signal::SIGSTOP);
    desk.relevo(&["resume", "--yes"]).exits(73).says(&run.pid().to_string());
    desk.write("go", "");
    run.signal(Signal::SIGCONT);
    run.wait().exits(0);
    assert_eq!(desk.ledger(), ["first", "second"]);
}

#[test]
fn f22_i6_a_holder_that_was_taken_over_while_it_was_stopped_starts_nothing_when_it_wakes() {
    let desk = Desk::with_steps(STEPS);
    let run = desk.start(&["run", "plan.yaml", "--run-id", "weekend"]);
    desk.wait_for_line("first");
    run.signal(Signal::SIGSTOP);
    // Somebody removes the lock by hand, and insists.
    std::fs::remove_file(desk.run_dir().join("lock")).unwrap();
    desk.relevo(&["resume", "--yes"]).exits(73).says("alive");
    desk.write("go", "");
    // On this machine the one that sleeps still holds what the plan acts on.
    desk.relevo(&["resume", "--yes", "--take-over", "weekend/1"]).exits(73).says("an earlier process of this run");
    assert_eq!(desk.ledger(), ["first"]);
    // Another machine sees the same folder, and nothing of this machine's locks.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = desk.command(&["resume", "--yes", "--take-over", "weekend/1"]);
    command.env("RELEVO_MACHINE", elsewhere.path().join("machine"));
    desk.working(command).wait().exits(0);
    assert_eq!(desk.ledger(), ["first", "second"]);
    let journal = desk.journal();
    run.signal(Signal::SIGCONT);
    run.wait().exits(74);
    assert_eq!(desk.ledger(), ["first", "second"], "the one that woke up started something");
    assert_eq!(desk.journal(), journal, "the one that woke up wrote something");
    desk.relevo(&["verify"]).exits(0);
}

#[test]
fn f23_a_run_directory_put_back_from_an_older_copy_is_refused_or_its_probes_decide() {
    let desk = Desk::with_steps(&format!(
        "  - {{ id: begin, gate: {{ ask: Begin? }} }}\n{}  - {{ id: ok, needs: [one], gate: {{ ask: Really? }} }}\n{}",
        effect("one", "begin"),
        effect("two", "ok")
    ));
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    let (run, old) = (desk.run_dir(), desk.path("old"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let of = [from.display().to_string(), to.display().to_string()];
        desk.working(desk.program("cp", &["-a", &of[0], &of[1]])).wait().exits(0);
    };
    copy(&run, &old);
    desk.relevo(&["decide", "begin", "go"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(3);
    assert_eq!(desk.ledger(), ["one"]);
    // The journal alone: the watermark knows of later records.
    copy(&old.join("journal"), &run.join("journal"));
    desk.relevo(&["resume", "--yes"]).exits(65).says("was durable");
    // All of it, as when a machine goes back to a snapshot: nothing in the folder can tell. What is there is found.
    std::fs::remove_dir_all(&run).unwrap();
    copy(&old, &run);
    desk.relevo(&["decide", "begin", "go"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(3);
    assert_eq!(desk.ledger(), ["one"], "it was done a second time");
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["one", "two"]);
}

#[test]
fn f35_a_disk_that_is_slow_delays_the_run_and_fails_nothing() {
    if !all_tests("strace") {
        return;
    }
    let step = |id: &str, needs: &str| effect(id, needs).replace("effect: ensure", "effect: ensure, timeout: 1s");
    let desk = Desk::with_steps(&format!("{}{}", step("one", ""), step("two", "one")));
    // Longer than the steps may take: the time of a step is its own.
    let strace = "exec strace -f -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:delay_enter=1500000:when=2+2 \
                  \"$RELEVO\" run plan.yaml";
    let said = script(&desk, "env", &[], strace).wait().exits(0);
    assert_eq!(desk.ledger(), ["one", "two"], "{}", said.all());
    let journal = desk.journal();
    assert!(!journal.contains("timed out") && !journal.contains("step_failed"), "{journal}");
    assert_eq!(journal.matches("attempt_started").count(), 2, "{journal}");
}

#[test]
fn f41_a_file_system_whose_syncs_promise_little_is_refused_with_its_name() {
    if !all_tests("strace") {
        return;
    }
    let desk = Desk::with_steps(&effect("one", ""));
    // What `statfs` says of the kind of file system, least significant byte first.
    let kinds = [("6969000000000000", "NFS"), ("4655736500000000", "FUSE"), ("424d53ff00000000", "SMB")];
    // The last is on no list: what is injected, and nothing else, makes the difference.
    for (kind, name) in [&kinds[..], &[("4255736500000000", "")]].concat() {
        let strace = format!(
            "exec strace -f -qq -o /dev/null -e trace=statfs -e inject=statfs:poke_exit=@arg2={kind} \"$RELEVO\" run plan.yaml"
        );
        let said = script(&desk, "env", &[], &strace).wait();
        if name.is_empty() {
            assert_eq!(said.code, Some(0), "{}", said.all());
            continue;
        }
        said.exits(8).says(name).says("--allow-fs");
    }
    assert_eq!(desk.ledger(), ["one"]);
}

#[test]
fn f43_where_no_more_files_can_be_made_a_step_fails_with_nothing_done_and_resume_goes_on() {
    if !all_tests("a small file system, as root") || !Uid::effective().is_root() {
        return;
    }
    let fills = "  - { id: one, uses: command, with: { shell: 'echo one >> \"$LEDGER\"; mkdir runs/fill; n=0; \
                 while touch runs/fill/$n; do n=$((n+1)); done 2>/dev/null' } }\n";
    let desk = Desk::with_steps(&format!("{fills}{}", effect("two", "one")));
    std::fs::create_dir(desk.path("runs")).unwrap();
    let with = |files: u32, then: &str| {
        let mount = format!("mount -t tmpfs -o size=300m,nr_inodes={files} tmpfs runs || exit 9; ");
        script(&desk, "unshare", &["-m"], &(mount + then)).wait()
    };
    // Before the start it is known.
    with(900, "\"$RELEVO\" run plan.yaml").exits(75).says("files");
    assert!(desk.ledger().is_empty());
    let story = "\"$RELEVO\" run plan.yaml; first=$?; rm -r runs/fill; \"$RELEVO\" verify && \
                 \"$RELEVO\" decide two retry --reason 'made room' && \"$RELEVO\" resume --yes; echo \"codes $first $?\"";
    let said = with(1100, story);
    assert!(said.out.contains("codes 3 0"), "{}", said.all());
    assert!(said.all().contains("No space left on device"), "{}", said.all());
    assert_eq!(desk.ledger(), ["one", "two"]);
}

#[test]
fn f44_a_log_that_cannot_be_written_is_told_once_and_holds_nothing_up() {
    let desk = Desk::with_steps(&format!("{}{}", effect("one", ""), effect("two", "one")));
    let said = desk.relevo(&["run", "plan.yaml", "--log", "/dev/full", "--log-level", "trace"]).exits(0);
    assert_eq!(desk.ledger(), ["one", "two"]);
    assert_eq!(said.err.matches("/dev/full").count(), 1, "{}", said.err);
    assert!(said.err.contains("the run goes on"), "{}", said.err);
}

/// A step that cannot go on as long as its target does not answer: as long as the file `clog-…` is there.
fn on(target: &str, id: &str, needs: &str) -> String {
    format!(
        "  - {{ id: {id}, needs: [{needs}], uses: command, effect: once, \
         with: {{ shell: 'while [ -e clog-{target} ]; do sleep 0.02; done; echo {id} >> \"$LEDGER\"' }}, \
         probe: {{ uses: command, with: {{ shell: 'grep -qx {id} \"$LEDGER\"' }} }} }}\n"
    )
}

#[test]
fn f76_targets_that_stop_and_come_back_in_any_order_end_in_the_same_world() {
    const TARGETS: u64 = 5;
    const EACH: usize = 3;
    let mut random = Random::new();
    let mut steps = String::new();
    for target in 0..TARGETS {
        for at in 0..EACH {
            let needs = if at == 0 { String::new() } else { format!("t{target}-{}", at - 1) };
            steps += &on(&target.to_string(), &format!("t{target}-{at}"), &needs);
        }
    }
    let desk = Desk::with_steps(&steps);
    let clog = |target: u64| desk.write(&format!("clog-{target}"), "");
    let done = |target: u64| desk.ledger().iter().filter(|line| line.starts_with(&format!("t{target}-"))).count();
    (0..TARGETS).for_each(clog);
    let mut run = desk.start(&["run", "plan.yaml"]);
    wait_for("the run", || !desk.run_dirs().is_empty());
    let mut kills = 0;
    loop {
        let open: Vec<u64> = (0..TARGETS).filter(|target| done(*target) < EACH).collect();
        let Some(target) = open.get(usize::try_from(random.below(TARGETS)).unwrap() % open.len().max(1)) else { break };
        // One comes back, gets one thing done or more, and stops again.
        let before = done(*target);
        std::fs::remove_file(desk.path(&format!("clog-{target}"))).unwrap();
        wait_for("progress", || done(*target) > before);
        clog(*target);
        if kills < 4 && random.below(3) == 0 {
            run.kill();
            kills += 1;
            run = desk.start(&["resume", "--yes"]);
        }
    }
    for target in 0..TARGETS {
        std::fs::remove_file(desk.path(&format!("clog-{target}"))).unwrap();
    }
    // Killed after its last record, there is nothing to resume.
    let said = run.wait();
    assert!(said.code == Some(0) || (kills > 0 && said.code == Some(5)), "{}", said.all());
    let mut ledger = desk.ledger();
    ledger.sort();
    ledger.dedup();
    assert_eq!(ledger.len(), desk.ledger().len(), "something was done twice: {:?}", desk.ledger());
    assert_eq!(ledger.len(), EACH * usize::try_from(TARGETS).unwrap());
}

#[test]
fn f77_of_twenty_targets_one_that_does_not_answer_holds_up_its_own_branch_alone() {
    let steps: String =
        (0..20).map(|n| on(&n.to_string(), &format!("t{n}"), "") + &effect(&format!("after{n}"), &format!("t{n}"))).collect();
    let desk = Desk::with_steps(&steps);
    desk.write("plan.yaml", &desk.read("plan.yaml").replace("steps:", "max_parallel: 4\nsteps:"));
    desk.write("clog-7", "");
    let mut run = desk.start(&["run", "plan.yaml"]);
    wait_for("all but one branch", || desk.ledger().len() == 38);
    assert!(run.ended().is_none());
    assert!(!desk.ledger().iter().any(|line| line == "t7" || line == "after7"));
    std::fs::remove_file(desk.path("clog-7")).unwrap();
    run.wait().exits(0);
    assert_eq!(desk.ledger().last().unwrap(), "after7");
}

#[test]
fn f84_a_reader_that_does_not_read_holds_nothing_up() {
    // Some hundred kilobytes of output, and a pipe that holds 64.
    let steps: String =
        (0..300).map(|n| format!("  - {{ id: s{n}, uses: noop, with: {{ say: '{}' }} }}\n", "x".repeat(200))).collect();
    let desk = Desk::with_steps(&steps);
    let mut command = desk.command(&["run", "plan.yaml", "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    desk.wait_for_record("run_finished");
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.len() > 128 * 1024, "{} bytes are no more than a pipe holds", text.len());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn f85_a_person_who_says_not_done_is_contradicted_by_what_is_there() {
    let desk = Desk::with_steps(
        "  - { id: first, uses: command, effect: once, destructive: true, \
         with: { shell: 'touch began; while [ ! -e go ]; do sleep 0.02; done; echo first >> \"$LEDGER\"' }, \
         probe: { uses: command, with: { shell: 'grep -qx first \"$LEDGER\"' } } }\n",
    );
    let mut run = desk.start(&["run", "plan.yaml"]);
    wait_for("it to have begun", || desk.path("began").exists());
    run.kill();
    for pid in desk.living() {
        processes::send(pid, Signal::SIGKILL);
    }
    wait_for("all are dead", || desk.living().is_empty());
    desk.relevo(&["resume", "--yes"]).exits(4);
    // What nobody saw: it was done all the same.
    desk.write("ledger", "first\n");
    desk.relevo(&["decide", "first", "not-done", "--reason", "I looked"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["first"]);
    assert_eq!(desk.journal().matches("attempt_started").count(), 1, "{}", desk.journal());
}

#[test]
fn f86_of_two_answers_at_the_same_moment_one_is_recorded_and_the_other_is_told_so() {
    for _ in 0..5 {
        let desk = Desk::with_steps(&format!(
            "  - {{ id: bad, uses: command, with: {{ argv: ['false'] }} }}\n{}",
            effect("behind", "bad")
        ));
        let run = desk.start(&["run", "plan.yaml", "--wait"]);
        desk.wait_for_record("step_failed");
        let both = ["skip", "done"].map(|word| desk.start(&["decide", "bad", word, "--reason", word]));
        let mut codes = both.map(|one| {
            let said = one.wait();
            assert!(said.code != Some(8) || !said.err.is_empty(), "{}", said.all());
            said.code
        });
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(8)]);
        run.wait().exits(0);
        assert_eq!(desk.journal().matches("\"event\":{\"decided\"").count(), 1, "{}", desk.journal());
        assert_eq!(desk.ledger(), ["behind"]);
    }
}
