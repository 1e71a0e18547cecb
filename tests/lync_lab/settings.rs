//! What a person sets in a world, and the kinds of worlds.

use serde_json::Value;

use crate::administration::{deployment, run};
use crate::lab_support::Lab;

const POLICY: &str = "  - { id: policy, uses: lync.policy.check, with: { host: lync } }\n";

#[test]
fn a_policy_that_is_off_fails_the_check_until_the_world_is_fresh() {
    let lab = Lab::new();
    run(&lab, POLICY).exits(0);
    lab.relevo(&["lab", "set", "policy", "off"]).exits(0);
    assert_ne!(run(&lab, POLICY).code, 0);
    lab.relevo(&["lab", "reset"]).exits(0);
    run(&lab, POLICY).exits(0);
}

#[test]
fn what_is_set_is_on_disk_and_what_does_not_exist_is_refused() {
    let lab = Lab::new();
    lab.relevo(&["lab", "set", "user-replicator", "5m"]).exits(0);
    assert_eq!(deployment(&lab)["replicator"]["every_ms"], 300_000);
    lab.relevo(&["lab", "set", "service-name", "gc02", "LyncGCChannel", "GroupChatChannel"]).exits(0);
    let machine = std::fs::read_to_string(lab.dir().join("world/machines/gc02.json")).unwrap();
    assert!(machine.contains("GroupChatChannel") && !machine.contains("LyncGCChannel"), "{machine}");
    lab.relevo(&["lab", "set", "sql-space", "sql01\\RTC", "0"]).exits(0);
    lab.relevo(&["lab", "set", "sql-fault", "sql01\\RTC", "backup-breaks-off"]).exits(0);
    for (wrong, hint) in [
        (&["service-name", "gc02", "Nothing", "x"], "there are"),
        (&["service-delay", "gc09", "Nothing", "1s"], "gc01"),
        (&["sql-fault", "sql01\\RTC", "rain", "--times=1"], "backup-breaks-off"),
        (&["sql-fault", "sql01", "backup-breaks-off", "--times=1"], "sql01\\RTC"),
    ] {
        let arguments = [&["lab", "set"], wrong.as_slice()].concat();
        let said = lab.relevo(&arguments).says(hint);
        assert_ne!(said.code, 0, "{wrong:?}");
    }
    lab.relevo(&["lab", "down"]).exits(0);
    assert_ne!(lab.relevo(&["lab", "set", "policy", "off"]).says("relevo lab up").code, 0);
}

#[test]
fn the_disk_for_backups_is_full_after_what_was_set() {
    let lab = Lab::new();
    lab.relevo(&["lab", "set", "sql-space", "sql01\\PCHAT2", "0"]).exits(0);
    let step = |instance: &str| {
        format!(
            "  - {{ id: backup, uses: mssql.backup, with: {{ host: sql01, instance: 'sql01.contoso.lan\\{instance}', database: mgc, file: 'D:\\Backup\\{instance}.bak' }} }}\n"
        )
    };
    run(&lab, &step("RTC")).exits(0);
    assert_ne!(run(&lab, &step("PCHAT2")).code, 0);
}

#[test]
fn a_folder_keeps_the_kind_of_its_worlds() {
    let lab = Lab { folder: tempfile::Builder::new().prefix("relevo-lab-").tempdir().unwrap() };
    lab.relevo(&["lab", "up", "--world", "ocs2007r2"]).exits(0).says("/OcsPowerShell");
    let gc01 = || {
        let bytes = std::fs::read(lab.dir().join("world/machines/gc01.json")).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    assert_eq!(lab.info()["world"], "ocs2007r2");
    lab.relevo(&["lab", "reset"]).exits(0);
    lab.relevo(&["lab", "down"]).exits(0);
    lab.relevo(&["lab", "up"]).exits(0);
    assert_eq!(gc01()["version"], "6.0.6002");
    let names: Vec<String> =
        gc01()["services"].as_array().unwrap().iter().map(|one| one["display_name"].as_str().unwrap().to_owned()).collect();
    assert!(names.contains(&"Office Communications Server 2007 R2, Group Chat Channel".to_owned()), "{names:?}");
    assert_eq!(deployment(&lab)["front_ends"][1]["version"], 4);
    lab.relevo(&["lab", "up", "--world", "lync2010"]).exits(8).says("ocs2007r2");
    // A plan finds the services by what people see, here as there.
    let steps = "
  - id: stop
    uses: windows.service
    with: { host: gc01, display_names: [\"Office Communications Server 2007 R2, Group Chat *\"], state: stopped, startup: disabled }
  - { id: pool, uses: lync.pool.check, with: { host: lync, pool: pcpool.contoso.lan, legacy_pool: gcpool.contoso.lan } }
";
    run(&lab, steps).exits(0);
    let legacy = lab.dir().join("world/files/sql01/sql/RTC/groupchat.sqlite");
    let legacy = rusqlite::Connection::open(legacy).unwrap();
    let version: String = legacy.query_row("SELECT versionText FROM Version", [], |row| row.get(0)).unwrap();
    assert!(version.starts_with("3.5."), "{version}");
}
