//! What a text is written for: width, colour, time zone. Arguments of every view, never asked of the system here.

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;

/// The page a view writes on.
#[derive(Debug, Clone)]
pub struct Page {
    /// Columns.
    pub width: usize,
    /// Whether ANSI colours may be used.
    pub colour: bool,
    /// The zone in which times are told.
    pub zone: TimeZone,
    /// Nothing is cut to the width: what goes into a file or to another program has no edge.
    pub whole: bool,
}

impl Page {
    /// A page without colour.
    #[must_use]
    pub fn plain(width: usize, zone: TimeZone) -> Self {
        Page { width, colour: false, zone, whole: false }
    }

    /// The width of running text: beyond about a hundred columns a line is hard to read at night.
    #[must_use]
    pub fn measure(&self) -> usize {
        self.width.clamp(40, 100)
    }

    /// The text cut to so many columns, with `…` where something is missing; whole where the page has no edge.
    #[must_use]
    pub fn cut(&self, text: &str, columns: usize) -> String {
        if self.whole { text.to_owned() } else { super::text::cut(text, columns) }
    }

    /// As [`Page::cut`], filled with blanks to that width.
    #[must_use]
    pub fn fit(&self, text: &str, columns: usize) -> String {
        super::text::pad(&self.cut(text, columns), columns)
    }

    /// The width of a column of names, whose longest has so many columns: cut only where there is no room.
    #[must_use]
    pub fn names(&self, longest: usize) -> usize {
        let most = if self.whole { usize::MAX } else { (self.width * 2 / 5).max(12) };
        longest.clamp(4, most)
    }

    /// The text in a tone, if the page has colours.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colour { format!("{0}{text}{0:#}", tone.style()) } else { text.to_owned() }
    }
}

/// What a colour means. Every meaning is also said in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing to do.
    Quiet,
    /// It went well.
    Good,
    /// Something is happening.
    Busy,
    /// A person is wanted.
    Asks,
    /// It went wrong, or nobody knows.
    Bad,
    /// A heading.
    Head,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Tone::Quiet => Style::new().dimmed(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Busy => AnsiColor::Cyan.on_default(),
            Tone::Asks => AnsiColor::Yellow.on_default().bold(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Head => Style::new().bold(),
        }
    }
}
