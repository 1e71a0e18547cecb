//! What services were before a step changed them. Pure, but for the reading of the file.

use serde::{Deserialize, Serialize};

use super::super::ask::{load_image, shown};
use super::goal::Goal;
use super::seen::{Seen, Startup, State};

/// What evidence of this kind is called in the journal.
pub const KIND: &str = "windows.service";
/// No image is larger.
const LARGEST: u64 = 4 << 20;

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The machine's own name.
    pub machine: String,
    /// The services.
    pub services: Vec<Kept>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Its short name.
    pub name: String,
    /// `running` or `stopped`.
    pub state: String,
    /// The start type, by its word.
    pub startup: String,
}

impl Image {
    /// Takes what was seen.
    ///
    /// # Errors
    /// Something is in a state that could not be put back: then nothing may be changed.
    pub fn take(machine: &str, seen: &[Seen]) -> Result<Self, String> {
        let keep = |one: &Seen| match (&one.state, &one.startup) {
            (State::Running | State::Stopped, Ok(startup)) => {
                Ok(Kept { name: one.name.clone(), state: one.state.word().to_owned(), startup: startup.word().to_owned() })
            }
            _ => Err(format!("{}, which could not be put back; bring it to a stop or let it run first", one.words())),
        };
        Ok(Image { machine: machine.to_owned(), services: seen.iter().map(keep).collect::<Result<_, _>>()? })
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// From its bytes.
    ///
    /// # Errors
    /// They are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("the before-image cannot be read: {}", shown(&error.to_string())))
    }

    /// From its file.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn load(path: &std::path::Path) -> Result<Self, String> {
        Self::from_bytes(&load_image(path, LARGEST)?)
    }

    /// What puts back what was, as far as a step has changed it.
    ///
    /// # Errors
    /// A word is not known.
    pub fn goals(&self, state: bool, startup: bool) -> Result<Vec<Goal>, String> {
        let goal = |kept: &Kept| {
            let running = match kept.state.as_str() {
                "running" => true,
                "stopped" => false,
                other => return Err(format!("the before-image says `{}` of `{}`", shown(other), shown(&kept.name))),
            };
            let startup_was = Startup::parse(&kept.startup)
                .ok_or_else(|| format!("the before-image says `{}` of `{}`", shown(&kept.startup), shown(&kept.name)))?;
            Ok(Goal { name: kept.name.clone(), running: state.then_some(running), startup: startup.then_some(startup_was) })
        };
        self.services.iter().map(goal).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: State) -> Seen {
        Seen {
            name: "A".to_owned(),
            display: "A".to_owned(),
            state,
            startup: Ok(Startup::AutomaticDelayed),
            delay: true,
            image: String::new(),
        }
    }

    #[test]
    fn an_image_comes_back_as_what_was_and_only_as_far_as_a_step_changed_it() {
        let image = Image::take("GC01", &[seen(State::Running)]).unwrap_or_else(|why| panic!("{why}"));
        let back = Image::from_bytes(&image.to_bytes());
        assert_eq!(back.as_ref(), Ok(&image));
        let goal = |running, startup| Goal { name: "A".to_owned(), running, startup };
        assert_eq!(image.goals(true, true), Ok(vec![goal(Some(true), Some(Startup::AutomaticDelayed))]));
        assert_eq!(image.goals(false, true), Ok(vec![goal(None, Some(Startup::AutomaticDelayed))]));
    }

    #[test]
    fn what_could_not_be_put_back_is_not_kept() {
        for state in [State::Paused, State::Pending("stop pending".to_owned()), State::Other("x".to_owned())] {
            assert!(Image::take("GC01", &[seen(state)]).is_err());
        }
    }

    #[test]
    fn a_damaged_image_is_refused() {
        for wrong in ["", "{}", r#"{"machine":"A","services":[{"name":"A"}]}"#, r#"{"machine":"A","services":[],"more":1}"#] {
            assert!(Image::from_bytes(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let odd = Image {
            machine: "A".to_owned(),
            services: vec![Kept { name: "A".to_owned(), state: "x".to_owned(), startup: "manual".to_owned() }],
        };
        assert!(odd.goals(true, true).is_err());
    }
}
