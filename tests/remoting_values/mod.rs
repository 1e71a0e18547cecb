//! Arbitrary values from a seed: the same seed gives the same values, everywhere.

#![allow(dead_code, reason = "each test takes what it needs")]

use relevo::remoting::clixml::{Content, Object, Property, Value};
use uuid::Uuid;

/// A generator of numbers (`SplitMix64`).
pub struct Seed(pub u64);

impl Seed {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next() % 10,
            1 => u64::MAX - self.next() % 3,
            2 => 1 << self.below(64),
            _ => self.next(),
        }
    }

    /// A text of pieces that codecs stumble over.
    pub fn text(&mut self, longest: usize) -> String {
        const PIECES: &[&str] = &[
            "a",
            "B",
            "7",
            " ",
            "\r",
            "\n",
            "\r\n",
            "\t",
            "\0",
            "\u{1b}",
            "\u{7f}",
            "\u{85}",
            "\u{9f}",
            "\u{a0}",
            "_",
            "__",
            "_x",
            "_X",
            "_x000A_",
            "_x000d_",
            "_X000D_",
            "_x005F_",
            "_x005F_x000A_",
            "x000A_",
            "_x00",
            "_xD83D_",
            "_xDE00_",
            "😀",
            "\u{10ffff}",
            "\u{10000}",
            "\u{d7ff}",
            "\u{e000}",
            "\u{fffd}",
            "\u{feff}",
            "\u{202e}",
            "\u{2028}",
            "é",
            "ß",
            "\u{4e00}",
            "<",
            ">",
            "&",
            "\"",
            "'",
            "]]>",
            "<!--",
            "&amp;",
            "&#10;",
            "$(x)",
            "`n",
            "%",
            "\\",
        ];
        let count = self.below(longest + 1);
        (0..count).map(|_| if self.one_in(8) { self.pick(&["\u{fffe}", "\u{ffff}"]) } else { self.pick(PIECES) }).collect()
    }

    pub fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let count = self.below(longest + 1);
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    /// A text that survives a codec that writes U+FFFE raw.
    fn plain_text(&mut self, longest: usize) -> String {
        self.text(longest).replace(['\u{fffe}', '\u{ffff}'], "~")
    }

    pub fn finite(&mut self) -> f64 {
        loop {
            let number = match self.below(4) {
                0 => self.pick(&[0.0, -0.0, 0.1, 1e16, 1e-7, 100.0, f64::MAX, f64::MIN_POSITIVE, 5e-324]),
                1 => f64::from(self.next().to_le_bytes()[0]),
                _ => f64::from_bits(self.next()),
            };
            if number.is_finite() {
                return number;
            }
        }
    }

    /// A value of one of the primitive types, in the form that any codec keeps.
    #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
    pub fn primitive(&mut self) -> Value {
        let number = self.number();
        match self.below(24) {
            0 => Value::Nil,
            1 => Value::Char(number as u16),
            2 => Value::Bool(number.is_multiple_of(2)),
            3 => {
                let ticks = self.below(999_999) * 10 + 1 + self.below(9);
                let zone = self.pick(&["Z", "+02:00", "-11:30", ""]);
                let (month, day) = (1 + self.below(12), 1 + self.below(28));
                Value::DateTime(format!("20{:02}-{month:02}-{day:02}T23:59:0{}.{ticks:07}{zone}", self.below(99), self.below(9)))
            }
            4 => {
                let sign = self.pick(&["", "-"]);
                let days = self.pick(&["", "1D", "99D"]);
                let hours = self.pick(&["", "2H", "3M", "2H3M"]);
                Value::Duration(format!("{sign}P{days}T{hours}{}.00000{}S", self.below(9), self.pick(&["05", "99", "11"])))
            }
            5 => Value::U8(number as u8),
            6 => Value::I8(number as i8),
            7 => Value::U16(number as u16),
            8 => Value::I16(number as i16),
            9 => Value::U32(number as u32),
            10 => Value::I32(number as i32),
            11 => Value::U64(number),
            12 => Value::I64(number.cast_signed()),
            13 => loop {
                let number = f32::from_bits(self.next() as u32);
                if number.is_finite() {
                    break Value::Single(number);
                }
            },
            14 => Value::Double(self.finite()),
            15 => Value::Decimal(format!("{}{}.{:03}", self.pick(&["", "-"]), number % 1_000_000, self.below(1000))),
            16 => Value::Bytes(self.bytes(20)),
            17 => Value::Guid(Uuid::from_u64_pair(self.next(), self.next())),
            18 => Value::Uri(self.plain_text(3)),
            19 => Value::Version(self.pick(&["2.3", "1.1.0.1", "10.0.17763", "0.0"]).to_owned()),
            20 => Value::Xml(self.plain_text(4)),
            21 => Value::ScriptBlock(self.plain_text(4)),
            _ => Value::String(self.plain_text(8)),
        }
    }

    /// Any value that can be written, to this depth at most.
    pub fn value(&mut self, depth: usize) -> Value {
        if depth <= 1 || self.one_in(3) {
            return match self.below(8) {
                0 => Value::String(self.text(8)),
                1 => Value::SecureString("AAAA".into()),
                2 => Value::Double(self.pick(&[f64::INFINITY, f64::NEG_INFINITY])),
                _ => self.primitive(),
            };
        }
        let names: [&[&str]; 4] = [&[], &["System.Object[]", "System.Array"], &["A_x000A_<T>\r\n"], &["Deserialized.X", "X"]];
        let items = |seed: &mut Seed| (0..seed.below(4)).map(|_| seed.value(depth - 1)).collect::<Vec<_>>();
        let content = match self.below(9) {
            0 => Content::List(items(self)),
            1 => Content::Enumerable(items(self)),
            2 => Content::Stack(items(self)),
            3 => Content::Queue(items(self)),
            4 | 5 => Content::Dictionary((0..self.below(4)).map(|_| (self.value(depth - 1), self.value(depth - 1))).collect()),
            6 => Content::Primitive(self.primitive()),
            _ => Content::None,
        };
        let mut object = Object {
            type_names: self.pick(&names).iter().map(|name| (*name).to_owned()).collect(),
            to_string: self.one_in(3).then(|| self.text(4)),
            content,
            adapted: self.properties(depth),
            extended: self.properties(depth),
        };
        if depth > 3 && self.one_in(5) {
            let set = Object { extended: self.properties(depth - 2), content: Content::PropertySet, ..Object::default() };
            object.extended.push(Property::new(self.text(2), set));
        }
        let object = Value::from(object);
        // The same object in two places.
        if depth > 3 && self.one_in(6) { Value::list([object.clone(), Value::Nil, object]) } else { object }
    }

    fn properties(&mut self, depth: usize) -> Vec<Property> {
        (0..self.below(3)).map(|_| Property::new(self.text(3), self.value(depth - 1))).collect()
    }

    /// A value that `psrpcore` gives back as it took it: it drops or renames type names, keeps text only of objects
    /// without content (and writes it without escapes), and its dictionaries and objects hold a name once.
    pub fn common_value(&mut self, depth: usize) -> Value {
        if depth <= 1 || self.one_in(3) {
            return self.primitive();
        }
        let items = |seed: &mut Seed| (0..seed.below(4)).map(|_| seed.common_value(depth - 1)).collect::<Vec<_>>();
        let content = match self.below(8) {
            0 => Content::List(items(self)),
            1 => Content::Enumerable(items(self)),
            2 => Content::Stack(items(self)),
            3 => Content::Queue(items(self)),
            4 => {
                let key = |seed: &mut Seed, index: usize| match seed.below(3) {
                    0 => Value::Guid(Uuid::from_u64_pair(seed.next(), seed.next())),
                    1 => Value::I64(i64::try_from(index).unwrap() - 2),
                    _ => Value::String(format!("{index}{}", seed.plain_text(3))),
                };
                Content::Dictionary((0..self.below(4)).map(|index| (key(self, index), self.common_value(depth - 1))).collect())
            }
            5 => {
                let number = i32::try_from(self.below(16)).unwrap();
                let colors = [
                    "Black",
                    "DarkBlue",
                    "DarkGreen",
                    "DarkCyan",
                    "DarkRed",
                    "DarkMagenta",
                    "DarkYellow",
                    "Gray",
                    "DarkGray",
                    "Blue",
                    "Green",
                    "Cyan",
                    "Red",
                    "Magenta",
                    "Yellow",
                    "White",
                ];
                return Value::enumeration("System.ConsoleColor", colors[usize::try_from(number).unwrap()], number);
            }
            6 => {
                let text = format!("{}{}", self.next(), self.plain_text(3));
                let extended = vec![Property::new("Note", self.common_value(depth - 1))];
                return Object { content: Content::Primitive(text.into()), extended, ..Object::default() }.into();
            }
            _ => Content::None,
        };
        if content != Content::None {
            return Object { content, ..Object::default() }.into();
        }
        let mut properties = |group: &str| -> Vec<Property> {
            (0..self.below(3))
                .map(|index| Property::new(format!("{group}{index}{}", self.plain_text(2)), self.common_value(depth - 1)))
                .collect()
        };
        let (adapted, extended) = (properties("a"), properties("e"));
        let to_string = self.one_in(2).then(|| format!("T{}", self.pick(&["", " é", "😀<&>"])));
        let type_names = if self.one_in(2) { vec!["Some.Type".to_owned(), "System.Object".to_owned()] } else { Vec::new() };
        Object { type_names, to_string, adapted, extended, content }.into()
    }
}
