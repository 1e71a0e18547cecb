//! Every plan that is shipped: valid by our own check, and by a JSON-Schema validator that others wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::{Path, PathBuf};

use relevo::connector::{Connectors, Options};
use relevo::plan::load::{Inputs, load};
use relevo::plan::schema;
use serde_json::Value;

fn shipped(name: &str) -> Vec<PathBuf> {
    fn find(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                find(&path, name, found);
            } else if path.file_name().is_some_and(|file| file == name) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("plans"), name, &mut found);
    found.sort();
    found
}

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_shipped_plan_is_valid_by_our_own_check() {
    let catalogue = Connectors::standard(Options::default()).catalogue();
    let plans = shipped("plan.yaml");
    assert!(plans.len() >= 2, "{plans:?}");
    for path in plans {
        let inputs = Inputs { placeholders: true, ..Inputs::default() };
        let loaded = load(&path, &inputs, &catalogue).unwrap_or_else(|report| panic!("{}", report.render(false)));
        assert!(loaded.report.is_empty(), "{}: {}", path.display(), loaded.report.render(false));
        assert!(path.with_file_name("README.md").exists(), "{} has no page", path.display());
    }
}

#[test]
fn every_shipped_plan_and_targets_file_is_valid_by_an_independent_validator() {
    let catalogue = Connectors::standard(Options::default()).catalogue();
    for (name, schema) in [("plan.yaml", schema::json_schema(&catalogue)), ("targets.yaml", schema::targets_schema())] {
        let validator = jsonschema::validator_for(&schema).unwrap();
        for path in shipped(name) {
            let document = yaml(&path);
            let errors: Vec<String> =
                validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{}: {}", path.display(), errors.join("\n"));
        }
    }
}

#[test]
fn the_validator_refuses_what_the_check_refuses() {
    let schema = schema::json_schema(&Connectors::standard(Options::default()).catalogue());
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut plan = yaml(&shipped("plan.yaml")[0]);
    assert!(validator.is_valid(&plan));
    plan["steps"][0]["depends_on"] = Value::from(vec!["x"]);
    assert!(!validator.is_valid(&plan));
}
