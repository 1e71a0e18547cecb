//! One sentence per reason to refuse.

use super::*;
use crate::connector::directory::descriptor::Ace;

const ME: &str = "S-1-5-21-1-2-3-1500";
const OBJECT: &str = "S-1-5-21-1-2-3-1104";

fn sid(text: &str) -> Sid {
    Sid::parse(text).unwrap()
}

fn sids(texts: &[&str]) -> Vec<Sid> {
    texts.iter().map(|text| sid(text)).collect()
}

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

/// A descriptor with one entry.
fn descriptor(deny: bool, mask: u32) -> Descriptor {
    let (object, inherited_object) = (None, None);
    let entry = Ace { deny, mask, sid: sid("S-1-1-0"), object, inherited_object, inherit_only: false, inherited: false };
    Descriptor { owner: None, entries: Some(vec![entry]) }
}

/// Everything that is known of an object, owned; an ordinary user before it is changed.
struct Case {
    dn: &'static str,
    attributes: Vec<(&'static str, Vec<Vec<u8>>)>,
    descriptor: Option<Descriptor>,
    parent: Option<Descriptor>,
    children: Option<bool>,
    base: Dn,
    pinned: Option<Pinned>,
    domain: Option<Sid>,
    me: Option<Vec<Sid>>,
    groups: Option<Vec<Sid>>,
    permit: bool,
}

impl Case {
    fn new() -> Self {
        let text = |values: &[&str]| values.iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>();
        let guid = Guid::from_bytes(&[7; 16]).unwrap();
        Case {
            dn: "CN=ocschat,OU=Services,DC=contoso,DC=com",
            attributes: vec![
                ("objectClass", text(&["top", "person", "organizationalPerson", "user"])),
                ("objectGUID", vec![guid.to_bytes().to_vec()]),
                ("objectSid", vec![sid(OBJECT).to_bytes()]),
                ("userAccountControl", text(&["512"])),
                ("primaryGroupID", text(&["513"])),
                ("sAMAccountType", text(&["805306368"])),
            ],
            descriptor: Some(descriptor(false, DELETE)),
            parent: Some(descriptor(false, DELETE_CHILD)),
            children: Some(false),
            base: dn("OU=services,DC=Contoso,DC=com"),
            pinned: Some(Pinned { guid, sid: sid(OBJECT), dn: dn("cn=OCSCHAT,OU=Services,DC=contoso,DC=com") }),
            domain: Some(sid("S-1-5-21-1-2-3")),
            me: Some(sids(&[ME, "S-1-5-21-1-2-3-1600"])),
            groups: Some(sids(&["S-1-5-21-1-2-3-513", "S-1-5-21-1-2-3-1700", "S-1-5-32-545"])),
            permit: false,
        }
    }

    /// With an attribute changed; without it if no values are given.
    fn with(mut self, attribute: &'static str, values: &[&[u8]]) -> Self {
        self.attributes.retain(|(name, _)| *name != attribute);
        self.attributes.push((attribute, values.iter().map(|value| value.to_vec()).collect()));
        self
    }

    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn refusals(&self) -> Vec<Refusal> {
        let mut object = Entry::new(self.dn.to_owned());
        for (name, values) in &self.attributes {
            object.add(name, values.clone());
        }
        guard(&Facts {
            object: &object,
            descriptor: self.descriptor.as_ref(),
            parent_descriptor: self.parent.as_ref(),
            children: self.children,
            base: &self.base,
            pinned: self.pinned.as_ref(),
            domain_sid: self.domain.as_ref(),
            me: self.me.as_deref(),
            groups: self.groups.as_deref(),
            wanted_class: "user",
            permit_admin_count: self.permit,
        })
    }

    /// The one refusal's text; more or fewer than one fail the test.
    #[track_caller]
    fn only(&self) -> String {
        let refusals = self.refusals();
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        let text = refusals[0].to_string();
        assert!(!text.contains('\n') && !text.ends_with('.'), "{text:?}");
        text
    }

    #[track_caller]
    fn refused(&self, because: &str) {
        let text = self.only();
        assert!(text.contains(because), "{text}");
    }
}

/// As [`Case::with`], with another object's SID that was approved so.
fn with_sid(text: &str) -> Case {
    Case::new().with("objectSid", &[&sid(text).to_bytes()]).but(|case| case.pinned.as_mut().unwrap().sid = sid(text))
}

#[test]
fn an_ordinary_user_passes_and_nothing_else_is_said() {
    assert_eq!(Case::new().refusals(), []);
    assert_eq!(Case::new().but(|case| case.pinned = None).refusals(), []);
    let derived: [&[u8]; 3] = [b"user", b"inetOrgPerson", b"posixAccount"];
    assert_eq!(Case::new().with("objectClass", &derived).refusals(), []);
    assert_eq!(Case::new().with("isCriticalSystemObject", &[b"FALSE"]).with("adminCount", &[b"0"]).refusals(), []);
    assert_eq!(Case::new().with("systemFlags", &[b"1073741824"]).with("isDeleted", &[b"FALSE"]).refusals(), []);
    // Disabled, password never expires.
    assert_eq!(Case::new().with("userAccountControl", &[b"66050"]).refusals(), []);
}

#[test]
fn f61_i4_another_object_under_the_approved_name_is_refused() {
    let case = Case::new().with("objectGUID", &[&[8; 16]]);
    case.refused("objectGUID 08080808-0808-0808-0808-080808080808, approved was 07070707-0707-0707-0707-070707070707");
}

#[test]
fn an_object_whose_sid_changed_is_refused() {
    Case::new()
        .with("objectSid", &[&sid("S-1-5-21-1-2-3-1105").to_bytes()])
        .refused("S-1-5-21-1-2-3-1105, was S-1-5-21-1-2-3-1104");
}

#[test]
fn f60_a_renamed_or_moved_object_is_refused_and_both_names_are_printed() {
    let case = Case::new().but(|case| case.dn = "CN=ocschat2,OU=Services,DC=contoso,DC=com");
    let text = case.only();
    assert!(text.contains("`CN=ocschat2,OU=Services,DC=contoso,DC=com`, was `cn=OCSCHAT,OU=Services"), "{text}");
    let case = Case::new().but(|case| case.dn = "CN=ocschat,OU=Deeper,OU=Services,DC=contoso,DC=com");
    case.refused("renamed or moved since it was approved");
}

#[test]
fn an_object_outside_the_base_is_refused() {
    Case::new().but(|case| case.base = dn("OU=Other,DC=contoso,DC=com")).refused("is outside `OU=Other,DC=contoso,DC=com`");
}

#[test]
fn s57_a_base_that_is_everything_is_refused() {
    Case::new().but(|case| case.base = Dn::root()).refused("the base is empty");
}

#[test]
fn what_is_no_user_is_refused_by_its_class() {
    for class in ["contact", "group", "organizationalUnit", "foreignSecurityPrincipal"] {
        let text = Case::new().with("objectClass", &[b"top", class.as_bytes()]).only();
        assert!(text.contains(&format!("it is a `{class}`, and this action is for `user`")), "{text}");
    }
    Case::new().with("objectClass", &[b"top", b"user", b"Computer"]).refused("it is a `computer`");
    Case::new().with("objectClass", &[b"top", b"volume"]).refused("it is a `volume`");
}

#[test]
fn managed_service_accounts_are_refused() {
    for class in ["msDS-GroupManagedServiceAccount", "msDS-ManagedServiceAccount", "msds-delegatedmanagedserviceaccount"] {
        Case::new().with("objectClass", &[b"user", b"computer", class.as_bytes()]).refused("it is a managed service account");
    }
}

#[test]
fn critical_system_objects_are_refused() {
    Case::new().with("isCriticalSystemObject", &[b"TRUE"]).refused("isCriticalSystemObject");
    Case::new().with("isCriticalSystemObject", &[b"true?"]).refused("isCriticalSystemObject");
}

#[test]
fn an_object_that_the_directory_forbids_to_delete_is_refused() {
    for flags in ["-2147483648", "-1946157056", "2147483648", "-1"] {
        Case::new().with("systemFlags", &[flags.as_bytes()]).refused("the directory forbids its deletion (systemFlags 0x");
    }
    for flags in ["none", "", "4294967296", "-2147483649"] {
        Case::new().with("systemFlags", &[flags.as_bytes()]).refused("cannot tell whether it may be deleted at all");
    }
    Case::new().with("systemFlags", &[b"0", b"0"]).refused("cannot tell whether it may be deleted at all");
}

#[test]
fn accounts_that_every_domain_has_are_refused() {
    with_sid("S-1-5-21-1-2-3-500").refused("it is the domain's Administrator (S-1-5-21-1-2-3-500)");
    with_sid("S-1-5-21-1-2-3-502").refused("it is the domain's krbtgt");
    with_sid("S-1-5-21-1-2-3-999").refused("it is an account that every domain has");
    assert_eq!(with_sid("S-1-5-21-1-2-3-1000").refusals(), []);
}

#[test]
fn a_sid_of_no_domain_or_of_another_domain_is_refused() {
    with_sid("S-1-5-32-544").refused("its SID is well known and of no domain (S-1-5-32-544)");
    with_sid("S-1-5-18").refused("well known");
    with_sid("S-1-5-21-1-2-4-1104").refused("is of another domain than this one (S-1-5-21-1-2-3)");
}

#[test]
fn controllers_machines_and_trusts_are_refused() {
    for (control, what) in [
        ("532480", "it is a domain controller (userAccountControl 0x82000)"),
        ("67108864", "it is a read-only domain controller"),
        ("4096", "it is a machine"),
        ("2048", "it is a trust between domains"),
        ("2", "it is not an ordinary account"),
    ] {
        Case::new().with("userAccountControl", &[control.as_bytes()]).refused(what);
    }
    Case::new().with("sAMAccountType", &[b"805306369"]).refused("sAMAccountType 0x30000001");
    Case::new().with("msDS-SecondaryKrbTgtNumber", &[b"27211"]).refused("the krbtgt of a read-only domain controller");
    assert_eq!(Case::new().with("sAMAccountType", &[]).refusals(), []);
}

#[test]
fn a_primary_group_of_controllers_or_administrators_is_refused() {
    for (rid, name) in [("516", "Domain Controllers"), ("521", "Read-only Domain Controllers"), ("512", "Domain Admins")] {
        Case::new()
            .with("primaryGroupID", &[rid.as_bytes()])
            .refused(&format!("it is privileged: in {name} (S-1-5-21-1-2-3-{rid})"));
    }
}

#[test]
fn the_account_that_relevo_runs_as_is_refused() {
    Case::new().but(|case| case.me = Some(sids(&[OBJECT]))).refused("it is the account that relevo runs as");
    Case::new().but(|case| case.me = Some(sids(&[ME, OBJECT]))).refused("or a group of it");
}

#[test]
fn f64_members_of_protected_groups_are_refused_whether_directly_or_not() {
    let domain = [498, 512, 516, 518, 519, 520, 521, 526, 527].map(|rid| format!("S-1-5-21-1-2-3-{rid}"));
    let everywhere = [544, 548, 549, 550, 551, 552].map(|rid| format!("S-1-5-32-{rid}"));
    // Enterprise Admins of the root domain.
    let root = ["S-1-5-21-7-8-9-519".to_owned()];
    for group in domain.iter().chain(&everywhere).chain(&root) {
        let text = Case::new().but(|case| case.groups.as_mut().unwrap().push(sid(group))).only();
        assert!(text.contains("it is privileged: in ") && text.contains(group.as_str()), "{text}");
    }
    for harmless in ["S-1-5-32-512", "S-1-5-21-1-2-3-544", "S-1-5-21-1-2-3-1512", "S-1-5-2-512", "S-1-5-32-545", "S-1-18-1"] {
        assert_eq!(Case::new().but(|case| case.groups.as_mut().unwrap().push(sid(harmless))).refusals(), []);
    }
}

#[test]
fn a_privileged_group_is_named_once_even_if_it_is_the_primary_one_too() {
    let case = Case::new().with("primaryGroupID", &[b"512"]).with("adminCount", &[b"1"]);
    case.but(|case| case.groups.as_mut().unwrap().push(sid("S-1-5-21-1-2-3-512"))).refused("in Domain Admins");
}

#[test]
fn an_admin_count_without_a_protected_group_is_refused_unless_it_is_permitted() {
    Case::new().with("adminCount", &[b"1"]).refused("adminCount is set, so it is or was privileged");
    Case::new().with("adminCount", &[b"?"]).refused("adminCount is set");
    assert_eq!(Case::new().with("adminCount", &[b"1"]).but(|case| case.permit = true).refusals(), []);
}

#[test]
fn permitting_an_admin_count_permits_no_membership() {
    let case = Case::new().with("adminCount", &[b"1"]).but(|case| case.permit = true);
    case.but(|case| case.groups.as_mut().unwrap().push(sid("S-1-5-32-544"))).refused("in Administrators");
}

#[test]
fn f64_an_object_with_children_is_refused() {
    Case::new().but(|case| case.children = Some(true)).refused("something lies below it");
}

#[test]
fn f65_an_object_protected_from_deletion_is_refused() {
    for mask in [DELETE, DELETE_TREE, DELETE | DELETE_TREE] {
        Case::new()
            .but(|case| case.descriptor = Some(descriptor(true, mask)))
            .refused("its security descriptor denies its deletion");
    }
    Case::new().but(|case| case.parent = Some(descriptor(true, DELETE_CHILD))).refused("denies the deletion of children");
    assert_eq!(Case::new().but(|case| case.descriptor = Some(descriptor(true, DELETE_CHILD))).refusals(), []);
    assert_eq!(Case::new().but(|case| case.parent = Some(descriptor(true, DELETE))).refusals(), []);
}

#[test]
fn a_deleted_object_is_refused() {
    Case::new().with("isDeleted", &[b"TRUE"]).refused("it is deleted already");
    let tombstone = "CN=ocschat\\0ADEL:07070707-0707-0707-0707-070707070707,OU=Services,DC=contoso,DC=com";
    Case::new()
        .but(|case| {
            case.dn = tombstone;
            case.pinned.as_mut().unwrap().dn = dn(tombstone);
        })
        .refused("it is deleted already");
}

#[test]
fn f65b_what_could_not_be_read_is_refused() {
    for (attribute, question) in [
        ("objectClass", "cannot tell what kind of object it is: its objectClass could not be read"),
        ("objectGUID", "cannot tell which object this is"),
        ("objectSid", "cannot tell whether it is a built-in account"),
        ("userAccountControl", "cannot tell whether it is an ordinary account"),
        ("primaryGroupID", "cannot tell whether it is privileged: its primaryGroupID"),
    ] {
        Case::new().with(attribute, &[]).refused(question);
        if attribute != "objectClass" {
            Case::new().with(attribute, &[b"nonsense"]).refused(question);
        }
    }
    Case::new()
        .with("sAMAccountType", &[b"nonsense"])
        .refused("cannot tell whether it is an ordinary account: its sAMAccountType");
    Case::new().but(|case| case.dn = "<GUID=x>").refused("cannot tell where it is");
    Case::new().but(|case| case.descriptor = None).refused("cannot tell whether it is protected: its nTSecurityDescriptor");
    Case::new().but(|case| case.parent = None).refused("cannot tell whether it is protected: the nTSecurityDescriptor of what");
    Case::new().but(|case| case.children = None).refused("cannot tell whether anything lies below it");
    Case::new().but(|case| case.domain = None).refused("cannot tell whether it is of this domain");
    Case::new().but(|case| case.me = None).refused("cannot tell whether it is the account that relevo runs as");
    Case::new().but(|case| case.me = Some(vec![])).refused("cannot tell whether it is the account that relevo runs as");
    Case::new().but(|case| case.groups = None).refused("cannot tell whether it is privileged: the groups");
}

#[test]
fn all_reasons_are_given_not_just_the_first() {
    let refusals = with_sid("S-1-5-21-1-2-3-500")
        .with("isCriticalSystemObject", &[b"TRUE"])
        .with("adminCount", &[b"1"])
        .but(|case| case.groups.as_mut().unwrap().push(sid("S-1-5-32-544")))
        .but(|case| case.children = Some(true))
        .refusals();
    assert_eq!(
        refusals,
        [
            Refusal::Critical,
            Refusal::BuiltIn { sid: sid("S-1-5-21-1-2-3-500"), name: Some("Administrator") },
            Refusal::Privileged { group: sid("S-1-5-32-544"), name: "Administrators" },
            Refusal::HasChildren,
        ]
    );
}
