//! The two messages that open a pool: `SESSION_CAPABILITY` and `INIT_RUNSPACEPOOL` ([MS-PSRP] sections 2.2.2.1, 2.2.2.2).

use super::fields::Fields;
use super::host::HostInfo;
use super::{MessageType, PsrpError};
use crate::remoting::clixml::{Content, Object, Value};

/// The version of the remoting protocol that is spoken here: that of PowerShell 5.
pub const PROTOCOL: (u32, u32) = (2, 3);

/// Which versions a side speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCapability {
    /// The remoting protocol. 2.1 with PowerShell 2, 2.2 since PowerShell 3, 2.3 since PowerShell 5.
    pub protocol: String,
    /// What the side calls the version of PowerShell; 2.0 for all versions that there are.
    pub powershell: String,
    /// The version of the serialization.
    pub serialization: String,
    /// The client's time zone in the form of .NET's binary formatter. Never sent from here, never read.
    pub time_zone: Option<Vec<u8>>,
}

impl Default for SessionCapability {
    fn default() -> Self {
        SessionCapability {
            protocol: format!("{}.{}", PROTOCOL.0, PROTOCOL.1),
            powershell: "2.0".to_owned(),
            serialization: "1.1.0.1".to_owned(),
            time_zone: None,
        }
    }
}

impl SessionCapability {
    /// Major and minor version of the protocol that both sides speak.
    ///
    /// # Errors
    /// [`PsrpError::Version`] for another major version than 2.
    pub fn agreed(&self) -> Result<(u32, u32), PsrpError> {
        let mut numbers = self.protocol.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(2)), Some(Ok(minor))) => Ok((2, PROTOCOL.1.min(minor))),
            _ => Err(PsrpError::Version(self.protocol.clone())),
        }
    }

    pub(super) fn decode(body: &Value) -> Result<Self, PsrpError> {
        let fields = Fields { kind: MessageType::SessionCapability, body };
        let version = |field| match fields.need(field)?.primitive() {
            Value::Version(version) => Ok(version.clone()),
            _ => Err(fields.missing(field)),
        };
        Ok(SessionCapability {
            protocol: version("protocolversion")?,
            powershell: version("PSVersion")?,
            serialization: version("SerializationVersion")?,
            time_zone: fields.maybe("TimeZone").and_then(Value::as_bytes).map(<[u8]>::to_vec),
        })
    }

    pub(super) fn encode(&self) -> Value {
        let zone = self.time_zone.as_ref().map(|zone| ("TimeZone", Value::Bytes(zone.clone())));
        Value::object(
            [
                ("protocolversion", Value::Version(self.protocol.clone())),
                ("PSVersion", Value::Version(self.powershell.clone())),
                ("SerializationVersion", Value::Version(self.serialization.clone())),
            ]
            .into_iter()
            .chain(zone),
        )
    }
}

/// What the client wants of its pool.
#[derive(Debug, Clone, PartialEq)]
pub struct InitRunspacePool {
    /// Runspaces that exist at least.
    pub min_runspaces: i32,
    /// Runspaces that exist at most.
    pub max_runspaces: i32,
    /// `PSThreadOptions` by its number ([MS-PSRP] section 2.2.3.6); 0: as the server likes.
    pub thread_options: i32,
    /// `ApartmentState` by its number ([MS-PSRP] section 2.2.3.7); 2: unknown.
    pub apartment: i32,
    /// The client's host.
    pub host: HostInfo,
    /// What scripts see as `$PSSenderInfo.ApplicationArguments`.
    pub application_arguments: Value,
}

impl Default for InitRunspacePool {
    fn default() -> Self {
        InitRunspacePool {
            min_runspaces: 1,
            max_runspaces: 1,
            thread_options: 0,
            apartment: 2,
            host: HostInfo::default(),
            application_arguments: primitive_dictionary(Vec::new()),
        }
    }
}

/// A dictionary in the form that applications' data have ([MS-PSRP] section 2.2.3.18).
pub(super) fn primitive_dictionary(entries: Vec<(Value, Value)>) -> Value {
    let type_names = ["System.Management.Automation.PSPrimitiveDictionary", "System.Collections.Hashtable", "System.Object"];
    let type_names = type_names.map(str::to_owned).to_vec();
    Object { type_names, content: Content::Dictionary(entries), ..Object::default() }.into()
}

/// `ApartmentState` as a value.
pub(super) fn apartment(number: i32) -> Value {
    let name = match number {
        0 => "STA",
        1 => "MTA",
        _ => "Unknown",
    };
    Value::enumeration("System.Threading.ApartmentState", name, number)
}

impl InitRunspacePool {
    pub(super) fn decode(body: &Value) -> Result<Self, PsrpError> {
        let fields = Fields { kind: MessageType::InitRunspacePool, body };
        let runspaces =
            |field| fields.small(field).and_then(|count| if count > 0 { Ok(count) } else { Err(fields.missing(field)) });
        Ok(InitRunspacePool {
            min_runspaces: runspaces("MinRunspaces")?,
            max_runspaces: runspaces("MaxRunspaces")?,
            thread_options: fields.small("PSThreadOptions")?,
            apartment: fields.small("ApartmentState")?,
            host: HostInfo::decode(fields.within(fields.need("HostInfo")?))?,
            application_arguments: fields.need("ApplicationArguments")?.clone(),
        })
    }

    pub(super) fn encode(&self) -> Value {
        let thread = match self.thread_options {
            0 => "Default",
            1 => "UseNewThread",
            2 => "ReuseThread",
            _ => "UseCurrentThread",
        };
        let thread_type = "System.Management.Automation.Runspaces.PSThreadOptions";
        Value::object([
            ("MinRunspaces", Value::I32(self.min_runspaces)),
            ("MaxRunspaces", Value::I32(self.max_runspaces)),
            ("PSThreadOptions", Value::enumeration(thread_type, thread, self.thread_options)),
            ("ApartmentState", apartment(self.apartment)),
            ("HostInfo", self.host.encode()),
            ("ApplicationArguments", self.application_arguments.clone()),
        ])
    }
}
