//! Plans that load, and what they become.

mod plan_support;

use plan_support::{fixtures, good, load_file, steps};
use relevo::plan::expr::{self, Scope};
use relevo::plan::{Holds, Work};
use serde_json::{Map, Value, json};

#[test]
fn every_good_plan_loads_without_a_mistake() {
    for path in fixtures("good") {
        if let Err(report) = load_file(&path) {
            panic!("{}", report.render(false));
        }
    }
}

#[test]
fn everything_that_depends_only_on_parameters_and_targets_is_resolved() {
    let path = fixtures("good").into_iter().find(|path| path.ends_with("every-key.yaml")).unwrap();
    let plan = load_file(&path).unwrap().plan;
    let step = plan.step(plan.find("stop[gc01]").unwrap());
    let Work::Action(action) = &step.work else { panic!() };
    assert_eq!(
        action.call.with,
        json!({
            "host": "gc01", "services": ["Lookup", "Channel"], "state": "stopped", "count": 1, "share": 0.5, "force": true,
            "extra": { "nested": ["FAST", 1, null, 1.5], "text": "$${{ not an expression }}" },
        })
    );
    assert_eq!(step.name.as_deref(), Some("Stop the services on gc01"));
    let limits: Vec<&str> = step.limits.iter().map(|ix| plan.limits[ix.0 as usize].name.as_str()).collect();
    assert_eq!(limits, ["gc01", "stop"]);
    assert_eq!(plan.params["address"], json!("sip:ocschat@contoso.com"));
    assert_eq!(plan.params["pool"], json!("pcpool.contoso.com"));
    let export = plan.step(plan.find("export").unwrap());
    assert_eq!(export.needs.len(), 2);
    let Work::Action(action) = &export.work else { panic!() };
    assert_eq!(action.call.with["env"]["PGPASSWORD"], json!({ "$secret": { "env": "DB_PASSWORD" } }));
    assert!(action.call.with["shell"].as_str().unwrap().contains("${{ steps.stop"));
    assert_eq!(expr::steps_used(&action.call.with).into_iter().collect::<Vec<_>>(), ["stop"]);
    assert!(
        matches!(&export.before[0].holds, Holds::Expr(expr) if expr.source.as_ref() == "steps.stop.outputs.gc01.state == 'stopped'")
    );
    assert_eq!(plan.targets.secrets.len(), 4);
    assert_eq!(plan.step(plan.find("again").unwrap()).needs.len(), 2);
}

#[test]
fn s15_an_open_text_is_resolved_once_the_outputs_are_there() {
    let params = Map::from_iter([("pool".to_owned(), json!("p"))]);
    let targets = Map::new();
    let outputs = |id: &str| (id == "a-b").then(|| json!({ "x-y": "${{ params.pool }}", "n": 3 }));
    let scope = Scope { params: &params, targets: &targets, item: None, outputs: &outputs, facts: None };
    let render = |text: &str| expr::render(&Value::String(text.to_owned()), &scope);
    // What an output says is data, however much it looks like an expression.
    assert_eq!(render("${{ steps.a-b.outputs.x-y }}!").unwrap(), json!("${{ params.pool }}!"));
    assert_eq!(render("${{ steps.a-b.outputs.n }}").unwrap(), json!(3));
    assert_eq!(render("${{ steps.a-b.outputs.n - 1 }}").unwrap(), json!(2));
    assert_eq!(render("$${{ steps.a-b.outputs.n }}").unwrap(), json!("${{ steps.a-b.outputs.n }}"));
    assert_eq!(render("${{ {'a': {'b': '}}'}}['a']['b'] }}").unwrap(), json!("}}"));
    assert!(render("${{ steps.other.outputs.n }}").unwrap_err().to_string().contains("no value yet"));
}

#[test]
fn a_plan_without_targets_needs_no_targets_file() {
    let plan = good(&steps("  - { id: a, uses: noop }\n"), &[]).plan;
    assert!(plan.targets.path.is_none());
    assert_eq!(plan.steps[0].line, 4);
}
