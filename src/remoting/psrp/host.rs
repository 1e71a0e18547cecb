//! The client's host: what it has, what is asked of it, what it answers ([MS-PSRP] sections 2.2.2.15, 2.2.2.16, 2.2.2.27,
//! 2.2.2.28, 2.2.3.14, 2.2.3.17).

use super::error_record::{Category, ErrorRecord};
use super::fields::Fields;
use super::{MessageType, PsrpError};
use crate::remoting::clixml::Value;

/// What the client's host can do. By default there is none: nobody sits before it.
#[derive(Debug, Clone, PartialEq)]
pub struct HostInfo {
    /// There is no host.
    pub no_host: bool,
    /// The host shows nothing and asks nothing.
    pub no_ui: bool,
    /// The host has no screen.
    pub no_raw_ui: bool,
    /// Pipelines use the pool's host.
    pub use_pool_host: bool,
    /// Colours and sizes of the screen; opaque here.
    pub default_data: Option<Value>,
}

impl Default for HostInfo {
    fn default() -> Self {
        HostInfo { no_host: true, no_ui: true, no_raw_ui: true, use_pool_host: true, default_data: None }
    }
}

impl HostInfo {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, PsrpError> {
        Ok(HostInfo {
            no_host: fields.boolean("_isHostNull")?,
            no_ui: fields.boolean("_isHostUINull")?,
            no_raw_ui: fields.boolean("_isHostRawUINull")?,
            use_pool_host: fields.boolean("_useRunspaceHost")?,
            default_data: fields.maybe("_hostDefaultData").cloned(),
        })
    }

    pub(super) fn encode(&self) -> Value {
        let data = self.default_data.as_ref().map(|data| ("_hostDefaultData", data.clone()));
        Value::object(
            [
                ("_isHostNull", Value::Bool(self.no_host)),
                ("_isHostUINull", self.no_ui.into()),
                ("_isHostRawUINull", self.no_raw_ui.into()),
                ("_useRunspaceHost", self.use_pool_host.into()),
            ]
            .into_iter()
            .chain(data),
        )
    }
}

/// A method of the host, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostMethod(pub i32);

/// The methods' names by their numbers, which begin at 1.
const METHODS: [&str; 56] = [
    "GetName",
    "GetVersion",
    "GetInstanceId",
    "GetCurrentCulture",
    "GetCurrentUICulture",
    "SetShouldExit",
    "EnterNestedPrompt",
    "ExitNestedPrompt",
    "NotifyBeginApplication",
    "NotifyEndApplication",
    "ReadLine",
    "ReadLineAsSecureString",
    "Write1",
    "Write2",
    "WriteLine1",
    "WriteLine2",
    "WriteLine3",
    "WriteErrorLine",
    "WriteDebugLine",
    "WriteProgress",
    "WriteVerboseLine",
    "WriteWarningLine",
    "Prompt",
    "PromptForCredential1",
    "PromptForCredential2",
    "PromptForChoice",
    "GetForegroundColor",
    "SetForegroundColor",
    "GetBackgroundColor",
    "SetBackgroundColor",
    "GetCursorPosition",
    "SetCursorPosition",
    "GetWindowPosition",
    "SetWindowPosition",
    "GetCursorSize",
    "SetCursorSize",
    "GetBufferSize",
    "SetBufferSize",
    "GetWindowSize",
    "SetWindowSize",
    "GetWindowTitle",
    "SetWindowTitle",
    "GetMaxWindowSize",
    "GetMaxPhysicalWindowSize",
    "GetKeyAvailable",
    "ReadKey",
    "FlushInputBuffer",
    "SetBufferContents1",
    "SetBufferContents2",
    "GetBufferContents",
    "ScrollBufferContents",
    "PushRunspace",
    "PopRunspace",
    "GetIsRunspacePushed",
    "GetRunspace",
    "PromptForChoiceMultipleSelection",
];

impl HostMethod {
    /// Reads a line from a person.
    pub const READ_LINE: HostMethod = HostMethod(11);
    /// Writes a line.
    pub const WRITE_LINE: HostMethod = HostMethod(16);

    /// The method's name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let index = usize::try_from(self.0).ok()?.checked_sub(1)?;
        METHODS.get(index).copied()
    }

    /// Whether the caller goes on without an answer. An unknown method is taken for one that waits.
    #[must_use]
    pub fn is_void(self) -> bool {
        self.name().is_some_and(|name| {
            ["Set", "Write", "Notify", "Enter", "Exit", "Push", "Pop", "Flush", "Scroll"]
                .iter()
                .any(|start| name.starts_with(start))
        })
    }

    /// The text that a method shows, where it does so.
    #[must_use]
    pub fn shown(self, parameters: &[Value]) -> Option<String> {
        let text = match self.name()? {
            // A line of its own, without text.
            "WriteLine1" => return Some(String::new()),
            "Write1" | "WriteLine2" | "WriteErrorLine" | "WriteDebugLine" | "WriteVerboseLine" | "WriteWarningLine" => {
                parameters.first()
            }
            // Two colours come first.
            "Write2" | "WriteLine3" => parameters.get(2),
            _ => None,
        };
        text.map(Value::to_text)
    }

    fn encode(self) -> Value {
        let type_name = "System.Management.Automation.Remoting.RemoteHostMethodId";
        Value::enumeration(type_name, self.name().unwrap_or_default(), self.0)
    }
}

/// A call to the client's host: `PIPELINE_HOST_CALL`, `RUNSPACEPOOL_HOST_CALL`.
#[derive(Debug, Clone, PartialEq)]
pub struct HostCall {
    /// By which the answer is found.
    pub id: i64,
    /// What is called.
    pub method: HostMethod,
    /// With what.
    pub parameters: Vec<Value>,
}

impl HostCall {
    pub(super) fn decode(kind: MessageType, body: &Value) -> Result<Self, PsrpError> {
        let fields = Fields { kind, body };
        Ok(HostCall {
            id: fields.integer("ci")?,
            method: HostMethod(fields.small("mi")?),
            parameters: fields.items("mp")?.to_vec(),
        })
    }

    pub(super) fn encode(&self) -> Value {
        let parameters = Value::list(self.parameters.iter().cloned());
        Value::object([("ci", Value::I64(self.id)), ("mi", self.method.encode()), ("mp", parameters)])
    }

    /// The answer that nobody is there to answer. The command gets an error and can go on or end by it; without an
    /// answer it would wait for ever.
    #[must_use]
    pub fn refused(&self) -> HostResponse {
        let name = self.method.name().unwrap_or("an unknown method");
        HostResponse {
            id: self.id,
            method: self.method,
            result: None,
            error: Some(ErrorRecord {
                exception_message: format!("`{name}` was called, but nobody is there to answer: the client has no host"),
                exception_type: "System.Management.Automation.Host.HostException".to_owned(),
                fully_qualified_id: "HostFunctionNotImplemented".to_owned(),
                category: Category { number: 11, reason: "HostException".to_owned(), ..Category::default() },
                ..ErrorRecord::default()
            }),
        }
    }
}

/// The answer of the client's host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostResponse {
    /// The call's id.
    pub id: i64,
    /// The call's method.
    pub method: HostMethod,
    /// What the method returned.
    pub result: Option<Value>,
    /// How it failed.
    pub error: Option<ErrorRecord>,
}

impl HostResponse {
    pub(super) fn decode(kind: MessageType, body: &Value) -> Result<Self, PsrpError> {
        let fields = Fields { kind, body };
        Ok(HostResponse {
            id: fields.integer("ci")?,
            method: HostMethod(fields.small("mi")?),
            result: body.get("mr").cloned(),
            error: fields.maybe("me").map(ErrorRecord::from_value),
        })
    }

    pub(super) fn encode(&self) -> Value {
        let result = self.result.clone().map(|result| ("mr", result));
        let error = self.error.as_ref().map(|error| ("me", error.to_value()));
        Value::object([("ci", Value::I64(self.id)), ("mi", self.method.encode())].into_iter().chain(result).chain(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_without_an_answer_are_told_from_those_that_wait() {
        let void = (1..=56).map(HostMethod).filter(|method| method.is_void()).count();
        assert_eq!(void, 29);
        assert_eq!(HostMethod::READ_LINE.name(), Some("ReadLine"));
        assert!(!HostMethod::READ_LINE.is_void());
        assert!(HostMethod::WRITE_LINE.is_void());
        for number in [i32::MIN, -1, 0, 57, i32::MAX] {
            assert_eq!(HostMethod(number).name(), None);
            assert!(!HostMethod(number).is_void());
        }
    }
}
