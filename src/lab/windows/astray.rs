//! Why a path leads nowhere, and how that is said.

use super::errors::{about, error};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Astray {
    /// There is no such drive.
    Drive(String),
    /// There is no such provider.
    Provider(String),
    /// There is no such machine or share, or nothing there. With the path.
    Missing(String),
    /// A machine to which this session may not go on, or something that must not be followed. With the path.
    Denied(String),
    /// A colon where none can be. With the path.
    Format(String),
    /// A character that cannot be in a path. With the path.
    Illegal(String),
    /// Too long. With the path.
    TooLong(String),
    /// A pattern that is none. With the pattern.
    Pattern(String),
}

/// The error for a path at which nothing is.
#[must_use]
pub fn not_found(path: &str) -> ErrorRecord {
    let message = format!("Cannot find path '{path}' because it does not exist.");
    about("PathNotFound", "ObjectNotFound", "System.Management.Automation.ItemNotFoundException", message, path)
}

impl Astray {
    /// What a look at the path is answered with; what cannot be looked at is then not found either.
    #[must_use]
    pub fn records(&self) -> Vec<ErrorRecord> {
        let seen = |id, category, exception: &str, message: &str, path: &str| {
            vec![about(id, category, exception, message, path), not_found(path)]
        };
        match self {
            Astray::Drive(name) => {
                let message = format!("Cannot find drive. A drive with the name '{name}' does not exist.");
                vec![about(
                    "DriveNotFound",
                    "ObjectNotFound",
                    "System.Management.Automation.DriveNotFoundException",
                    message,
                    name,
                )]
            }
            Astray::Provider(name) => {
                let message = format!("Cannot find a provider with the name '{name}'.");
                let exception = "System.Management.Automation.ProviderNotFoundException";
                vec![about("ProviderNotFound", "ObjectNotFound", exception, message, name)]
            }
            Astray::Missing(path) => vec![not_found(path)],
            Astray::Denied(path) => {
                let exception = "System.UnauthorizedAccessException";
                seen("ItemExistsUnauthorizedAccessError", "PermissionDenied", exception, "Access is denied", path)
            }
            Astray::Format(path) => {
                let message = "The given path's format is not supported.";
                seen("ItemExistsNotSupportedError", "InvalidOperation", "System.NotSupportedException", message, path)
            }
            Astray::Illegal(path) => {
                let message = "Illegal characters in path.";
                seen("ItemExistsArgumentError", "InvalidArgument", "System.ArgumentException", message, path)
            }
            Astray::TooLong(path) => {
                let message = "The specified path, file name, or both are too long. The fully qualified file name must be less \
                               than 260 characters, and the directory name must be less than 248 characters.";
                seen("ItemExistsPathTooLongError", "InvalidArgument", "System.IO.PathTooLongException", message, path)
            }
            Astray::Pattern(pattern) => {
                let message = format!("The specified wildcard character pattern is not valid: {pattern}");
                let exception = "System.Management.Automation.WildcardPatternException";
                vec![error("WildcardPattern_Invalid", "InvalidArgument", exception, message, Value::Nil)]
            }
        }
    }
}
