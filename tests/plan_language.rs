//! What the words of the language mean, one sentence each.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where something is not as it must be")]
#![allow(clippy::format_collect, clippy::format_push_string, reason = "the texts of tests are built once")]

mod plan_support;

use std::path::PathBuf;

use plan_support::{bad, catalogue, fixtures, good, load_with, messages, steps};
use relevo::plan::load::Inputs;
use relevo::plan::schema::{json_schema, targets_schema};
use relevo::plan::{OnFailure, Verdict, Work};
use relevo::secret::SecretRef;
use relevo::time::Span;
use serde_json::{Value, json};

fn prints(text: &str) -> Vec<String> {
    good(text, &[]).plan.steps.iter().map(|step| step.fingerprint.to_string()).collect()
}

#[test]
fn comments_and_the_order_of_keys_do_not_change_a_fingerprint() {
    let one = steps("  - { id: a, uses: command, with: { argv: [x], env: { A: '1', B: '2' } } }\n");
    let other = steps(
        "  # a comment\n  - with:\n      env:\n        B: \"2\"\n        A: \"1\"\n      argv: [\"x\"]\n    name: a name\n    owner: me\n    \
         tags: [t]\n    timeout: 5m\n    uses: command\n    id: a\n    estimate: { p50: 1m }\n",
    );
    assert_eq!(prints(&one), prints(&other));
    assert_eq!(prints(&one)[0].len(), 64);
}

#[test]
fn everything_with_meaning_changes_a_fingerprint() {
    let base = "uses: command, with: { argv: [x] }";
    let mut seen = std::collections::HashSet::new();
    for step in [
        base.to_owned(),
        "uses: command, with: { argv: [w] }".to_owned(),
        "uses: command, with: { shell: x }".to_owned(),
        format!("{base}, effect: read"),
        format!("{base}, destructive: true"),
        format!("{base}, when: 'true'"),
        format!("{base}, needs: [z]"),
        format!("{base}, probe: {{ uses: noop }}"),
        format!("{base}, probe: {{ uses: command, with: {{ argv: [x] }} }}"),
        format!("{base}, undo: {{ uses: noop }}"),
        format!("{base}, before: [{{ that: 'true' }}]"),
        format!("{base}, after: [{{ that: 'true' }}]"),
        format!("{base}, outputs: {{ a: {{}} }}"),
        "gate: { ask: a }".to_owned(),
        "gate: { ask: b }".to_owned(),
        "gate: { ask: b, expires: 1h }".to_owned(),
        "manual: { instructions: b }".to_owned(),
        "checkpoint: true".to_owned(),
    ] {
        let text = steps(&format!("  - {{ id: z, uses: noop }}\n  - {{ id: a, {step} }}\n"));
        assert!(seen.insert(prints(&text)[1].clone()), "{step}");
    }
}

#[test]
fn what_a_run_is_made_of_is_another_whole_if_only_targets_parameters_or_window_differ() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let plan = file(
        "plan.yaml",
        "relevo: 1\nname: x\nparams: { p: { type: string, default: one } }\nsteps:\n  - { id: a, uses: command, with: { argv: [x] } }\n",
    );
    let targets = |url: &str| format!("relevo_targets: 1\nservers: {{ pg: {{ url: '{url}' }} }}\nroles: {{ lead: [ann] }}\n");
    let one = file("one.yaml", &targets("postgres://one"));
    let same = file("same.yaml", &format!("# a comment\n{}", targets("postgres://one")));
    let other = file("other.yaml", &targets("postgres://other"));
    let roles = file("roles.yaml", &targets("postgres://one").replace("ann", "bob"));
    let window = |hour: u8| format!("timezone: UTC\nopens: 2026-11-27 {hour}:00\ncloses: 2026-11-29 20:00\n");
    let (early, late) = (file("early.yaml", &window(10)), file("late.yaml", &window(11)));
    let whole = |targets: &PathBuf, param: Option<&str>, window: Option<&PathBuf>| {
        let params = param.map(|value| ("p".to_owned(), value.to_owned())).into_iter().collect();
        let inputs = Inputs { params, targets: Some(targets.clone()), window: window.cloned(), ..Inputs::default() };
        let plan = relevo::plan::load::load(&plan, &inputs, &catalogue()).unwrap().plan;
        assert_eq!(plan.whole.len(), 64);
        (plan.whole, plan.sha256)
    };
    let base = whole(&one, None, None);
    assert_eq!(base, whole(&same, Some("one"), None), "resolved to the same");
    let mut seen = std::collections::HashSet::from([base.0]);
    for (targets, param, window) in [
        (&other, None, None),
        (&roles, None, None),
        (&one, Some("two"), None),
        (&one, None, Some(&early)),
        (&one, None, Some(&late)),
    ] {
        let (whole, text) = whole(targets, param, window);
        assert_eq!(text, base.1, "the plan's text is the same");
        assert!(seen.insert(whole), "{targets:?} {param:?} {window:?}");
    }
}

#[test]
fn the_values_that_an_open_expression_uses_are_part_of_the_fingerprint() {
    let text = |value: &str| {
        format!(
            "relevo: 1\nname: x\nparams: {{ p: {{ type: string, default: {value} }} }}\nsteps:\n  - {{ id: a, uses: command, with: {{ argv: [x] }}, \
             outputs: {{ o: {{}} }} }}\n  - {{ id: b, needs: [a], uses: command, with: {{ shell: \"${{{{ steps.a.outputs.o }}}} ${{{{ params.p }}}}\" }} }}\n"
        )
    };
    assert_eq!(prints(&text("one"))[0], prints(&text("two"))[0]);
    assert_ne!(prints(&text("one"))[1], prints(&text("two"))[1]);
    let named = |value: &str| {
        format!(
            "relevo: 1\nname: x\nparams: {{ p: {{ type: string, default: {value} }} }}\nsteps:\n  - {{ id: a, uses: noop, name: \"${{{{ params.p }}}}\" }}\n"
        )
    };
    assert_eq!(prints(&named("one")), prints(&named("two")), "a name has no meaning to the engine");
}

#[test]
fn values_of_the_command_line_go_before_files_and_files_before_defaults() {
    let text = "relevo: 1\nname: x\nparams:\n  a: { type: string, default: d }\n  b: { type: string, default: d }\n  c: { type: string, default: d }\n  \
                v: { type: string }\n  l: { type: [integer] }\nsteps:\n  - { id: s, uses: noop }\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("params.yaml");
    std::fs::write(&file, "a: file\nb: file\nl: [1, 2]\n").unwrap();
    let inputs = Inputs {
        params: vec![("a".into(), "line".into()), ("v".into(), "1.10".into()), ("l".into(), "[3]".into())],
        params_files: vec![file],
        ..Inputs::default()
    };
    let plan = load_with(text, &[], &inputs).unwrap().plan;
    assert_eq!(Value::Object(plan.params), json!({ "a": "line", "b": "file", "c": "d", "v": "1.10", "l": [3] }));
}

#[test]
fn a_wrong_value_of_the_command_line_is_located_there() {
    let text = "relevo: 1\nname: x\nparams: { count: { type: integer, default: 1 } }\nsteps:\n  - { id: s, uses: noop }\n";
    let inputs = Inputs { params: vec![("count".into(), "x".into()), ("cuont".into(), "1".into())], ..Inputs::default() };
    let report = load_with(text, &[], &inputs).unwrap_err();
    let files: Vec<&str> = report.findings.iter().map(|finding| finding.file.as_str()).collect();
    assert_eq!(files, ["--param count=x", "--param cuont=…"]);
    assert_eq!(report.findings[1].hint.as_deref(), Some("did you mean `count`?"));
}

#[test]
fn a_placeholder_stands_in_for_a_missing_value_only_when_asked() {
    let text = "relevo: 1\nname: x\nparams: { pool: { type: fqdn }, uris: { type: [sip_uri] } }\nsteps:\n  - { id: s, uses: noop, name: \"${{ params.pool }}\" }\n";
    assert_eq!(bad(text, &[]).len(), 2);
    let plan = load_with(text, &[], &Inputs { placeholders: true, ..Inputs::default() }).unwrap().plan;
    assert_eq!(plan.steps[0].name.as_deref(), Some("pool.example.invalid"));
}

#[test]
fn secrets_stand_as_references_and_their_files_are_found_beside_the_file_that_names_them() {
    let text =
        steps("  - { id: s, uses: command, with: { argv: [x], stdin: { file: keys/a }, env: { PGPASSWORD: { env: PW } } } }\n");
    let plan = good(&text, &[]).plan;
    let Work::Action(action) = &plan.steps[0].work else { panic!() };
    assert_eq!(action.call.with["env"]["PGPASSWORD"], json!({ "$secret": { "env": "PW" } }));
    let reference: SecretRef = serde_json::from_value(action.call.with["stdin"]["$secret"].clone()).unwrap();
    assert_eq!(reference, SecretRef::File(plan.folder.join("keys/a")));
    assert!(plan.folder.is_absolute());
}

#[test]
fn s26_secrets_are_resolved_from_each_source_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "hunter2\r\n").unwrap();
    let secret = SecretRef::File(file).resolve().unwrap();
    assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("hunter2", "Secret(…)"));
    assert!(SecretRef::File(folder.path().to_owned()).resolve().unwrap_err().message.contains("not a regular file"));
    assert!(SecretRef::Env("RELEVO_TEST_NOT_SET".into()).resolve().unwrap_err().message.contains("not set"));
    #[cfg(unix)]
    {
        let command = |script: &str| SecretRef::Command(vec!["sh".into(), "-c".into(), script.into()]).resolve();
        assert_eq!(command("echo hunter2").unwrap().reveal(), "hunter2");
        assert!(command("echo hunter2; exit 3").unwrap_err().message.contains("gave no secret"));
        assert!(command("yes").unwrap_err().message.contains("larger than 64 KiB"));
        assert!(command("true").unwrap_err().message.contains("is empty"));
    }
}

#[test]
fn defaults_reach_steps_that_say_nothing_and_a_partial_retry_keeps_the_rest() {
    let text = "relevo: 1\nname: x\ndefaults: { timeout: 5m, retry: { attempts: 4, interval: 3s }, on_failure: stop }\nsteps:\n  - { id: a, uses: noop }\n  \
                - { id: b, uses: noop, timeout: 1m, retry: { attempts: 2 }, on_failure: continue }\n  - { id: c, gate: { ask: go } }\n";
    let plan = good(text, &[]).plan;
    let [a, b, c] = plan.steps.as_slice() else { panic!() };
    assert_eq!((a.timeout, a.retry.attempts, a.on_failure), (Some(Span::from_secs(300)), 4, OnFailure::Stop));
    assert_eq!((b.timeout, b.retry.attempts, b.retry.interval), (Some(Span::from_secs(60)), 2, Span::from_secs(3)));
    assert_eq!((b.on_failure, c.timeout), (OnFailure::Continue, None));
}

#[test]
fn a_command_probe_has_a_verdict_of_its_own_and_another_has_none() {
    let plan = good(
        &steps(
            "  - { id: a, uses: command, with: { argv: [x] }, probe: { uses: command, with: { argv: [w] } } }\n  - { id: b, uses: command, with: { argv: [x] }, \
             probe: { uses: noop } }\n  - { id: c, uses: command, with: { argv: [x] }, probe: { uses: command, with: { argv: [w] }, verdict: { partial: exit == 3 } } }\n",
        ),
        &[],
    )
    .plan;
    let verdicts = |at: usize| {
        let Work::Action(action) = &plan.steps[at].work else { panic!() };
        action
            .probe
            .clone()
            .unwrap()
            .verdict
            .into_iter()
            .map(|(verdict, expr)| (verdict, expr.source.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(verdicts(0), [(Verdict::Done, "exit == 0".to_owned()), (Verdict::NotDone, "exit == 1".to_owned())]);
    assert_eq!(verdicts(1), []);
    assert_eq!(verdicts(2), [(Verdict::Partial, "exit == 3".to_owned())]);
}

#[test]
fn a_window_given_on_the_command_line_replaces_the_targets_own() {
    let targets =
        "relevo_targets: 1\nwindow: { timezone: Europe/Madrid, opens: \"2026-11-27 22:00\", closes: \"2026-11-30 05:00\" }\n";
    let text = steps("  - { id: a, uses: noop, not_before: \"2026-11-28 00:00\" }\n");
    let plan = good(&text, &[("targets.yaml", targets)]).plan;
    assert_eq!(plan.window.unwrap().opens.to_string(), "2026-11-27T21:00:00Z");
    assert_eq!(plan.steps[0].not_before.unwrap().to_string(), "2026-11-27T23:00:00Z");
    let folder = tempfile::tempdir().unwrap();
    let window = folder.path().join("window.yaml");
    std::fs::write(&window, "timezone: UTC\nopens: \"2027-01-01 00:00\"\ncloses: \"2027-01-02 00:00\"\n").unwrap();
    let inputs = Inputs { window: Some(window), ..Inputs::default() };
    let plan = load_with(&text, &[("targets.yaml", targets)], &inputs).unwrap().plan;
    assert_eq!(plan.window.unwrap().timezone, "UTC");
}

#[test]
fn a_missing_targets_file_is_said_once() {
    let text = steps(
        "  - { id: a, uses: noop, name: \"${{ targets.hosts.a.url }}\" }\n  - { id: b, uses: test.service, with: { host: a, services: [], state: x } }\n  \
         - { id: c, gate: { ask: go, approvers: [lead] } }\n",
    );
    let found = bad(&text, &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("the plan needs targets, and there is no file"));
}

#[test]
fn s48_durations_are_whole_numbers_with_units_from_large_to_small() {
    for (text, millis) in [
        ("30s", 30_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("250ms", 250),
        ("2d", 172_800_000),
        ("0s", 0),
        ("1h2m3s4ms", 3_723_004),
    ] {
        assert_eq!(text.parse::<Span>().unwrap().as_millis(), millis, "{text}");
    }
    for text in ["", "5", "s", "1.5h", "-1s", "1m1h", "1s1s", "1 h", "1w", "99999999999999999999s", "4000d", "५s"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
}

#[test]
fn a_reference_inside_brackets_picks_the_output_of_the_same_item() {
    let text = steps(
        "  - { id: a, uses: command, with: { argv: [x] }, outputs: { o: {} }, for_each: { items: [x1, x2], as: host } }\n  \
         - { id: b, needs: [a], uses: command, with: { argv: [\"${{ steps.a.outputs[host].o }}\"] }, for_each: { items: [x1, x2], as: host } }\n",
    );
    let plan = good(&text, &[]).plan;
    let Work::Action(action) = &plan.step(plan.find("b[x2]").unwrap()).work else { panic!() };
    let outputs = |id: &str| (id == "a").then(|| json!({ "x1": { "o": "one" }, "x2": { "o": "two" } }));
    let item = json!("x2");
    let empty = serde_json::Map::new();
    let scope = relevo::plan::expr::Scope {
        params: &empty,
        targets: &empty,
        item: Some(("host", &item)),
        outputs: &outputs,
        facts: None,
    };
    assert_eq!(relevo::plan::expr::render(&action.call.with, &scope).unwrap(), json!({ "argv": ["two"] }));
}

#[test]
fn the_sources_are_the_plan_and_every_file_it_reads() {
    let text = "relevo: 1\nname: x\ninclude: [more.yaml]\nsteps:\n  - { id: a, uses: noop }\n";
    let more = "steps:\n  - { id: b, uses: noop }\n";
    let loaded = good(text, &[("more.yaml", more), ("targets.yaml", "relevo_targets: 1\n")]);
    let names: Vec<PathBuf> = loaded.sources.iter().map(|(path, _)| PathBuf::from(path.file_name().unwrap())).collect();
    assert_eq!(names, ["plan.yaml", "more.yaml", "targets.yaml"].map(PathBuf::from));
    assert_eq!(loaded.sources[1].1, more);
    assert_eq!(loaded.plan.steps.len(), 2);
}

#[cfg(unix)]
#[test]
fn s14_a_fragment_behind_a_link_that_leads_out_of_the_folder_is_refused() {
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("link.yaml")).unwrap();
    let path = folder.path().join("plan.yaml");
    std::fs::write(&path, "relevo: 1\nname: x\ninclude: [link.yaml]\nsteps:\n  - { id: a, uses: noop }\n").unwrap();
    let report = plan_support::load_file(&path).unwrap_err();
    assert!(messages(&report)[0].contains("a link that leads out"));
}

/// A YAML text as the JSON that an editor would check.
fn json_of(path: &std::path::Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_good_plan_fits_the_schema_and_bad_ones_do_not() {
    let schema = json_schema(&catalogue());
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for path in fixtures("good") {
        let errors: Vec<String> =
            validator.iter_errors(&json_of(&path)).map(|error| format!("{error} at {}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
    for name in ["keys", "types", "arguments", "gates", "params"] {
        let path = fixtures("bad").into_iter().find(|path| path.file_stem().unwrap() == name).unwrap();
        assert!(!validator.is_valid(&json_of(&path)), "{name}");
    }
    let targets = jsonschema::validator_for(&targets_schema()).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plans");
    assert!(targets.is_valid(&json_of(&folder.join("good/targets.yaml"))));
    assert!(!targets.is_valid(&json_of(&folder.join("bad/targets-broken.yaml"))));
}

#[test]
fn a_step_behind_a_for_each_without_items_still_waits_for_what_came_before_it() {
    let text = steps(
        "  - { id: a, uses: noop }\n  - { id: b, needs: [a], uses: noop, for_each: { items: [], as: x } }\n  \
         - { id: c, needs: [b], uses: noop, for_each: { items: [], as: x } }\n  - { id: d, needs: [c], uses: noop }\n",
    );
    let plan = good(&text, &[]).plan;
    assert_eq!(plan.steps.len(), 2);
    assert_eq!(plan.steps[1].needs, [relevo::plan::StepIx(0)]);
    assert_eq!(plan.dependants[0], [relevo::plan::StepIx(1)]);
}

#[test]
fn s24_a_url_with_a_password_in_it_is_refused_and_not_shown() {
    let targets = "relevo_targets: 1\nhosts:\n  a: { url: 'https://me:hunter2@a.b' }\n";
    let report = load_with(&steps("  - { id: a, uses: noop }\n"), &[("targets.yaml", targets)], &Inputs::default()).unwrap_err();
    assert_eq!(messages(&report), ["3:13 a URL must not hold a user or a password"]);
    assert!(!report.render(false).contains("hunter2"));
}

#[test]
fn a_product_is_of_numbers_and_stays_what_precedence_makes_of_it() {
    let params = serde_json::json!({ "n": 3, "f": 1.5, "s": "512", "l": [1, 2], "b": true });
    let targets = serde_json::Map::new();
    let scope = relevo::plan::expr::Scope {
        params: params.as_object().unwrap(),
        targets: &targets,
        item: None,
        outputs: &|_| None,
        facts: None,
    };
    let eval = |source: &str| relevo::plan::expr::eval(&relevo::plan::Expr { source: source.into() }, &scope);
    for (source, expected) in [
        ("2 * params.n", serde_json::json!(6)),
        ("params.n*params.n*params.n", serde_json::json!(27)),
        ("1 + 2 * -params.n - 1", serde_json::json!(-6)),
        ("-params.n * 2 + 1", serde_json::json!(-5)),
        ("(1 + 2) * (params.n + 1)", serde_json::json!(12)),
        ("params.f * 2", serde_json::json!(3.0)),
        ("2 * params.s | int", serde_json::json!(1024)),
        ("params.s | int * 2 if params.n * 2 > 5 else 0", serde_json::json!(1024)),
        ("params.l[1] * params.l[0] == 2 and not params.n * 2 < 6", serde_json::json!(true)),
        ("[params.n * 2, 2 * params.n] | join('*')", serde_json::json!("6*6")),
        ("10 // params.n * 2 % 4", serde_json::json!(2)),
        ("'a' ~ 2 * 3", serde_json::json!("a6")),
        ("'é' ~ 2 * 3 ~ 'é'", serde_json::json!("é6é")),
    ] {
        assert_eq!(eval(source), Ok(expected), "{source}");
    }
    for source in ["é", "2 * é", "é * é", "2 * params.né * 3", "(é", "2 * )é"] {
        assert!(eval(source).is_err(), "{source}");
    }
    for source in [
        "2 * params.s",
        "params.s * 2",
        "params.l * 2",
        "2 * 2 * 'a'",
        "'a' * 2 * 2",
        "params.b * 2",
        "2 * (params.s)",
        "[2 * params.s]",
    ] {
        let error = eval(source).unwrap_err().to_string();
        assert!(error.contains("multiplies numbers only"), "{source}: {error}");
    }
}

#[test]
fn what_a_plan_acts_on_is_known_by_address_whatever_it_is_called() {
    use relevo::plan::acts::{Access, acts};
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("targets.yaml"),
        "relevo_targets: 1\nhosts:\n  one: { url: 'https://GC01.contoso.com:5986/wsman', auth: { basic: { user: a, password: { env: P } } } }\n  \
         two: { url: 'https://gc01.contoso.com./OcsPowerShell', auth: { basic: { user: a, password: { env: P } } } }\n  \
         three: { url: 'https://gc03.contoso.com/wsman', auth: { basic: { user: a, password: { env: P } } } }\n\
         directories:\n  ad: { url: 'ldaps://dc1.contoso.com', domain: Contoso.com, bind: { kerberos: true } }\n\
         servers:\n  pg: { url: 'postgres://pg01:5432/x' }\n  free: { port: 1 }\n",
    )
    .unwrap();
    let path = folder.path().join("plan.yaml");
    std::fs::write(
        &path,
        "relevo: 1\nname: x\nsteps:\n  - { id: stop, uses: test.service, for_each: { items: [two, three], as: h }, with: { host: \"${{ h }}\", services: [a], state: stopped } }\n  \
         - { id: look, uses: command, effect: read, acts_on: [ad, pg], with: { argv: [x] } }\n  \
         - { id: own, uses: command, acts_on: [one, free, Billing DB.], with: { argv: [x] } }\n  \
         - { id: hand, acts_on: [paper], manual: { instructions: x } }\n",
    )
    .unwrap();
    let plan = relevo::plan::load::load(&path, &Inputs::default(), &catalogue()).unwrap().plan;
    let of = |exclude: &[String]| -> Vec<(String, Access)> { acts(&plan, &catalogue(), exclude).into_iter().collect() };
    let (read, write) = (Access::Read, Access::Write);
    let all = [
        ("billing db", write),
        ("contoso.com", read),
        ("dc1.contoso.com", read),
        ("free", write),
        ("gc01.contoso.com", write),
        ("gc03.contoso.com", write),
        ("paper", write),
        ("pg01", read),
    ];
    assert_eq!(of(&[]), all.map(|(key, access)| (key.to_owned(), access)));
    assert!(!of(&["three".to_owned()]).iter().any(|(key, _)| key == "gc03.contoso.com"));
}

#[test]
fn what_changes_nothing_acts_on_nothing() {
    let text = steps("  - { id: a, gate: { ask: x }, acts_on: [b] }\n  - { id: c, uses: noop, acts_on: [' '] }\n");
    let said = bad(&text, &[]);
    assert!(said.iter().any(|message| message.contains("`acts_on` belongs to")), "{said:?}");
    assert!(said.iter().any(|message| message.contains("is no name")), "{said:?}");
}
