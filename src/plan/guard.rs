//! A look over the text before the parser sees it: refuses what a plan never needs and a parser should not be given.
//!
//! * Characters that deceive a reader: control, bidirectional and invisible ones.
//! * Parts of YAML that a plan does without: anchors, aliases, tags, directives, merge keys, several documents.
//! * Nesting deeper than 32, which the parser would spend minutes on.
//! * Words such as `yes` and `off`: booleans to one half of all YAML readers and texts to the other.
//!
//! It follows the tokens as the parser would, knowing quotes, block scalars, comments and flow context, but builds
//! nothing. Where it cannot be sure it refuses. What it overlooks is met again in [`super::node`].

use crate::foreign::hidden;

/// The deepest nesting of lists and maps.
pub const DEEPEST: usize = 32;

/// How many findings are kept; the rest is only counted.
const KEPT: usize = 200;

/// One finding: a stretch of bytes and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// What was found.
    pub message: String,
    /// What to write instead.
    pub hint: &'static str,
}

/// What the look found.
#[derive(Debug, Default)]
pub struct Look {
    /// In file order.
    pub refusals: Vec<Refusal>,
    /// How many there are, including those not kept.
    pub count: usize,
    /// About how many nodes the parser would make: scalars, brackets, and list items that are empty or lists.
    pub nodes: usize,
    /// Whether the text must not be given to the parser.
    pub fatal: bool,
}

impl Look {
    fn refuse(&mut self, fatal: bool, start: usize, end: usize, message: impl Into<String>, hint: &'static str) {
        self.count += 1;
        self.fatal |= fatal;
        if self.refusals.len() < KEPT {
            self.refusals.push(Refusal { start, end, message: message.into(), hint });
        }
    }
}

/// Looks over a text.
pub fn look(text: &str) -> Look {
    let mut found = Look::default();
    characters(text, &mut found);
    if !found.fatal {
        Tokens {
            text: text.as_bytes(),
            whole: text,
            at: 0,
            line: 0,
            indents: Vec::new(),
            flow: 0,
            key: None,
            item: false,
            document: false,
        }
        .run(&mut found);
        found.refusals.sort_by_key(|refusal| refusal.start);
    }
    found
}

/// Whether a character must not stand in a plan, and why.
pub fn deceptive(character: char) -> Option<&'static str> {
    match character {
        '\t' | '\n' | '\r' => None,
        other => hidden(other),
    }
}

fn characters(text: &str, found: &mut Look) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if (0x20..0x7f).contains(&byte) || byte == b'\n' || byte == b'\t' || (byte == b'\r' && bytes.get(at + 1) == Some(&b'\n'))
        {
            at += 1;
            continue;
        }
        let Some(character) = text[at..].chars().next() else { break };
        let end = at + character.len_utf8();
        if character == '\r' {
            found.refuse(true, at, end, "a carriage return without a line feed", "save the file with ordinary line ends");
        } else if let Some(what) = deceptive(character) {
            let hint = if character == '\u{feff}' { "save the file without a byte order mark" } else { "remove it" };
            found.refuse(true, at, end, format!("{what} (U+{:04X})", u32::from(character)), hint);
        }
        at = end;
    }
}

/// A scalar that may turn out to be a key: where it starts.
#[derive(Clone, Copy)]
struct Candidate {
    column: usize,
    line: usize,
}

struct Tokens<'t> {
    text: &'t [u8],
    whole: &'t str,
    at: usize,
    /// First byte of the current line.
    line: usize,
    /// Columns of the open block lists and maps, as the parser keeps them.
    indents: Vec<usize>,
    /// Open `[` and `{`.
    flow: usize,
    /// The last scalar, if a `:` may follow.
    key: Option<Candidate>,
    /// Whether the last token began a list item.
    item: bool,
    /// Whether a document was begun.
    document: bool,
}

impl Tokens<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(b'\n')
    }

    fn blank(&self, ahead: usize) -> bool {
        matches!(self.peek(ahead), b' ' | b'\t' | b'\n' | b'\r')
    }

    fn column(&self) -> usize {
        self.at - self.line
    }

    fn end(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Whether the current column is 0 and a document marker stands here.
    fn marker(&self) -> bool {
        self.column() == 0
            && self.blank(3)
            && self.text.get(self.at..self.at + 3).is_some_and(|three| three == b"---" || three == b"...")
    }

    fn run(&mut self, found: &mut Look) {
        loop {
            self.space(found);
            if self.end() {
                return;
            }
            if self.flow == 0 {
                while self.indents.last().is_some_and(|indent| *indent > self.column()) {
                    self.indents.pop();
                }
            }
            if self.indents.len() + self.flow > DEEPEST {
                let hint = "flatten the plan; no part of it needs so many levels";
                found.refuse(true, self.at, self.at + 1, format!("lists and maps are nested deeper than {DEEPEST}"), hint);
                return;
            }
            if self.marker() {
                self.document_marker(found);
                continue;
            }
            let start = self.at;
            let key = self.key.take();
            let dash = self.peek(0) == b'-' && self.blank(1);
            let item = std::mem::replace(&mut self.item, dash);
            found.nodes += match self.peek(0) {
                b',' | b']' | b'}' => 0,
                b':' if self.flow > 0 || self.blank(1) => 0,
                _ if dash => usize::from(item),
                _ => 1,
            };
            match self.peek(0) {
                b'%' if self.column() == 0 => {
                    found.refuse(true, start, start + 1, "a YAML directive", "remove the line; a plan needs none");
                    self.skip_line();
                }
                b'[' | b'{' => {
                    self.flow += 1;
                    self.at += 1;
                }
                b']' | b'}' => {
                    self.flow = self.flow.saturating_sub(1);
                    self.at += 1;
                    self.key = Some(Candidate { column: start - self.line, line: self.line });
                }
                b',' => self.at += 1,
                b'-' if self.blank(1) => {
                    if self.flow == 0 {
                        self.roll(self.column());
                    }
                    self.at += 1;
                }
                b'?' if self.blank(1) => {
                    found.refuse(true, start, start + 1, "a complex key (`?`)", "write `key: value`");
                    self.at += 1;
                }
                b':' if self.flow > 0 || self.blank(1) => {
                    if self.flow == 0
                        && let Some(key) = key
                        && key.line == self.line
                    {
                        self.roll(key.column);
                    }
                    self.at += 1;
                }
                b'&' => {
                    self.word();
                    let hint = "write the value again, or use `params`; put a text that begins with `&` in quotes";
                    found.refuse(true, start, self.at, "an anchor (`&`)", hint);
                }
                b'*' => {
                    self.word();
                    let hint = "write the value again, or use `params`; put a text that begins with `*` in quotes";
                    found.refuse(true, start, self.at, "an alias (`*`)", hint);
                }
                b'!' => {
                    self.word();
                    let hint = "remove it; put a text that begins with `!` in quotes";
                    found.refuse(true, start, self.at, "a tag (`!`)", hint);
                }
                b'|' | b'>' if self.flow == 0 => self.block(found),
                b'\'' | b'"' => self.quoted(),
                _ => self.plain(found),
            }
        }
    }

    fn roll(&mut self, column: usize) {
        if self.indents.last().is_none_or(|indent| *indent < column) {
            self.indents.push(column);
        }
    }

    fn document_marker(&mut self, found: &mut Look) {
        let hint = "a file is one document; use `include` for several parts";
        if self.peek(0) == b'-' && !self.document && self.indents.is_empty() {
            self.document = true;
        } else if self.peek(0) == b'-' {
            found.refuse(true, self.at, self.at + 3, "a second YAML document", hint);
        } else {
            // `...` may end the document, but nothing may follow.
            self.document = true;
        }
        self.indents.clear();
        self.flow = 0;
        self.key = None;
        self.at += 3;
    }

    /// Over spaces, comments and line breaks, to the next token.
    fn space(&mut self, found: &mut Look) {
        loop {
            let start = self.at;
            while !self.end() && matches!(self.peek(0), b' ' | b'\t') {
                self.at += 1;
            }
            if self.end() {
                return;
            }
            let fresh = self.at == self.line || self.text[self.at - 1] == b' ' || self.text[self.at - 1] == b'\t';
            match self.peek(0) {
                b'#' if fresh => self.skip_line(),
                b'\n' => self.newline(),
                b'\r' => self.at += 1,
                _ => {
                    if start == self.line && self.text[start..self.at].contains(&b'\t') {
                        let hint = "indent with spaces";
                        found.refuse(true, start, self.at, "a tab in the indentation", hint);
                    }
                    return;
                }
            }
        }
    }

    fn newline(&mut self) {
        self.at += 1;
        self.line = self.at;
    }

    fn skip_line(&mut self) {
        while !self.end() && self.peek(0) != b'\n' {
            self.at += 1;
        }
    }

    /// Over one anchor, alias or tag.
    fn word(&mut self) {
        self.at += 1;
        while !(self.end() || self.blank(0) || self.flow > 0 && matches!(self.peek(0), b',' | b']' | b'}')) {
            self.at += 1;
        }
    }

    fn quoted(&mut self) {
        let quote = self.peek(0);
        let begin = Candidate { column: self.column(), line: self.line };
        self.at += 1;
        while !self.end() {
            match self.peek(0) {
                b'\\' if quote == b'"' => {
                    self.at += 1;
                    if self.peek(0) == b'\n' && !self.end() {
                        self.newline();
                    } else {
                        self.at += 1;
                    }
                }
                b'\n' => self.newline(),
                byte if byte == quote => {
                    if quote == b'\'' && self.peek(1) == b'\'' {
                        self.at += 2;
                    } else {
                        self.at += 1;
                        self.key = Some(begin);
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.text.len());
    }

    fn plain(&mut self, found: &mut Look) {
        let start = self.at;
        let begin = Candidate { column: self.column(), line: self.line };
        let indent = self.indents.last().map_or(0, |indent| indent + 1);
        let mut end;
        let mut lines = 1;
        loop {
            // One line of the scalar.
            end = self.at;
            while !self.end() {
                match self.peek(0) {
                    b'\n' | b'\r' => break,
                    b' ' | b'\t' => {
                        self.at += 1;
                        continue;
                    }
                    b'#' if self.at > self.line && matches!(self.text[self.at - 1], b' ' | b'\t') => break,
                    b':' if self.blank(1) => break,
                    b':' if self.flow > 0 && matches!(self.peek(1), b',' | b'[' | b']' | b'{' | b'}') => break,
                    b',' | b'[' | b']' | b'{' | b'}' if self.flow > 0 => break,
                    _ => self.at += 1,
                }
                end = self.at;
            }
            let ended = self.end() || !matches!(self.peek(0), b'\n' | b'\r');
            if ended {
                break;
            }
            // Does it go on in the next line that is not blank?
            let (at, line) = (self.at, self.line);
            let mut tab = false;
            while !self.end() && matches!(self.peek(0), b'\n' | b'\r' | b' ' | b'\t') {
                match self.peek(0) {
                    b'\n' => {
                        self.newline();
                        tab = false;
                    }
                    other => {
                        tab |= other == b'\t' && self.column() < indent;
                        self.at += 1;
                    }
                }
            }
            let goes_on = !self.end()
                && !tab
                && self.peek(0) != b'#'
                && !self.marker()
                && (self.flow > 0 || self.column() >= indent)
                && !(self.peek(0) == b':' && self.blank(1))
                && !(self.flow > 0 && matches!(self.peek(0), b',' | b'[' | b']' | b'{' | b'}'));
            if !goes_on {
                (self.at, self.line) = (at, line);
                break;
            }
            lines += 1;
        }
        if self.at == start {
            // Nothing was consumed: an indicator that cannot begin a scalar. The parser explains it better.
            self.at += 1;
            return;
        }
        if lines == 1 {
            self.key = Some(begin);
        }
        let key = lines == 1 && !self.end() && self.peek(0) == b':';
        self.plain_word(start, end, key, found);
    }

    /// A key is a text whatever it looks like: `on: all` cannot be misread, and unknown keys are refused anyway.
    fn plain_word(&self, start: usize, end: usize, key: bool, found: &mut Look) {
        let word = &self.text[start..end];
        if word == b"<<" {
            found.refuse(true, start, end, "a merge key (`<<`)", "write the keys again, or use `defaults`");
        } else if !key
            && word.len() <= 3
            && matches!(word[0], b'y' | b'Y' | b'n' | b'N' | b'o' | b'O')
            && ["y", "n", "yes", "no", "on", "off"].iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
        {
            let shown = &self.whole[start..end];
            let hint = "write `true` or `false`, or put the word in quotes";
            found.refuse(false, start, end, format!("`{shown}` is a boolean to some YAML readers and a text to others"), hint);
        }
    }

    /// Over a block scalar: every line that is blank or indented further than its parent.
    fn block(&mut self, found: &mut Look) {
        self.at += 1;
        let mut explicit = None;
        while matches!(self.peek(0), b'+' | b'-' | b'0'..=b'9') && !self.end() {
            if self.peek(0).is_ascii_digit() {
                explicit = Some(usize::from(self.peek(0) - b'0'));
            }
            self.at += 1;
        }
        self.skip_line();
        if self.end() {
            return;
        }
        self.newline();
        let parent = self.indents.last().copied();
        let least = parent.map_or(1, |parent| parent + 1);
        let mut indent = explicit.map(|more| parent.unwrap_or(0) + more);
        while !self.end() {
            let line = self.at;
            let mut spaces = 0;
            while self.text.get(line + spaces) == Some(&b' ') && indent.is_none_or(|indent| spaces < indent) {
                spaces += 1;
            }
            match self.text.get(line + spaces) {
                None => {
                    self.at = self.text.len();
                    return;
                }
                Some(b'\n' | b'\r') => {}
                Some(b'\t') if indent.is_none() => {
                    found.refuse(true, line, line + spaces + 1, "a tab in the indentation", "indent with spaces");
                    return;
                }
                Some(_) => {
                    let wanted = *indent.get_or_insert(spaces.max(least));
                    if spaces < wanted {
                        return;
                    }
                }
            }
            self.at = line + spaces;
            self.skip_line();
            if !self.end() {
                self.newline();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<(usize, String)> {
        look(text).refusals.into_iter().map(|refusal| (refusal.start, refusal.message)).collect()
    }

    #[test]
    fn ordinary_shell_scripts_in_block_scalars_raise_no_alarm() {
        let text = "steps:\n  - id: a\n    with:\n      shell: |\n        set -e\n        x=$(cat <<'END'\n        yes\n        END\n        )\n        \
                    [ -f a ] && *glob* & !history %d\n\tno\n        --- \n          {{{[[[\n      other: >-\n         on\n         off\n";
        // The tab line stands left of the block's indentation; everything else must pass.
        assert_eq!(messages(&text.replace("\tno\n", "")), vec![]);
        assert_eq!(messages("run: |\n  a\n\n  yes\n# yes\nb: 'no'\nc: \"on\"\nd: [ 'y', \"n\" ]\n"), vec![]);
        assert_eq!(messages("a: b & c\nb: x*y\nc: d!e\nf: a[1]\ng: http://x:1/&*\nh: a\n  yes\n  no\n"), vec![]);
        assert_eq!(messages("--- # one document\na: 1\n...\n"), vec![]);
        assert_eq!(messages("- |\n yes\n- - >2\n     no\n- x: |1\n     on\n"), vec![]);
    }

    #[test]
    fn f99_what_a_plan_never_needs_is_refused_where_it_stands() {
        assert_eq!(messages("a: &x 1\nb: *x\n")[0], (3, "an anchor (`&`)".into()));
        assert_eq!(messages("a: &x 1\nb: *x\n")[1], (11, "an alias (`*`)".into()));
        assert_eq!(messages("a:\n  <<: {b: 1}\n")[0].0, 5);
        assert_eq!(messages("a: !!python/object x\n")[0], (3, "a tag (`!`)".into()));
        assert_eq!(messages("%YAML 1.1\n---\na: 1\n")[0].1, "a YAML directive");
        assert_eq!(messages("a: 1\n---\nb: 1\n")[0], (5, "a second YAML document".into()));
        assert_eq!(messages("a:\n\tb: 1\n")[0], (3, "a tab in the indentation".into()));
        assert_eq!(messages("? [a]\n: b\n")[0].0, 0);
        for word in ["yes", "NO", "On", "off", "y", "N"] {
            assert_eq!(messages(&format!("a: {word}\n")).len(), 1, "{word}");
            assert_eq!(messages(&format!("a: [x, {word}]\n")).len(), 1, "{word}");
            assert_eq!(messages(&format!("{word}: x\n")).len(), 0, "{word}");
            assert_eq!(messages(&format!("a: {{ {word} : x, b: [{word}: x] }}\n")).len(), 0, "{word}");
            assert_eq!(messages(&format!("- {word} # : x\n")).len(), 1, "{word}");
        }
        assert_eq!(messages("a: \u{202e}x\n")[0].0, 3);
        assert_eq!(messages("a: \u{200b}\n").len(), 1);
        assert_eq!(messages("\u{feff}a: 1\n")[0].0, 0);
        assert_eq!(messages("a: \0\n").len(), 1);
    }

    #[test]
    #[expect(clippy::format_collect, reason = "built once")]
    fn f21_f92_nesting_is_refused_before_the_parser_sees_it() {
        for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000), "[{".repeat(50_000)] {
            let found = look(&text);
            assert!(found.fatal);
            assert_eq!(found.count, 1);
        }
        let deep: String = (0..40).map(|depth| format!("{}k{depth}:\n", " ".repeat(depth))).collect();
        assert!(look(&deep).fatal);
    }
}
