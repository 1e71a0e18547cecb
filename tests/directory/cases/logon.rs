//! A logon that is refused: nothing is sent, and a wrong password is not sent again at once, because a few would lock
//! the account.

use relevo::plan::Verdict;
use relevo::run::connector::{Level, Pin};
use relevo::run::event::Outcome;

use crate::calls::Team;
use crate::cases::cases;
use crate::client::Client;
use crate::world::{Account, Place, User, World, password};

cases![
    f66_a_wrong_password_is_sent_once_a_minute_at_most,
    f66_an_account_that_must_change_its_password_sends_nothing,
    f66_a_locked_account_sends_nothing,
    f66_a_disabled_account_sends_nothing,
    f66_a_password_that_expires_during_the_run_is_not_sent,
    f66_an_account_that_ends_before_the_window_closes_is_told,
];

const RIGHT: &str = "R1ght!Passw0rd";

/// Everything a run would try, several times: nothing is sent, nothing is believed.
#[track_caller]
fn sends_nothing(place: &Place<'_>, user: &User, team: &Team) {
    let mut pinned = Team::new(place.world, &place.world.account("svc-mig")).deletion(place, user);
    pinned.bind();
    pinned.keep().unwrap();
    let mut step = team.deletion(place, user);
    assert!(matches!(step.pin(), Pin::Cannot { .. }), "{:?}", step.pin());
    step.call.identity = pinned.call.identity;
    step.call.before_image = pinned.call.before_image;
    for _ in 0..3 {
        let seen = step.probe();
        assert_eq!(seen.verdict, Verdict::Unknown, "{seen:?}");
        let outcome = step.apply();
        assert!(matches!(outcome, Outcome::NotSent { .. }), "{outcome:?}");
    }
    place.is_untouched(user, &user.dn);
}

fn logs_on(world: &dyn World, account: &Account) -> Result<(), i32> {
    let client: Client = world.admin(1).with(&account.user, account.password_file.clone());
    client.read(world.base(), &["cn"]).map(|_| ())
}

fn dn_of(place: &Place<'_>, suffix: &str) -> String {
    format!("CN={}{suffix},OU=Accounts,{}", place.word, place.world.base())
}

fn f66_a_wrong_password_is_sent_once_a_minute_at_most(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let account = place.account("x", RIGHT, "Wr0ng!Passw0rd");
    sends_nothing(&place, &user, &Team::new(world, &account));
    assert_eq!(place.bad_passwords(&account), 1, "the directory counts what it was sent");
}

fn f66_an_account_that_must_change_its_password_sends_nothing(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let account = place.account("x", RIGHT, RIGHT);
    let dn = dn_of(&place, "x");
    place.admin().must(&format!("dn: {dn}\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: 0\n"));
    assert_eq!(logs_on(world, &account), Err(49));
    sends_nothing(&place, &user, &Team::new(world, &account));
}

fn f66_an_account_that_ends_before_the_window_closes_is_told(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let account = place.account("x", RIGHT, RIGHT);
    let dn = dn_of(&place, "x");
    let team = Team::new(world, &account);
    let warnings = |until: Option<&str>| {
        let mut step = team.deletion(&place, &user);
        step.call.until = until.map(|text| relevo::time::Timestamp(text.parse().unwrap()));
        let found = step.preflight();
        let ends = found.into_iter().filter(|one| one.level == Level::Warning && one.message.contains("ends on"));
        ends.map(|one| one.message).collect::<Vec<_>>()
    };
    assert_eq!(warnings(None), Vec::<String>::new());
    // 2090-01-01, as Windows writes it.
    place.admin().must(&format!("dn: {dn}\nchangetype: modify\nreplace: accountExpires\naccountExpires: 154313856000000000\n"));
    assert_eq!(warnings(Some("2089-12-31T00:00:00Z")).iter().filter(|one| one.contains("the account")).count(), 0);
    let said = warnings(Some("2090-01-02T00:00:00Z"));
    assert!(said.iter().any(|one| one.contains("ends on 2090-01-01 00:00 UTC, before the window closes")), "{said:?}");
}

fn f66_a_locked_account_sends_nothing(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let account = place.account("x", RIGHT, RIGHT);
    let wrong = world.folder().join(format!("{}.wrong", place.word));
    std::fs::write(&wrong, "Wr0ng!Passw0rd").unwrap();
    let intruder = Account { password_file: wrong, ..account.clone() };
    for _ in 0..5 {
        assert_eq!(logs_on(world, &intruder), Err(49));
    }
    assert_eq!(logs_on(world, &account), Err(49), "it is locked");
    sends_nothing(&place, &user, &Team::new(world, &account));
}

fn f66_a_disabled_account_sends_nothing(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let account = place.account("x", RIGHT, RIGHT);
    let dn = dn_of(&place, "x");
    place.admin().must(&format!("dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n"));
    sends_nothing(&place, &user, &Team::new(world, &account));
}

fn f66_a_password_that_expires_during_the_run_is_not_sent(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let account = place.account("x", RIGHT, RIGHT);
    let team = Team::new(world, &account);
    let mut step = team.deletion(&place, &user);
    step.bind();
    step.keep().unwrap();
    // Somebody sets another one in the middle of the night.
    let ldif = format!(
        "dn: {}\nchangetype: modify\nreplace: unicodePwd\nunicodePwd:: {}\n",
        dn_of(&place, "x"),
        password("N3w!Passw0rd")
    );
    place.admin().must(&ldif);
    for _ in 0..4 {
        let outcome = step.apply();
        assert!(matches!(outcome, Outcome::NotSent { .. }), "{outcome:?}");
    }
    // Samba counts an old password too; Active Directory forgives the last two.
    assert!(place.bad_passwords(&account) <= 1, "sent {} times", place.bad_passwords(&account));
    place.is_untouched(&user, &user.dn);
}
