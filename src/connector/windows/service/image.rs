//! What services were before a step changed them. Pure, but for the reading of the file.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::super::ask::shown;
use super::goal::Goal;
use super::seen::{Seen, Startup, State};
use crate::run::connector::BeforeImage;

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
    /// It cannot be read, was changed, or is none.
    pub fn load(kept: &BeforeImage) -> Result<Self, String> {
        Self::from_bytes(&kept.read(LARGEST)?)
    }

    /// What puts back what was, as far as a step has changed it: what was at the step's own goal before is not the step's, and
    /// whoever changes it later has a reason. A service of which nothing was changed is left out.
    ///
    /// # Errors
    /// A word is not known.
    pub fn goals(&self, step: &[Goal]) -> Result<Vec<Goal>, String> {
        let goal = |kept: &Kept| {
            let was = kept.goal().map_err(|why| format!("the before-image says {why}"))?;
            let step = step.iter().find(|step| step.name.eq_ignore_ascii_case(&kept.name));
            let (running, startup) = step.map_or((None, None), |step| (step.running, step.startup));
            Ok(Goal {
                running: was.running.filter(|was| running.is_some_and(|to| to != *was)),
                startup: was.startup.filter(|was| startup.is_some_and(|to| to != *was)),
                ..was
            })
        };
        let all: Vec<Goal> = self.services.iter().map(goal).collect::<Result<_, String>>()?;
        Ok(all.into_iter().filter(Goal::is_one).collect())
    }
}

impl Kept {
    fn goal(&self) -> Result<Goal, String> {
        let odd = |word: &str| format!("`{}` of `{}`", shown(word), shown(&self.name));
        let running = match self.state.as_str() {
            "running" => true,
            "stopped" => false,
            other => return Err(odd(other)),
        };
        let startup = Startup::parse(&self.startup).ok_or_else(|| odd(&self.startup))?;
        Ok(Goal { name: self.name.clone(), running: Some(running), startup: Some(startup) })
    }
}

/// What services were before a step, as an output of it: from its before-image, or what is seen if it has changed nothing.
///
/// # Errors
/// The image cannot be read.
pub fn was(image: Option<&BeforeImage>, seen: &[Seen]) -> Result<Json, String> {
    let services = match image {
        Some(kept) => Image::load(kept)?.services,
        None => {
            let keep = |one: &Seen| {
                let startup = one.startup.as_ref().map_or_else(Clone::clone, |startup| startup.word().to_owned());
                Kept { name: one.name.clone(), state: one.state.word().to_owned(), startup }
            };
            seen.iter().map(keep).collect()
        }
    };
    Ok(json!(services))
}

/// The goals that put back what such an output says.
///
/// # Errors
/// It says something else.
pub fn as_it_was(was: &Json) -> Result<Vec<Goal>, String> {
    let hint = "it is the output `was` of a step that changed them";
    let services: Vec<Kept> =
        serde_json::from_value(was.clone()).map_err(|_| format!("`as_before` is no list of services; {hint}"))?;
    if services.is_empty() {
        return Err(format!("`as_before` names no service; {hint}"));
    }
    services.iter().map(|kept| kept.goal().map_err(|why| format!("`as_before` says {why}; {hint}"))).collect()
}

/// Takes out of `back` each start type that is neither what the step made of it nor on the way to what it was: somebody has
/// chosen it since. Returns what stays, in words.
pub fn leave_chosen(back: &mut Vec<Goal>, step: &[Goal], seen: &[Seen]) -> Vec<String> {
    let mut stays = Vec::new();
    for goal in back.iter_mut() {
        let Some(one) = seen.iter().find(|one| one.name.eq_ignore_ascii_case(&goal.name)) else { continue };
        let step = step.iter().find(|step| step.name.eq_ignore_ascii_case(&goal.name)).and_then(|step| step.startup);
        let (Some(was), Some(step), Ok(now)) = (goal.startup, step, &one.startup) else { continue };
        // A delay is set after the start type: an attempt, or an undo, may have ended between the two.
        let alike = |known: Startup| known == *now || (known.is_automatic() && now.is_automatic());
        if !alike(was) && !alike(step) {
            goal.startup = None;
            stays.push(format!("the start type of `{}` was set to {} since, and stays", shown(&goal.name), now.word()));
        }
    }
    back.retain(Goal::is_one);
    stays
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

    fn goal(running: Option<bool>, startup: Option<Startup>) -> Goal {
        Goal { name: "A".to_owned(), running, startup }
    }

    #[test]
    fn an_image_comes_back_as_what_was_and_only_as_far_as_a_step_changed_it() {
        let image = Image::take("GC01", &[seen(State::Running)]).unwrap_or_else(|why| panic!("{why}"));
        let back = Image::from_bytes(&image.to_bytes());
        assert_eq!(back.as_ref(), Ok(&image));
        let (stop, disable) = (Some(false), Some(Startup::Disabled));
        assert_eq!(image.goals(&[goal(stop, disable)]), Ok(vec![goal(Some(true), Some(Startup::AutomaticDelayed))]));
        assert_eq!(image.goals(&[goal(None, disable)]), Ok(vec![goal(None, Some(Startup::AutomaticDelayed))]));
    }

    #[test]
    fn what_was_at_the_steps_goal_before_is_left_out_property_by_property() {
        let stopped = Image::take("GC01", &[seen(State::Stopped)]).unwrap_or_else(|why| panic!("{why}"));
        let delayed = Some(Startup::AutomaticDelayed);
        assert_eq!(stopped.goals(&[goal(Some(false), Some(Startup::Disabled))]), Ok(vec![goal(None, delayed)]));
        assert_eq!(stopped.goals(&[goal(Some(true), delayed)]), Ok(vec![goal(Some(false), None)]));
        assert_eq!(stopped.goals(&[goal(Some(false), None)]), Ok(Vec::new()));
        assert_eq!(stopped.goals(&[goal(Some(false), delayed)]), Ok(Vec::new()));
    }

    #[test]
    fn a_start_type_that_somebody_chose_since_stays_and_is_named() {
        let mut now = seen(State::Running);
        let mut left = |startup, was: Startup| {
            now.startup = Ok(startup);
            let mut back = vec![goal(None, Some(was))];
            let stays = leave_chosen(&mut back, &[goal(None, Some(Startup::Disabled))], std::slice::from_ref(&now));
            (back.len(), stays.len())
        };
        assert_eq!(left(Startup::Manual, Startup::AutomaticDelayed), (0, 1));
        assert_eq!(left(Startup::Disabled, Startup::AutomaticDelayed), (1, 0));
        assert_eq!(left(Startup::AutomaticDelayed, Startup::AutomaticDelayed), (1, 0));
        assert_eq!(left(Startup::Automatic, Startup::AutomaticDelayed), (1, 0), "half of an undo");
        assert_eq!(left(Startup::Automatic, Startup::Manual), (0, 1));
    }

    #[test]
    fn what_services_were_is_an_output_that_puts_them_back() {
        let goal = Goal { name: "A".to_owned(), running: Some(true), startup: Some(Startup::AutomaticDelayed) };
        let said = was(None, &[seen(State::Running)]).unwrap_or_default();
        assert_eq!(as_it_was(&said), Ok(vec![goal.clone()]));
        // What an attempt has kept counts, not what it left.
        let folder = tempfile::tempdir().unwrap();
        let bytes = Image::take("GC01", &[seen(State::Running)]).unwrap_or_else(|why| panic!("{why}")).to_bytes();
        let sha256 = crate::plan::hex(&sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), &bytes)));
        let kept = BeforeImage { path: folder.path().join(&sha256), sha256, bytes: bytes.len() as u64 };
        std::fs::write(&kept.path, &bytes).unwrap();
        let said = was(Some(&kept), &[seen(State::Stopped)]).unwrap_or_default();
        assert_eq!(as_it_was(&said), Ok(vec![goal]));
        // One that was changed is not taken for "nothing was kept".
        std::fs::write(&kept.path, String::from_utf8_lossy(&bytes).replace("running", "stopped")).unwrap();
        assert!(was(Some(&kept), &[seen(State::Stopped)]).is_err_and(|why| why.contains("was changed")));
        for wrong in
            [json!([]), json!("A"), json!([{ "name": "A", "state": "paused", "startup": "manual" }]), json!([{ "name": "A" }])]
        {
            assert!(as_it_was(&wrong).is_err_and(|why| why.contains("`was`")), "{wrong}");
        }
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
        assert!(odd.goals(&[goal(Some(true), Some(Startup::Disabled))]).is_err());
    }
}
