//! Signal: stop a command ([MS-WSMV] section 3.1.4.12).

use roxmltree::Node;

use super::names::SHELL;
use super::xml::{attribute, element, need, need_text};
use super::{Body, Malformed, Request};

/// What is signalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalCode {
    /// The command's output was read to its end; the server forgets the command.
    Terminate,
    /// PowerShell shall stop the pipeline. The specification ([MS-PSRP] section 3.1.5.3.9) and PowerShell itself spell it
    /// `crtl_c`, and PowerShell knows no other spelling; the right one is read, too.
    Stop,
    /// Any other code.
    Other(String),
}

const TERMINATE: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/Terminate";
const STOP: &str = "powershell/signal/crtl_c";

/// Signals a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Which one; none: the shell.
    pub command_id: Option<String>,
    /// What.
    pub code: SignalCode,
}

impl Body for Signal {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Signal";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:Signal");
        if let Some(id) = &self.command_id {
            attribute(out, "CommandId", id);
        }
        out.push('>');
        element(
            out,
            "rsp:Code",
            match &self.code {
                SignalCode::Terminate => TERMINATE,
                SignalCode::Stop => STOP,
                SignalCode::Other(code) => code,
            },
        );
        out.push_str("</rsp:Signal>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let signal = need(body, SHELL, "Signal")?;
        let code = need_text(signal, SHELL, "Code")?;
        Ok(Signal {
            command_id: signal.attribute("CommandId").map(str::to_owned),
            code: if code.eq_ignore_ascii_case(TERMINATE) {
                SignalCode::Terminate
            } else if code.eq_ignore_ascii_case(STOP) || code.eq_ignore_ascii_case("powershell/signal/ctrl_c") {
                SignalCode::Stop
            } else {
                SignalCode::Other(code)
            },
        })
    }
}

impl Request for Signal {
    type Response = SignalResponse;
}

/// The signal is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalResponse;

impl Body for SignalResponse {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/SignalResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:SignalResponse/>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        need(body, SHELL, "SignalResponse").map(|_| SignalResponse)
    }
}
