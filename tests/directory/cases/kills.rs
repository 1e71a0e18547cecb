//! The real program killed with `kill -9` at every record of its journal, a little after it too, and resumed.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::cases::cases;
use crate::cli_support::Desk;
use crate::desk::{deletion, desk, plan};
use crate::world::{Place, World};

cases![f03_f05_i16_a_deletion_survives_a_kill_at_every_record];

/// How long after a record the kill comes. The attempt lasts some hundredths of a second.
const AFTER: [Duration; 2] = [Duration::ZERO, Duration::from_millis(10)];

fn records(desk: &Desk) -> usize {
    desk.run_dirs()
        .first()
        .and_then(|dir| std::fs::read_to_string(dir.join("journal")).ok())
        .map_or(0, |text| text.lines().count())
}

fn f03_f05_i16_a_deletion_survives_a_kill_at_every_record(world: &dyn World) {
    let place = Place::new(world);
    let first = place.users(&["x"]).remove(0);
    let normal = desk(world, &world.account("svc-mig"));
    plan(&normal, &json!([deletion("delete", &first.sip, &place.base())]));
    normal.relevo(&["run", "plan.yaml"]).exits(0);
    let all = records(&normal);

    let moments: Vec<(usize, Duration)> = (1..=all).flat_map(|record| AFTER.map(|after| (record, after))).collect();
    let suffixes: Vec<String> = (0..moments.len()).map(|at| format!("k{at}")).collect();
    let users = place.users(&suffixes.iter().map(String::as_str).collect::<Vec<_>>());
    let mark = world.mark();
    let (mut killed, mut in_doubt) = (0, 0);
    for (user, (record, after)) in users.iter().zip(moments) {
        let desk = desk(world, &world.account("svc-mig"));
        plan(&desk, &json!([deletion("delete", &user.sip, &place.base())]));
        let mut working = desk.start(&["run", "plan.yaml"]);
        while working.ended().is_none() && records(&desk) < record {
            std::thread::park_timeout(Duration::from_micros(300));
        }
        // The moment is the fault itself, not a wait for something.
        let due = Instant::now() + after;
        while working.ended().is_none() && Instant::now() < due {
            std::thread::park_timeout(Duration::from_micros(300));
        }
        let finished = working.ended().is_some();
        working.kill();
        killed += usize::from(!finished);
        in_doubt += usize::from(desk.journal().contains("attempt_started") && !desk.journal().contains("attempt_finished"));
        let said = desk.relevo(&["resume", "--yes"]);
        assert!(
            matches!(said.code, Some(0 | 5)),
            "record {record} and {after:?}: {:?}: {}\n{}",
            said.code,
            said.all(),
            desk.journal()
        );
        assert!(desk.journal().contains("step_verified"), "record {record} and {after:?}: {}", desk.journal());
    }
    println!("{killed} kills, {in_doubt} of them with an attempt in doubt");
    assert!(killed >= all / 2, "hardly anything was killed: {killed} of {}", users.len());
    assert!(in_doubt > 0, "no attempt was cut off");
    let writes = place.ours(&mark);
    for user in &users {
        let deletions: Vec<_> = writes.iter().filter(|write| write.dn == user.dn).collect();
        assert_eq!(deletions.len(), 1, "{deletions:?}");
        assert_eq!((deletions[0].operation.as_str(), deletions[0].code), ("Delete", 0));
    }
}
