//! Whether a file is there, as the host sees it.

use super::path::FilePath;
use super::sql::Sql;
use crate::connector::powershell::answer::Answer;
use crate::connector::powershell::values;
use crate::remoting::psrp::Command;

/// How PowerShell says that there is nothing of that name.
const NOT_THERE: &str = "PathNotFound,Microsoft.PowerShell.Commands.GetChildItemCommand";

/// The command that looks.
#[must_use]
pub fn command(path: &FilePath) -> Command {
    Command::new("Get-ChildItem").parameter("LiteralPath", path.as_str()).switch("Force")
}

/// Its size in bytes; `None` if it is not there.
///
/// # Errors
/// It cannot be told.
pub async fn size(sql: &mut Sql, path: &FilePath) -> Result<Option<i64>, String> {
    let answer = sql.run(command(path)).await.map_err(|lost| lost.reason)?;
    meaning(path, answer)
}

fn meaning(path: &FilePath, answer: Answer) -> Result<Option<i64>, String> {
    let absent = |id: &str| id.eq_ignore_ascii_case(NOT_THERE);
    if let ([only], None, true) = (answer.errors.as_slice(), &answer.terminating, answer.objects.is_empty())
        && absent(&only.id)
        && answer.more == 0
    {
        return Ok(None);
    }
    let objects = answer.read()?;
    let [object] = objects.as_slice() else {
        return Err(format!("`{}` is not one file: {} objects were found", path.as_str(), objects.len()));
    };
    if object.as_object().is_none_or(|object| !object.is("System.IO.FileInfo")) || !path.is(&values::text(object, "FullName")?) {
        return Err(format!("`{}` is there, and it is no file", path.as_str()));
    }
    values::number(object, "Length").map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::powershell::answer::Complaint;
    use crate::remoting::clixml::Value;
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
        assert!(meaning(&path, answer(Vec::new(), None)).is_err());
        assert!(meaning(&path, answer(vec![file("D:\\a.bak", "System.IO.DirectoryInfo")], None)).is_err());
        assert!(meaning(&path, answer(vec![file("D:\\b.bak", "System.IO.FileInfo")], None)).is_err());
    }
}
