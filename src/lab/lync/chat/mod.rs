//! The data of chat rooms, and how it moves: from the database of Group Chat or Persistent Chat into a ZIP, and from a ZIP into
//! the database of Persistent Chat.
//!
//! ```text
//! model      rooms, categories, principals          source   read from a database, of 2010 or of 2013
//! flatten    one level of categories, longer names  export   into a ZIP              xml      parts of it, as text
//! check      what a person should hear before       package  out of a ZIP, piece by piece
//! import     into a database, room by room          report   for people, in HTML
//! people     who took part                          faults   worlds in which a move goes wrong
//! ```
//!
//! Unaware of PowerShell: the cmdlets are in `cmdlets/chat_data.rs`.

pub mod check;
pub mod export;
pub mod faults;
pub mod flatten;
pub mod import;
pub mod model;
pub mod package;
pub mod people;
pub mod report;
pub mod source;
mod xml;

#[cfg(test)]
mod tests;

/// What went wrong with the data on its way.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The database.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    /// The file.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// The archive.
    #[error("{0}")]
    Archive(#[from] zip::result::ZipError),
    /// The text of a part.
    #[error("{0}")]
    Xml(#[from] quick_xml::Error),
    /// It is not what an export looks like.
    #[error("the file is not an export of chat data: {0}")]
    Malformed(String),
    /// Somebody else is at work.
    #[error("the database is locked for administration by {owner} until {until} (UTC)")]
    Locked {
        /// Who.
        owner: String,
        /// Until when.
        until: String,
    },
    /// The connection was lost in the middle.
    #[error("the connection to the database was lost after {rooms} rooms")]
    Lost {
        /// How many rooms are whole.
        rooms: u64,
    },
}
