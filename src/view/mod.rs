//! Views: what a run looks like to people and to other programs.
//!
//! A view turns a plan or a [`crate::run::state::RunState`], the time, and the page it is written for into text. It
//! decides nothing, changes nothing and reads no file; the one exception to "no IO" is [`display`], which writes what
//! it is handed to a terminal or a pipe.
//!
//! | module | is |
//! |---|---|
//! | [`board`] | the one model of a run that console, `status`, JSON and a dashboard share |
//! | [`status`] | the board as a table, and as one line for a chat window |
//! | [`plain`] | one line of text per record |
//! | [`json`] | one line of JSON per record, and the board as an object |
//! | [`display`], [`bars`] | what a run shows while it runs |
//! | [`gate`], [`card`] | questions to a person; what a resume is about to do |
//! | [`answers`] | what may be answered about a step in doubt or failed, and in which order it is offered |
//! | [`report`], [`explain`], [`runbook`], [`graph`] | summary, one step in depth, the plan on paper, the plan as a picture |
//! | [`next`] | how the commands that we tell people to type are spelled |
//! | [`text`] | widths, spans and times |

pub mod answers;
pub mod aside;
pub mod bars;
pub mod board;
pub mod card;
pub mod display;
pub mod explain;
pub mod gate;
pub mod graph;
pub mod json;
pub mod next;
pub mod page;
pub mod plain;
pub mod report;
pub mod runbook;
pub mod status;
pub mod text;

#[cfg(test)]
mod sample;

pub use board::Board;
pub use display::Display;
pub use page::Page;
