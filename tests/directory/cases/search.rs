//! `ldap.search`: reads, and gives what it read to later steps.

use relevo::run::event::Outcome;
use serde_json::{Value, json};

use crate::calls::{Team, outputs};
use crate::cases::cases;
use crate::world::{Place, World};

cases![
    a_search_gives_the_number_of_objects_and_their_attributes,
    s01_a_value_with_the_signs_of_a_filter_is_only_a_value,
    a_base_that_is_not_there_is_no_empty_answer,
];

fn a_search_gives_the_number_of_objects_and_their_attributes(world: &dyn World) {
    let place = Place::new(world);
    let users = place.users(&["a", "b", "c"]);
    let team = Team::new(world, &world.account("svc-reader"));
    let search = |with: Value| outputs(&team.step("ldap.search", &with).apply());
    let all = search(json!({
        "base": place.ou, "where": { "objectClass": "user" }, "scope": "one", "attributes": ["mail", "objectGUID"]
    }));
    assert_eq!(all["count"], 3, "{all}");
    let text = all["entries"].to_string();
    for user in &users {
        assert!(text.contains(&format!("{}@{}", user.account, world.domain())), "{text}");
    }
    let one = search(json!({ "base": place.ou, "where": { "msRTCSIP-PrimaryUserAddress": users[1].sip }, "attributes": ["cn"] }));
    assert_eq!(one["count"], 1, "{one}");
    let none = search(json!({ "base": place.ou, "where": { "cn": "nobody" }, "attributes": ["cn"] }));
    assert_eq!(none["count"], 0, "{none}");
}

fn s01_a_value_with_the_signs_of_a_filter_is_only_a_value(world: &dyn World) {
    let place = Place::new(world);
    place.users(&["a", "b"]);
    let team = Team::new(world, &world.account("svc-reader"));
    for value in ["*", "x)(cn=*", "a*", "\\2a", "*)(objectClass=*"] {
        let with = json!({ "base": place.ou, "where": { "cn": value }, "attributes": ["cn"] });
        let found = outputs(&team.step("ldap.search", &with).apply());
        assert_eq!(found["count"], 0, "{value}: {found}");
    }
}

fn a_base_that_is_not_there_is_no_empty_answer(world: &dyn World) {
    let team = Team::new(world, &world.account("svc-reader"));
    let with = json!({ "base": format!("OU=Nowhere,{}", world.base()), "where": { "cn": "x" }, "attributes": ["cn"] });
    let outcome = team.step("ldap.search", &with).apply();
    assert!(!matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
}
