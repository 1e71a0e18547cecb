//! How an instance of SQL Server is named: `host`, `host\INSTANCE` or `host,port`.

/// An instance, in the one form that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(String);

/// Of a host's name (RFC 1035 section 2.3.4), and of an instance's (Microsoft: "Instance configuration", 16 characters).
const HOST: usize = 255;
const NAME: usize = 16;

impl Instance {
    /// Reads a name. Scripts put it together from a host and a name that may be empty: a backslash at its end, and the name
    /// of the default instance, mean the default instance.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong =
            || format!("`{}` is no instance; write `sql01.contoso.com`, `sql01\\RTC` or `sql01,1433`", super::shown(text));
        let (host, rest) = match text.find(['\\', ',']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let named = !host.is_empty() && host.len() <= HOST && host.chars().all(fits) && !host.starts_with('-');
        if !named && host != "(local)" {
            return Err(wrong());
        }
        if let Some(port) = rest.strip_prefix(',') {
            let port: u16 = port.trim().parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
            return Ok(Instance(format!("{host},{port}")));
        }
        let name = rest.strip_prefix('\\').unwrap_or_default();
        if name.is_empty() || name.eq_ignore_ascii_case("MSSQLSERVER") {
            return Ok(Instance(host.to_owned()));
        }
        let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$'));
        if first && rest && name.len() <= NAME { Ok(Instance(format!("{host}\\{name}"))) } else { Err(wrong()) }
    }

    /// As `-ServerInstance` takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_one_form() {
        let read = |text| Instance::parse(text).map(|it| it.0).map_err(|_| ());
        assert_eq!(read("sql01.contoso.com\\RTC"), Ok("sql01.contoso.com\\RTC".to_owned()));
        for default in ["sql01", " sql01\\ ", "sql01\\MSSQLSERVER", "sql01\\mssqlserver"] {
            assert_eq!(read(default), Ok("sql01".to_owned()), "{default}");
        }
        assert_eq!(read("sql01, 1433"), Ok("sql01,1433".to_owned()));
        assert_eq!(read("(local)\\RTC"), Ok("(local)\\RTC".to_owned()));
        for wrong in ["", "\\RTC", "a b", "sql01\\A\\B", "sql01,0", "sql01,70000", "sql01\\1a", "sql01;x", "sql01\\A,1", "-x"] {
            assert_eq!(read(wrong), Err(()), "{wrong}");
        }
    }
}
