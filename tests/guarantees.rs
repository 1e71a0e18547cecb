//! `docs/guarantees.md` against the sources: every fault, rule and attack has its row, and every test that a row names is there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/guarantees.md")).unwrap()
}

/// Faults, rules and attacks.
fn all_ids() -> BTreeSet<String> {
    let faults = (1..=102).map(|n| format!("f{n:02}")).chain(["f65b".to_owned()]);
    let rules = (1..=18).map(|n| format!("i{n}"));
    let attacks = (1..=60).map(|n| format!("s{n:02}"));
    faults.chain(rules).chain(attacks).collect()
}

/// What stands between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The rows of the tables: id, what it is, and where it is proved.
fn rows() -> Vec<(String, String, String)> {
    page()
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.splitn(3, " | ");
            let id = cells.next()?.trim_end_matches('`').to_owned();
            Some((id, cells.next()?.to_owned(), cells.next()?.to_owned()))
        })
        .collect()
}

/// Every function of the tests and sources, by file, as `file::name`.
fn functions() -> BTreeMap<String, Vec<String>> {
    let mut folders = vec![root().join("tests"), root().join("src")];
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
                let names = text.split("fn ").skip(1).map(name).filter(|name| !name.is_empty()).collect();
                let file = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(file, names);
            }
        }
    }
    found
}

/// The ids with which a name begins: `f05_f50_an_answer…` has two.
fn borne(name: &str) -> Vec<&str> {
    let is_id = |part: &&str| {
        let number = part.trim_start_matches(['f', 'i', 's']).trim_end_matches('b');
        part.len() > number.len() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    name.split('_').take_while(is_id).collect()
}

#[test]
fn every_fault_rule_and_attack_has_one_row_that_says_where_it_is_proved_or_why_not() {
    let rows = rows();
    let mut missing = all_ids();
    for (id, what, proof) in &rows {
        assert!(missing.remove(id), "`{id}` has two rows, or is no id");
        assert!(!what.trim().is_empty() && !proof.trim().is_empty(), "the row of `{id}` is not filled in");
        let names_a_test = quoted(proof).any(|word| word.contains("::"));
        let says_why = proof.starts_with("Not tested here: ") || proof.starts_with("Waits for ");
        assert!(names_a_test || says_why, "the row of `{id}` names no test and does not say why: {proof}");
    }
    assert!(missing.is_empty(), "docs/guarantees.md says nothing of {missing:?}");
}

#[test]
fn every_test_that_is_named_is_there_and_bears_the_id_of_its_row() {
    let functions = functions();
    for (id, _, proof) in rows() {
        for (at, named) in quoted(&proof).filter(|word| word.contains("::")).enumerate() {
            let (file, name) = named.split_once("::").unwrap();
            let there = functions.get(file).unwrap_or_else(|| panic!("`{id}`: there is no {file}"));
            assert!(there.iter().any(|have| have == name), "`{id}`: {file} has no `{name}`");
            // One that only helps may be named behind the others.
            assert!(at > 0 || borne(name).contains(&id.as_str()), "`{id}`: `{name}` does not bear it");
        }
    }
}

#[test]
fn no_test_bears_an_id_that_nobody_knows() {
    let known = all_ids();
    for (file, names) in functions() {
        for name in names {
            for id in borne(&name) {
                assert!(known.contains(id), "{file}: `{name}` begins with `{id}`, which docs/guarantees.md does not know");
            }
        }
    }
}
