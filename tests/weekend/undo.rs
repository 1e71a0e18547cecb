//! Each step's undo, in the order in which a rollback would make them: it puts the lab back, but for what its grade lists.

use std::collections::BTreeSet;

use relevo::connector::directory::image::BeforeImage;
use relevo::plan::StepIx;
use relevo::plan::action::UndoGrade;
use relevo::run::event::Outcome;
use serde_json::{Value, json};

use crate::before::{self, World};
use crate::lab_support::{CHAT, wait_for};
use crate::past::Past;
use crate::world::{ADDRESS, Weekend};

/// The step that stops Group Chat on a server.
fn stop_legacy(past: &Past, server: &str) -> StepIx {
    past.step(&format!("stop-legacy[{server}]"))
}

/// A weekend that was run until everything is ready and nothing is live, the world before it, and the run.
fn ready() -> (Weekend, World, Past) {
    let weekend = Weekend::new();
    // In one of the services a delay is more than a word.
    assert!(before::services(&weekend, "gc01").iter().any(|(_, state, _, delayed)| *delayed && state == "Running"));
    let world = World::now(&weekend);
    weekend.run(&["--until", "before-go-live"]).exits(0);
    let past = Past::of(&weekend);
    (weekend, world, past)
}

/// Whoever asks for the address gets the same answer on both domain controllers.
fn settle(weekend: &Weekend) {
    wait_for("both domain controllers to agree about the address", || weekend.holders("dc1") == weekend.holders("dc2"));
}

/// Takes everything back, the last first, `times` each. What the undo of the deletion could not bring back.
fn take_back(weekend: &Weekend, past: &Past, times: usize) -> Vec<String> {
    let steps = past.undoable();
    for id in ["stop-legacy[gc01]", "stop-legacy[gc02]", "files", &delete(past), &endpoint(past)] {
        assert!(steps.contains(&past.step(id)), "`{id}` is not among those that can be undone");
    }
    let mut not_restored = Vec::new();
    for ix in steps {
        for time in 0..times {
            settle(weekend);
            let from = weekend.lab.audit().len();
            match past.undo(ix) {
                Outcome::Applied { outputs } => {
                    let lost = outputs.get("not_restored").and_then(Value::as_array);
                    let lost = lost.into_iter().flatten().map(|lost| lost.as_str().unwrap().to_owned());
                    if time == 0 {
                        not_restored.extend(lost);
                    }
                }
                Outcome::Rejected { untouched: true, .. } if time > 0 => {}
                other => panic!("`{}`, time {time}: {other:?}", past.id(ix)),
            }
            if time > 0 {
                assert_eq!(weekend.effects_since(from), Vec::<String>::new(), "`{}` was undone twice", past.id(ix));
            }
        }
    }
    not_restored
}

fn delete(past: &Past) -> String {
    first(past, "delete-user[")
}

fn endpoint(past: &Past) -> String {
    first(past, "endpoint[")
}

fn first(past: &Past, prefix: &str) -> String {
    past.effects().into_iter().map(|ix| past.id(ix)).find(|id| id.starts_with(prefix)).unwrap()
}

/// That the world is as it was before, but for what the grades of the steps list.
#[track_caller]
fn assert_back(weekend: &Weekend, before: &World, past: &Past, not_restored: &[String]) {
    let now = World::now(weekend);
    assert_eq!(now.services, before.services);
    assert!(now.legacy == before.legacy, "the old database was changed");
    let imported = past.effects().into_iter().filter(|ix| past.id(*ix) == "import");
    let can_go_back = imported.filter(|ix| past.action(*ix).unwrap().undo_grade != UndoGrade::None).count() == 1;
    if can_go_back {
        assert!(now.chat == before.chat, "the new database is not as it was");
    }
    assert_only_losses(before, &now, past, not_restored);
    assert_files(before, &now, past);
}

/// That the directory lacks exactly what is told.
#[track_caller]
fn assert_only_losses(before: &World, now: &World, past: &Past, not_restored: &[String]) {
    let image = past.call(past.step(&delete(past))).before_image.unwrap();
    let listed = BeforeImage::from_bytes(&image.read(u64::MAX).unwrap()).unwrap().lost();
    assert!(not_restored.iter().all(|lost| listed.contains(lost)), "{not_restored:#?} are not all among {listed:#?}");
    let mut differences = now.differences(before);
    // What the server itself writes on an object that it brings back: nothing is lost by it.
    let gained = |key: &(String, String)| {
        let marks = ["adminCount", "operatorCount", "lastKnownParent"];
        key.0 == CHAT && marks.contains(&key.1.as_str()) && !before.directory.contains_key(key)
    };
    differences.retain(|one| !gained(one));
    let mut told = BTreeSet::new();
    for (dn, attribute) in &differences {
        let own = dn.eq_ignore_ascii_case(CHAT);
        let names = |lost: &&String| {
            let password = own && attribute == "pwdLastSet" && lost.contains("password");
            let itself = own && lost.contains(attribute.as_str());
            let link = lost.contains(&format!("`{attribute}` of `{dn}`"));
            password || itself || link
        };
        let lost = not_restored.iter().find(names);
        let lost = lost.unwrap_or_else(|| panic!("nobody told of `{attribute}` of `{dn}`: {not_restored:#?}"));
        told.insert(lost);
    }
    // A password cannot be looked at; and what servers may do, this one need not.
    let sure = |lost: &&String| !lost.contains("password") && !lost.contains("servers may");
    let untrue = not_restored.iter().filter(sure).filter(|lost| !told.contains(lost));
    assert_eq!(untrue.collect::<Vec<_>>(), Vec::<&String>::new(), "said to be lost, and it is not; {differences:#?}");
}

/// That files are as they were, but for those that a step made whose undo does not take them away, and for reports: they are
/// evidence, and stay.
#[track_caller]
fn assert_files(before: &World, now: &World, past: &Past) {
    let stays = |ix: &StepIx| past.action(*ix).unwrap().undo_grade == UndoGrade::None;
    let made: Vec<String> = past.effects().into_iter().filter(stays).map(|ix| json!(past.call(ix).with).to_string()).collect();
    for (host, files) in &now.files {
        let was = &before.files[host];
        assert!(was.iter().all(|(path, bytes)| files.get(path) == Some(bytes)), "a file of {host} is not as it was");
        for path in files.keys().filter(|path| !was.contains_key(*path)) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_report = ["", ".whatif", ".import"].iter().any(|of| name == format!("groupchat.zip{of}.html"));
            let allowed = is_report || made.iter().any(|with| with.contains(&name));
            assert!(allowed, "{} was left on {host}", path.display());
        }
    }
}

#[test]
fn the_undo_of_every_step_puts_the_lab_back() {
    let (weekend, before, past) = ready();
    assert_ne!(World::now(&weekend).services, before.services);
    let not_restored = take_back(&weekend, &past, 1);
    assert!(!not_restored.is_empty(), "a deletion without the Recycle Bin loses something");
    assert_back(&weekend, &before, &past, &not_restored);
}

#[test]
fn an_undo_made_twice_is_made_once() {
    let (weekend, before, past) = ready();
    let not_restored = take_back(&weekend, &past, 2);
    assert_back(&weekend, &before, &past, &not_restored);
}

/// What an undo says when it is refused, or leaves something alone.
#[track_caller]
fn refused(outcome: Outcome, says: &str) {
    let Outcome::Rejected { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains(says), "`{says}` is missing: {reason}");
}

#[test]
fn a_service_that_a_person_took_in_hand_since_stays_as_it_is() {
    let (weekend, before, past) = ready();
    let stopped = stop_legacy(&past, "gc01");
    let (name, ..) = before.services["gc01"].iter().find(|one| one.3 && one.0.starts_with("LyncGC")).unwrap().clone();
    let by_hand = json!({ "host": "gc01", "services": [name], "state": "running", "startup": "manual" });
    past.apply(stopped, "windows.service", &by_hand);
    refused(past.undo(stopped), &format!("`{name}` was set to manual since, and stays"));
    let expected: Vec<_> = before.services["gc01"]
        .iter()
        .cloned()
        .map(|one| if one.0 == name { (one.0, one.1, "Manual".to_owned(), one.3) } else { one })
        .collect();
    let kind =
        |all: Vec<(String, String, String, bool)>| -> Vec<_> { all.into_iter().map(|one| (one.0, one.1, one.2)).collect() };
    assert_eq!(kind(before::services(&weekend, "gc01")), kind(expected));
}

#[test]
fn a_service_that_did_not_run_before_and_was_started_since_goes_on() {
    let (weekend, before, past) = ready();
    let stopped = past.step(&first(&past, "stop-new[pc01"));
    let chat = before.services["pc01"].iter().find(|one| one.0 == "RTCCHAT").unwrap();
    assert_eq!(chat.1, "Stopped");
    let started = json!({ "host": "lync", "computer": "pc01.contoso.lan", "services": ["RTCCHAT"], "state": "running" });
    past.apply(stopped, "lync.service", &started);
    let outcome = past.undo(stopped);
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    for one in before::services(&weekend, "pc01") {
        let was = before.services["pc01"].iter().find(|was| was.0 == one.0).unwrap();
        let state = if one.0 == "RTCCHAT" { "Running" } else { &was.1 };
        assert_eq!(one.1, state, "{}", one.0);
    }
}

#[test]
fn an_endpoint_that_another_pool_has_since_is_neither_removed_nor_run_over() {
    let (weekend, _, past) = ready();
    let created = past.step(&endpoint(&past));
    let of = |pool: &str| json!({ "host": "lync", "sip_address": ADDRESS, "pool": pool });
    past.apply(created, "lync.endpoint.remove", &of("pcpool.contoso.lan"));
    past.apply(created, "lync.endpoint.create", &of("pcpool2.contoso.lan"));
    settle(&weekend);
    let from = weekend.lab.audit().len();
    refused(past.undo(created), "nothing was removed");
    refused(past.undo(past.step(&delete(&past))), "it was not brought back");
    assert_eq!(weekend.effects_since(from), Vec::<String>::new());
}

#[test]
fn a_user_that_is_half_back_gets_no_address_that_somebody_else_has_got_since() {
    let (weekend, _, past) = ready();
    let (created, deleted) = (past.step(&endpoint(&past)), past.step(&delete(&past)));
    for step in [created, deleted] {
        let outcome = past.undo(step);
        assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
        settle(&weekend);
    }
    // As if it had been cut off between the user and its address, and the endpoint was made anew then.
    for attribute in ["msRTCSIP-PrimaryUserAddress", "proxyAddresses"] {
        weekend.lab.modify(&format!("dn: {CHAT}\nchangetype: modify\nreplace: {attribute}\n")).exits(0);
    }
    settle(&weekend);
    past.apply(created, "lync.endpoint.create", &json!({ "host": "lync", "sip_address": ADDRESS, "pool": "pcpool.contoso.lan" }));
    settle(&weekend);
    let from = weekend.lab.audit().len();
    refused(past.undo(deleted), "is taken by");
    assert_eq!(weekend.effects_since(from), Vec::<String>::new());
}

#[test]
fn a_copied_file_that_was_changed_since_stays_and_is_named() {
    let (weekend, before, past) = ready();
    let files = weekend.lab.dir().join("world/files/fs01");
    let is_new = |path: &&std::path::PathBuf| !before.files["fs01"].contains_key(*path);
    let all = crate::world::tree(&files);
    let edited = all.keys().filter(is_new).find(|path| path.to_string_lossy().ends_with("netzplan.vsd")).unwrap();
    std::fs::write(files.join(edited), "by somebody else").unwrap();
    refused(past.undo(past.step("files")), "netzplan.vsd");
    let left = crate::world::tree(&files);
    let more: Vec<_> = left.keys().filter(is_new).collect();
    assert_eq!(more, [edited]);
    assert_eq!(left[edited], b"by somebody else");
}
