//! What the reading verbs say, and that nothing says a secret.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use cli_support::{Desk, me, tree};
use serde_json::Value;

const WEEKEND: &str = "  - { id: stop, uses: command, effect: ensure, with: { shell: 'echo stop >> \"$LEDGER\"' },
      probe: { uses: command, with: { shell: 'grep -qx stop \"$LEDGER\"' } },
      undo: { uses: command, with: { shell: 'echo undo >> \"$LEDGER\"' } } }
  - { id: copy, needs: [stop], for_each: { items: [srv1, srv2], as: server }, uses: command,
      with: { argv: [sh, -c, 'echo \"copy $1\" >> \"$LEDGER\"', x, \"${{ server }}\"] } }
  - { id: safe, needs: [copy], checkpoint: true }
  - { id: ok, needs: [safe], gate: { ask: 'Start the new servers?' } }
  - { id: start, needs: [ok], uses: command, point_of_no_return: true, with: { shell: 'echo start >> \"$LEDGER\"' } }
";

fn weekend() -> Desk {
    let desk = Desk::with_steps(WEEKEND);
    desk.relevo(&["run", "plan.yaml", "--run-id", "weekend"]).exits(3);
    desk
}

#[test]
fn status_says_where_the_run_stands_and_what_to_type() {
    let desk = weekend();
    desk.relevo(&["status"])
        .exits(0)
        .says("waiting")
        .says("Start the new servers?")
        .says("4 of 6 steps")
        .says("next: relevo decide");
    let line = desk.relevo(&["status", "--line"]).exits(0);
    assert_eq!(line.out.lines().count(), 1);
    desk.relevo(&["status", "--list"]).exits(0).says("weekend");
    let status = desk.relevo(&["status", "--format", "json"]).exits(0).json();
    assert_eq!(status["run"], "weekend");
    assert_eq!(status["standing"], "waiting_for_person");
    assert_eq!(status["past_point_of_no_return"], false);
}

#[test]
fn status_in_an_empty_folder_says_that_there_are_no_runs() {
    let desk = Desk::new();
    desk.relevo(&["status"]).exits(5).says("no runs");
    desk.relevo(&["status", "--list"]).exits(0).says("no runs");
    desk.relevo(&["status", "nonsense"]).exits(5).says("nonsense");
}

#[test]
fn follow_shows_every_event_and_ends_with_the_run() {
    let desk = Desk::with_steps(WEEKEND);
    let mut run = desk.start(&["run", "plan.yaml", "--wait", "--run-id", "weekend"]);
    run.wait_for_text("Start the new servers?");
    let follow = desk.start(&["status", "weekend", "--follow", "--format", "json"]);
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    run.wait().exits(0);
    let said = follow.wait().exits(0);
    let events: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    let frames = desk.journal().lines().count() as u64;
    assert_eq!(seqs, (1..=frames).collect::<Vec<_>>(), "all events, in order, once");
    assert_eq!(events.last().unwrap()["event"], "run_finished");
}

#[test]
fn follow_of_a_run_that_nobody_holds_shows_all_and_says_so() {
    let desk = weekend();
    let said = desk.relevo(&["status", "--follow"]).exits(0).says("nobody holds the run").says("relevo resume weekend");
    assert!(said.out.contains("Start the new servers?"));
}

#[test]
fn a_run_as_json_lines_parses_line_by_line() {
    let desk = Desk::with_steps(WEEKEND);
    let said = desk.relevo(&["run", "plan.yaml", "--format", "json"]).exits(3);
    let events: Vec<Value> =
        said.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect();
    assert!(events.iter().any(|event| event["event"] == "gate_asked"), "{}", said.out);
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    let said = desk.relevo(&["resume", "--yes", "--format", "json"]).exits(0);
    assert!(said.out.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", said.out);
}

#[test]
fn every_reading_verb_speaks_json() {
    let desk = weekend();
    for verb in [
        ["status"].as_slice(),
        &["status", "--list"],
        &["report"],
        &["verify"],
        &["probe", "weekend", "stop"],
        &["check", "plan.yaml"],
    ] {
        let mut arguments = verb.to_vec();
        arguments.extend(["--format", "json"]);
        desk.relevo(&arguments).exits(0).json();
    }
}

#[test]
fn probe_looks_at_the_live_system_and_changes_nothing() {
    let desk = weekend();
    let before = tree(desk.folder.path());
    desk.relevo(&["probe", "weekend", "stop"]).exits(0).says("done");
    desk.relevo(&["probe", "weekend", "start"]).exits(8).says("no probe");
    desk.relevo(&["probe", "weekend", "nonsense"]).exits(2).says("nonsense");
    assert_eq!(tree(desk.folder.path()).len(), before.len());
    desk.write("ledger", "");
    desk.relevo(&["probe", "weekend", "stop"]).exits(0).says("not done");
    assert!(desk.ledger().is_empty());
}

#[test]
fn explain_tells_what_a_step_does_and_how_to_do_it_by_hand() {
    let desk = weekend();
    desk.relevo(&["explain", "stop"]).exits(0).says("done");
    desk.relevo(&["explain", "stop", "--by-hand"]).exits(0).says("echo stop").says("grep -qx stop").says("echo undo");
    desk.relevo(&["explain", "start"]).exits(0).says("no return").says("ok");
    desk.relevo(&["explain", "copy[srv1]", "--by-hand"]).exits(0).says("srv1");
    desk.relevo(&["explain", "--plan", "plan.yaml", "stop"]).exits(0).says("sets a state");
    desk.relevo(&["explain", "stpo"]).exits(2).says("stpo").says("did you mean `stop`");
    // What is printed is what would be typed: it does the step.
    let by_hand = desk.relevo(&["explain", "start", "--by-hand"]).exits(0).out;
    let typed: Vec<&str> =
        by_hand.lines().map(str::trim).skip_while(|line| !line.starts_with("cd ")).take_while(|line| !line.is_empty()).collect();
    desk.working(desk.program("sh", &["-c", &typed.join("\n")])).wait().exits(0);
    assert_eq!(desk.ledger().last().unwrap(), "start");
}

#[test]
fn report_and_verify_tell_the_truth_about_a_finished_run() {
    let desk = weekend();
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0);
    desk.relevo(&["report"]).exits(0).says("6 of 6").says("done");
    desk.relevo(&["verify"]).exits(0);
    let report = desk.relevo(&["verify", "--format", "json"]).exits(0).json();
    assert!(report.to_string().contains(&desk.journal().lines().count().to_string()), "{report}");
}

#[test]
fn a_plan_is_drawn_in_four_forms_and_read_as_a_runbook() {
    let desk = Desk::with_steps(WEEKEND);
    desk.relevo(&["graph", "plan.yaml"]).exits(0).says("stop").says("start");
    desk.relevo(&["graph", "plan.yaml", "--as", "svg"]).exits(0).says("<svg").says("copy[srv1]");
    desk.relevo(&["graph", "plan.yaml", "--as", "mermaid"]).exits(0).says("flowchart").says("stop");
    desk.relevo(&["graph", "plan.yaml", "--as", "dot"]).exits(0).says("digraph").says("->");
    desk.relevo(&["graph", "plan.yaml", "--collapse"]).exits(0).keeps_silent_about("srv1");
    desk.relevo(&["runbook", "plan.yaml"]).exits(0).says("# ").says("Start the new servers?").says("no return").says("stop");
    assert!(!desk.path("runs").exists(), "nothing of this makes a run");
    assert!(desk.ledger().is_empty());
}

#[test]
fn schemas_completions_and_the_manual_page_are_printed() {
    let desk = Desk::new();
    let schema = desk.relevo(&["schema"]).exits(0).json();
    assert!(schema["properties"]["steps"].is_object(), "{schema}");
    let targets = desk.relevo(&["schema", "targets"]).exits(0).json();
    assert!(targets["properties"].is_object(), "{targets}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        desk.relevo(&["completions", shell]).exits(0).says("rehearse");
    }
    desk.relevo(&["man"]).exits(0).says(".TH").says("rehearse").says("130");
    desk.relevo(&["--version"]).exits(0).says(env!("CARGO_PKG_VERSION"));
    desk.relevo(&["--help"]).exits(0).says("Exit codes");
}

#[test]
fn s36_resume_asks_before_it_goes_on_and_without_a_terminal_wants_a_yes() {
    let desk = weekend();
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    desk.relevo(&["resume"]).exits(2).says("--yes").says("nothing was started");
    assert!(!desk.ledger().contains(&"start".to_owned()));
}

/// The value in the forms in which it might be written somewhere.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let url: String = bytes
        .iter()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let base64: String = bytes
        .chunks_exact(3)
        .flat_map(|three| {
            let n = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            [18, 12, 6, 0].map(|shift| char::from(alphabet[(n >> shift & 63) as usize]))
        })
        .collect();
    vec![secret.to_owned(), hex.clone(), hex.to_uppercase(), url, base64, secret.chars().rev().collect()]
}

#[test]
fn i12_s26_a_secret_that_no_program_prints_is_nowhere_in_the_run_directory() {
    let secret = "canary-quiet/7f3Qx+1zz";
    let mut desk = Desk::with_steps(
        "  - { id: use, uses: command, effect: ensure, with: { shell: '[ -n \"$A\" ]; read -r fed || true; echo fine', env: { A: { env: CANARY } }, \
         stdin: { env: CANARY } },\n      probe: { uses: command, with: { shell: '[ -z \"$A\" ]', env: { A: { env: CANARY } } } } }\n",
    );
    desk.env.push(("CANARY".to_owned(), secret.to_owned()));
    let mut said = desk.relevo(&["rehearse", "plan.yaml", "--log-level", "trace"]).exits(0).all();
    // The probe never says done: it is looked at, applied, and ends in doubt.
    said += &desk.relevo(&["run", "plan.yaml", "--log-level", "trace"]).exits(4).all();
    for form in forms(secret) {
        assert!(!said.contains(&form), "{said}");
        for (path, (content, _)) in tree(&desk.path("runs")) {
            assert!(!String::from_utf8_lossy(&content).contains(&form), "{form} is in {}", path.display());
        }
    }
}

#[test]
fn i12_s26_s28_no_secret_is_written_anywhere_in_any_form() {
    // Multiples of three bytes, so that base64 needs no padding.
    let secrets = ["canary-env/7f3Qx+1", "canary-file/9kZ+Yw", "canary-cmd/pP4=vvv"];
    let mut desk = Desk::with_steps(
        "  - id: use\n    uses: command\n    with:\n      shell: |\n        [ -n \"$A\" ] && [ -n \"$B\" ] && [ -n \"$C\" ]\n        \
         read -r fed\n        echo \"$A $B $C $fed\"; echo \"$A\" >&2; printf '%s' \"$B\" | base64; printf '%s' \"$A\" | base64; printf '%s' \"$C\" | od -An -tx1 | tr -d ' \\n'\n      \
         env: { A: { env: CANARY_A }, B: { file: secret }, C: { command: [cat, secret3] } }\n      stdin: { file: secret }\n    \
         outputs:\n      all: { from: stdout }\n\
         \x20 - { id: fails, needs: [use], uses: command, on_failure: stop, with: { shell: 'echo \"wrong password $A\" >&2; echo \"$A\"; exit 1', env: { A: { env: CANARY_A } } } }\n",
    );
    desk.env.push(("CANARY_A".to_owned(), secrets[0].to_owned()));
    desk.env.push(("RELEVO_LOG".to_owned(), "trace".to_owned()));
    desk.write("secret", &format!("{}\n", secrets[1]));
    desk.write("secret3", &format!("{}\n", secrets[2]));
    let mut printed = String::new();
    for verb in [
        ["check", "plan.yaml"].as_slice(),
        &["rehearse", "plan.yaml", "--log-level", "trace"],
        &["run", "plan.yaml", "--log-level", "trace"],
        &["status", "--all"],
        &["status", "--format", "json"],
        &["report"],
        &["explain", "use", "--by-hand"],
        &["explain", "fails"],
        &["resume", "--yes", "--log-level", "trace"],
        &["status", "--follow"],
        &["runbook", "plan.yaml"],
    ] {
        printed += &desk.relevo(verb).all();
    }
    assert!(desk.run_dirs().len() == 2 && printed.contains("wrong password"), "{printed}");
    for (at, secret) in secrets.iter().enumerate() {
        for form in forms(secret) {
            assert!(!printed.contains(&form), "{form} of secret {at} was printed:\n{printed}");
            for (path, (content, _)) in tree(&desk.path("runs")) {
                let text = String::from_utf8_lossy(&content);
                // The programs' own output is theirs: they were told to print it.
                let own = path.components().any(|part| part.as_os_str() == "output");
                assert!(own || !text.contains(&form), "{form} of secret {at} is in {}:\n{text}", path.display());
            }
        }
    }
    assert!(me().len() < 100);
}
