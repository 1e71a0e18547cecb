//! Every exit code of the program, once.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use cli_support::{Desk, all_tests, append, wait_for};

const ONE: &str = "  - { id: one, uses: command, with: { shell: 'echo one >> \"$LEDGER\"' } }\n";
const GATE: &str = "  - { id: ok, gate: { ask: Really? } }\n  - { id: one, needs: [ok], uses: command, with: { shell: 'echo one >> \"$LEDGER\"' } }\n";
const FAILS: &str = "  - { id: one, uses: command, with: { shell: 'echo no such room >&2; exit 3' }, on_failure: stop }\n";
/// A step that stays in flight until the file `go` is there, and is opaque.
const HANGS: &str =
    "  - { id: hangs, uses: command, with: { shell: 'echo hangs >> \"$LEDGER\"; while [ ! -e go ]; do sleep 0.02; done' } }\n";

#[test]
fn zero_is_a_run_that_is_done() {
    let desk = Desk::with_steps(ONE);
    desk.relevo(&["run", "plan.yaml"]).exits(0).says("done");
    assert_eq!(desk.ledger(), ["one"]);
}

#[test]
fn one_is_a_step_that_failed_with_its_own_words_on_the_screen() {
    let desk = Desk::with_steps(FAILS);
    desk.relevo(&["run", "plan.yaml"]).exits(1).says("one").says("no such room");
}

#[test]
fn two_is_a_command_line_that_is_wrong() {
    let desk = Desk::with_steps(ONE);
    desk.relevo(&["run"]).exits(2);
    desk.relevo(&["nonsense"]).exits(2);
    desk.relevo(&["run", "plan.yaml", "--until", "nowhere"]).exits(2).says("nowhere");
    desk.relevo(&["run", "plan.yaml", "--exclude", "srv9"]).exits(2).says("srv9");
    assert!(desk.run_dirs().is_empty());
}

#[test]
fn three_is_a_gate_without_anybody_there_and_says_what_to_type() {
    let desk = Desk::with_steps(GATE);
    let said = desk.relevo(&["run", "plan.yaml"]).exits(3).says("Really?");
    let command = said.out.lines().map(str::trim).find(|line| line.starts_with("relevo decide")).unwrap().to_owned();
    // What is printed can be typed as it stands.
    let mut shell = desk.program("sh", &["-c", &command.replacen("relevo", "\"$RELEVO\"", 1)]);
    shell.env("RELEVO", env!("CARGO_BIN_EXE_relevo"));
    desk.working(shell).wait().exits(0).says("recorded");
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["one"]);
}

#[test]
fn four_is_a_step_in_doubt_and_outranks_a_gate() {
    let desk = Desk::with_steps(&format!("{HANGS}  - {{ id: ok, gate: {{ ask: Really? }} }}\n"));
    let mut run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("hangs");
    run.kill();
    desk.write("go", "");
    desk.relevo(&["resume", "--yes"]).exits(4).says("in doubt").says("hangs").says("relevo decide");
    assert_eq!(desk.ledger(), ["hangs"]);
}

#[test]
fn five_is_nothing_to_resume() {
    let desk = Desk::with_steps(ONE);
    desk.relevo(&["resume", "--yes"]).exits(5).says("relevo run");
    desk.relevo(&["run", "plan.yaml"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(5).says("done");
}

#[test]
fn six_is_a_shut_window_and_an_override_is_recorded() {
    let desk = Desk::with_steps(ONE);
    desk.write("window.yaml", "timezone: Europe/Madrid\nopens: \"2020-01-03 22:00\"\ncloses: \"2020-01-06 05:00\"\n");
    desk.relevo(&["run", "plan.yaml", "--window", "window.yaml"]).exits(6).says("2020-01-03 22:00").says("--override-window");
    assert!(desk.run_dirs().is_empty(), "a shut window starts no run");
    desk.relevo(&["run", "plan.yaml", "--window", "window.yaml", "--override-window", "the boss said so"]).exits(0);
    assert!(desk.journal().contains("the boss said so"));
    assert_eq!(desk.ledger(), ["one"]);
}

#[test]
fn f82_six_is_also_a_window_that_shut_before_the_resume() {
    let desk = Desk::with_steps(GATE);
    let tomorrow = |days: i64| {
        let at = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).checked_add(jiff::ToSpan::days(days)).unwrap();
        at.strftime("%Y-%m-%d %H:%M").to_string()
    };
    let window = format!("timezone: UTC\nopens: \"{}\"\ncloses: \"{}\"\n", tomorrow(1), tomorrow(2));
    desk.write("window.yaml", &window);
    desk.relevo(&["run", "plan.yaml", "--window", "window.yaml", "--override-window", "early"]).exits(3);
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    // The override was for that start alone.
    desk.relevo(&["resume", "--yes"]).exits(6).says("window");
    assert!(desk.ledger().is_empty());
    desk.relevo(&["resume", "--yes", "--override-window", "still early"]).exits(0);
    assert_eq!(desk.ledger(), ["one"]);
}

#[test]
fn seven_is_a_rehearsal_that_found_failures() {
    let desk = Desk::with_steps(
        "  - { id: one, uses: command, with: { shell: 'true' }, before: [{ uses: command, with: { argv: [test, -e, missing] } }] }\n",
    );
    desk.relevo(&["rehearse", "plan.yaml"]).exits(7).says("one").says("before");
}

#[test]
fn eight_is_an_order_that_is_understood_and_refused() {
    let desk = Desk::with_steps(GATE);
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    desk.relevo(&["decide", "ok", "skip"]).exits(8).says("never skipped");
    desk.relevo(&["rollback"]).exits(8).says("nothing was changed");
    desk.relevo(&["decide", "one", "go"]).exits(8).says("not a gate");
    desk.relevo(&["decide", "oen", "go"]).exits(2).says("did you mean `one`");
}

#[test]
fn sixty_four_is_a_plan_that_is_invalid_and_names_every_mistake() {
    let desk =
        Desk::with_steps("  - { id: one, uses: command, with: { shell: 'true' }, needs: [tow] }\n  - { id: Two, uses: noop }\n");
    let said = desk.relevo(&["check", "plan.yaml"]).exits(64).says("tow").says("Two").says("plan.yaml:5:").says("2 errors");
    let run = desk.relevo(&["run", "plan.yaml"]).exits(64).says("nothing was started");
    assert!(run.err.contains("tow"), "{}{}", run.err, said.err);
    assert!(desk.run_dirs().is_empty());
}

#[test]
fn sixty_five_is_a_damaged_journal_and_names_the_place() {
    let desk = Desk::with_steps(GATE);
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    let path = desk.run_dir().join("journal");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("gate_asked", "gate_bsked", 1)).unwrap();
    for verb in [["resume", "--yes"].as_slice(), &["status"], &["verify"], &["decide", "ok", "go"]] {
        desk.relevo(verb).exits(65).says(&path.display().to_string());
    }
    assert!(desk.ledger().is_empty());
    assert_eq!(std::fs::read_to_string(&path).unwrap().len(), text.len(), "a damaged journal is left as it is");
}

#[test]
fn a_torn_tail_is_cut_kept_and_told() {
    let desk = Desk::with_steps(GATE);
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    append(&desk.run_dir().join("journal"), b"0000004c 1234abcd {\"seq\":7,\"ep");
    desk.relevo(&["status"]).exits(0);
    desk.relevo(&["decide", "ok", "go"]).exits(0).says("middle of a record").says("kept as");
    desk.relevo(&["resume", "--yes"]).exits(0);
    desk.relevo(&["verify"]).exits(0);
    assert_eq!(desk.ledger(), ["one"]);
}

#[test]
fn f90_sixty_nine_is_something_that_is_missing_before_the_start() {
    let desk = Desk::with_steps(&format!("{ONE}  - {{ id: two, uses: command, with: {{ argv: [no-such-program-here] }} }}\n"));
    desk.relevo(&["run", "plan.yaml"]).exits(69).says("two").says("no-such-program-here").says("nothing was started");
    assert!(desk.ledger().is_empty());
}

#[test]
fn seventy_three_is_a_run_that_somebody_holds_and_names_them() {
    let desk = Desk::with_steps(HANGS);
    let run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("hangs");
    desk.relevo(&["resume", "--yes"]).exits(73).says(&run.pid().to_string()).says(&cli_support::me());
    desk.write("go", "");
    run.wait().exits(0);
    assert_eq!(desk.ledger(), ["hangs"]);
}

#[test]
fn f32_a_journal_that_reaches_a_file_size_limit_stops_the_run_safely_and_resume_goes_on() {
    if !all_tests("a file-size limit") {
        return;
    }
    let steps: Vec<String> = (0..40)
        .map(|n| {
            let needs = if n == 0 { String::new() } else { format!(" needs: [s{}],", n - 1) };
            format!("  - {{ id: s{n},{needs} uses: command, effect: ensure, with: {{ shell: 'echo s{n} >> \"$LEDGER\"' }} }}\n")
        })
        .collect();
    let steps = steps.concat();
    let desk = Desk::with_steps(&steps);
    // In units of 512 bytes: more than the run directory's first files, less than the whole journal.
    let script = "ulimit -f 24; exec \"$RELEVO\" run plan.yaml";
    let mut shell = desk.program("sh", &["-c", script]);
    shell.env("RELEVO", env!("CARGO_BIN_EXE_relevo"));
    let said = desk.working(shell).wait();
    assert!(matches!(said.code, Some(74 | 75)), "{said:?}");
    let said = said.says("resume");
    assert!(said.err.contains("error:"), "{}", said.all());
    let before = desk.ledger();
    assert!(!before.is_empty() && before.len() < 40, "the limit came in the middle: {before:?}");
    desk.relevo(&["resume", "--yes"]).exits(0);
    let expected: Vec<String> = (0..40).map(|n| format!("s{n}")).collect();
    let mut once = desk.ledger();
    once.dedup();
    assert_eq!(once, expected);
}

#[test]
fn f29_a_full_disk_stops_the_run_with_a_code_of_its_own() {
    if !all_tests("a small file system, as root") || !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let desk = Desk::with_steps(
        "  - { id: one, uses: command, with: { shell: 'echo one >> \"$LEDGER\"; cat /dev/zero > runs/fill || true' } }\n\
         \x20 - { id: two, needs: [one], uses: command, with: { shell: 'echo two >> \"$LEDGER\"' } }\n",
    );
    std::fs::create_dir(desk.path("runs")).unwrap();
    // A mount of its own that is gone with the process; the journal's last page is filled by notes.
    let script = "mount -t tmpfs -o size=300m tmpfs runs && \"$RELEVO\" run plan.yaml --allow-fs; code=$?; \
                  rm -f runs/fill; \"$RELEVO\" resume --yes --allow-fs; echo \"codes $code $?\"";
    let mut shell = desk.program("unshare", &["-m", "sh", "-c", script]);
    shell.env("RELEVO", env!("CARGO_BIN_EXE_relevo"));
    let said = desk.working(shell).wait();
    assert!(said.out.contains("codes 75 ") || said.out.contains("codes 0 "), "{}", said.all());
    let ledger = desk.ledger();
    assert_eq!(ledger.iter().filter(|line| *line == "one").count(), 1, "{ledger:?}\n{}", said.all());
    assert!(ledger.iter().filter(|line| *line == "two").count() <= 1, "{ledger:?}");
}

#[test]
fn f25_a_copied_run_directory_is_not_resumed_on_another_host_unasked() {
    if !all_tests("a host name of its own, as root") || !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let desk = Desk::with_steps(GATE);
    // The boot is another one, too: a name alone is not another machine.
    let script = "hostname elsewhere && mount --bind boot /proc/sys/kernel/random/boot_id && exec \"$RELEVO\" run plan.yaml";
    desk.write("boot", "11111111-2222-3333-4444-555555555555\n");
    let mut shell = desk.program("unshare", &["-u", "-m", "sh", "-c", script]);
    shell.env("RELEVO", env!("CARGO_BIN_EXE_relevo"));
    desk.working(shell).wait().exits(3);
    let said = desk.relevo(&["resume", "--yes"]).exits(73).says("elsewhere").says("--take-over");
    desk.relevo(&["decide", "ok", "go"]).exits(73).says("elsewhere");
    let claim = said
        .all()
        .split_whitespace()
        .map(|word| word.trim_matches('`'))
        .find(|word| word.contains('/') && word.ends_with("/1"))
        .unwrap()
        .to_owned();
    desk.relevo(&["resume", "--yes", "--take-over", "wrong/1"]).exits(8);
    desk.relevo(&["resume", "--yes", "--take-over", &claim]).exits(3);
    assert!(desk.journal().contains("\"take_over\":true"));
}

#[test]
fn f24_of_many_resumes_at_the_same_instant_exactly_one_goes() {
    for race in 0..20 {
        let desk = Desk::with_steps(
            "  - { id: one, uses: command, with: { shell: 'echo one >> \"$LEDGER\"' } }\n\
             \x20 - { id: ok, needs: [one], gate: { ask: Really? } }\n\
             \x20 - { id: two, needs: [ok], uses: command, with: { shell: 'echo two >> \"$LEDGER\"; while [ ! -e go ]; do sleep 0.02; done' } }\n",
        );
        desk.relevo(&["run", "plan.yaml"]).exits(3);
        desk.relevo(&["decide", "ok", "go"]).exits(0);
        let mut both = [desk.start(&["resume", "--yes"]), desk.start(&["resume", "--yes"])];
        wait_for("one is sent away", || both.iter_mut().any(|one| one.ended().is_some()));
        desk.wait_for_line("two");
        desk.write("go", "");
        let pids = both.each_ref().map(cli_support::Working::pid);
        let [first, second] = both.map(cli_support::Working::wait);
        let (won, lost, winner) = if first.code == Some(0) { (first, second, pids[0]) } else { (second, first, pids[1]) };
        won.exits(0);
        lost.exits(73).says(&winner.to_string());
        assert_eq!(desk.ledger(), ["one", "two"], "race {race}");
    }
}
