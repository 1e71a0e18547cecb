//! The report of an export or import: a page for people, whose looks are the lab's own.

use std::fmt::Write as _;

use quick_xml::escape::escape;

/// What it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// `Import-CsPersistentChatData`.
    pub title: String,
    /// Names and values: where from, where to, how many.
    pub facts: Vec<(String, String)>,
    /// What cannot be done.
    pub errors: Vec<String>,
    /// What will be other than it was.
    pub warnings: Vec<String>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

impl Report {
    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escape(self.title.as_str());
        let mut page = format!(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title></head><body>\n<h1>{title}</h1>\n<table>\n"
        );
        for (name, value) in &self.facts {
            let _ = writeln!(page, "<tr><th>{}</th><td>{}</td></tr>", escape(name.as_str()), escape(value.as_str()));
        }
        page.push_str("</table>\n");
        for (heading, class, texts) in [
            ("Errors", "error", &self.errors),
            ("Warnings", "warning", &self.warnings),
            ("Information", "information", &self.notes),
        ] {
            let _ = write!(page, "<h2>{heading}: {}</h2>\n<ul>\n", texts.len());
            for text in texts {
                let _ = writeln!(page, "<li class=\"{class}\">{}</li>", escape(text.as_str()));
            }
            page.push_str("</ul>\n");
        }
        page.push_str("</body></html>\n");
        page
    }
}
