//! Files that are wrong on purpose: refused quickly, with little memory, and never with a panic.
//!
//! The numbers in the names are rows of the fault matrix.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where something is not as it must be")]
#![allow(clippy::format_collect, clippy::format_push_string, reason = "the texts of tests are built once")]

mod plan_support;

use std::path::Path;
use std::time::{Duration, Instant};

use plan_support::{bad, catalogue, good, load_file, load_text, messages, steps};
use relevo::plan::diagnostic::Report;

/// A debug build on a busy machine gets more time than the second that a release build is held to.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 });

#[track_caller]
fn quickly<T>(work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    assert!(begin.elapsed() < LIMIT, "it took {:?}", begin.elapsed());
    result
}

#[track_caller]
fn refused(text: &str) -> Vec<String> {
    quickly(|| bad(text, &[]))
}

#[track_caller]
fn unreadable(path: &Path) -> Report {
    quickly(|| load_file(path).expect_err("this is no plan"))
}

#[test]
fn f91_an_alias_bomb_is_refused_at_its_first_anchor() {
    let mut text = String::from("relevo: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let row = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    assert_eq!(refused(&text)[0], "2:5 an anchor (`&`)");
}

#[test]
fn f92_nesting_of_a_hundred_thousand_levels_is_refused_before_parsing() {
    for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000), format!("a: {}", "[{b: ".repeat(50_000))] {
        let found = refused(&text);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("nested deeper than 32"), "{found:?}");
    }
    let steep: String = (0..100_000).map(|depth| " ".repeat(depth.min(200)) + "a:\n").collect();
    assert!(refused(&steep)[0].contains("nested deeper"));
}

#[test]
fn f93_what_is_no_regular_file_of_a_sensible_size_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(messages(&unreadable(folder.path()))[0].contains("this is a directory"));
    let large = folder.path().join("large.yaml");
    std::fs::File::create(&large).unwrap().set_len(100 * 1024 * 1024).unwrap();
    assert!(messages(&unreadable(&large))[0].contains("larger than 32 MiB"));
    assert!(messages(&unreadable(&folder.path().join("none.yaml")))[0].contains("no such file"));
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(messages(&unreadable(&pipe))[0].contains("not a regular file"));
        assert!(messages(&unreadable(Path::new("/dev/zero")))[0].contains("not a regular file"));
    }
}

#[test]
fn f94_what_is_not_plain_utf_8_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.yaml");
    for (bytes, expected) in [
        (b"relevo: 1\nname: \xff\n".to_vec(), "not UTF-8: the first wrong byte is in line 2"),
        ("relevo: 1".encode_utf16().flat_map(u16::to_le_bytes).collect(), "control character"),
        (b"\xff\xfer\0e\0".to_vec(), "UTF-16"),
        (b"\xef\xbb\xbfrelevo: 1\n".to_vec(), "byte order mark"),
        (b"relevo: 1\nname: a\0b\n".to_vec(), "control character (U+0000)"),
        ("relevo: 1\nname: a\u{202e}b\n".into(), "direction of writing (U+202E)"),
        ("relevo: 1\nname: a\u{200b}b\n".into(), "invisible character (U+200B)"),
        ("relevo: 1\nname: a\u{85}b\n".into(), "line break"),
        (b"relevo: 1\rname: x\r".to_vec(), "carriage return"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let found = messages(&unreadable(&path));
        assert!(found[0].contains(expected), "{found:?}");
    }
    // A letter that only looks like an `a` is no letter of an id.
    assert!(bad(&steps("  - { id: p\u{430}th, uses: noop }\n"), &[])[0].contains("cannot be an id"));
}

#[test]
fn f95_duplicate_keys_are_found_at_every_depth_with_both_places() {
    let text = steps("  - id: a\n    uses: command\n    with:\n      shell: x\n      env:\n        A: '1'\n        A: '2'\n");
    let report = load_text(&text, &[]).unwrap_err();
    assert_eq!(messages(&report), ["10:9 the key `A` is given twice"]);
    assert!(report.render(false).contains("first given here"));
    let many: String = (0..50_000).map(|number| format!("  k{}: {number}\n", number % 25_000)).collect();
    let report = quickly(|| load_text(&format!("relevo: 1\nlimits:\n{many}"), &[]).unwrap_err());
    assert!(report.errors >= 25_000);
}

#[test]
fn f96_a_key_that_does_not_exist_is_refused_with_the_one_that_was_meant() {
    for (step, found, meant) in [
        ("{ id: a, uses: noop, need: [b] }", "need", "needs"),
        ("{ id: a, uses: noop, depend_on: [b] }", "depend_on", "needs"),
        ("{ id: a, uses: noop, destructiv: true }", "destructiv", "destructive"),
        ("{ id: a, uses: command, with: { shel: x } }", "shel", "shell"),
    ] {
        let report = load_text(&steps(&format!("  - {step}\n")), &[]).unwrap_err();
        let shown = report.render(false);
        assert!(shown.contains(&format!("`{found}`")) && shown.contains(meant), "{shown}");
    }
}

#[test]
fn f97_what_looks_like_a_number_is_never_silently_changed() {
    for value in ["1.10", "1e3", "0x10", "~", "true", "12", ".inf", "99999999999999999999999"] {
        let found = bad(&steps(&format!("  - {{ id: a, uses: command, with: {{ argv: [{value}] }} }}\n")), &[]);
        assert!(
            found.iter().any(|message| message.contains("must be a text") || message.contains("number")),
            "{value}: {found:?}"
        );
    }
    for value in ["0777", "2024-01-01", "1_000", "12:30", "1.2.3", "0o9"] {
        let plan = good(&steps(&format!("  - {{ id: a, uses: command, with: {{ argv: [{value}] }} }}\n")), &[]).plan;
        let relevo::plan::Work::Action(action) = &plan.steps[0].work else { panic!() };
        assert_eq!(action.call.with["argv"][0], serde_json::json!(value));
    }
}

#[test]
fn f98_cycles_of_one_two_and_many_steps_are_named() {
    assert_eq!(bad(&steps("  - { id: a, uses: noop, needs: [a] }\n"), &[]), ["4:34 the step `a` depends on itself"]);
    let ring = |count: usize| -> String {
        steps(
            &(0..count)
                .map(|at| format!("  - {{ id: s{at}, uses: noop, needs: [s{}] }}\n", (at + 1) % count))
                .collect::<String>(),
        )
    };
    assert!(refused(&ring(2))[0].ends_with("s0 -> s1 -> s0"));
    let found = refused(&ring(20_000));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("s0 -> s1 -> s2") && found[0].contains("… (19989 more)") && found[0].ends_with("s19999 -> s0"),
        "{found:?}"
    );
}

#[test]
fn f98_a_hundred_thousand_steps_load() {
    let count = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
    let text: String = (0..count)
        .map(|at| match at {
            0 => "  - { id: s0, uses: noop }\n".to_owned(),
            _ => format!("  - {{ id: s{at}, uses: noop, needs: [s{}] }}\n", at - 1),
        })
        .collect();
    let plan = good(&steps(&text), &[]).plan;
    assert_eq!(plan.steps.len(), count);
    assert_eq!(plan.steps[7].line, 11);
    assert_eq!(plan.dependants[0].len(), 1);
}

#[test]
fn f99_several_documents_tags_and_merge_keys_are_refused() {
    assert_eq!(refused("relevo: 1\n---\nrelevo: 1\n"), ["2:1 a second YAML document"]);
    assert_eq!(refused("a: 1\n...\nb: 2\n---\nc: 1\n").last().unwrap(), "4:1 a second YAML document");
    assert_eq!(refused("relevo: !!python/object/apply:os.system [x]\n")[0], "1:9 a tag (`!`)");
    assert_eq!(refused("relevo: 1\nname: &a [*a]\n")[0], "2:7 an anchor (`&`)");
    assert_eq!(refused("relevo: 1\nx: { <<: y }\n")[0], "2:6 a merge key (`<<`)");
}

#[test]
fn f100_a_file_with_nothing_in_it_is_said_to_be_empty() {
    for text in ["", "\n\n", "# nothing\n", "---\n", "~\n"] {
        assert_eq!(refused(text), ["the file is empty"], "{text:?}");
    }
}

#[test]
fn f101_the_line_of_a_secret_is_not_shown() {
    let text = "relevo_targets: 1\nhosts:\n  a: { url: 'x://y', auth: { password: hunter2 } }\n";
    let report = load_text(&steps("  - { id: a, uses: noop }\n"), &[("targets.yaml", text)]).unwrap_err();
    let shown = report.render(false);
    assert!(shown.contains("targets.yaml:3:40") && !shown.contains("hunter2"), "{shown}");
    let beside = "relevo_targets: 1\nhosts:\n  a: { url: 5, auth: { password: hunter2 } }\n";
    let report = load_text(&steps("  - { id: a, uses: noop }\n"), &[("targets.yaml", beside)]).unwrap_err();
    assert!(!report.render(false).contains("hunter2"));
}

#[test]
fn ten_thousand_mistakes_are_counted_and_a_hundred_shown() {
    let text: String = (0..10_000).map(|at| format!("  - {{ id: s{at}, uses: nop }}\n")).collect();
    let report = quickly(|| load_text(&steps(&text), &[]).unwrap_err());
    assert_eq!((report.errors, report.findings.len()), (10_000, 100));
    assert!(report.render(false).contains("… and 9900 more"));
    assert_eq!(report.findings[99].place, Some((103, 22)));
}

#[test]
fn s48_an_expression_cannot_eat_time_or_memory() {
    let param = "a".repeat(60_000);
    for expression in [
        "'a' * 100000000",
        "100000000 * params.x",
        "params.l * 100000000",
        "2 ** 100000000",
        "params.x | replace('a', params.x)",
        "params.l | join(params.x)",
        &format!("{}1{}", "(".repeat(3_000), ")".repeat(3_000)),
        &format!("{}1", "not ".repeat(2_000)),
        &format!("{}1", "-".repeat(7_000)),
        &"[".repeat(8_000),
        &"params.x | ".repeat(700),
        &"1 if ".repeat(1_500),
    ] {
        let text = format!(
            "relevo: 1\nname: x\nparams:\n  x: {{ type: string, default: {param} }}\n  l: {{ type: [string], default: [{}] }}\nsteps:\n  - {{ id: a, uses: noop, name: \"${{{{ {expression} }}}}\" }}\n",
            vec!["a"; 500].join(", ")
        );
        assert_eq!(refused(&text).len(), 1, "{expression:.40}");
    }
}

#[test]
fn f102_s30_control_characters_never_reach_the_terminal() {
    let inputs = relevo::plan::load::Inputs {
        params: vec![("x\u{1b}[31m".to_owned(), "y\u{1b}]0;z\u{7}".to_owned())],
        ..Default::default()
    };
    let report =
        plan_support::load_with(&steps("  - { id: a, uses: noop, name: \"\\e[31mred\", needs: [\"\\e[2J\"] }\n"), &[], &inputs)
            .unwrap_err();
    let shown = report.render(false);
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown:?}");
    let _ = catalogue();
}

#[test]
fn f98_a_step_that_needs_very_many_others_loads_quickly() {
    let count = 30_000;
    let names: Vec<String> = (0..count).map(|at| format!("s{at}")).collect();
    let mut text: String = names.iter().map(|name| format!("  - {{ id: {name}, uses: noop }}\n")).collect();
    text.push_str(&format!("  - {{ id: last, uses: noop, needs: [{}] }}\n", names.join(", ")));
    let plan = quickly(|| good(&steps(&text), &[]).plan);
    assert_eq!(plan.steps[count].needs.len(), count);
    let twice = text.replace("needs: [", "needs: [s29999, ");
    assert_eq!(refused(&steps(&twice)).len(), 1);
}

#[test]
fn f98_very_many_misspelled_needs_are_reported_quickly() {
    let count = if cfg!(debug_assertions) { 3_000 } else { 100_000 };
    let text: String =
        (0..count).map(|at| format!("  - {{ id: s{at}, uses: noop, needs: [t{}] }}\n", (at + 1) % count)).collect();
    let report = quickly(|| load_text(&steps(&text), &[]).unwrap_err());
    assert_eq!(report.errors, count);
    assert!(report.findings[0].hint.as_ref().unwrap().contains("did you mean"));
}

#[test]
fn f93_a_file_of_very_many_tiny_values_is_refused_before_it_becomes_a_tree() {
    for (unit, end) in
        [("- a\n", ""), ("-\n", ""), ("- -\n", ""), ("[],", "]\n"), ("{},", "]\n"), ("a,", "]\n"), ("{a: },", "]\n")]
    {
        let open = if end.is_empty() { "\n" } else { " [" };
        let text = format!("relevo: 1\nname: x\nsteps:{open}{}{end}", unit.repeat(4_000_001));
        let found = refused(&text);
        assert_eq!(found.len(), 1, "{unit}");
        assert!(found[0].contains("more than 4000000 texts, numbers, lists and maps"), "{unit}: {found:?}");
    }
}
