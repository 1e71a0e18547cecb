use super::super::history::{BackupSet, Restored, UnderWay};
use super::*;

const BACKUP: &str = "0000-1";

fn args() -> Args {
    let with = json!({ "instance": "sql01\\RTC", "database": "mgc", "file": "D:\\mig\\mgc.bak" });
    let call = crate::run::connector::Call {
        run: std::sync::Arc::from("r1"),
        step: crate::plan::StepId::new("back"),
        attempt: 1,
        uses: "mssql.restore".to_owned(),
        with: with.as_object().cloned().unwrap_or_default(),
        outputs: std::sync::Arc::from([]),
        identity: Identity::new(),
        folder: std::sync::Arc::from(std::path::Path::new(".")),
        scratch: std::path::PathBuf::new(),
        targets: std::sync::Arc::default(),
        excluded: std::sync::Arc::from([]),
        before_image: None,
        handle: None,
        timeout: None,
        effect: Effect::Once,
        probed: false,
        assumed: false,
        until: None,
        sent: crate::run::connector::Sent::default(),
    };
    Args::read(&call).unwrap_or_else(|why| panic!("{why}"))
}

fn set(id: i64) -> BackupSet {
    BackupSet {
        id,
        uuid: BACKUP.to_owned(),
        media: id,
        position: 1,
        description: String::new(),
        database: "MGC".to_owned(),
        copy_only: true,
        damaged: false,
        bytes: None,
        first_lsn: None,
        last_lsn: None,
        finished: Some("2026-11-28T01:00:00".to_owned()),
        files: vec!["D:\\mig\\mgc.bak".to_owned()],
    }
}

fn seen(state: &str, restores: Vec<Restored>) -> Seen {
    Seen {
        databases: vec![("mgc".to_owned(), state.to_owned())],
        sets: vec![set(3)],
        restores,
        under_way: Vec::new(),
        sees_all: true,
        size: Ok(Some(9)),
    }
}

fn restored(id: i64, database: &str, backup: Option<&str>) -> Restored {
    Restored { id, date: None, database: database.to_owned(), backup: backup.map(str::to_owned), kind: "D".to_owned() }
}

fn before() -> Before {
    Before {
        relevo_mssql_restore: 1,
        database: "mgc".to_owned(),
        newest_restore: 4,
        state: Some("ONLINE".to_owned()),
        bytes: None,
        backup_set: BACKUP.to_owned(),
        position: 1,
    }
}

fn verdict(seen: &Seen) -> Verdict {
    meaning(&args(), seen, Some(&before())).0
}

#[test]
fn done_is_a_newer_restore_of_that_backup_and_a_database_that_is_online() {
    let ours = || vec![restored(5, "MGC", Some(BACKUP)), restored(4, "mgc", Some(BACKUP))];
    assert_eq!(verdict(&seen("ONLINE", ours())), Verdict::Done);
    assert_eq!(verdict(&seen("RESTORING", ours())), Verdict::Partial);
    assert_eq!(verdict(&seen("RECOVERY_PENDING", ours())), Verdict::Unknown);
    let gone = Seen { databases: Vec::new(), ..seen("", ours()) };
    assert_eq!(verdict(&gone), Verdict::Conflict);
}

#[test]
fn a_restore_that_was_there_before_or_is_of_another_backup_or_database_proves_nothing() {
    assert_eq!(verdict(&seen("ONLINE", vec![restored(4, "mgc", Some(BACKUP))])), Verdict::NotDone);
    assert_eq!(verdict(&seen("ONLINE", vec![restored(5, "rtc", Some(BACKUP))])), Verdict::NotDone);
    assert_eq!(verdict(&seen("ONLINE", vec![restored(5, "mgc", Some("0000-2"))])), Verdict::Conflict);
    assert_eq!(verdict(&seen("ONLINE", vec![restored(5, "mgc", None)])), Verdict::Unknown);
    // Somebody restored another one after ours.
    let later = vec![restored(6, "mgc", Some("0000-2")), restored(5, "mgc", Some(BACKUP))];
    assert_eq!(verdict(&seen("ONLINE", later)), Verdict::Conflict);
}

#[test]
fn not_done_needs_an_unchanged_state_and_a_look_at_what_is_under_way() {
    assert_eq!(verdict(&seen("ONLINE", Vec::new())), Verdict::NotDone);
    assert_eq!(verdict(&seen("RESTORING", Vec::new())), Verdict::Partial);
    assert_eq!(verdict(&seen("SUSPECT", Vec::new())), Verdict::Unknown);
    assert_eq!(verdict(&Seen { sees_all: false, ..seen("ONLINE", Vec::new()) }), Verdict::Unknown);
    let request =
        UnderWay { command: "RESTORE DATABASE".to_owned(), database: Some("master".to_owned()), session: 51, percent: None };
    assert_eq!(verdict(&Seen { under_way: vec![request], ..seen("RESTORING", Vec::new()) }), Verdict::Unknown);
}

#[test]
fn before_the_first_attempt_only_the_source_is_judged() {
    let judged = |seen: &Seen| meaning(&args(), seen, None).0;
    // Whatever was restored earlier is no effect of this step.
    assert_eq!(judged(&seen("ONLINE", vec![restored(9, "mgc", Some(BACKUP))])), Verdict::NotDone);
    let with = |change: fn(&mut BackupSet)| {
        let mut own = set(3);
        change(&mut own);
        Seen { sets: vec![own], ..seen("ONLINE", Vec::new()) }
    };
    assert_eq!(judged(&with(|set| set.database = "rtc".to_owned())), Verdict::Conflict);
    assert_eq!(judged(&with(|set| set.finished = None)), Verdict::Conflict);
    assert_eq!(judged(&with(|set| set.damaged = true)), Verdict::Conflict);
    assert_eq!(judged(&with(|set| set.files.push("D:\\mig\\2.bak".to_owned()))), Verdict::Conflict);
    assert_eq!(judged(&with(|set| set.files = vec!["D:\\mig\\2.bak".to_owned()])), Verdict::Conflict);
    assert_eq!(judged(&Seen { size: Ok(None), ..seen("ONLINE", Vec::new()) }), Verdict::Conflict);
}

#[test]
fn a_database_of_the_server_itself_is_never_restored() {
    for name in ["master", "MSDB", "tempdb", "Model", "distribution"] {
        assert!(SYSTEM.iter().any(|own| same(own, name)), "{name}");
    }
    let line = by_hand::line(&args().command(2));
    let expected = "Restore-SqlDatabase -ServerInstance 'sql01\\RTC' -Database 'mgc' -BackupFile 'D:\\mig\\mgc.bak' \
                    -ReplaceDatabase -ErrorAction 'Stop' -FileNumber 2";
    assert_eq!(line, expected);
}

#[test]
fn by_hand_nothing_is_restored_but_what_the_action_would_restore() {
    let lines = args().by_hand();
    let at = |part: &str| lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}"));
    let restore = at("Restore-SqlDatabase");
    for guard in ["msdb.dbo.backupset", "sys.dm_exec_requests", "sys.sysprocesses"] {
        assert!(at(guard) < restore, "{guard} comes before the restore");
    }
    let line = &lines[restore];
    // Pasted lines go on after an error: so the command stands behind what it depends on.
    let condition = line.split_once("{ Restore-SqlDatabase").map(|(before, _)| before).unwrap_or_default();
    for part in ["if ($set ", "database_name -eq 'mgc'", "-not $set.is_damaged", "-not $busy", "-not $people"] {
        assert!(condition.contains(part), "{part}: {line}");
    }
    assert!(line.contains("-FileNumber $set.position"), "{line}");
}

#[test]
fn a_restore_that_was_only_verified_or_of_a_part_is_none() {
    let with = |kind: &str| {
        let row = Restored { kind: kind.to_owned(), ..restored(5, "mgc", Some(BACKUP)) };
        verdict(&seen("ONLINE", vec![row]))
    };
    assert_eq!((with("D"), with("V"), with("F")), (Verdict::Done, Verdict::NotDone, Verdict::Conflict));
}
