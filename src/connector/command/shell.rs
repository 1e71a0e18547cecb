//! The system's shell: which one runs `shell:` texts, and how a text is quoted for a person to paste.

use crate::secret::SecretRef;

/// The program and the arguments before the script.
pub const SHELL: (&str, &[&str]) = if cfg!(windows) { ("cmd.exe", &["/D", "/S", "/C"]) } else { ("/bin/sh", &["-e", "-c"]) };

/// The script as the shell gets it.
///
/// Descriptor 9 is one more hold on the locked output file. A script's background process usually redirects all
/// three standard handles away, and only this one would still tell that it lives.
pub fn script(text: &str) -> String {
    if cfg!(windows) { text.to_owned() } else { format!("exec 9>&1; {text}") }
}

/// A text as one word of a Bourne shell.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// How a person gets at a secret in a Bourne shell, as one word.
pub fn fetched(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => format!("\"${name}\""),
        SecretRef::File(path) => format!("\"$(cat {})\"", quoted(&path.display().to_string())),
        SecretRef::Command(argv) => {
            format!("\"$({})\"", argv.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" "))
        }
        SecretRef::Prompt(question) => format!("\"$(read -rsp {} s; printf %s \"$s\")\"", quoted(&format!("{question}: "))),
    }
}

/// Where a secret comes from, in words.
pub fn told(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => format!("secret from the environment variable `{name}`"),
        SecretRef::File(path) => format!("secret from the file `{}`", path.display()),
        SecretRef::Command(argv) => format!("secret from the program `{}`", argv.first().map_or("", String::as_str)),
        SecretRef::Prompt(question) => format!("secret asked for on the terminal (`{question}`)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_only_where_a_shell_would_change_it() {
        assert_eq!(quoted("pg_dump"), "pg_dump");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("; rm -rf ~"), "'; rm -rf ~'");
        assert_eq!(quoted("it's $(x)"), r"'it'\''s $(x)'");
    }
}
