//! What attributes and classes the lab knows: a part of Active Directory's schema (MS-ADA1 to MS-ADA3, MS-ADSC), and
//! the attributes that Lync and OCS add.

/// What kind of value an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Text; letter case does not count.
    Text,
    /// `TRUE` or `FALSE`.
    Boolean,
    /// 32 bits.
    Integer,
    /// 64 bits.
    Large,
    /// Bytes.
    Octets,
    /// The name of an object.
    Name,
    /// A class.
    Class,
    /// `20261127220000.0Z`.
    Time,
}

/// What is special about an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trait {
    /// At most one value.
    Single,
    /// Only the server writes it.
    System,
    /// Not kept, but worked out when asked for by name.
    Constructed,
    /// A tombstone keeps it.
    Kept,
    /// Not sent to the other domain controllers.
    Local,
    /// Nobody can read it.
    Hidden,
}

/// An attribute.
#[derive(Debug)]
pub struct Attribute {
    /// Its lDAPDisplayName.
    pub name: &'static str,
    /// Its values.
    pub syntax: Syntax,
    traits: &'static [Trait],
    /// The attribute that shows the link from the other side, which is the server's to write.
    pub back: Option<&'static str>,
    /// Classes that may have it; all if none are named.
    pub only: &'static [&'static str],
}

impl Attribute {
    /// Whether it is special in this way.
    #[must_use]
    pub fn is(&self, what: Trait) -> bool {
        self.traits.contains(&what)
    }
}

use Syntax::{Boolean, Class as ClassName, Integer, Large, Name, Octets, Text, Time};
use Trait::{Constructed, Hidden, Kept, Local, Single, System};

const fn attribute(name: &'static str, syntax: Syntax, traits: &'static [Trait]) -> Attribute {
    Attribute { name, syntax, traits, back: None, only: &[] }
}

const fn link(name: &'static str, traits: &'static [Trait], back: &'static str, only: &'static [&'static str]) -> Attribute {
    Attribute { name, syntax: Name, traits, back: Some(back), only }
}

const fn of(name: &'static str, syntax: Syntax, traits: &'static [Trait], only: &'static [&'static str]) -> Attribute {
    Attribute { name, syntax, traits, back: None, only }
}

const PEOPLE: &[&str] = &["user", "contact", "computer", "inetOrgPerson"];

/// All attributes.
pub const ATTRIBUTES: &[Attribute] = &[
    // What every object has.
    attribute("objectClass", ClassName, &[Kept]),
    attribute("objectGUID", Octets, &[Single, System, Kept]),
    attribute("objectSid", Octets, &[Single, System, Kept]),
    attribute("objectCategory", Name, &[Single]),
    attribute("name", Text, &[Single, System, Kept]),
    attribute("cn", Text, &[Single, Kept]),
    attribute("ou", Text, &[Kept]),
    attribute("dc", Text, &[Single, Kept]),
    attribute("instanceType", Integer, &[Single, System, Kept]),
    attribute("systemFlags", Integer, &[Single, System, Kept]),
    attribute("isCriticalSystemObject", Boolean, &[Single, System]),
    attribute("isDeleted", Boolean, &[Single, System, Kept]),
    attribute("isRecycled", Boolean, &[Single, System, Kept]),
    attribute("lastKnownParent", Name, &[Single, System, Kept]),
    attribute("msDS-LastKnownRDN", Text, &[Single, System, Kept]),
    attribute("nTSecurityDescriptor", Octets, &[Single, Kept]),
    attribute("showInAdvancedViewOnly", Boolean, &[Single]),
    attribute("description", Text, &[]),
    attribute("displayName", Text, &[Single]),
    attribute("adminDisplayName", Text, &[Single]),
    attribute("adminDescription", Text, &[Single]),
    attribute("info", Text, &[Single]),
    attribute("url", Text, &[]),
    attribute("wWWHomePage", Text, &[Single]),
    attribute("uSNCreated", Large, &[Single, System, Constructed, Local]),
    attribute("uSNChanged", Large, &[Single, System, Constructed, Local]),
    attribute("whenCreated", Time, &[Single, System, Kept]),
    attribute("whenChanged", Time, &[Single, System, Constructed, Local]),
    attribute("distinguishedName", Name, &[Single, System, Constructed]),
    attribute("canonicalName", Text, &[System, Constructed]),
    attribute("createTimeStamp", Time, &[Single, System, Constructed]),
    attribute("modifyTimeStamp", Time, &[Single, System, Constructed]),
    attribute("structuralObjectClass", ClassName, &[System, Constructed]),
    attribute("subSchemaSubEntry", Name, &[Single, System, Constructed]),
    attribute("parentGUID", Octets, &[Single, System, Constructed]),
    attribute("allowedAttributes", Text, &[System, Constructed]),
    attribute("allowedAttributesEffective", Text, &[System, Constructed]),
    attribute("allowedChildClassesEffective", Text, &[System, Constructed]),
    attribute("sDRightsEffective", Integer, &[Single, System, Constructed]),
    attribute("msDS-Approx-Immed-Subordinates", Integer, &[Single, System, Constructed]),
    attribute("msDS-ReplAttributeMetaData", Text, &[System, Constructed]),
    // Accounts and groups.
    attribute("sAMAccountName", Text, &[Single, Kept]),
    attribute("sAMAccountType", Integer, &[Single, System]),
    of("userPrincipalName", Text, &[Single], PEOPLE),
    attribute("servicePrincipalName", Text, &[]),
    of("userAccountControl", Integer, &[Single, Kept], PEOPLE),
    attribute("msDS-User-Account-Control-Computed", Integer, &[Single, System, Constructed]),
    attribute("primaryGroupID", Integer, &[Single]),
    attribute("primaryGroupToken", Integer, &[Single, System, Constructed]),
    attribute("tokenGroups", Octets, &[System, Constructed]),
    attribute("groupType", Integer, &[Single, Kept]),
    attribute("adminCount", Integer, &[Single]),
    attribute("operatorCount", Integer, &[Single]),
    attribute("accountExpires", Large, &[Single]),
    attribute("pwdLastSet", Large, &[Single]),
    attribute("lockoutTime", Large, &[Single]),
    attribute("badPwdCount", Integer, &[Single, System, Local]),
    attribute("badPasswordTime", Large, &[Single, System, Local]),
    attribute("lastLogon", Large, &[Single, System, Local]),
    attribute("lastLogoff", Large, &[Single, System, Local]),
    attribute("logonCount", Integer, &[Single, System, Local]),
    attribute("lastLogonTimestamp", Large, &[Single, System]),
    attribute("logonHours", Octets, &[Single]),
    attribute("userWorkstations", Text, &[Single]),
    attribute("scriptPath", Text, &[Single]),
    attribute("profilePath", Text, &[Single]),
    attribute("homeDirectory", Text, &[Single]),
    attribute("homeDrive", Text, &[Single]),
    attribute("codePage", Integer, &[Single]),
    attribute("countryCode", Integer, &[Single]),
    attribute("sIDHistory", Octets, &[System, Kept]),
    attribute("mS-DS-CreatorSID", Octets, &[Single, System, Kept]),
    attribute("unicodePwd", Octets, &[Single, Hidden]),
    attribute("userPassword", Octets, &[Hidden]),
    attribute("dBCSPwd", Octets, &[Single, System, Hidden]),
    attribute("supplementalCredentials", Octets, &[System, Hidden]),
    attribute("userCertificate", Octets, &[]),
    attribute("thumbnailPhoto", Octets, &[Single]),
    // People.
    attribute("sn", Text, &[Single]),
    attribute("givenName", Text, &[Single]),
    attribute("initials", Text, &[Single]),
    attribute("title", Text, &[Single]),
    attribute("department", Text, &[Single]),
    attribute("company", Text, &[Single]),
    attribute("employeeID", Text, &[Single]),
    attribute("employeeType", Text, &[Single]),
    attribute("mail", Text, &[Single]),
    attribute("mailNickname", Text, &[Single]),
    attribute("targetAddress", Text, &[Single]),
    attribute("proxyAddresses", Text, &[]),
    attribute("otherMailbox", Text, &[]),
    attribute("legacyExchangeDN", Text, &[Single, Kept]),
    attribute("telephoneNumber", Text, &[Single]),
    attribute("otherTelephone", Text, &[]),
    attribute("mobile", Text, &[Single]),
    attribute("facsimileTelephoneNumber", Text, &[Single]),
    attribute("homePhone", Text, &[Single]),
    attribute("ipPhone", Text, &[Single]),
    attribute("otherIpPhone", Text, &[]),
    attribute("physicalDeliveryOfficeName", Text, &[Single]),
    attribute("streetAddress", Text, &[Single]),
    attribute("postalCode", Text, &[Single]),
    attribute("l", Text, &[Single]),
    attribute("st", Text, &[Single]),
    attribute("c", Text, &[Single]),
    attribute("co", Text, &[Single]),
    attribute("extensionAttribute1", Text, &[Single]),
    attribute("extensionAttribute2", Text, &[Single]),
    // Links.
    link("member", &[], "memberOf", &["group"]),
    link("manager", &[Single], "directReports", PEOPLE),
    link("managedBy", &[Single], "managedObjects", &[]),
    link("secretary", &[], "secretaryOf", &[]),
    link("publicDelegates", &[], "publicDelegatesBL", &[]),
    link("altRecipient", &[Single], "altRecipientBL", &[]),
    link("hasMasterNCs", &[System], "masteredBy", &["nTDSDSA"]),
    link("msDS-hasMasterNCs", &[System], "msDs-masteredBy", &["nTDSDSA"]),
    link("msDS-HasDomainNCs", &[System], "msDS-IsDomainFor", &["nTDSDSA"]),
    link("serverReference", &[Single], "serverReferenceBL", &["server"]),
    link("msDS-NC-Replica-Locations", &[], "msDS-NC-RO-Replica-Locations-BL", &["crossRef"]),
    attribute("memberOf", Name, &[System, Constructed]),
    attribute("directReports", Name, &[System, Constructed]),
    attribute("managedObjects", Name, &[System, Constructed]),
    attribute("secretaryOf", Name, &[System, Constructed]),
    attribute("publicDelegatesBL", Name, &[System, Constructed]),
    attribute("altRecipientBL", Name, &[System, Constructed]),
    attribute("masteredBy", Name, &[System, Constructed]),
    attribute("msDs-masteredBy", Name, &[System, Constructed]),
    attribute("msDS-IsDomainFor", Name, &[System, Constructed]),
    attribute("serverReferenceBL", Name, &[System, Constructed]),
    attribute("msDS-NC-RO-Replica-Locations-BL", Name, &[System, Constructed]),
    // The domain, its policy and its servers.
    attribute("dNSHostName", Text, &[Single, Kept]),
    attribute("operatingSystem", Text, &[Single]),
    attribute("operatingSystemVersion", Text, &[Single]),
    attribute("lockoutThreshold", Integer, &[Single]),
    attribute("lockoutDuration", Large, &[Single]),
    attribute("lockOutObservationWindow", Large, &[Single]),
    attribute("maxPwdAge", Large, &[Single]),
    attribute("minPwdAge", Large, &[Single]),
    attribute("minPwdLength", Integer, &[Single]),
    attribute("pwdHistoryLength", Integer, &[Single]),
    attribute("pwdProperties", Integer, &[Single]),
    attribute("ms-DS-MachineAccountQuota", Integer, &[Single]),
    attribute("msDS-Behavior-Version", Integer, &[Single]),
    attribute("nTMixedDomain", Integer, &[Single]),
    attribute("wellKnownObjects", Text, &[System, Constructed]),
    attribute("fSMORoleOwner", Name, &[Single]),
    attribute("options", Integer, &[Single]),
    attribute("invocationId", Octets, &[Single, System]),
    attribute("dMDLocation", Name, &[Single, System]),
    attribute("tombstoneLifetime", Integer, &[Single]),
    attribute("deletedObjectLifetime", Integer, &[Single]),
    attribute("msDS-DeletedObjectLifetime", Integer, &[Single]),
    attribute("msDS-EnabledFeature", Name, &[System]),
    attribute("sPNMappings", Text, &[]),
    attribute("nCName", Name, &[Single, Kept]),
    attribute("dnsRoot", Text, &[]),
    attribute("nETBIOSName", Text, &[Single]),
    attribute("siteObject", Name, &[Single]),
    attribute("gPLink", Text, &[Single]),
    // The schema's own objects.
    attribute("lDAPDisplayName", Text, &[Single, Kept]),
    attribute("attributeID", Text, &[Single, System, Kept]),
    attribute("governsID", Text, &[Single, System, Kept]),
    attribute("attributeSyntax", Text, &[Single, System, Kept]),
    attribute("isSingleValued", Boolean, &[Single]),
    attribute("searchFlags", Integer, &[Single]),
    attribute("isMemberOfPartialAttributeSet", Boolean, &[Single]),
    attribute("schemaIDGUID", Octets, &[Single, System]),
    attribute("objectVersion", Integer, &[Single]),
    attribute("rangeLower", Integer, &[Single]),
    attribute("rangeUpper", Integer, &[Single]),
    // Lync and OCS.
    of("msRTCSIP-PrimaryUserAddress", Text, &[Single], PEOPLE),
    of("msRTCSIP-UserEnabled", Boolean, &[Single], PEOPLE),
    of("msRTCSIP-PrimaryHomeServer", Name, &[Single], PEOPLE),
    of("msRTCSIP-TargetHomeServer", Name, &[Single], PEOPLE),
    of("msRTCSIP-OptionFlags", Integer, &[Single], PEOPLE),
    of("msRTCSIP-FederationEnabled", Boolean, &[Single], PEOPLE),
    of("msRTCSIP-InternetAccessEnabled", Boolean, &[Single], PEOPLE),
    of("msRTCSIP-ArchivingEnabled", Integer, &[Single], PEOPLE),
    of("msRTCSIP-ArchiveDefault", Boolean, &[Single], PEOPLE),
    of("msRTCSIP-Line", Text, &[Single], PEOPLE),
    of("msRTCSIP-LineServer", Text, &[Single], PEOPLE),
    of("msRTCSIP-OriginatorSid", Octets, &[Single], PEOPLE),
    of("msRTCSIP-UserExtension", Text, &[], PEOPLE),
    of("msRTCSIP-UserPolicy", Text, &[], PEOPLE),
    of("msRTCSIP-UserPolicies", Text, &[], PEOPLE),
    of("msRTCSIP-DeploymentLocator", Text, &[Single], PEOPLE),
    of("msRTCSIP-TenantId", Octets, &[Single], PEOPLE),
    of("msRTCSIP-OwnerUrn", Text, &[Single], PEOPLE),
    of("msRTCSIP-SourceObjectType", Integer, &[Single], PEOPLE),
    of("msRTCSIP-ApplicationDestination", Name, &[Single], PEOPLE),
    of("msRTCSIP-AcpInfo", Text, &[], PEOPLE),
    of("msRTCSIP-GroupingID", Octets, &[Single], PEOPLE),
];

/// A class of objects.
#[derive(Debug)]
pub struct Class {
    /// Its lDAPDisplayName.
    pub name: &'static str,
    /// The cn of its schema object.
    pub cn: &'static str,
    /// From `top` to itself.
    pub chain: &'static [&'static str],
    /// The attribute that names its objects.
    pub rdn: &'static str,
    /// The class whose schema object its objects have as objectCategory.
    pub category: &'static str,
    /// Classes that it may lie below; anything that holds objects if none are named.
    pub under: &'static [&'static str],
}

const fn class(name: &'static str, cn: &'static str, chain: &'static [&'static str], rdn: &'static str) -> Class {
    Class { name, cn, chain, rdn, category: name, under: &[] }
}

/// All classes.
pub const CLASSES: &[Class] = &[
    class("domainDNS", "Domain-DNS", &["top", "domain", "domainDNS"], "DC"),
    class("configuration", "Configuration", &["top", "configuration"], "CN"),
    class("dMD", "DMD", &["top", "dMD"], "CN"),
    class("container", "Container", &["top", "container"], "CN"),
    class("organizationalUnit", "Organizational-Unit", &["top", "organizationalUnit"], "OU"),
    class("builtinDomain", "Builtin-Domain", &["top", "builtinDomain"], "CN"),
    class("lostAndFound", "Lost-And-Found", &["top", "lostAndFound"], "CN"),
    class("infrastructureUpdate", "Infrastructure-Update", &["top", "infrastructureUpdate"], "CN"),
    class("group", "Group", &["top", "group"], "CN"),
    class("person", "Person", &["top", "person"], "CN"),
    Class { category: "person", ..class("user", "User", &["top", "person", "organizationalPerson", "user"], "CN") },
    Class {
        category: "person",
        ..class("inetOrgPerson", "inetOrgPerson", &["top", "person", "organizationalPerson", "user", "inetOrgPerson"], "CN")
    },
    Class { category: "person", ..class("contact", "Contact", &["top", "person", "organizationalPerson", "contact"], "CN") },
    class("computer", "Computer", &["top", "person", "organizationalPerson", "user", "computer"], "CN"),
    Class {
        under: &["domainDNS", "container", "organizationalUnit", "group", "user", "computer", "classStore"],
        ..class("classStore", "Class-Store", &["top", "classStore"], "CN")
    },
    class("sitesContainer", "Sites-Container", &["top", "sitesContainer"], "CN"),
    class("site", "Site", &["top", "site"], "CN"),
    class("serversContainer", "Servers-Container", &["top", "serversContainer"], "CN"),
    class("server", "Server", &["top", "server"], "CN"),
    Class { under: &["server"], ..class("nTDSDSA", "NTDS-DSA", &["top", "applicationSettings", "nTDSDSA"], "CN") },
    class("subnetContainer", "Subnet-Container", &["top", "subnetContainer"], "CN"),
    class("subnet", "Subnet", &["top", "subnet"], "CN"),
    class("crossRefContainer", "Cross-Ref-Container", &["top", "crossRefContainer"], "CN"),
    class("crossRef", "Cross-Ref", &["top", "crossRef"], "CN"),
    class("nTDSService", "NTDS-Service", &["top", "nTDSService"], "CN"),
    class("msRTCSIP-Pool", "ms-RTC-SIP-Pool", &["top", "container", "msRTCSIP-Pool"], "CN"),
    class("msRTCSIP-Service", "ms-RTC-SIP-Service", &["top", "container", "msRTCSIP-Service"], "CN"),
    class("classSchema", "Class-Schema", &["top", "classSchema"], "CN"),
    class("attributeSchema", "Attribute-Schema", &["top", "attributeSchema"], "CN"),
];

/// Classes whose objects hold others.
const HOLDERS: &[&str] = &[
    "domainDNS",
    "configuration",
    "dMD",
    "container",
    "organizationalUnit",
    "builtinDomain",
    "lostAndFound",
    "sitesContainer",
    "site",
    "serversContainer",
    "server",
    "subnetContainer",
    "crossRefContainer",
    "nTDSService",
    "msRTCSIP-Pool",
    "msRTCSIP-Service",
    "computer",
];

/// The attribute of that name, without regard to case.
#[must_use]
pub fn find(name: &str) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// The class of that name, without regard to case.
#[must_use]
pub fn class_named(name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.name.eq_ignore_ascii_case(name))
}

/// The forward link that a back link shows.
#[must_use]
pub fn forward_of(back: &str) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|attribute| attribute.back.is_some_and(|name| name.eq_ignore_ascii_case(back)))
}

/// Whether objects of `class` may lie below one of `parent`.
#[must_use]
pub fn may_lie_below(class: &Class, parent: &str) -> bool {
    if class.under.is_empty() { HOLDERS.contains(&parent) } else { class.under.contains(&parent) }
}

/// The schemaIDGUIDs that access control entries name. Those of Microsoft's schema where descriptors of others name
/// them (MS-ADA, MS-ADSC); elsewhere one of the lab's own that never changes.
#[must_use]
pub fn id_of(name: &str) -> super::ids::Guid {
    let known = match name {
        "member" => "bf9679c0-0de6-11d0-a285-00aa003049e2",
        "memberOf" => "bf967991-0de6-11d0-a285-00aa003049e2",
        "user" => "bf967aba-0de6-11d0-a285-00aa003049e2",
        "group" => "bf967a9c-0de6-11d0-a285-00aa003049e2",
        "computer" => "bf967a86-0de6-11d0-a285-00aa003049e2",
        "contact" => "5cb41ed0-0e4c-11d0-a286-00aa003049e2",
        "organizationalUnit" => "bf967aa5-0de6-11d0-a285-00aa003049e2",
        "container" => "bf967a8b-0de6-11d0-a285-00aa003049e2",
        "userAccountControl" => "bf967a68-0de6-11d0-a285-00aa003049e2",
        "displayName" => "bf967953-0de6-11d0-a285-00aa003049e2",
        "description" => "bf967950-0de6-11d0-a285-00aa003049e2",
        "unicodePwd" => "bf9679e1-0de6-11d0-a285-00aa003049e2",
        other => return super::ids::Guid::of_text(&format!("schema {other}")),
    };
    super::ids::Guid::parse(known).unwrap_or_else(|| super::ids::Guid::of_text(name))
}
