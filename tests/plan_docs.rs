//! The language reference speaks of every key, and its examples are plans.

mod plan_support;

use plan_support::good;

const REFERENCE: &str = include_str!("../docs/plan.md");

#[test]
fn the_first_example_of_the_reference_is_a_plan() {
    let begin = REFERENCE.find("```yaml\n").unwrap() + 8;
    let end = begin + REFERENCE[begin..].find("```").unwrap();
    good(&REFERENCE[begin..end], &[]);
}

#[test]
fn the_reference_speaks_of_every_key() {
    let schema = relevo::plan::schema::json_schema(&plan_support::catalogue());
    let targets = relevo::plan::schema::targets_schema();
    for (place, properties) in
        [("plan", &schema["properties"]), ("step", &schema["$defs"]["step"]["properties"]), ("targets", &targets["properties"])]
    {
        for (key, value) in properties.as_object().unwrap() {
            let mut words = vec![key.clone()];
            words.extend(value["properties"].as_object().into_iter().flat_map(|inner| inner.keys().cloned()));
            for word in words {
                assert!(REFERENCE.contains(&format!("`{word}")) || REFERENCE.contains(&format!("{word}:")), "{place}: {word}");
            }
        }
    }
}
