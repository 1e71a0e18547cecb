//! Two runs at once, one after the other, and one instead of the other: by the real program.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::path::Path;

use cli_support::{Desk, Said, Working, me, wait_for};

/// Writes its name into the ledger, and ends when the file `go` is there.
fn held(id: &str, keys: &str) -> String {
    format!(
        "  - {{ id: {id}, uses: command{keys}, with: {{ shell: \"echo {id} >>$LEDGER; until test -e $LEDGER.go; do sleep 0.02; done; echo {id}-end >>$LEDGER\" }} }}\n"
    )
}

/// Writes its name into the ledger.
fn quick(id: &str, keys: &str) -> String {
    format!("  - {{ id: {id}, uses: command{keys}, with: {{ shell: \"echo {id} >>$LEDGER\" }} }}\n")
}

fn plan(desk: &Desk, name: &str, steps: &str) {
    desk.write(name, &format!("relevo: 1\nname: Plan {name}\nsteps:\n{steps}"));
    if !desk.path("ledger").exists() {
        desk.write("ledger", "");
    }
}

fn let_go(desk: &Desk) {
    desk.write("ledger.go", "");
}

/// A run at work on its first step.
fn at_work(desk: &Desk, arguments: &[&str], step: &str) -> Working {
    let run = desk.start(arguments);
    desk.wait_for_line(step);
    run
}

/// A run that was killed on its first step; what it started is gone, too.
fn killed(desk: &Desk, arguments: &[&str], step: &str) {
    let mut run = at_work(desk, arguments, step);
    run.kill();
    for pid in desk.living() {
        cli_support::processes::send(pid, nix::sys::signal::Signal::SIGKILL);
    }
    wait_for("the end of what it started", || desk.living().is_empty());
}

#[test]
fn f24_the_same_plan_started_twice_at_once_runs_once_and_the_second_is_told_whose_it_is() {
    let desk = Desk::with_steps(&held("move", ""));
    let first = at_work(&desk, &["run", "plan.yaml", "--run-id", "first"], "move");
    for arguments in [&["run", "plan.yaml"][..], &["run", "./plan.yaml", "--runs", "elsewhere"]] {
        let said = desk
            .relevo(arguments)
            .exits(73)
            .says("`first`")
            .says("A weekend")
            .says(&me())
            .says("since")
            .says("nothing was started");
        said.says("the same plan").says("relevo status first");
    }
    let_go(&desk);
    first.wait().exits(0);
    assert_eq!(desk.ledger(), ["move", "move-end"]);
    assert_eq!(desk.run_dirs().len(), 1);
}

#[test]
fn f24_of_many_that_start_the_same_plan_at_once_one_runs() {
    let desk = Desk::with_steps(&held("move", ""));
    let many: Vec<Working> = (0..8).map(|_| desk.start(&["run", "plan.yaml"])).collect();
    let mut left = Vec::new();
    let mut said: Vec<Said> = Vec::new();
    for mut run in many {
        wait_for("an end, or work", || run.ended().is_some() || run.printed().contains("run "));
        if run.ended().is_some() { said.push(run.wait()) } else { left.push(run) }
    }
    desk.wait_for_line("move");
    let_go(&desk);
    let ended: Vec<Said> = left.into_iter().map(Working::wait).chain(said).collect();
    let codes = |code| ended.iter().filter(|said| said.code == Some(code)).count();
    assert_eq!((codes(0), codes(73)), (1, 7), "{ended:?}");
    assert_eq!(desk.ledger(), ["move", "move-end"]);
}

#[test]
fn f24_many_that_start_under_one_id_leave_one_whole_run() {
    let desk = Desk::new();
    desk.write("ledger", "");
    for n in 0..6 {
        plan(&desk, &format!("{n}.yaml"), &quick(&format!("step-{n}"), ""));
    }
    let many: Vec<Working> = (0..6).map(|n| desk.start(&["run", &format!("{n}.yaml"), "--run-id", "same"])).collect();
    let ended: Vec<Said> = many.into_iter().map(Working::wait).collect();
    let codes = |code| ended.iter().filter(|said| said.code == Some(code)).count();
    assert_eq!((codes(0), codes(2)), (1, 5), "{ended:?}");
    assert_eq!(desk.ledger().len(), 1);
    desk.relevo(&["verify", "same"]).exits(0);
    let left: Vec<_> = std::fs::read_dir(desk.path("runs")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["same"], "no draft is left");
}

#[test]
fn f24_two_plans_on_one_target_do_not_run_at_once_whatever_they_call_it() {
    let desk = Desk::new();
    let hosts = |name: &str, url: &str| {
        format!(
            "relevo_targets: 1\nhosts:\n  {name}: {{ url: \"{url}\", auth: {{ basic: {{ user: a, password: {{ env: P }} }} }} }}\n"
        )
    };
    desk.write("one.targets", &hosts("gc01", "https://GC01.contoso.com.:5986/wsman"));
    desk.write("two.targets", &hosts("old", "https://gc01.contoso.com/OcsPowerShell"));
    plan(&desk, "one.yaml", &held("one", ", acts_on: [gc01, billing]"));
    plan(&desk, "two.yaml", &quick("two", ", acts_on: [old]"));
    plan(&desk, "three.yaml", &quick("three", ", acts_on: [Billing]"));
    plan(&desk, "four.yaml", &quick("four", ", acts_on: [other]"));
    let first = at_work(&desk, &["run", "one.yaml", "--targets", "one.targets", "--run-id", "first"], "one");
    let said = desk.relevo(&["run", "two.yaml", "--targets", "two.targets", "--runs", "other"]).exits(73);
    said.says("`first`").says("`gc01.contoso.com`").says("Plan one.yaml").says(&me());
    desk.relevo(&["run", "three.yaml"]).exits(73).says("`billing`");
    desk.relevo(&["run", "four.yaml"]).exits(0);
    let_go(&desk);
    first.wait().exits(0);
    desk.relevo(&["run", "two.yaml", "--targets", "two.targets"]).exits(0);
    assert_eq!(desk.ledger(), ["one", "four", "one-end", "two"]);
}

#[test]
fn runs_that_only_read_a_target_go_on_together() {
    let desk = Desk::new();
    plan(&desk, "one.yaml", &held("one", ", effect: read, acts_on: [sql01]"));
    plan(&desk, "two.yaml", &quick("two", ", effect: read, acts_on: [sql01]"));
    plan(&desk, "three.yaml", &quick("three", ", acts_on: [sql01]"));
    let first = at_work(&desk, &["run", "one.yaml", "--run-id", "first"], "one");
    desk.relevo(&["run", "two.yaml"]).exits(0);
    desk.relevo(&["run", "three.yaml"]).exits(73).says("`first`").says("`sql01`");
    let_go(&desk);
    first.wait().exits(0);
    desk.relevo(&["run", "three.yaml"]).exits(0);
}

#[test]
fn what_is_left_out_is_not_locked_and_neither_is_a_rehearsal() {
    let desk = Desk::new();
    plan(&desk, "one.yaml", &held("one", ", acts_on: [sql01]"));
    desk.write("two.yaml", "relevo: 1\nname: Two\nsteps:\n  - { id: two, uses: command, for_each: { items: [sql01, sql02], as: db }, acts_on: [\"${{ db }}\"], with: { shell: \"echo ${{ db }} >>$LEDGER\" } }\n");
    let first = at_work(&desk, &["run", "one.yaml"], "one");
    desk.relevo(&["run", "two.yaml"]).exits(73);
    desk.relevo(&["rehearse", "one.yaml"]).exits(0);
    desk.relevo(&["run", "two.yaml", "--exclude", "sql01"]).exits(0);
    let_go(&desk);
    first.wait().exits(0);
    assert_eq!(desk.ledger(), ["one", "sql02", "one-end"]);
}

#[test]
fn f24_run_typed_instead_of_resume_after_a_crash_starts_nothing_and_says_what_to_type() {
    let desk = Desk::with_steps(&(held("import", "") + &quick("next", ", needs: [import]")));
    killed(&desk, &["run", "plan.yaml", "--run-id", "first"], "import");
    let said = desk.relevo(&["run", "plan.yaml"]).exits(8);
    let said = said.says("`first`").says("not finished").says("import").says(&me()).says("nothing was started");
    said.says("relevo resume first").says("relevo abort first --reason").says("--beside first REASON");
    assert_eq!(desk.ledger(), ["import"]);
    assert_eq!(desk.run_dirs().len(), 1);
    // The offered ways are ways: the run is gone on with, and then nothing is unfinished.
    let_go(&desk);
    desk.relevo(&["resume", "first", "--yes"]).exits(4);
    desk.relevo(&["decide", "first", "import", "done", "--reason", "looked"]).exits(0);
    desk.relevo(&["resume", "first", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["import", "next"]);
}

#[test]
fn f24_neither_another_folder_of_runs_nor_a_changed_word_nor_a_lost_lock_is_a_way_round_an_unfinished_run() {
    let desk = Desk::with_steps(&held("import", ", acts_on: [sql01]"));
    killed(&desk, &["run", "plan.yaml", "--run-id", "first"], "import");
    desk.relevo(&["run", "plan.yaml", "--runs", "elsewhere"]).exits(8).says("`first`").says("--runs");
    desk.write("plan.yaml", &(desk.read("plan.yaml") + "# a comment\n"));
    desk.relevo(&["run", "plan.yaml"]).exits(8).says("`first`").says("the same plan");
    plan(&desk, "other.yaml", &quick("other", ", acts_on: [sql01]"));
    desk.relevo(&["run", "other.yaml", "--runs", "elsewhere"]).exits(8).says("`first`").says("`sql01`");
    // What the machine remembers of locks is lost, as by a cleaning of its temporary files.
    std::fs::remove_dir_all(desk.machine.path().join("locks")).unwrap();
    desk.relevo(&["run", "plan.yaml", "--runs", "elsewhere"]).exits(8).says("`first`");
    desk.relevo(&["run", "plan.yaml"]).exits(8).says("`first`");
    assert_eq!(desk.ledger(), ["import"]);
}

#[test]
fn a_run_waits_beside_an_unfinished_one_only_with_a_reason_which_is_recorded() {
    let desk = Desk::with_steps(&held("import", ""));
    killed(&desk, &["run", "plan.yaml", "--run-id", "first"], "import");
    let_go(&desk);
    desk.relevo(&["run", "plan.yaml", "--beside", "first", " "]).exits(2).says("reason");
    desk.relevo(&["run", "plan.yaml", "--beside", "other", "it must"]).exits(8).says("`first`");
    desk.relevo(&["run", "plan.yaml", "--run-id", "second", "--beside", "first", "the old disk is gone"]).exits(0);
    let journal = std::fs::read_to_string(desk.path("runs/second/journal")).unwrap();
    assert!(journal.contains(r#""beside":[["first","the old disk is gone"]]"#), "{}", journal.lines().next().unwrap());
    // The first one is as unfinished as before, and can be gone on with.
    desk.relevo(&["run", "plan.yaml"]).exits(8).says("`first`");
    desk.relevo(&["resume", "first", "--yes"]).exits(4);
}

#[test]
fn an_abandoned_run_is_closed_by_abort_and_then_the_plan_runs_again() {
    let desk = Desk::with_steps(&held("import", ", effect: ensure, acts_on: [sql01]"));
    killed(&desk, &["run", "plan.yaml", "--run-id", "first"], "import");
    desk.relevo(&["run", "plan.yaml"]).exits(8);
    desk.relevo(&["abort", "first", "--reason", "the window is over"]).exits(0);
    let_go(&desk);
    desk.relevo(&["run", "plan.yaml"]).exits(0);
    assert_eq!(desk.ledger(), ["import", "import", "import-end"]);
}

#[test]
fn what_an_abandoned_run_may_have_done_is_done_again_only_with_a_reason() {
    let desk = Desk::with_steps(&held("import", ""));
    killed(&desk, &["run", "plan.yaml", "--run-id", "first"], "import");
    desk.relevo(&["abort", "first", "--reason", "the window is over"]).exits(0).says("`import`").says("may still act");
    desk.relevo(&["status", "--list"]).exits(0).says("stopped by a person");
    let_go(&desk);
    let said = desk.relevo(&["run", "plan.yaml"]).exits(8).says("`import`").says("run first");
    said.says("--again REASON").says("relevo resume first");
    desk.relevo(&["run", "plan.yaml", "--again", "the half import was deleted"]).exits(0);
    assert_eq!(desk.ledger(), ["import", "import", "import-end"]);
}

#[test]
fn a_run_that_waits_for_a_person_is_unfinished_and_one_that_failed_for_good_is_not() {
    let desk = Desk::new();
    plan(
        &desk,
        "gate.yaml",
        "  - { id: ok, gate: { ask: Go? } }\n  - { id: act, needs: [ok], uses: command, acts_on: [sql01], with: { shell: 'echo act >>$LEDGER' } }\n",
    );
    plan(&desk, "fails.yaml", "  - { id: act, uses: command, acts_on: [sql02], on_failure: stop, with: { shell: 'exit 1' } }\n");
    plan(&desk, "other.yaml", &quick("one", ", acts_on: [sql01]"));
    plan(&desk, "second.yaml", &quick("two", ", acts_on: [sql02]"));
    desk.relevo(&["run", "gate.yaml", "--run-id", "gate"]).exits(3);
    desk.relevo(&["run", "other.yaml"]).exits(8).says("`gate`").says("Go?");
    desk.relevo(&["run", "fails.yaml", "--run-id", "fails"]).exits(1);
    desk.relevo(&["run", "second.yaml"]).exits(0);
    desk.relevo(&["decide", "gate", "ok", "no-go", "--reason", "not today"]).exits(0);
    desk.relevo(&["resume", "gate", "--yes"]).exits(3);
    desk.relevo(&["abort", "gate", "--reason", "another day"]).exits(0);
    desk.relevo(&["run", "other.yaml"]).exits(0);
}

#[test]
fn a_run_of_a_folder_that_was_removed_is_in_nobodys_way() {
    let desk = Desk::with_steps(&held("import", ", acts_on: [sql01]"));
    killed(&desk, &["run", "plan.yaml", "--run-id", "first"], "import");
    std::fs::remove_dir_all(desk.path("runs/first")).unwrap();
    let_go(&desk);
    desk.relevo(&["run", "plan.yaml"]).exits(0);
}

#[test]
fn a_resume_takes_the_same_locks_again() {
    let desk = Desk::new();
    let steps = |first: &str| first.to_owned() + &held("act", ", needs: [ok], effect: ensure, acts_on: [sql01]");
    plan(&desk, "plan.yaml", &steps("  - { id: ok, gate: { ask: Go? } }\n"));
    plan(&desk, "other.yaml", &quick("other", ", acts_on: [sql01]"));
    desk.relevo(&["run", "plan.yaml", "--run-id", "first"]).exits(3);
    desk.relevo(&["decide", "first", "ok", "go", "--reason", "yes"]).exits(0);
    let resumed = at_work(&desk, &["resume", "first", "--yes"], "act");
    desk.relevo(&["run", "other.yaml"]).exits(73).says("`first`");
    let_go(&desk);
    resumed.wait().exits(0);
    desk.relevo(&["run", "other.yaml"]).exits(0);
}

#[test]
fn f24_what_would_be_done_twice_after_a_run_that_ended_needs_again_and_a_reason() {
    let desk = Desk::with_steps(&quick("import", ""));
    desk.relevo(&["run", "plan.yaml", "--run-id", "first"]).exits(0);
    let said = desk.relevo(&["run", "plan.yaml"]).exits(8);
    said.says("`import`").says("run first").says(&me()).says("--again REASON").says("nothing was started");
    desk.relevo(&["run", "plan.yaml", "--runs", "elsewhere"]).exits(8).says("`import`");
    desk.relevo(&["rehearse", "plan.yaml"]).exits(0);
    desk.relevo(&["run", "plan.yaml", "--again", ""]).exits(2);
    desk.relevo(&["run", "plan.yaml", "--again", "the first import was of the wrong day"]).exits(0);
    assert_eq!(desk.ledger(), ["import", "import"]);
    let all: Vec<String> = desk.run_dirs().iter().map(|dir| std::fs::read_to_string(dir.join("journal")).unwrap()).collect();
    assert!(all.iter().any(|journal| journal.contains("the first import was of the wrong day")));
}

#[test]
fn again_is_asked_only_where_something_would_be_done_twice() {
    let again = |keys: &str| {
        let desk = Desk::with_steps(&format!(
            "  - {{ id: a, uses: command{keys}, with: {{ shell: 'echo a >>$LEDGER; touch $LEDGER.a' }} }}\n"
        ));
        desk.relevo(&["run", "plan.yaml"]).exits(0);
        let code = desk.relevo(&["run", "plan.yaml"]).code;
        (code, desk.ledger().len())
    };
    let seen = ", probe: { uses: command, with: { shell: 'test -e $LEDGER.a' } }";
    assert_eq!(again(", effect: read"), (Some(0), 2));
    assert_eq!(again(", effect: ensure"), (Some(0), 2));
    assert_eq!(again(", effect: once"), (Some(8), 1));
    assert_eq!(again(&format!(", effect: once{seen}")), (Some(0), 1));
    assert_eq!(again(", effect: ensure, destructive: true"), (Some(8), 1));
    assert_eq!(again(&format!(", effect: ensure, destructive: true{seen}")), (Some(0), 1), "it is seen to be done");
    let gone = Desk::with_steps(&format!(
        "  - {{ id: a, uses: command, effect: ensure, destructive: true{seen}, with: {{ shell: 'touch $LEDGER.a' }} }}\n"
    ));
    gone.relevo(&["run", "plan.yaml"]).exits(0);
    std::fs::remove_file(gone.path("ledger.a")).unwrap();
    gone.relevo(&["run", "plan.yaml"]).exits(8).says("it destroys something");
}

#[test]
fn other_parameters_or_another_target_are_another_run_and_nothing_is_asked() {
    let desk = Desk::new();
    desk.write("ledger", "");
    desk.write(
        "plan.yaml",
        "relevo: 1\nname: x\nparams: { day: { type: string, default: one } }\nsteps:\n  - { id: a, uses: command, with: { shell: 'echo a >>$LEDGER' } }\n",
    );
    desk.relevo(&["run", "plan.yaml"]).exits(0);
    desk.relevo(&["run", "plan.yaml", "--param", "day=two"]).exits(0);
    desk.relevo(&["run", "plan.yaml", "--param", "day=two"]).exits(8);
    assert_eq!(desk.ledger().len(), 2);
}

#[test]
fn a_run_does_not_start_where_the_machines_folder_cannot_be_used() {
    let desk = Desk::with_steps(&quick("a", ""));
    desk.write("no-folder", "");
    let with = |folder: &Path| {
        let mut command = desk.command(&["run", "plan.yaml"]);
        command.env("RELEVO_MACHINE", folder);
        desk.working(command).wait()
    };
    with(&desk.path("no-folder")).exits(8).says("RELEVO_MACHINE").says("nothing was started");
    std::os::unix::fs::symlink(desk.machine.path(), desk.path("link")).unwrap();
    with(&desk.path("link")).exits(8).says("RELEVO_MACHINE");
    assert_eq!(desk.ledger(), Vec::<String>::new());
    assert!(desk.run_dirs().is_empty());
}
