//! Names of accounts: `DOMAIN\user`, `user@realm`, or a local `user`.

use std::fmt;

use super::AuthError;

/// A name that was read and is in one of the three forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account(sspi::Username);

impl Account {
    /// Reads a name. A name with both a backslash and an `@` is `DOMAIN\user`, whose user may contain the `@`.
    ///
    /// # Errors
    /// A part is missing, or the form is mixed.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        let refused = || AuthError::Account(text.to_owned());
        let empty_part = match (text.split_once('\\'), text.rsplit_once('@')) {
            (Some((domain, user)), _) => domain.is_empty() || user.is_empty(),
            (None, Some((user, realm))) => user.is_empty() || realm.is_empty(),
            (None, None) => text.is_empty(),
        };
        if empty_part || text.chars().any(char::is_control) {
            return Err(refused());
        }
        sspi::Username::parse(text).map(Account).map_err(|_| refused())
    }

    /// The name for the mechanisms.
    pub(super) fn username(&self) -> &sspi::Username {
        &self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_a_name_are_read_and_printed_as_written() {
        for name in ["LAB\\admin", "admin@lab.local", "admin", "MicrosoftAccount\\a@b.example"] {
            assert_eq!(Account::parse(name).map(|account| account.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn a_name_with_a_missing_part_is_refused() {
        for name in ["", "\\admin", "LAB\\", "@lab", "admin@", "LAB\\a\\b", "a\nb"] {
            assert_eq!(Account::parse(name), Err(AuthError::Account(name.to_owned())), "{name:?}");
        }
    }
}
