//! Who took part in Group Chat over the years: most of them still have an account, some have a disabled one, some have left.

/// What Active Directory says of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Enabled.
    Enabled,
    /// The account is disabled, and still there.
    Disabled,
    /// The account was deleted.
    Deleted,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The account's name: `zmuller`.
    pub account: String,
    /// `Zoë`.
    pub given: &'static str,
    /// `Müller`.
    pub surname: &'static str,
    /// Whether it is of any use.
    pub state: Account,
}

const GIVEN: [&str; 8] = ["Zoë", "José", "Emma", "Łukasz", "Søren", "María", "Tom", "Inês"];
const INITIALS: [char; 8] = ['z', 'j', 'e', 'l', 's', 'm', 't', 'i'];
const SURNAMES: [(&str, &str); 6] =
    [("muller", "Müller"), ("garcia", "García"), ("novak", "Novák"), ("smith", "Smith"), ("rossi", "Rossi"), ("haas", "Haas")];

/// The three whom every lab has.
const KNOWN: [(&str, &str, &str); 3] = [("aruiz", "Ana", "Ruiz"), ("bokoro", "Ben", "Okoro"), ("cconti", "Chiara", "Conti")];

/// Everybody; those first whom every lab's directory has.
#[must_use]
pub fn people() -> Vec<Person> {
    let known = KNOWN.into_iter().map(|(account, given, surname)| Person {
        account: account.to_owned(),
        given,
        surname,
        state: Account::Enabled,
    });
    known.chain(newcomers()).collect()
}

/// Those who are there because of Group Chat.
pub fn newcomers() -> impl Iterator<Item = Person> {
    SURNAMES.into_iter().flat_map(|surname| GIVEN.into_iter().zip(INITIALS).map(move |given| (given, surname))).enumerate().map(
        |(number, ((given, initial), (ascii, surname)))| {
            let state = match number {
                number if number % 11 == 7 => Account::Disabled,
                number if number % 17 == 16 => Account::Deleted,
                _ => Account::Enabled,
            };
            Person { account: format!("{initial}{ascii}"), given, surname, state }
        },
    )
}

impl Person {
    /// For people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.given, self.surname)
    }
}
