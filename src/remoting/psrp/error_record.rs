//! Error records ([MS-PSRP] section 2.2.3.15).
//!
//! Reading is lenient: a record tells a person what went wrong, and half of that is better than nothing.

use crate::remoting::clixml::{Object, Property, Value};

/// One error, as PowerShell reports it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ErrorRecord {
    /// The message of the exception.
    pub exception_message: String,
    /// The type of the exception, without the prefix of a deserialized one; empty where it was not told.
    pub exception_type: String,
    /// A message that replaces the exception's, where the command gave one (`ErrorDetails`).
    pub details: Option<String>,
    /// What the command recommends to do.
    pub recommended_action: Option<String>,
    /// The id of the error, say `CommandNotFoundException`.
    pub fully_qualified_id: String,
    /// What kind of error, and about what.
    pub category: Category,
    /// The object that the command was working on.
    pub target: Value,
    /// Where in the script, in words and with the line (`PositionMessage`).
    pub position: Option<String>,
    /// The script's calls, innermost first.
    pub script_stack_trace: Option<String>,
    /// How the record shows itself, where it says so.
    pub shown: Option<String>,
}

/// `CategoryInfo` of an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Category {
    /// The number of the category, 0 where it is not specified ([MS-PSRP] section 2.2.3.9).
    pub number: i32,
    /// The command at work.
    pub activity: String,
    /// The kind of the exception in one word.
    pub reason: String,
    /// The name of the target.
    pub target_name: String,
    /// The type of the target.
    pub target_type: String,
    /// All of it in one line, as PowerShell shows it.
    pub message: String,
}

/// The category's names by their numbers.
const CATEGORIES: [&str; 32] = [
    "NotSpecified",
    "OpenError",
    "CloseError",
    "DeviceError",
    "DeadlockDetected",
    "InvalidArgument",
    "InvalidData",
    "InvalidOperation",
    "InvalidResult",
    "InvalidType",
    "MetadataError",
    "NotImplemented",
    "NotInstalled",
    "ObjectNotFound",
    "OperationStopped",
    "OperationTimeout",
    "SyntaxError",
    "ParserError",
    "PermissionDenied",
    "ResourceBusy",
    "ResourceExists",
    "ResourceUnavailable",
    "ReadError",
    "WriteError",
    "FromStdErr",
    "SecurityError",
    "ProtocolError",
    "ConnectionError",
    "AuthenticationError",
    "LimitsExceeded",
    "QuotaExceeded",
    "NotEnabled",
];

impl Category {
    /// The category's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        usize::try_from(self.number).ok().and_then(|number| CATEGORIES.get(number)).copied().unwrap_or("NotSpecified")
    }

    /// The category of this name.
    #[must_use]
    pub fn number_of(name: &str) -> Option<i32> {
        CATEGORIES.iter().position(|own| *own == name).and_then(|index| index.try_into().ok())
    }

    fn line(&self) -> String {
        let Category { activity, reason, target_name, target_type, .. } = self;
        format!("{}: ({target_name}:{target_type}) [{activity}], {reason}", self.name())
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).filter(|value| !value.is_nil()).map(Value::to_text)
}

fn nonempty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl ErrorRecord {
    /// What to show: the details' message, else the exception's, else how the record shows itself.
    #[must_use]
    pub fn message(&self) -> &str {
        match (&self.details, &self.shown) {
            (Some(details), _) => details,
            (None, Some(shown)) if self.exception_message.is_empty() => shown,
            _ => &self.exception_message,
        }
    }

    /// The record of a value: in the form of messages, or in that of an object among others.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let exception = value.get("Exception").unwrap_or(&Value::Nil);
        let info = value.get("CategoryInfo").unwrap_or(&Value::Nil);
        let details = value.get("ErrorDetails").unwrap_or(&Value::Nil);
        let invocation = value.get("InvocationInfo").unwrap_or(&Value::Nil);
        let shown = value.as_object().and_then(|object| object.to_string.clone());
        let category = |flat: &str, own: &str| text(value, flat).or_else(|| text(info, own)).unwrap_or_default();
        let number = value.get("ErrorCategory_Category").or_else(|| info.get("Category")).map(Value::primitive);
        let number = match number {
            Some(Value::String(name)) => Category::number_of(name),
            number => number.and_then(Value::as_i64).and_then(|number| number.try_into().ok()),
        };
        let exception_type = exception.as_object().and_then(|object| object.type_names.first()).map(String::as_str);
        let category = Category {
            number: number.unwrap_or_default(),
            activity: category("ErrorCategory_Activity", "Activity"),
            reason: category("ErrorCategory_Reason", "Reason"),
            target_name: category("ErrorCategory_TargetName", "TargetName"),
            target_type: category("ErrorCategory_TargetType", "TargetType"),
            message: text(value, "ErrorCategory_Message")
                .or_else(|| info.as_object().and_then(|object| object.to_string.clone()))
                .unwrap_or_default(),
        };
        let exception_message = match exception {
            Value::Object(object) => text(exception, "Message").or_else(|| object.to_string.clone()).unwrap_or_default(),
            plain => plain.to_text(),
        };
        ErrorRecord {
            exception_message,
            exception_type: exception_type.map_or("", |name| name.strip_prefix("Deserialized.").unwrap_or(name)).to_owned(),
            details: nonempty(text(value, "ErrorDetails_Message").or_else(|| text(details, "Message"))),
            recommended_action: nonempty(
                text(value, "ErrorDetails_RecommendedAction").or_else(|| text(details, "RecommendedAction")),
            ),
            fully_qualified_id: text(value, "FullyQualifiedErrorId").unwrap_or_default(),
            category,
            target: value.get("TargetObject").cloned().unwrap_or_default(),
            position: nonempty(text(value, "InvocationInfo_PositionMessage").or_else(|| text(invocation, "PositionMessage"))),
            script_stack_trace: nonempty(
                text(value, "ErrorDetails_ScriptStackTrace").or_else(|| text(value, "ScriptStackTrace")),
            ),
            shown: nonempty(shown),
        }
    }

    /// The record in the form of messages.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let exception_type = match self.exception_type.as_str() {
            "" => "System.Management.Automation.RuntimeException",
            own => own,
        };
        let exception = Value::typed(
            &[exception_type, "System.Exception", "System.Object"],
            Some(&self.exception_message),
            [("Message", Value::from(self.exception_message.as_str()))],
        );
        let invocation = self.position.as_deref().map(|position| {
            let type_names = ["System.Management.Automation.InvocationInfo", "System.Object"];
            Value::typed(&type_names, None, [("PositionMessage", position)])
        });
        let Category { number, activity, reason, target_name, target_type, message } = &self.category;
        let line = if message.is_empty() { self.category.line() } else { message.clone() };
        let mut extended = vec![
            Property::new("Exception", exception),
            Property::new("TargetObject", self.target.clone()),
            Property::new("FullyQualifiedErrorId", self.fully_qualified_id.as_str()),
            Property::new("InvocationInfo", invocation),
            Property::new("ErrorCategory_Category", *number),
            Property::new("ErrorCategory_Activity", activity.as_str()),
            Property::new("ErrorCategory_Reason", reason.as_str()),
            Property::new("ErrorCategory_TargetName", target_name.as_str()),
            Property::new("ErrorCategory_TargetType", target_type.as_str()),
            Property::new("ErrorCategory_Message", line),
        ];
        if self.details.is_some() || self.recommended_action.is_some() {
            extended.push(Property::new("ErrorDetails_Message", self.details.as_deref()));
            extended.push(Property::new("ErrorDetails_RecommendedAction", self.recommended_action.as_deref()));
        }
        if let Some(trace) = &self.script_stack_trace {
            extended.push(Property::new("ErrorDetails_ScriptStackTrace", trace.as_str()));
        }
        extended.push(Property::new("SerializeExtendedInfo", false));
        Object {
            type_names: vec!["System.Management.Automation.ErrorRecord".to_owned(), "System.Object".to_owned()],
            to_string: Some(self.shown.clone().unwrap_or_else(|| self.message().to_owned())),
            extended,
            ..Object::default()
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_record_comes_back_as_it_was_sent() {
        let record = ErrorRecord {
            exception_message: "no such service\r\n".into(),
            exception_type: "Microsoft.PowerShell.Commands.ServiceCommandException".into(),
            details: Some("details".into()),
            recommended_action: Some("look again".into()),
            fully_qualified_id: "NoServiceFoundForGivenName,Get-Service".into(),
            category: Category {
                number: 13,
                activity: "Get-Service".into(),
                reason: "ServiceCommandException".into(),
                target_name: "RTCSRV".into(),
                target_type: "String".into(),
                message: "ObjectNotFound: (RTCSRV:String) [Get-Service], ServiceCommandException".into(),
            },
            target: "RTCSRV".into(),
            position: Some("At line:1 char:1".into()),
            script_stack_trace: Some("at <ScriptBlock>, <No file>: line 1".into()),
            shown: Some("shown".into()),
        };
        assert_eq!(ErrorRecord::from_value(&record.to_value()), record);
        assert_eq!(record.category.name(), "ObjectNotFound");
        assert_eq!(record.message(), "details");
    }

    #[test]
    fn a_record_is_read_from_whatever_is_there() {
        assert_eq!(ErrorRecord::from_value(&Value::Nil), ErrorRecord::default());
        let plain = Object { to_string: Some("boom".into()), ..Object::default() };
        assert_eq!(ErrorRecord::from_value(&plain.into()).message(), "boom");
    }
}
