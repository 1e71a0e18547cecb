//! A rehearsal changes nothing, looks at the live systems, and says how far its word goes.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::path::PathBuf;

use cli_support::{Desk, tree};

/// Every kind of step; each effect would leave a trace. `looks` is outside of what is compared.
const WEEKEND: &str = "  - { id: read, uses: command, effect: read, with: { shell: 'echo read >> ../looks; echo 3 rooms' },
      outputs: { rooms: { from: stdout, regex: '(\\d+) rooms', type: integer } } }
  - { id: stop, needs: [read], uses: command, effect: ensure, with: { shell: 'echo stop >> \"$LEDGER\"; touch trace-stop' },
      before: [{ uses: command, with: { argv: [test, -e, plan.yaml] }, name: there is a plan }],
      probe: { uses: command, with: { shell: 'echo probe >> ../looks; grep -qx stop \"$LEDGER\"' } } }
  - { id: there, uses: command, effect: ensure, with: { shell: 'echo there >> \"$LEDGER\"' },
      probe: { uses: command, with: { shell: 'true' } } }
  - { id: script, uses: command, with: { shell: 'echo script >> \"$LEDGER\"; rm -rf runs' } }
  - { id: each, needs: [stop], for_each: { items: [srv1, srv2], as: server }, uses: command, effect: once,
      with: { shell: 'touch trace-$S', env: { S: \"${{ server }}\" } },
      probe: { uses: command, with: { shell: '[ -e trace-$S ]', env: { S: \"${{ server }}\" } } } }
  - { id: late, needs: [each], uses: command, with: { shell: 'echo late >> \"$LEDGER\"' } }
  - { id: ok, needs: [late], gate: { ask: 'There are ${{ steps.read.outputs.rooms }} rooms. Go?', approvers: [lead], expires: 1s } }
  - { id: hand, needs: [ok], manual: { instructions: Plug the cable } }
  - { id: safe, needs: [hand], checkpoint: true }
  - { id: last, needs: [safe], uses: command, point_of_no_return: true, destructive: true, effect: once,
      with: { shell: 'echo last >> \"$LEDGER\"' }, after: [{ uses: command, with: { shell: 'grep -qx last \"$LEDGER\"' } }],
      probe: { uses: command, with: { shell: 'grep -qx last \"$LEDGER\"' } }, undo: { uses: command, with: { shell: 'echo undo >> \"$LEDGER\"' } } }
";

/// The plan in a folder below the desk, so that its looks may leave a mark beside it.
fn desk() -> (Desk, PathBuf) {
    let desk = Desk::new();
    let site = desk.path("site");
    std::fs::create_dir(&site).unwrap();
    std::fs::write(site.join("plan.yaml"), format!("relevo: 1\nname: A weekend\nsteps:\n{WEEKEND}")).unwrap();
    std::fs::write(site.join("targets.yaml"), "relevo_targets: 1\nroles: { lead: [nobody-here] }\n").unwrap();
    std::fs::write(site.join("ledger"), "before\n").unwrap();
    (desk, site)
}

fn with_ledger((mut desk, site): (Desk, PathBuf)) -> (Desk, PathBuf) {
    desk.env.push(("LEDGER".to_owned(), site.join("ledger").display().to_string()));
    (desk, site)
}

#[test]
fn i11_s55_a_rehearsal_leaves_no_trace_and_looks_for_real() {
    let (desk, site) = with_ledger(desk());
    let before = tree(&site);
    for verb in [["rehearse", "site/plan.yaml"].as_slice(), &["run", "site/plan.yaml", "--dry-run"]] {
        desk.relevo(verb).exits(0).says("There are 3 rooms. Go?");
        assert_eq!(tree(&site), before, "{verb:?}");
    }
    let looks = desk.read("looks");
    assert_eq!(looks.matches("read").count(), 2, "a step that only reads is done: {looks}");
    assert!(looks.contains("probe"), "probes are made for real: {looks}");
}

#[test]
fn a_rehearsal_says_of_every_step_how_far_its_word_goes() {
    let (desk, _) = with_ledger(desk());
    let said = desk.relevo(&["rehearse", "site/plan.yaml"]).exits(0);
    let table: Vec<&str> = said.out.lines().skip_while(|line| !line.starts_with("STEP")).collect();
    let row = |step: &str| {
        let line = table.iter().find(|line| line.split_whitespace().next() == Some(step));
        (*line.unwrap_or_else(|| panic!("no row of {step}:\n{}", said.out))).to_owned()
    };
    assert!(row("stop").contains("verified live"), "{}", row("stop"));
    assert!(row("there").contains("was there already"), "{}", row("there"));
    assert!(row("each[srv1]").contains("assumed"), "{}", row("each[srv1]"));
    // Opaque: nobody can look at it, whatever comes before it.
    assert!(row("script").contains("only parsed"), "{}", row("script"));
    assert!(row("late").contains("only parsed"), "{}", row("late"));
    assert!(row("ok").contains("gate"), "{}", row("ok"));
    assert!(row("last").contains("assumed"), "{}", row("last"));
    assert!(said.out.contains("% verified live"), "{}", said.out);
    assert!(said.out.trim_end().lines().last().unwrap().starts_with("next: relevo run"), "{}", said.out);
}

#[test]
fn a_rehearsal_finds_every_failure_and_goes_on_behind_it() {
    let desk = Desk::with_steps(
        "  - { id: one, uses: command, effect: ensure, with: { shell: 'echo one >> \"$LEDGER\"' }, \
         before: [{ uses: command, with: { argv: [test, -e, missing-one] }, name: the share is there }] }\n\
         \x20 - { id: two, uses: command, effect: read, with: { shell: 'echo two is down >&2; exit 1' } }\n\
         \x20 - { id: three, uses: command, effect: ensure, with: { shell: 'echo three >> \"$LEDGER\"' } }\n",
    );
    desk.relevo(&["rehearse", "plan.yaml"]).exits(7).says("the share is there").says("two is down").says("three");
    assert!(desk.ledger().is_empty());
}

#[test]
fn a_rehearsal_is_not_resumed_nor_decided_about_as_a_run() {
    let (desk, site) = with_ledger(desk());
    desk.relevo(&["rehearse", "site/plan.yaml", "--run-id", "dress"]).exits(0);
    let before = tree(&site);
    desk.relevo(&["resume", "dress", "--yes"]).exits(8).says("rehearsal").says("relevo rehearse");
    desk.relevo(&["decide", "dress", "ok", "go"]).exits(8);
    desk.relevo(&["status", "dress"]).exits(0).says("rehearsal");
    desk.relevo(&["report", "dress"]).exits(0).says("verified live");
    desk.relevo(&["verify", "dress"]).exits(0);
    assert_eq!(tree(&site), before);
}

#[test]
fn i11_a_rehearsal_does_not_write_into_other_runs() {
    let (desk, site) = with_ledger(desk());
    // `script` would remove the runs if it were done.
    std::fs::write(
        site.join("plan2.yaml"),
        "relevo: 1\nname: Other\nsteps:\n  - { id: one, uses: noop }\n  - { id: ok, needs: [one], gate: { ask: Go? } }\n",
    )
    .unwrap();
    desk.relevo(&["run", "site/plan2.yaml", "--run-id", "a-run"]).exits(3);
    let run = desk.path("runs/a-run");
    let before = tree(&run);
    desk.relevo(&["rehearse", "site/plan.yaml", "--run-id", "a-run"]).says("a-run");
    assert_eq!(tree(&run), before, "an id that is taken is refused");
    desk.relevo(&["rehearse", "site/plan.yaml", "--run-id", "z-dress"]).exits(0);
    assert_eq!(tree(&run), before);
}

#[test]
fn a_rehearsal_of_work_that_is_done_already_says_so() {
    let (desk, site) = with_ledger(desk());
    std::fs::write(site.join("ledger"), "stop\n").unwrap();
    let said = desk.relevo(&["rehearse", "site/plan.yaml"]).exits(0);
    assert!(said.out.lines().any(|line| line.contains("stop") && line.contains("already")), "{}", said.out);
}

#[test]
fn a_rehearsal_reports_the_window_and_does_not_wait_for_it() {
    let desk = Desk::with_steps("  - { id: one, uses: command, with: { shell: 'echo one >> \"$LEDGER\"' } }\n");
    desk.write("window.yaml", "timezone: Europe/Madrid\nopens: \"2090-01-06 22:00\"\ncloses: \"2090-01-09 05:00\"\n");
    desk.relevo(&["rehearse", "plan.yaml", "--window", "window.yaml"]).exits(0).says("2090");
    assert!(desk.ledger().is_empty());
}
