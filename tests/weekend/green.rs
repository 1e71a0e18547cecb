//! Everything goes well.

use crate::lab_support::Lab;
use crate::world::{Weekend, plan};

#[test]
fn the_weekend_runs_unattended_and_on_monday_everything_is_as_it_must_be() {
    let weekend = Weekend::new();
    let [before, empty] = weekend.data();
    assert!(before.0 >= 200 && before.1 == 100_000 && empty.0 == 0, "{before:?} {empty:?}");
    weekend.run(&[]).exits(0).says("sign-in-lab").says("every step is satisfied");
    weekend.assert_monday();
    weekend.assert_each_once(0);
    let runs = weekend.runs().display().to_string();
    weekend.lab.relevo(&["verify", "--runs", &runs]).exits(0);
    weekend.lab.relevo(&["report", "--runs", &runs]).exits(0).says("start-new").says("way back until it is retired");
}

#[test]
fn with_two_sip_domains_both_addresses_change_hands_however_they_are_written() {
    let weekend = Weekend::new();
    weekend
        .lab
        .modify(
            "dn: CN=ocschat2,OU=Service,DC=contoso,DC=lan\nchangetype: add\nobjectClass: user\nsAMAccountName: ocschat2\n\
             msRTCSIP-PrimaryUserAddress: sip:ocschat@fabrikam.lan\nproxyAddresses: sip:ocschat@fabrikam.lan\n\
             msRTCSIP-UserEnabled: TRUE\nmsRTCSIP-OptionFlags: 257\nmsRTCSIP-DeploymentLocator: SRV:\n\
             msRTCSIP-PrimaryHomeServer: CN=Lc Services,CN=Microsoft,CN=pool01,CN=Pools,CN=RTC Service,CN=Services,\
             CN=Configuration,DC=contoso,DC=lan\n",
        )
        .exits(0);
    let both = r#"sip_addresses=["ocschat@contoso.lan", "SIP:OCSChat@Fabrikam.lan"]"#;
    weekend.run(&["--param", both]).exits(0).says("sign-in-lab[sip:ocschat@fabrikam.lan]");
    weekend.assert_monday();
    for (operation, times) in [("delete", 2), ("New-CsPersistentChatEndpoint", 2), ("Import-CsPersistentChatData", 1)] {
        assert_eq!(weekend.count_since(0, operation), times, "{operation}: {:#?}", weekend.effects_since(0));
    }
}

#[test]
fn without_a_go_it_asks_and_nothing_is_stopped() {
    let weekend = Weekend::new();
    weekend.call("run", "weekend", &[]).exits(3).says("Stop Group Chat now?").says("relevo decide");
    assert_eq!(weekend.effects_since(0), Vec::<String>::new());
}

#[test]
fn i11_a_rehearsal_changes_nothing_and_knows_what_it_would_do() {
    let weekend = Weekend::new();
    weekend
        .call("rehearse", "weekend", &[])
        .exits(0)
        .says("CN=ocschat,OU=Service,DC=contoso,DC=lan")
        .says("LyncGCLookup")
        .says("assumed");
    assert_eq!(weekend.effects_since(0), Vec::<String>::new());
    weekend.run(&[]).exits(0);
}

#[test]
fn a_rehearsal_that_may_export_changes_nothing_but_a_scratch_file() {
    let weekend = Weekend::new();
    weekend.call("rehearse", "weekend", &["--with-export"]).exits(0);
    let effects = weekend.effects_since(0);
    let harmless = |line: &String| line.contains("Export-CsPersistentChatData") || line.contains(".rehearsal-");
    assert!(!effects.is_empty() && effects.iter().all(harmless), "{effects:#?}");
    weekend.run(&[]).exits(0);
    weekend.assert_monday();
}

#[test]
fn stopped_at_a_checkpoint_and_resumed_it_goes_on_where_it_was() {
    let weekend = Weekend::new();
    weekend.run(&["--until", "data-moved"]).exits(0);
    assert_eq!(weekend.holders("dc1"), ["CN=ocschat,OU=Service,DC=contoso,DC=lan"]);
    assert_eq!(weekend.count_since(0, "delete"), 0);
    let [old, new] = weekend.data();
    assert_eq!(old, new);
}

#[test]
fn weeks_later_the_old_pool_is_retired_and_the_address_survives() {
    let weekend = Weekend::new();
    // Before the weekend it is not the time.
    assert_ne!(weekend.call("run", "retire-2010", &["--go"]).code, 0);
    assert_eq!(weekend.effects_since(0), Vec::<String>::new());
    weekend.run(&[]).exits(0);
    let from = weekend.lab.audit().len();
    weekend.call("run", "retire-2010", &["--go"]).exits(0);
    assert_eq!(weekend.count_since(from, "Remove-CsTrustedApplication"), 1);
    assert_eq!(weekend.count_since(from, "Remove-CsTrustedApplicationPool"), 1);
    assert_eq!(weekend.count_since(from, "Enable-CsTopology"), 1);
    assert_eq!(weekend.count_since(from, "New-CsPersistentChatEndpoint"), 0);
    weekend.assert_monday();
}

#[test]
fn a_further_pool_is_looked_at_and_started_and_nothing_else() {
    let weekend = Weekend::new();
    weekend.call("run", "add-pool", &["--go"]).exits(0);
    let effects = weekend.effects_since(0);
    assert!(
        effects.iter().all(|line| line.contains("-CsWindowsService") || line.contains("Update-CsUserDatabase")),
        "{effects:#?}"
    );
}

#[test]
fn the_source_may_be_ocs_2007_r2() {
    let folder = tempfile::Builder::new().prefix("relevo-lab-").tempdir().unwrap();
    let weekend = Weekend { lab: Lab { folder } };
    weekend.lab.relevo(&["lab", "up", "--world", "ocs2007r2"]).exits(0);
    // The plan for 2010 finds none of its services, and does not start.
    assert_ne!(weekend.run(&[]).says("Office Communications Server").code, 0);
    assert_eq!(weekend.effects_since(0), Vec::<String>::new());
    weekend.call("run", "weekend-ocs2007r2", &["--go"]).exits(0);
    weekend.assert_monday();
    // A fresh world for a run is of the same kind.
    let (plan, runs) = (plan("weekend-ocs2007r2"), weekend.runs().display().to_string());
    weekend.lab.relevo(&["run", &plan, "--lab", "--go", "--runs", &runs]).exits(0);
}
