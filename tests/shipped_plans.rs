//! Every plan that is shipped: valid by our own check, and by a JSON-Schema validator that others wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::{Path, PathBuf};

use relevo::connector::{Connectors, Options};
use relevo::plan::load::{Inputs, load};
use relevo::plan::schema;
use serde_json::Value;

/// Every YAML file below `plans/`, in order.
fn files() -> Vec<PathBuf> {
    fn find(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                find(&path, found);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("plans"), &mut found);
    found.sort();
    found
}

/// The plans: what has a name. What has none is a fragment of one, or a targets file.
fn plans() -> Vec<PathBuf> {
    files().into_iter().filter(|path| !yaml(path)["name"].is_null()).collect()
}

fn targets() -> Vec<PathBuf> {
    files().into_iter().filter(|path| !yaml(path)["relevo_targets"].is_null()).collect()
}

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_shipped_plan_is_valid_by_our_own_check() {
    let catalogue = Connectors::standard(Options::default()).catalogue();
    let plans = plans();
    assert!(plans.len() >= 8, "{plans:?}");
    for path in plans {
        let inputs = Inputs { placeholders: true, ..Inputs::default() };
        let loaded = load(&path, &inputs, &catalogue).unwrap_or_else(|report| panic!("{}", report.render(false)));
        assert!(loaded.report.is_empty(), "{}: {}", path.display(), loaded.report.render(false));
        let page = if path.ends_with("plan.yaml") { path.with_file_name("README.md") } else { path.with_extension("md") };
        assert!(page.exists(), "{} has no page", path.display());
    }
}

#[test]
fn every_shipped_plan_and_targets_file_is_valid_by_an_independent_validator() {
    let catalogue = Connectors::standard(Options::default()).catalogue();
    for (paths, schema) in [(plans(), schema::json_schema(&catalogue)), (targets(), schema::targets_schema())] {
        let validator = jsonschema::validator_for(&schema).unwrap();
        for path in paths {
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
    let mut plan = yaml(&plans()[0]);
    assert!(validator.is_valid(&plan));
    plan["steps"][0]["depends_on"] = Value::from(vec!["x"]);
    assert!(!validator.is_valid(&plan));
}
