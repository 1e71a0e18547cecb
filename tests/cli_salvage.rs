//! A run whose journal is damaged goes on in a new one, from what its journal proves: nothing that is proven is done again,
//! nothing that is lost is guessed, and the damaged folder stays as it is.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::path::{Path, PathBuf};

use cli_support::{Desk, Said, tree};
use serde_json::Value;

const OLD: &str = "20261127-220000-0001";
/// A preparation, a gate, something that may happen once, something that destroys, and an end. The ledger is the system.
const STEPS: &str = r#"
  - id: prepare
    uses: command
    effect: once
    with: { shell: 'echo prepare >> "$LEDGER"' }
    probe: { uses: command, with: { shell: 'grep -qx prepare "$LEDGER"' } }
  - id: agreed
    needs: [prepare]
    gate: { ask: "Really?" }
  - id: move
    needs: [agreed]
    uses: command
    effect: ensure
    with: { shell: 'echo move >> "$LEDGER"' }
    probe: { uses: command, with: { shell: 'grep -qx move "$LEDGER"' } }
  - id: destroy
    needs: [move]
    uses: command
    effect: ensure
    destructive: true
    with: { shell: 'echo destroy >> "$LEDGER"' }
    probe: { uses: command, with: { shell: 'grep -qx destroy "$LEDGER"' } }
  - id: close
    needs: [destroy]
    uses: command
    with: { shell: 'echo close >> "$LEDGER"' }
"#;
const ALL: [&str; 4] = ["prepare", "move", "destroy", "close"];

/// A desk whose run waits at its gate.
fn at_the_gate() -> Desk {
    let desk = Desk::with_steps(STEPS);
    desk.relevo(&["run", "plan.yaml", "--run-id", OLD]).exits(3);
    desk
}

/// A desk whose run is done.
fn done() -> Desk {
    let desk = at_the_gate();
    desk.relevo(&["decide", OLD, "agreed", "go"]).exits(0);
    desk.relevo(&["resume", OLD, "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ALL);
    desk
}

fn old(desk: &Desk) -> PathBuf {
    desk.path("runs").join(OLD)
}

fn lines(dir: &Path) -> Vec<String> {
    std::fs::read_to_string(dir.join("journal")).unwrap().lines().map(str::to_owned).collect()
}

/// Changes a byte in the middle of a line of the journal (counted from 1).
fn flip(dir: &Path, line: usize) {
    let path = dir.join("journal");
    let mut bytes = std::fs::read(&path).unwrap();
    let starts: Vec<usize> =
        std::iter::once(0).chain((0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1)).collect();
    let middle = usize::midpoint(starts[line - 1], starts[line]);
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

/// Salvages the damaged run and returns the new one's id.
fn salvage(desk: &Desk) -> (String, Said) {
    let before = tree(&old(desk));
    let said = desk.relevo(&["salvage", OLD]).exits(0).says("nothing was changed in");
    assert!(before == tree(&old(desk)), "the damaged folder was changed");
    let new: Vec<PathBuf> = desk.run_dirs().into_iter().filter(|dir| *dir != old(desk)).collect();
    let [new] = &new[..] else { panic!("{new:?}") };
    (new.file_name().unwrap().to_str().unwrap().to_owned(), said)
}

fn status(desk: &Desk, run: &str) -> Value {
    desk.relevo(&["status", run, "--format", "json"]).exits(0).json()
}

/// What is asked about, of one kind.
fn asked(status: &Value, why: &str) -> Vec<String> {
    let asks = status["asks"].as_array().unwrap().iter().filter(|ask| ask["why"] == why);
    asks.map(|ask| ask["step"].as_str().unwrap().to_owned()).collect()
}

/// A person who looks at the ledger and says what is true, until the run is done. Returns the gates that were asked.
fn bring_to_its_end(desk: &Desk, run: &str) -> Vec<String> {
    let mut gates = Vec::new();
    for _ in 0..12 {
        let said = desk.relevo(&["resume", run, "--yes"]);
        if said.code == Some(0) {
            return gates;
        }
        assert!(matches!(said.code, Some(3 | 4)), "{}", said.all());
        let status = status(desk, run);
        for step in asked(&status, "in_doubt") {
            let word = if desk.ledger().contains(&step) { "done" } else { "not-done" };
            desk.relevo(&["decide", run, &step, word, "--reason", "looked at the ledger"]).exits(0);
        }
        for gate in asked(&status, "gate") {
            desk.relevo(&["decide", run, &gate, "go"]).exits(0);
            gates.push(gate);
        }
    }
    panic!("not at its end: {}", desk.relevo(&["status", run]).all());
}

#[test]
fn f36_i17_a_byte_flipped_anywhere_is_refused_and_salvaged_and_nothing_that_is_proven_is_done_again() {
    let desk = done();
    let (journal, count) = (old(&desk).join("journal"), lines(&old(&desk)).len());
    let sound = std::fs::read(&journal).unwrap();
    for line in 2..=count {
        std::fs::write(&journal, &sound).unwrap();
        flip(&old(&desk), line);
        for verb in [["resume", OLD, "--yes"].as_slice(), &["status", OLD], &["verify", OLD]] {
            desk.relevo(verb).exits(65);
        }
        let (new, said) = salvage(&desk);
        let said = said.says(&format!("records 1 to {} are intact", line - 1)).says(&new);
        assert!(said.out.contains("durable and"), "{}", said.out);
        desk.relevo(&["verify", &new]).exits(0);
        desk.relevo(&["verify", OLD]).exits(65);
        let proven: Vec<&str> = ALL
            .into_iter()
            .filter(|step| {
                lines(&old(&desk))[..line - 1]
                    .iter()
                    .any(|line| line.contains(&format!("\"step_verified\":{{\"step\":\"{step}\"")))
            })
            .collect();
        let now = status(&desk, &new);
        let doubt = asked(&now, "in_doubt");
        for step in ALL {
            let row = now["steps"].as_array().unwrap().iter().find(|row| row["id"] == step).unwrap();
            assert_eq!(row["state"] == "done", proven.contains(&step), "line {line}: {now:#}");
            assert_eq!(doubt.iter().any(|id| id == step), !proven.contains(&step), "line {line}: {now:#}");
        }
        let gates = bring_to_its_end(&desk, &new);
        // Everything had been done in the lost part, and the person said so.
        assert_eq!(desk.ledger(), ALL, "line {line}");
        assert!(gates.len() <= 1, "{gates:?}");
        assert_eq!(gates.is_empty(), doubt.is_empty(), "a gate with something left behind it is asked anew; line {line}");
        std::fs::remove_dir_all(desk.path("runs").join(&new)).unwrap();
    }
}

#[test]
fn f36_what_the_lost_part_did_not_do_is_done_once_and_only_after_the_gate_is_asked_anew() {
    let desk = at_the_gate();
    let last = lines(&old(&desk)).len();
    flip(&old(&desk), last);
    let (new, _) = salvage(&desk);
    let card = desk.relevo(&["resume", &new, "--yes"]).exits(4).says("salvaged").says(OLD);
    assert!(card.out.contains("was durable and is lost"), "{}", card.out);
    assert_eq!(desk.ledger(), ["prepare"]);
    assert_eq!(asked(&status(&desk, &new), "gate"), ["agreed"], "what was asked in the lost part is asked anew");
    assert_eq!(bring_to_its_end(&desk, &new), ["agreed"]);
    assert_eq!(desk.ledger(), ALL);
}

#[test]
fn f38_a_destructive_step_of_the_lost_part_is_never_repeated_by_a_look_alone() {
    let desk = done();
    let begun = lines(&old(&desk)).iter().position(|line| line.contains("\"attempt_started\":{\"step\":\"destroy\"")).unwrap();
    // Its intent is in the intact part, its end is not; and the system does not show it.
    flip(&old(&desk), begun + 2);
    let kept: Vec<String> = desk.ledger().into_iter().filter(|line| line != "destroy" && line != "close").collect();
    desk.write("ledger", &(kept.join("\n") + "\n"));
    let (new, _) = salvage(&desk);
    for _ in 0..2 {
        let said = desk.relevo(&["resume", &new, "--yes"]).exits(4).says("destroy").says("was damaged after record");
        assert!(said.all().contains("relevo decide"), "{}", said.all());
        assert_eq!(desk.ledger(), kept, "nothing was done without a person's word");
    }
    let status = status(&desk, &new);
    assert_eq!(asked(&status, "in_doubt"), ["destroy", "close"]);
    assert_eq!(bring_to_its_end(&desk, &new).len(), 1);
    assert_eq!(desk.ledger(), ALL);
    let journal = std::fs::read_to_string(desk.path("runs").join(&new).join("journal")).unwrap();
    assert!(journal.contains("{\"attempt_started\":{\"step\":\"destroy\",\"attempt\":2"), "the lost attempt stays counted");
}

#[test]
fn a_person_may_answer_what_a_salvage_left_in_doubt_in_every_way() {
    let desk = at_the_gate();
    let last = lines(&old(&desk)).len();
    flip(&old(&desk), last);
    let (new, _) = salvage(&desk);
    for (step, word) in [("move", "retry"), ("destroy", "skip"), ("close", "done")] {
        desk.relevo(&["decide", &new, step, word, "--reason", "because"]).exits(0);
    }
    desk.relevo(&["decide", &new, "agreed", "go"]).exits(8);
    assert_eq!(desk.ledger(), ["prepare"]);
    assert_eq!(bring_to_its_end(&desk, &new), ["agreed"]);
    assert_eq!(desk.ledger(), ["prepare", "move"]);
}

#[test]
fn what_is_sound_held_rehearsed_unproven_or_salvaged_already_is_not_salvaged() {
    let desk = Desk::with_steps(
        "  - { id: hangs, uses: command, with: { shell: 'echo hangs >> \"$LEDGER\"; while [ ! -e go ]; do sleep 0.02; done' } }\n",
    );
    let run = desk.start(&["run", "plan.yaml", "--run-id", OLD]);
    desk.wait_for_line("hangs");
    desk.relevo(&["salvage", OLD]).exits(73).says(&run.pid().to_string());
    desk.write("go", "");
    run.wait().exits(0);
    desk.relevo(&["salvage", OLD]).exits(8).says("nothing to salvage").says("relevo resume");
    desk.relevo(&["salvage", "20261127-220000-0002"]).exits(5);
    desk.relevo(&["rehearse", "plan.yaml", "--run-id", "rehearsal"]).exits(0);
    flip(&desk.path("runs/rehearsal"), 2);
    desk.relevo(&["salvage", "rehearsal"]).exits(8).says("rehearsal");
    flip(&old(&desk), 3);
    desk.relevo(&["salvage", OLD]).exits(0);
    desk.relevo(&["salvage", OLD]).exits(8).says("salvaged already");
    flip(&old(&desk), 1);
    desk.relevo(&["salvage", OLD]).exits(65).says("not one record");
}

#[test]
fn a_watermark_that_vouches_for_nothing_more_is_told_and_one_that_is_gone_too() {
    let desk = at_the_gate();
    // A whole line where it does not belong: damage beyond the watermark.
    let first = lines(&old(&desk))[1].clone() + "\n";
    cli_support::append(&old(&desk).join("journal"), first.as_bytes());
    desk.relevo(&["resume", OLD, "--yes"]).exits(65);
    let (new, said) = salvage(&desk);
    said.says("the watermark says that nothing beyond record");
    desk.relevo(&["resume", &new, "--yes"]).exits(4).says("nothing beyond record");
    std::fs::remove_dir_all(desk.path("runs").join(&new)).unwrap();
    std::fs::write(old(&desk).join("head"), "nothing of it is left").unwrap();
    desk.relevo(&["resume", OLD, "--yes"]).exits(65);
    let (new, said) = salvage(&desk);
    said.says("how much is lost cannot be told");
    desk.relevo(&["verify", &new]).exits(0);
}

#[test]
fn a_journal_that_was_exchanged_proves_nothing() {
    let desk = at_the_gate();
    let kept = std::fs::read(old(&desk).join("head")).unwrap();
    std::fs::remove_dir_all(old(&desk)).unwrap();
    desk.relevo(&["run", "plan.yaml", "--run-id", OLD]).exits(3);
    std::fs::write(old(&desk).join("head"), kept).unwrap();
    desk.relevo(&["salvage", OLD]).exits(65).says("not the one that was published");
}

#[test]
fn evidence_and_output_come_along_and_what_is_wrong_with_them_is_told() {
    let desk = done();
    let evidence = old(&desk).join("evidence");
    // SHA-256 of `kept`, and a name that is of something else.
    let right = "79f076abdd19a752db7267bfff2f9022161d120dea919fdaca2ffdfc24ca8c96";
    let wrong = "0".repeat(64);
    std::fs::write(evidence.join(&wrong), "other bytes").unwrap();
    std::fs::write(old(&desk).join("output/move-1.stdout"), "said").unwrap();
    std::fs::write(evidence.join(right), "kept").unwrap();
    let last = lines(&old(&desk)).len();
    flip(&old(&desk), last);
    let (new, said) = salvage(&desk);
    said.says("1 file copied").says(&format!("evidence {wrong}: it was changed"));
    let dir = desk.path("runs").join(&new);
    assert_eq!(std::fs::read_to_string(dir.join("evidence").join(right)).unwrap(), "kept");
    assert!(!dir.join("evidence").join(&wrong).exists());
    assert_eq!(std::fs::read_to_string(dir.join("output").join(OLD).join("move-1.stdout")).unwrap(), "said");
}

#[test]
fn an_amendment_that_is_gone_ends_what_is_proven_although_every_line_is_sound() {
    let desk = at_the_gate();
    desk.steps(&STEPS.replace("echo close", "echo closed"));
    desk.relevo(&["resume", OLD, "--amend", "plan.yaml", "--yes"]).exits(3);
    let amended = |dir: &Path| -> Vec<PathBuf> {
        let files = std::fs::read_dir(dir.join("sources")).unwrap().flatten().map(|entry| entry.path());
        // Named by what it holds.
        files.filter(|path| path.file_name().unwrap().len() == 64).collect()
    };
    // As long as it is there, it comes along.
    let sound = std::fs::read(old(&desk).join("journal")).unwrap();
    let last = lines(&old(&desk)).len();
    flip(&old(&desk), last);
    let (new, _) = salvage(&desk);
    assert_eq!(amended(&desk.path("runs").join(&new)).len(), 1);
    std::fs::remove_dir_all(desk.path("runs").join(&new)).unwrap();
    std::fs::write(old(&desk).join("journal"), sound).unwrap();
    for file in amended(&old(&desk)) {
        std::fs::remove_file(file).unwrap();
    }
    desk.relevo(&["resume", OLD, "--yes"]).exits(65);
    let (new, said) = salvage(&desk);
    said.says("cannot be followed");
    bring_to_its_end(&desk, &new);
    assert_eq!(desk.ledger(), ALL);
}
