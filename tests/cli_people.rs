//! People and the run: gates, votes, manual steps, failures, pauses, notes.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use cli_support::{Desk, me, wait_for};

fn effect(id: &str, needs: &str) -> String {
    format!("  - {{ id: {id}, needs: [{needs}], uses: command, with: {{ shell: 'echo {id} >> \"$LEDGER\"' }} }}\n")
}

/// A gate with these keys, an effect behind it, and the roles.
fn gated(keys: &str, roles: &str) -> Desk {
    let desk = Desk::with_steps(&format!("  - {{ id: ok, gate: {{ ask: Really?, {keys} }} }}\n{}", effect("one", "ok")));
    desk.write("targets.yaml", &format!("relevo_targets: 1\nroles: {{ {roles} }}\n"));
    desk
}

#[test]
fn a_run_that_waits_takes_the_answer_from_another_terminal_and_goes_on() {
    let desk = gated("", "");
    let mut run = desk.start(&["run", "plan.yaml", "--wait"]);
    run.wait_for_text("Really?");
    desk.relevo(&["decide", "ok", "go", "--reason", "counts agree"]).exits(0).says("recorded as");
    run.wait().exits(0);
    assert_eq!(desk.ledger(), ["one"]);
    assert!(desk.journal().contains("counts agree"));
}

#[test]
fn an_answer_to_a_run_that_nobody_holds_shows_at_once() {
    let desk = gated("", "");
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    assert_eq!(desk.state_of("ok"), "done");
    desk.relevo(&["status"]).exits(0).keeps_silent_about("decide").says("next: relevo resume");
    assert!(desk.ledger().is_empty(), "an answer starts nothing");
    desk.relevo(&["resume", "--yes"]).exits(0).says("starts next  one");
    let desk = gated("", "");
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    desk.relevo(&["decide", "ok", "no-go", "--reason", "counts differ"]).exits(0);
    assert_eq!(desk.state_of("ok"), "failed");
    desk.relevo(&["status"]).exits(0).says("counts differ");
}

#[test]
fn a_no_go_ends_the_branch_and_is_never_a_yes() {
    let desk = gated("", "");
    let mut run = desk.start(&["run", "plan.yaml", "--wait"]);
    run.wait_for_text("Really?");
    desk.relevo(&["decide", "ok", "no-go", "--reason", "counts differ"]).exits(0);
    run.wait().says("counts differ");
    assert!(desk.ledger().is_empty());
    desk.relevo(&["status"]).exits(0).says("counts differ");
    desk.relevo(&["resume", "--yes"]);
    assert!(desk.ledger().is_empty(), "a refused gate stays shut");
}

#[test]
fn a_vote_of_another_role_is_recorded_and_does_not_count() {
    let desk = gated("approvers: [lead]", "lead: [somebody-else]");
    let mut run = desk.start(&["run", "plan.yaml", "--wait"]);
    run.wait_for_text("Really?");
    desk.relevo(&["decide", "ok", "go"]).exits(8).says("does not count").says(&me()).says("lead");
    assert!(run.ended().is_none());
    assert!(desk.ledger().is_empty());
    run.kill();
    desk.relevo(&["resume", "--yes"]).exits(3);
    assert!(desk.ledger().is_empty());
    // Whoever sees something may stop it, in whatever role.
    desk.relevo(&["decide", "ok", "no-go"]).exits(0);
    desk.relevo(&["status"]).exits(0).says("no-go");
}

#[test]
fn who_started_the_run_does_not_count_where_the_gate_says_so() {
    let desk = gated("approvers: [lead], not_initiator: true", &format!("lead: [{}, other]", me()));
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    desk.relevo(&["decide", "ok", "go"]).exits(8).says("does not count").says("started the run");
    desk.relevo(&["resume", "--yes"]).exits(3);
    assert!(desk.ledger().is_empty());
}

#[test]
fn s34_one_account_cannot_be_a_quorum_of_two() {
    let desk = gated("approvers: [lead], quorum: 2", &format!("lead: [{}, other]", me()));
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    desk.relevo(&["decide", "ok", "go"]).exits(8).says("already");
    desk.relevo(&["resume", "--yes"]).exits(3);
    assert!(desk.ledger().is_empty());
    desk.relevo(&["status"]).exits(0).says(&format!("(1 of 2 go: {})", me()));
}

#[test]
fn a_gate_that_lapsed_is_asked_anew_and_never_a_yes() {
    let desk = gated("expires: 1s", "");
    let mut run = desk.start(&["run", "plan.yaml", "--wait"]);
    run.wait_for_text("Really?");
    desk.wait_for_record("gate_expired");
    desk.relevo(&["decide", "ok", "go"]).exits(8).says("lapsed").says("retry");
    assert!(desk.ledger().is_empty());
    desk.relevo(&["decide", "ok", "retry"]).exits(0);
    wait_for("it is asked again", || desk.journal().matches("gate_asked").count() == 2);
    run.kill();
    // A second later that question has lapsed, too, whether anybody held the run or not.
    wait_for("the question lapses", || {
        desk.relevo(&["decide", "ok", "go"]).code == Some(8) || desk.journal().contains("\"go\":true")
    });
    let counted = desk.journal().contains("\"go\":true");
    let resumed = desk.relevo(&["resume", "--yes"]);
    assert_eq!(desk.ledger().is_empty(), !counted, "{}", resumed.all());
}

#[test]
fn a_pause_starts_nothing_more_and_continue_goes_on() {
    let desk = Desk::with_steps(&format!(
        "  - {{ id: first, uses: command, with: {{ shell: 'echo first >> \"$LEDGER\"; while [ ! -e go ]; do sleep 0.02; done' }} }}\n{}",
        effect("second", "first")
    ));
    let mut run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("first");
    desk.relevo(&["pause", "--reason", "the bridge is talking"]).exits(0).says("recorded");
    desk.relevo(&["pause"]).exits(8).says("paused already");
    desk.write("go", "");
    desk.wait_for_record("step_verified");
    desk.relevo(&["status"]).exits(0).says("paused").says("the bridge is talking").says("relevo continue");
    assert!(run.ended().is_none(), "a paused run waits to be continued:\n{}", run.printed());
    assert_eq!(desk.ledger(), ["first"]);
    desk.relevo(&["continue"]).exits(0);
    run.wait().exits(0);
    assert_eq!(desk.ledger(), ["first", "second"]);
}

#[test]
fn an_abort_lets_the_attempt_finish_and_ends_the_run() {
    let desk = Desk::with_steps(&format!(
        "  - {{ id: first, uses: command, with: {{ shell: 'echo first >> \"$LEDGER\"; while [ ! -e go ]; do sleep 0.02; done' }} }}\n{}",
        effect("second", "first")
    ));
    let run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("first");
    desk.relevo(&["abort"]).exits(2);
    desk.relevo(&["abort", "--reason", "the customer called"]).exits(0);
    desk.write("go", "");
    run.wait().exits(1).says("the customer called");
    assert_eq!(desk.ledger(), ["first"]);
    // A stop is lifted by a resume, which says that it does so.
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["first", "second"]);
}

#[test]
fn an_abort_of_a_run_that_nobody_holds_ends_it_and_the_next_shift_is_told() {
    let desk = gated("", "");
    desk.relevo(&["run", "plan.yaml", "--run-id", "weekend"]).exits(3);
    desk.relevo(&["abort", "--reason", "the customer called"]).exits(0);
    desk.relevo(&["status"]).exits(0).says("stopped").says("the customer called").keeps_silent_about("needs a person");
    for order in [["abort", "--reason", "again"].as_slice(), &["pause"], &["continue"]] {
        desk.relevo(order).exits(8).says("has ended");
    }
    desk.relevo(&["note", "weekend", "went home"]).exits(0);
    desk.relevo(&["resume", "--yes"])
        .exits(3)
        .says("by root: the customer called; going on lifts that".replace("root", &me()).as_str());
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0);
    desk.relevo(&["abort", "--reason", "too late"]).exits(8).says("has ended");
    assert_eq!(desk.ledger(), ["one"]);
    desk.relevo(&["verify"]).exits(0);
}

#[test]
fn commands_that_are_printed_name_the_folder_of_the_runs_where_it_is_not_the_usual_one() {
    let desk = gated("", "");
    let elsewhere = desk.path("elsewhere");
    let said = desk.relevo(&["run", "plan.yaml", "--runs", "elsewhere", "--run-id", "weekend"]).exits(3);
    let wanted = format!("relevo resume weekend --runs {}", elsewhere.display());
    assert!(said.out.contains(&wanted), "{}", said.out);
    let command = said.out.lines().map(str::trim).find(|line| line.starts_with("relevo decide")).unwrap().to_owned();
    let mut shell = desk.program("sh", &["-c", &command.replacen("relevo", "\"$RELEVO\"", 1)]);
    shell.env("RELEVO", env!("CARGO_BIN_EXE_relevo")).current_dir("/");
    desk.working(shell).wait().exits(0);
}

#[test]
fn a_note_is_in_the_journal_whether_the_run_is_held_or_not() {
    let desk = gated("", "");
    let mut run = desk.start(&["run", "plan.yaml", "--wait", "--run-id", "weekend"]);
    run.wait_for_text("Really?");
    desk.relevo(&["note", "weekend", "sql01 was slow"]).exits(0).says("recorded as");
    run.kill();
    desk.relevo(&["note", "weekend", "then it died"]).exits(0);
    let journal = desk.journal();
    assert!(journal.contains("sql01 was slow") && journal.contains("then it died") && journal.contains(&me()));
    desk.relevo(&["verify"]).exits(0);
}

#[test]
fn a_manual_step_wants_its_evidence_in_its_type() {
    let desk = Desk::with_steps(
        "  - { id: count, manual: { instructions: Count the rooms, evidence: { rooms: { type: integer, required: true } } }, outputs: [rooms] }\n\
         \x20 - { id: use, needs: [count], uses: command, with: { shell: 'echo \"$N\" >> \"$LEDGER\"', env: { N: \"${{ steps.count.outputs.rooms }}\" } } }\n",
    );
    desk.relevo(&["run", "plan.yaml"]).exits(3).says("Count the rooms").says("rooms");
    desk.relevo(&["decide", "count", "done"]).exits(8).says("rooms").says("missing");
    desk.relevo(&["decide", "count", "done", "--evidence", "rooms=many"]).exits(8).says("integer");
    desk.relevo(&["decide", "count", "done", "--evidence", "doors=3"]).exits(8);
    desk.relevo(&["decide", "count", "done", "--evidence", "rooms=42"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["42"]);
}

#[test]
fn f85_a_probe_contradicts_a_person_who_says_done_too_early() {
    let desk = Desk::with_steps(&format!(
        "  - {{ id: cable, manual: {{ instructions: Plug the cable, probe: {{ uses: command, with: {{ argv: [test, -e, plugged] }} }} }} }}\n{}",
        effect("one", "cable")
    ));
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    desk.relevo(&["decide", "cable", "done"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(3).says("cable");
    assert!(desk.ledger().is_empty());
    desk.relevo(&["status"]).exits(0).says("said to be done, but the probe says");
    desk.write("plugged", "");
    desk.relevo(&["decide", "cable", "done"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["one"]);
}

/// A step that fails unless the file `fine` is there, another branch beside it, and one behind it.
fn failing(on_failure: &str) -> Desk {
    Desk::with_steps(&format!(
        "  - {{ id: bad, uses: command, on_failure: {on_failure}, with: {{ shell: 'echo try >> tries; [ -e fine ] || {{ echo disk is full >&2; exit 7; }}; \
         echo bad >> \"$LEDGER\"' }} }}\n{}{}  - {{ id: slow, uses: command, with: {{ shell: 'while ! grep -q try tries; do sleep 0.02; done' }} }}\n{}",
        effect("behind", "bad"),
        effect("beside", "slow, ok"),
        "  - { id: ok, needs: [slow], uses: wait, with: { until: { uses: command, with: { shell: 'grep -q bad runs/*/journal && grep -q step_failed runs/*/journal' } } } }\n"
    ))
}

#[test]
fn on_failure_stop_starts_nothing_more_and_exits_1() {
    let desk = failing("stop");
    desk.relevo(&["run", "plan.yaml"]).exits(1).says("disk is full");
    assert!(desk.ledger().is_empty());
    desk.write("fine", "");
    // The step is not tried again unasked.
    desk.relevo(&["resume", "--yes"]).exits(3).says("bad");
    assert_eq!(desk.read("tries"), "try\n");
    desk.relevo(&["decide", "bad", "retry", "--reason", "made room"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.read("tries"), "try\ntry\n");
    assert!(desk.ledger().contains(&"behind".to_owned()));
}

#[test]
fn on_failure_ask_waits_for_a_person_who_may_retry_skip_or_say_done() {
    for (word, ledger) in [("retry", ["bad", "behind"].as_slice()), ("skip", &["behind"]), ("done", &["behind"])] {
        let desk = Desk::with_steps(&format!(
            "  - {{ id: bad, uses: command, with: {{ shell: '[ -e fine ] || {{ echo disk is full >&2; exit 7; }}; echo bad >> \"$LEDGER\"' }} }}\n{}",
            effect("behind", "bad")
        ));
        desk.relevo(&["run", "plan.yaml"]).exits(3).says("disk is full").says("relevo decide").says("retry");
        assert!(desk.ledger().is_empty());
        desk.write("fine", "");
        desk.relevo(&["decide", "bad", word, "--reason", "because"]).exits(0);
        desk.relevo(&["resume", "--yes"]).exits(0);
        assert_eq!(desk.ledger(), ledger, "{word}");
        desk.relevo(&["report"]).exits(0);
    }
}

#[test]
fn f77_on_failure_continue_frees_the_other_branches_and_exits_1() {
    let desk = failing("continue");
    desk.relevo(&["run", "plan.yaml"]).exits(1).says("disk is full");
    assert_eq!(desk.ledger(), ["beside"], "the branch behind the failure stays shut");
}

#[test]
fn stop_as_an_answer_to_a_failure_ends_the_run() {
    let desk =
        Desk::with_steps(&format!("  - {{ id: bad, uses: command, with: {{ argv: ['false'] }} }}\n{}", effect("behind", "bad")));
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    desk.relevo(&["decide", "bad", "stop", "--reason", "we go home"]).exits(0);
    desk.relevo(&["status"]).exits(0).says("we go home");
    assert!(desk.ledger().is_empty());
}

#[test]
fn retry_of_a_failed_step_while_the_run_waits() {
    let desk = Desk::with_steps("  - { id: bad, uses: command, with: { shell: '[ -e fine ]; echo bad >> \"$LEDGER\"' } }\n");
    let mut run = desk.start(&["run", "plan.yaml", "--wait"]);
    desk.wait_for_record("step_failed");
    desk.write("fine", "");
    run.wait_for_text("bad");
    desk.relevo(&["decide", "bad", "retry"]).exits(0);
    run.wait().exits(0);
    assert_eq!(desk.ledger(), ["bad"]);
}

#[test]
fn until_stops_at_the_checkpoint_and_resume_goes_on_from_there() {
    let desk = Desk::with_steps(&format!(
        "{}  - {{ id: safe, needs: [one], checkpoint: true }}\n{}{}",
        effect("one", ""),
        effect("two", "safe"),
        effect("aside", "")
    ));
    desk.relevo(&["run", "plan.yaml", "--until", "safe"]).exits(0).says("safe").says("relevo resume");
    assert_eq!(desk.ledger(), ["one"], "only what the checkpoint needs");
    desk.relevo(&["resume", "--yes"]).exits(0);
    let mut ledger = desk.ledger();
    ledger.sort();
    assert_eq!(ledger, ["aside", "one", "two"]);
}

#[test]
fn an_excluded_target_is_left_out_and_the_record_says_so() {
    let desk = Desk::with_steps(
        "  - { id: each, for_each: { items: [srv1, srv2], as: server }, uses: command, with: { shell: 'echo \"$S\" >> \"$LEDGER\"', env: { S: \"${{ server }}\" } } }\n",
    );
    desk.relevo(&["run", "plan.yaml", "--exclude", "srv1"]).exits(0);
    assert_eq!(desk.ledger(), ["srv2"]);
    assert_eq!(desk.state_of("each[srv1]"), "skipped");
    assert!(desk.journal().contains("excluded: srv1"));
}

#[test]
fn a_server_that_a_step_discovers_is_left_out_by_its_full_name() {
    let desk = Desk::with_steps(
        "  - { id: settled, uses: ad.settle, with: { directory: contoso, absent: { sip_address: \"sip:a@contoso.lan\" } } }\n",
    );
    // Nothing answers there, so that the run ends as soon as its command line was understood.
    desk.write(
        "targets.yaml",
        "relevo_targets: 1\ndirectories:\n  contoso: { url: \"ldaps://127.0.0.1:1\", bind: { user: a, password: { file: pw } } }\n",
    );
    desk.write("pw", "Passw0rd!");
    desk.relevo(&["run", "plan.yaml", "--exclude", "dc9"]).exits(2).says("`--exclude dc9`").says("full DNS name");
    desk.relevo(&["run", "plan.yaml", "--exclude", "dc9.contoso.lan"]).exits(69);
}

#[test]
fn go_answers_gates_and_is_recorded_as_such() {
    let desk = gated("", "");
    desk.relevo(&["run", "plan.yaml", "--go"]).exits(0);
    assert_eq!(desk.ledger(), ["one"]);
    assert!(desk.journal().contains("\"go\":true"));
}
