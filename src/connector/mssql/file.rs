//! Whether a file is there, as the host sees it.

use super::path::FilePath;
use super::sql::Sql;
use crate::connector::powershell::answer::Answer;
use crate::connector::powershell::values;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;

/// How PowerShell says that there is nothing of that name.
const NOT_THERE: &str = "PathNotFound,Microsoft.PowerShell.Commands.GetChildItemCommand";

/// The command that looks.
#[must_use]
pub fn command(path: &FilePath) -> Command {
    Command::new("Get-ChildItem").parameter("LiteralPath", path.as_str()).switch("Force")
}

/// Why there is no size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSize {
    /// It is a folder, and so will it be tomorrow.
    Folder(String),
    /// It cannot be told.
    Unknown(String),
}

impl NoSize {
    /// For people.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            NoSize::Folder(why) | NoSize::Unknown(why) => why,
        }
    }
}

impl From<String> for NoSize {
    fn from(why: String) -> Self {
        NoSize::Unknown(why)
    }
}

/// Its size in bytes; `None` if it is not there.
///
/// # Errors
/// It cannot be told.
pub async fn size(sql: &mut Sql, path: &FilePath) -> Result<Option<i64>, NoSize> {
    let answer = sql.run(command(path)).await.map_err(|lost| lost.reason)?;
    meaning(path, answer)
}

fn meaning(path: &FilePath, answer: Answer) -> Result<Option<i64>, NoSize> {
    let absent = |id: &str| id.eq_ignore_ascii_case(NOT_THERE);
    if let ([only], None, true) = (answer.errors.as_slice(), &answer.terminating, answer.objects.is_empty())
        && absent(&only.id)
        && answer.more == 0
    {
        return Ok(None);
    }
    let objects = answer.read()?;
    // A folder is listed by what lies in it, and an empty one by nothing at all.
    let inside = |object: &Value| values::text(object, "FullName").is_ok_and(|full| path.holds(&full));
    if objects.iter().all(inside) {
        let why = format!("`{0}` is a folder; name a file in it, such as `{0}\\database.bak`", path.as_str());
        return Err(NoSize::Folder(why));
    }
    let [object] = objects.as_slice() else {
        return Err(format!("`{}` is not one file: {} objects were found", path.as_str(), objects.len()).into());
    };
    if object.as_object().is_none_or(|object| !object.is("System.IO.FileInfo")) || !path.is(&values::text(object, "FullName")?) {
        return Err(format!("`{}` is there, and it is no file", path.as_str()).into());
    }
    Ok(Some(values::number(object, "Length")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::powershell::answer::Complaint;
    use crate::remoting::psrp::PipelineState;

    fn answer(objects: Vec<Value>, error: Option<&str>) -> Answer {
        let complaint = |id: &str| Complaint { message: "no".to_owned(), id: id.to_owned(), position: None };
        let errors = error.map(complaint).into_iter().collect();
        Answer { objects, errors, state: Some(PipelineState::Completed), ..Answer::of("Get-ChildItem") }
    }

    #[test]
    fn only_the_error_for_a_missing_path_says_that_it_is_missing() {
        let path = FilePath::parse("D:\\a.bak").unwrap_or_else(|why| panic!("{why}"));
        let file =
            |name: &str, kind: &str| Value::typed(&[kind], None, [("FullName", Value::from(name)), ("Length", Value::I64(7))]);
        assert_eq!(meaning(&path, answer(Vec::new(), Some(NOT_THERE))), Ok(None));
        assert_eq!(meaning(&path, answer(vec![file("d:\\A.BAK", "Deserialized.System.IO.FileInfo")], None)), Ok(Some(7)));
        let denied = "DirUnauthorizedAccessError,Microsoft.PowerShell.Commands.GetChildItemCommand";
        assert!(meaning(&path, answer(Vec::new(), Some(denied))).is_err());
        assert!(meaning(&path, answer(vec![file("D:\\a.bak", "System.IO.DirectoryInfo")], None)).is_err());
        for listed in [Vec::new(), vec![file("D:\\A.bak\\x", "System.IO.FileInfo"), file("d:\\a.bak\\y", "System.IO.FileInfo")]] {
            let said = meaning(&path, answer(listed, None)).unwrap_err();
            assert_eq!(said.why(), "`D:\\a.bak` is a folder; name a file in it, such as `D:\\a.bak\\database.bak`");
        }
        assert!(meaning(&path, answer(vec![file("D:\\b.bak", "System.IO.FileInfo")], None)).is_err());
    }
}
