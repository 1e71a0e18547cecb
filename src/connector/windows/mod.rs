//! Actions on Windows hosts: services, files and copies of folders, by the cmdlets that Windows PowerShell brings.
//!
//! ```text
//! service/  `windows.service`: services in a state, with a start type
//! copy/     `windows.copy`: a folder or a file, copied on the host and held against its source
//! file      `windows.file`: a look at one path
//! path      absolute paths, and what is refused as one
//! pattern   names with `*` and `?`
//! ask       the looks that several actions share
//! ```
//!
//! What an answer means is decided by functions without IO; what asks and what writes stands beside them. Everything works
//! with Windows PowerShell 2.0, which Windows Server 2008 R2 has, except `Get-FileHash`, which came with 4.0.

pub(in crate::connector) mod ask;
pub mod copy;
pub mod file;
pub(in crate::connector) mod path;
mod pattern;
pub mod service;

use crate::connector::powershell::Actions;

/// All of them.
pub const ALL: Actions = &[&service::Service, &copy::Copy, &file::File];
