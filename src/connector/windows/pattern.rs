//! Names with `*` and `?`, as PowerShell has them. The host is never asked with one: everything is listed and chosen here,
//! so that a name cannot mean more there than here.

use super::ask::shown;

/// A pattern over a whole name. Letter case does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It is empty, or holds what PowerShell would take for more than `*` and `?`.
    pub fn parse(text: &str, argument: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(format!("`{argument}` holds an empty pattern"));
        }
        if let Some(odd) = text.chars().find(|c| matches!(c, '[' | ']' | '`') || c.is_control()) {
            return Err(format!(
                "`{argument}` holds `{}`: a pattern has `*` and `?`, and no `{}`",
                shown(text),
                odd.escape_debug()
            ));
        }
        Ok(Pattern(text.to_owned()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is all of `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let pattern: Vec<char> = self.0.to_lowercase().chars().collect();
        let text: Vec<char> = text.to_lowercase().chars().collect();
        let (mut p, mut t) = (0, 0);
        // Where the last `*` stood, and how much of the text it has taken.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match &mut star {
                    Some((at, taken)) => {
                        *taken += 1;
                        (p, t) = (*at + 1, *taken);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, "display_names").is_ok_and(|pattern| pattern.matches(text))
    }

    #[test]
    fn a_pattern_must_be_all_of_a_name_and_case_does_not_count() {
        for (pattern, text) in [
            ("*Group Chat*", "Lync Server Group Chat Channel"),
            ("office*chat*", "Office Communications Server GROUP CHAT Lookup"),
            ("spooler", "Spooler"),
            ("sp??ler", "Spooler"),
            ("*\\channel.exe*", "\"C:\\Program Files\\Chat\\Channel.exe\" -service"),
            ("*", ""),
            ("a*b*c", "aXbXbXc"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("Group Chat*", "Lync Group Chat"), ("sp?ler", "Spooler"), ("a*b", "abc"), ("?", "")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn what_powershell_would_read_otherwise_is_refused() {
        for wrong in ["", "  ", "a[bc]", "a`*", "a\u{7}"] {
            assert!(Pattern::parse(wrong, "display_names").is_err(), "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_matches_itself_and_itself_between_stars(name in "[a-zA-Z0-9 .$_-]{1,20}", around in ".{0,10}") {
            let around = around.replace(char::is_control, "");
            let (pattern, text) = (format!("*{name}*"), format!("{around}{name}{around}"));
            proptest::prop_assert!(name.trim().is_empty() || (matches(&name, &name) && matches(&pattern, &text)));
        }
    }
}
