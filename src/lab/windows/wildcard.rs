//! Patterns: PowerShell's wildcards, and `LIKE` of WQL. Neither cares for case.
//!
//! Both become regular expressions, whose matching takes linear time whatever the pattern is.

use std::fmt::Write as _;

use regex::{Regex, RegexBuilder};

/// A pattern that can be matched against names.
#[derive(Debug, Clone)]
pub struct Wildcard(Regex);

/// A pattern that is none: a bracket that is not closed, a range that runs backwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid;

/// Whether a text has wildcards in it that are not escaped (`WildcardPattern.ContainsWildcardCharacters`).
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    let mut escaped = false;
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']') && !escaped {
            return true;
        }
        escaped = c == '`' && !escaped;
    }
    false
}

/// A text without the escapes before wildcards (`WildcardPattern.Unescape`).
#[must_use]
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(&next) if c == '`' && matches!(next, '*' | '?' | '[' | ']' | '`') => {
                plain.push(next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}

impl Wildcard {
    /// A pattern of PowerShell: `*`, `?`, `[a-z]`, and a backtick before a character that stands for itself.
    ///
    /// # Errors
    /// It is none.
    pub fn powershell(pattern: &str) -> Result<Self, Invalid> {
        let mut regex = Builder::default();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '*' => regex.any(),
                '?' => regex.one(),
                '[' => regex.class(false, &Self::brackets(&mut chars)?)?,
                // At the end it stands for itself; alone it stands for nothing.
                '`' => match chars.next() {
                    Some(next) => regex.literal(next),
                    None if pattern == "`" => {}
                    None => regex.literal('`'),
                },
                c => regex.literal(c),
            }
        }
        regex.build()
    }

    /// What stands in brackets, up to the closing one: characters, and whether one is a hyphen that makes a range.
    fn brackets(chars: &mut std::str::Chars<'_>) -> Result<Vec<(char, bool)>, Invalid> {
        let mut inside = Vec::new();
        let mut first = true;
        loop {
            let c = chars.next().ok_or(Invalid)?;
            match c {
                ']' if !first => return Ok(inside),
                '`' => inside.push((chars.next().ok_or(Invalid)?, false)),
                c => inside.push((c, c == '-')),
            }
            first = false;
        }
    }

    /// A pattern of `LIKE`: `%`, `_`, `[a-z]`, `[^a-z]`.
    ///
    /// # Errors
    /// It is none.
    pub fn like(pattern: &str) -> Result<Self, Invalid> {
        let mut regex = Builder::default();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => regex.any(),
                '_' => regex.one(),
                '[' => {
                    let mut inside = Vec::new();
                    let negated = chars.as_str().starts_with('^');
                    if negated {
                        chars.next();
                    }
                    loop {
                        match chars.next().ok_or(Invalid)? {
                            ']' => break,
                            c => inside.push((c, c == '-')),
                        }
                    }
                    regex.class(negated, &inside)?;
                }
                c => regex.literal(c),
            }
        }
        regex.build()
    }

    /// Whether a name matches as a whole.
    #[must_use]
    pub fn is_match(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// A regular expression in the making.
#[derive(Default)]
struct Builder(String);

impl Builder {
    fn literal(&mut self, c: char) {
        self.0.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn any(&mut self) {
        // Several in a row say no more than one.
        if !self.0.ends_with(".*") {
            self.0.push_str(".*");
        }
    }

    fn one(&mut self) {
        self.0.push('.');
    }

    fn class(&mut self, negated: bool, inside: &[(char, bool)]) -> Result<(), Invalid> {
        if inside.is_empty() {
            return Err(Invalid);
        }
        self.0.push_str(if negated { "[^" } else { "[" });
        let mut rest = inside;
        while let Some((&(low, _), after)) = rest.split_first() {
            match after {
                [(_, true), (high, _), beyond @ ..] => {
                    if low > *high {
                        return Err(Invalid);
                    }
                    self.within(low);
                    self.0.push('-');
                    self.within(*high);
                    rest = beyond;
                }
                _ => {
                    self.within(low);
                    rest = after;
                }
            }
        }
        self.0.push(']');
        Ok(())
    }

    /// A character in brackets, where others are special than outside.
    fn within(&mut self, c: char) {
        // Writing to a text does not fail.
        let _ = write!(self.0, "\\x{{{:x}}}", u32::from(c));
    }

    fn build(self) -> Result<Wildcard, Invalid> {
        let whole = format!("^(?:{})$", self.0);
        let built = RegexBuilder::new(&whole).case_insensitive(true).dot_matches_new_line(true).build();
        built.map(Wildcard).map_err(|_| Invalid)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Wildcard::powershell(pattern).is_ok_and(|pattern| pattern.is_match(name))
    }

    #[test]
    fn patterns_are_those_of_powershell() {
        for (pattern, name, expected) in [
            ("*Group Chat*", "Microsoft Lync Server 2010 Group Chat Channel", true),
            ("gc0?", "GC01", true),
            ("gc0?", "gc0", false),
            ("[a-c]x", "Bx", true),
            ("[a-c]x", "dx", false),
            ("[a`-c]x", "bx", false),
            ("[a`-c]x", "-x", true),
            ("a`*", "a*", true),
            ("a`*", "ab", false),
            ("[]]", "]", true),
            ("[]", "", false),
            ("a.c", "abc", false),
            ("a`", "a`", true),
            ("`", "", true),
            ("**", "x\ny", true),
            (".**", ".anything", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
        assert!(Wildcard::powershell("[a").is_err() && Wildcard::powershell("[z-a]").is_err());
        let like = |pattern: &str, name: &str| Wildcard::like(pattern).is_ok_and(|pattern| pattern.is_match(name));
        assert!(like("%chat%", "Group CHAT") && like("gc_", "gc1") && like("[^a]b", "cb") && !like("[^a]b", "ab"));
        assert!(!like("100*", "1000") && Wildcard::like("[a").is_err());
    }

    #[test]
    fn a_text_is_a_pattern_only_by_a_wildcard_without_escape() {
        assert!(is_pattern("a*") && is_pattern("a[b") && is_pattern("``*") && !is_pattern("a`*") && !is_pattern("plain"));
        assert_eq!(unescape("a`[1`].txt"), "a[1].txt");
        assert_eq!(unescape("a`b"), "a`b");
    }

    /// The plainest matcher there can be: by trying everything.
    fn naive(pattern: &[char], name: &[char]) -> Option<bool> {
        let Some((&first, rest)) = pattern.split_first() else { return Some(name.is_empty()) };
        let one = |accepts: bool, rest: &[char]| match name.split_first() {
            Some((_, after)) if accepts => naive(rest, after),
            _ => naive(rest, name).map(|_| false),
        };
        match first {
            '*' => {
                let mut any = naive(rest, name)?;
                for taken in 1..=name.len() {
                    any |= naive(rest, &name[taken..])?;
                }
                Some(any)
            }
            '?' => one(true, rest),
            '`' => match rest.split_first() {
                Some((&c, rest)) => one(name.first().is_some_and(|n| n.eq_ignore_ascii_case(&c)), rest),
                None => one(name.first() == Some(&'`'), rest),
            },
            '[' => {
                let mut set: Vec<(char, bool)> = Vec::new();
                let mut at = 0;
                loop {
                    let c = *rest.get(at)?;
                    if c == ']' && at > 0 {
                        break;
                    }
                    if c == '`' {
                        at += 1;
                        set.push((*rest.get(at)?, false));
                    } else {
                        set.push((c, c == '-'));
                    }
                    at += 1;
                }
                let (mut accepts, mut i) = (false, 0);
                while i < set.len() {
                    if i + 2 < set.len() && set[i + 1].1 {
                        if set[i].0 > set[i + 2].0 {
                            return None;
                        }
                        let range = set[i].0..=set[i + 2].0;
                        accepts |= name
                            .first()
                            .is_some_and(|n| range.contains(&n.to_ascii_lowercase()) || range.contains(&n.to_ascii_uppercase()));
                        i += 3;
                    } else {
                        accepts |= name.first().is_some_and(|n| n.eq_ignore_ascii_case(&set[i].0));
                        i += 1;
                    }
                }
                one(accepts, &rest[at + 1..])
            }
            c => one(name.first().is_some_and(|n| n.eq_ignore_ascii_case(&c)), rest),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_pattern_matches_as_the_plainest_matcher_says(pattern in "[abcB*?\\[\\]`.-]{0,7}", name in "[abcA`\\]*.-]{0,6}") {
            prop_assume!(pattern != "`");
            let chars: Vec<char> = pattern.chars().collect();
            let expected = naive(&chars, &name.chars().collect::<Vec<_>>());
            let found = Wildcard::powershell(&pattern).ok().map(|wildcard| wildcard.is_match(&name));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_pattern_ends_the_lab(pattern in ".{0,40}", name in ".{0,20}") {
            let _ = Wildcard::powershell(&pattern).map(|wildcard| wildcard.is_match(&name));
            let _ = Wildcard::like(&pattern).map(|wildcard| wildcard.is_match(&name));
            let _ = is_pattern(&unescape(&pattern));
        }
    }
}
