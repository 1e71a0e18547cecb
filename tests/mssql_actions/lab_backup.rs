//! Backups and restores of the lab's SQL Server are real: what was there is there again.

use relevo::connector::mssql::queries;
use relevo::remoting::clixml::Value;
use relevo::remoting::psrp::ErrorRecord;

use crate::lab::{INSTANCE, World};

const FILE: &str = "D:\\mgc.bak";
const ACCOUNT: &str = "CONTOSO\\svc-mig";

fn backup(world: &mut World, more: &[(&str, Value)]) -> Result<bool, ErrorRecord> {
    let mut given = vec![
        ("ServerInstance", Value::from(INSTANCE)),
        ("Database", "mgc".into()),
        ("BackupFile", FILE.into()),
        ("BackupSetName", "relevo".into()),
        ("BackupSetDescription", "relevo run r1 step save".into()),
        ("CopyOnly", true.into()),
        ("Checksum", true.into()),
    ];
    given.extend(more.iter().cloned());
    world.call(ACCOUNT, "Backup-SqlDatabase", &given).map(|(_, wrote)| wrote)
}

fn restore(world: &mut World, database: &str, file: &str, position: i32) -> Result<bool, ErrorRecord> {
    let given = [
        ("ServerInstance", Value::from(INSTANCE)),
        ("Database", database.into()),
        ("BackupFile", file.into()),
        ("FileNumber", position.into()),
        ("ReplaceDatabase", true.into()),
    ];
    world.call(ACCOUNT, "Restore-SqlDatabase", &given).map(|(_, wrote)| wrote)
}

fn add(world: &mut World, number: i64) {
    let connection = relevo::lab::windows::sql::open(&world.machine, INSTANCE, "mgc").unwrap();
    connection.execute("INSERT INTO tblChat VALUES (1, ?1, 0, 1, 0, 'x', NULL)", [number]).unwrap();
}

fn messages(world: &mut World) -> i64 {
    world.number("mgc", "SELECT COUNT(*) FROM dbo.tblChat")
}

fn refused(result: Result<bool, ErrorRecord>) -> String {
    let error = result.unwrap_err();
    assert!(error.fully_qualified_id.starts_with("ExecutionFailed,Microsoft.SqlServer.Management.PowerShell."));
    error.exception_message
}

#[test]
fn what_a_backup_holds_is_there_again_after_a_restore() {
    let mut world = World::fresh();
    add(&mut world, 1);
    assert!(backup(&mut world, &[]).unwrap());
    add(&mut world, 2);
    assert_eq!(messages(&mut world), 2);
    let sets = world.query("msdb", queries::BACKUPS);
    assert_eq!(sets.len(), 1);
    let text = |name: &str| sets[0].get(name).map(Value::to_text).unwrap();
    assert_eq!((text("database_name"), text("physical_device_name"), text("position")), ("mgc".into(), FILE.into(), "1".into()));
    assert_eq!(text("description"), "relevo run r1 step save");
    assert!(matches!(sets[0].get("first_lsn"), Some(Value::Decimal(_))));
    assert!(matches!(sets[0].get("backup_finish_date"), Some(Value::DateTime(_))));
    assert!(restore(&mut world, "mgc", "d:\\MGC.BAK", 1).unwrap());
    assert_eq!(messages(&mut world), 1);
    let restores = world.query("msdb", queries::RESTORES);
    assert_eq!(restores.len(), 1);
    assert_eq!(restores[0].get("backup_set_uuid"), sets[0].get("backup_set_uuid"));
    // Over a database that is not there yet.
    assert!(restore(&mut world, "mgc2", FILE, 1).unwrap());
    assert_eq!(world.number("mgc2", "SELECT COUNT(*) FROM tblChat"), 1);
}

#[test]
fn a_second_backup_is_appended_unless_the_file_is_initialised() {
    let mut world = World::fresh();
    backup(&mut world, &[]).unwrap();
    add(&mut world, 1);
    backup(&mut world, &[]).unwrap();
    let position = |world: &mut World| world.query("msdb", queries::BACKUPS)[0].get("position").and_then(Value::as_i64);
    assert_eq!(position(&mut world), Some(2));
    restore(&mut world, "mgc", FILE, 1).unwrap();
    assert_eq!(messages(&mut world), 0);
    restore(&mut world, "mgc", FILE, 2).unwrap();
    assert_eq!(messages(&mut world), 1);
    backup(&mut world, &[("Initialize", true.into())]).unwrap();
    assert_eq!(position(&mut world), Some(1));
    assert!(refused(restore(&mut world, "mgc", FILE, 2)).contains("Cannot find file ID 2"));
    // Another medium now, at the same path.
    let sets = world.query("msdb", queries::BACKUPS);
    assert_eq!(sets.len(), 3);
    assert_ne!(sets[0].get("media_set_id"), sets[1].get("media_set_id"));
}

#[test]
fn a_database_in_use_is_not_restored_and_stays_as_it_is() {
    let mut world = World::fresh();
    backup(&mut world, &[]).unwrap();
    add(&mut world, 1);
    world.instance().connect_somebody(60, "mgc", "CONTOSO\\svc-chat", "PC01", "ChannelService").unwrap();
    assert!(
        refused(restore(&mut world, "mgc", FILE, 1))
            .contains("Exclusive access could not be obtained because the database is in use.")
    );
    assert_eq!(messages(&mut world), 1);
    let connected = world.query("master", queries::CONNECTED);
    assert!(connected.iter().any(|row| row.get("hostname").and_then(Value::as_str) == Some("PC01")));
    world.instance().disconnect_everybody().unwrap();
    restore(&mut world, "mgc", FILE, 1).unwrap();
    assert_eq!(messages(&mut world), 0);
}

#[test]
fn a_restore_that_breaks_off_leaves_the_database_restoring_and_can_be_done_again() {
    let mut world = World::fresh();
    backup(&mut world, &[]).unwrap();
    world.instance().set_fault("restore-breaks-off", 1).unwrap();
    assert!(refused(restore(&mut world, "mgc", FILE, 1)).contains("RESTORE DATABASE is terminating abnormally."));
    let state = |world: &World| world.instance().state("mgc").unwrap().unwrap().1;
    assert_eq!(state(&world), "RESTORING");
    assert!(world.query_as(ACCOUNT, "mgc", "SELECT 1").is_err());
    assert!(world.query("msdb", queries::RESTORES).is_empty());
    restore(&mut world, "mgc", FILE, 1).unwrap();
    assert_eq!(state(&world), "ONLINE");
}

#[test]
fn a_disk_that_is_full_a_missing_folder_and_missing_rights_are_told() {
    let mut world = World::fresh();
    world.instance().set_room(1024).unwrap();
    assert!(refused(backup(&mut world, &[])).contains("112(There is not enough space on the disk.)"));
    assert!(!world.machine.files.join("D/mgc.bak").exists());
    world.instance().set_room(1 << 30).unwrap();
    let mut given =
        vec![("ServerInstance", Value::from(INSTANCE)), ("Database", "mgc".into()), ("BackupFile", "E:\\mgc.bak".into())];
    let error = world.call(ACCOUNT, "Backup-SqlDatabase", &given).unwrap_err();
    assert!(error.exception_message.contains("Cannot open backup device 'E:\\mgc.bak'. Operating system error 3("));
    given[2].1 = FILE.into();
    let error = world.call("CONTOSO\\svc-reader", "Backup-SqlDatabase", &given).unwrap_err();
    assert!(error.exception_message.contains("BACKUP DATABASE permission denied in database 'mgc'."));
    world.instance().set_fault("backup-leaves-half", 1).unwrap();
    backup(&mut world, &[]).unwrap_err();
    assert!(world.machine.files.join("D/mgc.bak").exists() && world.query("msdb", queries::BACKUPS).is_empty());
    assert!(refused(restore(&mut world, "mgc", FILE, 1)).contains("is incorrectly formed"));
    assert!(refused(backup(&mut world, &[])).contains("is incorrectly formed"));
    for name in ["master", "msdb"] {
        assert!(refused(restore(&mut world, name, "D:\\none.bak", 1)).contains("Operating system error 2("));
    }
}
