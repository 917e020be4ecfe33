//! The codes of all failures. One table, `table`, has for each code its name, place, meaning and remedy; HTTP problems,
//! failures of jobs, docs/openapi.json, docs/errors.md and the command line derive from it.

mod table;

pub use table::Code;

use std::fmt;

use super::ErrorClass;

/// The section of docs/errors.md in which a code is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Who calls the API.
    Caller,
    /// What any request to the API can do wrong.
    Request,
    /// What requests about uploads, documents, jobs and searches can do wrong.
    Resource,
    /// What is wrong with a document.
    Document,
    /// What is wrong with a worker, or with what it depends on.
    Worker,
    /// What is wrong with the database, or with the way to it.
    Database,
    /// What is wrong on the command line.
    CommandLine,
    /// What `app verify` finds.
    Verify,
    /// Codes of events that are not failures.
    Event,
}

/// The entry of one code in the table.
struct Entry {
    name: &'static str,
    group: Group,
    /// The HTTP statuses of its problems, the usual one first.
    statuses: &'static [u16],
    class: Option<ErrorClass>,
    /// Where it occurs: routes, steps, commands.
    place: &'static str,
    meaning: &'static str,
    remedy: &'static str,
    /// An example of a problem's `detail`; the text itself if nothing in it varies.
    detail: &'static str,
}

impl Code {
    /// The stable name, `snake_case`: in HTTP problems, `last_error`, `events.code`, log lines and metrics.
    pub fn as_str(self) -> &'static str {
        self.entry().name
    }

    /// The code with this name; `None` if only another build knows it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// The section of docs/errors.md in which it is listed.
    pub fn group(self) -> Group {
        self.entry().group
    }

    /// The HTTP statuses of its problems, the usual one first; empty if the API does not use it.
    pub fn statuses(self) -> &'static [u16] {
        self.entry().statuses
    }

    /// The usual HTTP status. A code that is not meant for the API is a defect on our side there: 500.
    pub fn status(self) -> u16 {
        self.statuses().first().copied().unwrap_or(500)
    }

    /// The class of its failures in the table; `None` if it is not a failure of a job or a process.
    pub fn declared_class(self) -> Option<ErrorClass> {
        self.entry().class
    }

    /// The class of its failures, from the table or else from the HTTP status.
    pub fn class(self) -> ErrorClass {
        self.declared_class().unwrap_or_else(|| match self.statuses().first() {
            Some(429) => ErrorClass::Quota,
            Some(400..=499) => ErrorClass::Document,
            Some(_) | None => ErrorClass::Transient,
        })
    }

    /// Where it occurs, for docs/errors.md.
    pub fn place(self) -> &'static str {
        self.entry().place
    }

    /// What has happened: one sentence.
    pub fn meaning(self) -> &'static str {
        self.entry().meaning.trim()
    }

    /// What to do: one sentence.
    pub fn remedy(self) -> &'static str {
        self.entry().remedy.trim()
    }

    /// What happened and what to do: what a problem says where nothing in it varies, else an example.
    pub fn detail(self) -> &'static str {
        self.entry().detail.trim()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_name_is_one_code() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let shape = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(code.as_str().chars().all(shape), "{code}");
            assert_eq!(Code::named(code.as_str()), Some(*code));
        }
        assert_eq!(Code::named("of_another_build"), None);
    }

    #[test]
    fn each_code_says_what_it_means_and_what_to_do() {
        for code in Code::ALL {
            for sentence in [code.meaning(), code.remedy(), code.detail()] {
                assert!(sentence.ends_with(['.', '!', '?']), "{code}: {sentence}");
            }
            assert!(code.statuses().iter().all(|status| (400..600).contains(status)), "{code}");
        }
    }
}
