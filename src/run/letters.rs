//! Letters: orders that people leave in a run's inbox, and what they are answered.
//!
//! The holder of a run takes them, records what follows, syncs, and only then answers. The record holds the letter's id, so
//! a letter that is found again after a crash, because its answer could not be written, means nothing a second time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Person;
use super::order::Order;

/// Who gave an order, and whether the run's files are theirs to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The account, or a name merely typed.
    pub person: Person,
    /// One of the run's holders: may write its files, and is trusted as whoever started it. Everybody else is a voter.
    pub holds: bool,
}

/// An order that came by letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Identifies it for ever.
    pub id: String,
    /// What is asked.
    pub order: Order,
    /// By whom.
    pub from: Sender,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It stands in the journal.
    Recorded {
        /// The record that holds it.
        seq: u64,
        /// What else there is to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// A vote that is written down and does not count: why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_counted: Option<String>,
    },
    /// It was not carried out, and nothing follows from it.
    Refused {
        /// Why.
        reason: String,
    },
}

/// The holder's end of the inbox. Never blocks for long, and never fails: what is no letter is set aside and told.
pub trait Letters: Send {
    /// How often to look; `None` where nothing ever comes.
    fn every(&self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }

    /// The letters that arrived and were not taken by this process before, in order of arrival. Each is owed an answer.
    fn take(&mut self) -> Vec<Letter>;

    /// Says what became of a letter. Owed only after its record is durable. True if the letter is gone from the inbox; one
    /// that cannot be removed will be found again by the next process.
    fn answer(&mut self, id: &str, answer: &Answer) -> bool;
}

/// No inbox: for rehearsals, and where nobody can write.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLetters;

impl Letters for NoLetters {
    fn every(&self) -> Option<Duration> {
        None
    }

    fn take(&mut self) -> Vec<Letter> {
        Vec::new()
    }

    fn answer(&mut self, _id: &str, _answer: &Answer) -> bool {
        true
    }
}
