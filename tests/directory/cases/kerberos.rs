//! A logon with a Kerberos ticket, where this build can.

use std::process::{Command, Stdio};

use relevo::run::connector::Pin;
use serde_json::json;

use crate::calls::Team;
use crate::cases::cases;
use crate::world::{Place, World};

cases![a_ticket_is_as_good_as_a_password];

fn a_ticket_is_as_good_as_a_password(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let principal = format!("svc-mig@{}", world.domain().to_uppercase());
    let password = std::fs::File::open(world.password_file()).unwrap();
    // Into the cache that this process was started with.
    let status = Command::new("kinit").arg(&principal).stdin(Stdio::from(password)).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    let mut directory = world.directory(&world.account("svc-mig"), &json!({}));
    directory["bind"] = json!({ "kerberos": true });
    let team = Team::with_directory(world, &directory);
    let mut step = team.deletion(&place, &user);
    assert!(matches!(step.pin(), Pin::Bound { .. }), "{:?}", step.pin());
    step.bind();
    let mark = world.mark();
    step.succeed();
    assert_eq!(place.ours(&mark).len(), 1);
    let _ = Command::new("kdestroy").status();
    // Without a ticket nothing is sent.
    assert!(matches!(team.deletion(&place, &user).pin(), Pin::Cannot { .. }));
}
