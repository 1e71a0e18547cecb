//! A plan that changes between a crash and the resume.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use cli_support::Desk;

fn effect(id: &str, needs: &str, text: &str) -> String {
    format!("  - {{ id: {id}, needs: [{needs}], uses: command, with: {{ shell: 'echo {text} >> \"$LEDGER\"' }} }}\n")
}

/// One step done, a gate that stands, one step behind it.
fn at_the_gate() -> Desk {
    let desk = Desk::with_steps(&plan("one", "two"));
    desk.relevo(&["run", "plan.yaml"]).exits(3);
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    desk
}

fn plan(first: &str, last: &str) -> String {
    format!("{}  - {{ id: ok, needs: [one], gate: {{ ask: Really? }} }}\n{}", effect("one", "", first), effect("two", "ok", last))
}

#[test]
fn f87_a_plan_that_changed_on_disk_is_noticed_and_not_used() {
    let desk = at_the_gate();
    desk.steps(&plan("one", "changed"));
    desk.relevo(&["resume", "--yes"]).exits(0).says("has changed since").says("--amend");
    assert_eq!(desk.ledger(), ["one", "two"]);
}

#[test]
fn f87_a_plan_that_is_gone_or_broken_on_disk_does_not_matter() {
    let desk = at_the_gate();
    desk.write("plan.yaml", "relevo: [\n");
    desk.relevo(&["status"]).exits(0);
    std::fs::remove_file(desk.path("plan.yaml")).unwrap();
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["one", "two"]);
}

#[test]
fn f87_an_amended_plan_may_change_add_and_remove_what_has_not_begun() {
    let desk = at_the_gate();
    desk.steps(&format!("{}{}", plan("one", "two-anew"), effect("three", "two", "three")));
    // What lies behind the gate is not what the go was for.
    desk.relevo(&["resume", "--yes", "--amend", "plan.yaml"])
        .exits(3)
        .says("changed `two`")
        .says("added `three`")
        .says("`two` has changed");
    assert_eq!(desk.ledger(), ["one"]);
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["one", "two-anew", "three"]);
    desk.relevo(&["status"]).exits(0).says("three");
    desk.relevo(&["verify"]).exits(0);
}

#[test]
fn f87_an_amended_plan_holds_over_a_further_crash() {
    let desk = at_the_gate();
    let hangs = "  - { id: hangs, needs: [two], effect: ensure, uses: command, with: { shell: 'echo hangs >> \"$LEDGER\"; while [ ! -e go ]; do sleep 0.02; done' }, \
                 probe: { uses: command, with: { shell: 'grep -qx hangs \"$LEDGER\"' } } }\n";
    desk.steps(&format!("{}{hangs}", plan("one", "two")));
    desk.relevo(&["resume", "--yes", "--amend", "plan.yaml"]).exits(3).says("`hangs` was added behind it");
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    let mut resume = desk.start(&["resume", "--yes"]);
    desk.wait_for_line("hangs");
    resume.kill();
    std::fs::remove_file(desk.path("plan.yaml")).unwrap();
    desk.write("go", "");
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["one", "two", "hangs"]);
}

#[test]
fn f87_an_amended_plan_must_not_change_what_has_begun_and_says_all_objections() {
    let desk = at_the_gate();
    let before = desk.journal();
    // `one` is done and differs; `zero` is new and would have had to come before it.
    desk.steps(&format!(
        "{}{}  - {{ id: ok, needs: [one], gate: {{ ask: Really? }} }}\n{}",
        effect("zero", "", "zero"),
        effect("one", "zero", "one-anew"),
        effect("two", "ok", "two")
    ));
    desk.relevo(&["resume", "--yes", "--amend", "plan.yaml"])
        .exits(8)
        .says("step `one`")
        .says("`zero`")
        .says("nothing was changed");
    desk.steps(&effect("two", "", "two"));
    desk.relevo(&["resume", "--yes", "--amend", "plan.yaml"]).exits(8).says("`one`").says("`ok`");
    assert_eq!(desk.journal(), before, "a refusal leaves no trace");
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["one", "two"]);
}

#[test]
fn f87_an_amended_plan_that_is_invalid_changes_nothing() {
    let desk = at_the_gate();
    let before = desk.journal();
    desk.write("plan.yaml", "relevo: 1\nname: x\nsteps: []\nnonsense: 1\n");
    desk.relevo(&["resume", "--yes", "--amend", "plan.yaml"]).exits(64).says("nonsense");
    assert_eq!(desk.journal(), before);
}
