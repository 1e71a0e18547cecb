//! Services as a host shows them, and which of them a step means. Pure.

use serde_json::{Value as Json, json};

use super::super::ask::shown;
use super::super::pattern::Pattern;
use crate::connector::powershell::values;
use crate::remoting::clixml::Value;

/// Names that are shown where one was not found.
const NEAR: usize = 5;

/// What a service does (`Win32_Service.State`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// It holds on, and can be resumed.
    Paused,
    /// It was told something and has not said yet that it is done.
    Pending(String),
    /// A word that is not known.
    Other(String),
}

impl State {
    fn parse(word: &str) -> Self {
        match word {
            "Running" => State::Running,
            "Stopped" => State::Stopped,
            "Paused" => State::Paused,
            "Start Pending" | "Stop Pending" | "Continue Pending" | "Pause Pending" => State::Pending(word.to_lowercase()),
            other => State::Other(shown(other)),
        }
    }

    /// In plain words.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            State::Running => "running",
            State::Stopped => "stopped",
            State::Paused => "paused",
            State::Pending(word) | State::Other(word) => word,
        }
    }
}

/// When a service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Startup {
    /// With the machine.
    Automatic,
    /// A while after it.
    AutomaticDelayed,
    /// When it is asked to.
    Manual,
    /// Never.
    Disabled,
}

impl Startup {
    const ALL: [Startup; 4] = [Startup::Automatic, Startup::AutomaticDelayed, Startup::Manual, Startup::Disabled];

    /// The word in plans, outputs and texts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Startup::Automatic => "automatic",
            Startup::AutomaticDelayed => "automatic_delayed",
            Startup::Manual => "manual",
            Startup::Disabled => "disabled",
        }
    }

    /// From its word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|startup| startup.word() == word)
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The short name, by which it is addressed.
    pub name: String,
    /// The name for people.
    pub display: String,
    /// What it does.
    pub state: State,
    /// When it starts; the host's word, if that is not known.
    pub startup: Result<Startup, String>,
    /// Whether an automatic start is delayed, or would be: a service that is disabled keeps it.
    pub delay: bool,
    /// The command line of its program; empty if the account may not see it.
    pub image: String,
}

impl Startup {
    /// Whether the service starts with the machine.
    #[must_use]
    pub fn is_automatic(self) -> bool {
        matches!(self, Startup::Automatic | Startup::AutomaticDelayed)
    }
}

impl Seen {
    /// Reads a `Win32_Service`. Whether an automatic start is a delayed one is not in it on older hosts, and on newer ones it is what
    /// the machine started with; so [`Seen::delay`] says it afterwards.
    ///
    /// # Errors
    /// A property is missing.
    pub fn read(object: &Value) -> Result<Self, String> {
        let name = values::text(object, "Name")?;
        let startup = match values::text(object, "StartMode")?.as_str() {
            "Auto" => Ok(Startup::Automatic),
            "Manual" => Ok(Startup::Manual),
            "Disabled" => Ok(Startup::Disabled),
            other => Err(shown(other)),
        };
        Ok(Seen {
            display: values::text(object, "DisplayName").unwrap_or_else(|_| name.clone()),
            state: State::parse(&values::text(object, "State")?),
            startup,
            delay: false,
            image: values::text(object, "PathName").unwrap_or_default(),
            name,
        })
    }

    /// Takes in whether its automatic start is delayed, or would be.
    pub fn delay(&mut self, delayed: bool) {
        self.delay = delayed;
        if self.startup == Ok(Startup::Automatic) && delayed {
            self.startup = Ok(Startup::AutomaticDelayed);
        }
    }

    /// When it starts, in a word.
    #[must_use]
    pub fn startup_word(&self) -> &str {
        match &self.startup {
            Ok(startup) => startup.word(),
            Err(word) => word,
        }
    }

    /// For outputs and expressions.
    #[must_use]
    pub fn json(&self) -> Json {
        json!({ "name": self.name, "display_name": self.display, "state": self.state.word(), "startup": self.startup_word() })
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        format!("`{}` is {}, {}", shown(&self.name), self.state.word(), self.startup_word())
    }
}

/// What a step says of the services that it means; all together are the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// Short names.
    pub names: Vec<String>,
    /// Over the names for people.
    pub displays: Vec<Pattern>,
    /// Over the command lines.
    pub images: Vec<Pattern>,
}

/// Chooses the services that a step means, by short name, sorted.
///
/// # Errors
/// A name or a pattern finds none, with what is near; or a name is one that no cmdlet can take as it is.
pub fn choose(all: &[Seen], which: &Which) -> Result<Vec<Seen>, String> {
    let mut chosen: Vec<&Seen> = Vec::new();
    let mut missing = Vec::new();
    for name in &which.names {
        match all.iter().find(|seen| seen.name.eq_ignore_ascii_case(name)) {
            Some(seen) => chosen.push(seen),
            None => {
                let known = all.iter().flat_map(|seen| [(seen.name.as_str(), seen), (seen.display.as_str(), seen)]);
                missing.push(format!("there is no service `{}`{}", shown(name), near(name, known)));
            }
        }
    }
    let mut by = |patterns: &[Pattern], what: &str, text: fn(&Seen) -> &str| {
        for pattern in patterns {
            let before = chosen.len();
            chosen.extend(all.iter().filter(|seen| pattern.matches(text(seen))));
            if chosen.len() == before {
                let known = all.iter().map(|seen| (text(seen), seen));
                missing.push(format!("no {what} is like `{}`{}", shown(pattern.as_str()), near(pattern.as_str(), known)));
            }
        }
    };
    by(&which.displays, "service's display name", |seen| &seen.display);
    by(&which.images, "service's command line", |seen| &seen.image);
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    let mut chosen: Vec<Seen> = chosen.into_iter().cloned().collect();
    chosen.sort_by_key(|seen| seen.name.to_lowercase());
    chosen.dedup_by(|one, two| one.name.eq_ignore_ascii_case(&two.name));
    // The cmdlets would take a star in a name for many services, and a comma stands between the names of the identity.
    match chosen.iter().find(|seen| seen.name.contains(['*', '?', '[', ']', '`', ',', '\\', '/'])) {
        Some(odd) => Err(format!("the service `{}` has a name that no cmdlet takes as it is", shown(&odd.name))),
        None => Ok(chosen),
    }
}

/// The services whose names are nearest to what was not found.
fn near<'s>(wanted: &str, known: impl Iterator<Item = (&'s str, &'s Seen)>) -> String {
    let wanted = wanted.replace(['*', '?'], "").to_lowercase();
    let mut scored: Vec<(f64, &Seen)> = known
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, seen)| (strsim::jaro_winkler(&wanted, &text.to_lowercase()), seen))
        .collect();
    scored.sort_by(|one, two| two.0.total_cmp(&one.0));
    let mut names: Vec<String> = Vec::new();
    for (_, seen) in scored {
        let name = format!("`{}` ({})", shown(&seen.name), shown(&seen.display));
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() == NEAR {
            break;
        }
    }
    if names.is_empty() { String::new() } else { format!("; nearest: {}", names.join(", ")) }
}

/// The services of these names, in their order; the names of those that are gone.
#[must_use]
pub fn named<'n>(all: &[Seen], names: impl IntoIterator<Item = &'n str>) -> (Vec<Seen>, Vec<String>) {
    let (mut found, mut gone) = (Vec::new(), Vec::new());
    for name in names {
        match all.iter().find(|seen| seen.name.eq_ignore_ascii_case(name)) {
            Some(seen) => found.push(seen.clone()),
            None => gone.push(name.to_owned()),
        }
    }
    (found, gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Seen> {
        [
            ("OCSChannel", "Office Communications Server Channel", "\"C:\\Chat\\ChannelService.exe\""),
            ("OCSLookup", "Office Communications Server Lookup", "\"C:\\Chat\\LookupService.exe\""),
            ("Spooler", "Print Spooler", "C:\\Windows\\System32\\spoolsv.exe"),
            ("odd*", "Odd", ""),
        ]
        .map(|(name, display, image)| Seen {
            name: name.to_owned(),
            display: display.to_owned(),
            state: State::Running,
            startup: Ok(Startup::Automatic),
            delay: false,
            image: image.to_owned(),
        })
        .to_vec()
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().filter_map(|text| Pattern::parse(text, "x").ok()).collect()
    }

    fn chosen(which: &Which) -> Result<Vec<String>, String> {
        choose(&all(), which).map(|found| found.into_iter().map(|seen| seen.name).collect())
    }

    #[test]
    fn names_and_patterns_together_are_the_set_and_each_service_is_in_it_once() {
        let which = Which {
            names: vec!["spooler".to_owned()],
            displays: patterns(&["Office*lookup"]),
            images: patterns(&["*\\Chat\\*"]),
        };
        assert_eq!(chosen(&which), Ok(vec!["OCSChannel".to_owned(), "OCSLookup".to_owned(), "Spooler".to_owned()]));
    }

    #[test]
    fn what_finds_nothing_is_told_with_what_is_near() {
        let which = Which { names: vec!["OCSChanel".to_owned()], displays: patterns(&["Lync*"]), images: Vec::new() };
        let why = chosen(&which).unwrap_err();
        assert!(why.contains("no service `OCSChanel`; nearest: `OCSChannel`"), "{why}");
        assert!(why.contains("display name is like `Lync*`"), "{why}");
    }

    #[test]
    fn a_service_whose_name_a_cmdlet_would_take_for_many_is_refused() {
        let why = chosen(&Which { displays: patterns(&["Odd"]), ..Which::default() }).unwrap_err();
        assert!(why.contains("`odd*`"), "{why}");
    }

    #[test]
    fn a_start_is_delayed_only_if_it_is_automatic() {
        let mut seen = all().remove(0);
        seen.delay(true);
        assert_eq!(seen.startup, Ok(Startup::AutomaticDelayed));
        seen.startup = Ok(Startup::Disabled);
        seen.delay(true);
        assert_eq!(seen.startup, Ok(Startup::Disabled));
    }
}
