//! The faults of the WS-Management service, with the numbers of `wsmerror.h` and `winerror.h` and the words of Windows.

use crate::remoting::wsman::Fault;

/// An envelope larger or smaller than is possible.
pub const ENCODING_LIMIT: u32 = 2_150_858_823;

/// There is no such shell (any more).
pub fn gone(shell: &str) -> Fault {
    let text = format!(
        "The request for the Windows Remote Shell with ShellId {shell} failed because the shell was not found on the server. \
         Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the server. Provide the \
         correct ShellId or create a new shell and retry the operation."
    );
    Fault { code: "Sender".to_owned(), ..Fault::new(Fault::SHELL_NOT_FOUND, "InvalidSelectors", &text) }
}

/// Nothing yet.
pub fn timed_out() -> Fault {
    let text = "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.";
    Fault::new(Fault::TIMED_OUT, "TimedOut", text)
}

/// The account may not.
pub fn denied() -> Fault {
    Fault { code: "Sender".to_owned(), ..Fault::new(Fault::ACCESS_DENIED, "AccessDenied", "Access is denied.") }
}

/// Too many shells of one user.
pub fn too_many(limit: usize) -> Fault {
    let text = format!(
        "The WS-Management service cannot process the request. This user is allowed a maximum number of {limit} concurrent \
         shells, which has been exceeded. Close existing shells or raise the quota for this user."
    );
    Fault::new(Fault::TOO_MANY_SHELLS, "QuotaLimit", &text)
}

/// The operation was ended by another one: the shell is gone, or was left.
pub fn aborted() -> Fault {
    let text = "The I/O operation has been aborted because of either a thread exit or an application request.";
    Fault::new(995, "InternalError", text)
}

/// Something in the request is not what it should be.
pub fn parameter(what: &str) -> Fault {
    Fault { code: "Sender".to_owned(), ..Fault::new(87, "InvalidParameter", &format!("The parameter is incorrect. {what}")) }
}

/// An id that is used already.
pub fn exists(what: &str) -> Fault {
    let text = format!("Cannot create a file when that file already exists. {what}");
    Fault { code: "Sender".to_owned(), ..Fault::new(183, "AlreadyExists", &text) }
}

/// No such kind of shell.
pub fn resource(uri: &str) -> Fault {
    let text = format!(
        "The WS-Management service cannot process the request. The resource URI ({uri}) is missing or it has an incorrect \
         format. Check the documentation or use the following command for information on how to construct a resource URI: \
         \"winrm help uris\"."
    );
    Fault { code: "Sender".to_owned(), ..Fault::new(2_150_858_811, "DestinationUnreachable", &text) }
}

/// An action that the service does not know.
pub fn action(uri: &str) -> Fault {
    let text = format!("The WS-Management service cannot process the request. The WS-Addressing action URI ({uri}) is invalid.");
    Fault { code: "Sender".to_owned(), ..Fault::new(2_150_858_753, "ActionNotSupported", &text) }
}

/// No envelope of the protocol.
pub fn schema(why: &str) -> Fault {
    let text = format!(
        "The SOAP XML in the message does not match the corresponding XML schema definition. Change the XML and retry. {why}"
    );
    Fault { code: "Sender".to_owned(), ..Fault::new(2_150_858_817, "SchemaValidationError", &text) }
}

/// The answer, or the request, does not fit.
pub fn encoding_limit(text: &str) -> Fault {
    Fault { code: "Sender".to_owned(), ..Fault::new(ENCODING_LIMIT, "EncodingLimit", text) }
}

/// The version of the protocol inside is not spoken here.
pub fn version(asked: &str) -> Fault {
    let text = format!("The WSMan plugin for PowerShell cannot process the protocol version {asked}; 2.0 to 2.3 are known.");
    Fault::new(2_152_992_672, "InternalError", &text)
}

/// What is inside the shell is no PSRP, or breaks a rule of it.
pub fn plugin(why: &str) -> Fault {
    let mut fault = Fault::new(2_152_991_672, "InternalError", "An error was encountered inside the plugin.");
    fault.provider_fault = Some(why.to_owned());
    fault
}

/// The shell is disconnected.
pub fn disconnected() -> Fault {
    Fault::new(2_150_859_222, "InternalError", "The shell is disconnected. Reconnect to it and retry the operation.")
}
