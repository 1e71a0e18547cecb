use serde_json::json;

use super::*;

fn controller(host: &str, site: &str) -> Controller {
    Controller {
        host: host.to_owned(),
        site: site.to_owned(),
        global_catalog: true,
        in_domain: true,
        settings: None,
        invocation: None,
    }
}

fn domain() -> Vec<Controller> {
    vec![controller("dc1.contoso.lan", "Madrid"), controller("dc2.contoso.lan", "Madrid"), controller("dc3.contoso.lan", "Lima")]
}

fn hosts(chosen: &Chosen) -> Vec<&str> {
    chosen.asked.iter().map(|it| it.host.as_str()).collect()
}

#[test]
fn all_of_a_site_or_named_servers_are_asked() {
    assert_eq!(choose(&domain(), &On::All, &[]).asked, domain());
    let site = choose(&domain(), &On::Sites(vec!["lima".to_owned()]), &[]);
    assert_eq!(hosts(&site), ["dc3.contoso.lan"]);
    let named = choose(&domain(), &On::Servers(vec!["DC1".to_owned(), "dc2.contoso.lan".to_owned()]), &[]);
    assert_eq!(hosts(&named), ["dc1.contoso.lan", "dc2.contoso.lan"]);
}

#[test]
fn a_controller_of_another_domain_is_not_asked() {
    let mut all = domain();
    all[2].in_domain = false;
    assert_eq!(choose(&all, &On::All, &[]).asked, domain()[..2]);
}

#[test]
fn a_person_leaves_a_server_out_by_its_name_or_first_label() {
    for name in ["dc2", "DC2.contoso.lan"] {
        let chosen = choose(&domain(), &On::All, &[name.to_owned()]);
        assert_eq!(hosts(&chosen), ["dc1.contoso.lan", "dc3.contoso.lan"]);
        assert_eq!(chosen.excepted, ["dc2.contoso.lan"]);
    }
    assert!(choose(&domain(), &On::All, &["dc".to_owned(), "contoso.lan".to_owned()]).excepted.is_empty());
}

#[test]
fn a_name_that_is_not_in_the_directory_is_told() {
    assert_eq!(choose(&domain(), &On::Servers(vec!["dc1".to_owned(), "dc9".to_owned()]), &[]).strange, ["dc9"]);
    assert_eq!(choose(&domain(), &On::Sites(vec!["Nowhere".to_owned()]), &[]).strange, ["Nowhere"]);
}

#[test]
fn the_forms_of_on_are_three() {
    assert_eq!(On::read(None), Ok(On::All));
    assert_eq!(On::read(Some(&json!("all_domain_controllers"))), Ok(On::All));
    assert_eq!(On::read(Some(&json!({ "sites": ["Madrid"] }))), Ok(On::Sites(vec!["Madrid".to_owned()])));
    assert_eq!(On::read(Some(&json!({ "servers": ["dc1"] }))), Ok(On::Servers(vec!["dc1".to_owned()])));
    for wrong in [json!("all"), json!({}), json!({ "sites": [] }), json!({ "sites": ["a"], "servers": ["b"] }), json!(["dc1"])] {
        assert!(On::read(Some(&wrong)).is_err(), "{wrong}");
    }
}

fn subject(text: &str) -> Subject {
    match args::SipAddress::parse(text) {
        Ok(address) => Subject::Sip(address),
        Err(why) => panic!("{why}"),
    }
}

fn identity() -> Subject {
    match super::super::super::guid::Guid::from_bytes(&[1; 16]) {
        Some(guid) => Subject::Guid(guid),
        None => panic!("16 bytes are an identity"),
    }
}

#[test]
fn an_address_is_free_where_nothing_carries_it() {
    let absent = Condition::Absent(subject("a@contoso.lan"));
    let one = || Entry::new("CN=a,DC=contoso,DC=lan".to_owned());
    assert!(judge(&absent, &Shown::Carriers(Vec::new())).0);
    let (holds, said) = judge(&absent, &Shown::Carriers(vec![one()]));
    assert!(!holds && said.contains("CN=a,DC=contoso,DC=lan"), "{said}");
    let present = Condition::Present(subject("a@contoso.lan"));
    assert!(!judge(&present, &Shown::Carriers(Vec::new())).0);
    assert!(judge(&present, &Shown::Carriers(vec![one()])).0);
    assert!(!judge(&present, &Shown::Carriers(vec![one(), one()])).0);
}

#[test]
fn an_object_is_gone_only_where_its_tombstone_is_seen() {
    let entry = || Entry::new("CN=a".to_owned());
    let absent = Condition::Absent(identity());
    assert!(judge(&absent, &Shown::Deleted(entry())).0);
    assert!(!judge(&absent, &Shown::Living(entry())).0);
    assert!(!judge(&absent, &Shown::Nothing).0);
    let present = Condition::Present(identity());
    assert!(judge(&present, &Shown::Living(entry())).0);
    assert!(!judge(&present, &Shown::Deleted(entry())).0);
    assert!(!judge(&present, &Shown::Nothing).0);
}

/// A watch over two servers.
fn watched(answers: [Result<Shown, NoAnswer>; 2], stable_for: Span) -> (Args, BTreeMap<String, Watched>, Chosen) {
    let args = Args {
        condition: Condition::Absent(identity()),
        on: On::All,
        stable_for,
        poll: SHORTEST_POLL,
        excluded: Vec::new(),
        limit: None,
    };
    let chosen = choose(&domain()[..2], &On::All, &[]);
    let mut servers = BTreeMap::new();
    for (controller, answer) in chosen.asked.iter().zip(answers) {
        let mut watched = Watched::new();
        note(&mut watched, &args.condition, answer);
        servers.insert(controller.host.clone(), watched);
    }
    (args, servers, chosen)
}

fn gone() -> Result<Shown, NoAnswer> {
    Ok(Shown::Deleted(Entry::new("CN=a".to_owned())))
}

fn silent() -> Result<Shown, NoAnswer> {
    Err(NoAnswer { unreachable: true, reason: "no route".to_owned() })
}

#[tokio::test(start_paused = true)]
async fn it_has_come_about_when_it_held_everywhere_for_long_enough() {
    let (args, mut servers, chosen) = watched([gone(), gone()], Span::from_secs(10));
    assert_eq!(missing(&args, &chosen, &servers), Some(Duration::from_secs(10)));
    tokio::time::advance(Duration::from_secs(4)).await;
    // A break of one server begins its time anew; the other's goes on.
    let Some(second) = servers.get_mut("dc2.contoso.lan") else { panic!("it is watched") };
    note(second, &args.condition, silent());
    assert_eq!(missing(&args, &chosen, &servers), None);
    let Some(second) = servers.get_mut("dc2.contoso.lan") else { panic!("it is watched") };
    note(second, &args.condition, gone());
    tokio::time::advance(Duration::from_secs(7)).await;
    assert_eq!(missing(&args, &chosen, &servers), Some(Duration::from_secs(3)));
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(missing(&args, &chosen, &servers), Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_never_counts_and_is_named_with_the_time() {
    let (args, servers, chosen) = watched([gone(), silent()], Span::ZERO);
    assert_eq!(missing(&args, &chosen, &servers), None);
    let lines = lines(None, &chosen, &servers);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("`dc2.contoso.lan` (cannot be asked since ") && lines[0].ends_with("no route"), "{lines:?}");
}

#[test]
fn nobody_to_ask_and_strange_names_are_no_success() {
    let (args, _, _) = watched([gone(), gone()], Span::ZERO);
    assert_eq!(missing(&args, &Chosen::default(), &BTreeMap::new()), None);
    let strange = Chosen { strange: vec!["dc9".to_owned()], ..Chosen::default() };
    let (_, servers, _) = watched([gone(), gone()], Span::ZERO);
    assert_eq!(missing(&args, &strange, &servers), None);
}
