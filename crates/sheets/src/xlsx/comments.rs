//! Comments on cells: notes, and threads of comments.

use std::{collections::HashMap, io::BufRead};

use super::strings::unescaped;
use crate::{Comment, cell_at};
use reading::fault::Fault;
use reading::package::{Xml, attribute, walk};

/// The names of those who comment, by their ids.
pub(super) fn persons(part: impl BufRead, persons: &mut HashMap<String, String>) -> Result<(), Fault> {
    walk(part, |piece| {
        if let Xml::Start("person", element) = piece {
            let (id, name) = (attribute(element, "id"), attribute(element, "displayName"));
            persons.extend(id.zip(name));
        }
        Ok(())
    })
}

/// Adds the notes of a sheet. A note that only says that there is a thread is left out.
pub(super) fn notes(part: impl BufRead, out: &mut Vec<Comment>) -> Result<(), Fault> {
    let mut authors: Vec<String> = Vec::new();
    let mut note: Option<Comment> = None;
    let (mut in_author, mut in_text, mut readings) = (false, false, false);
    walk(part, |piece| {
        match piece {
            Xml::Start("author", _) => {
                authors.push(String::new());
                in_author = true;
            }
            Xml::End("author") => in_author = false,
            Xml::Start("comment", element) => {
                let author = attribute(element, "authorId").and_then(|id| id.parse::<usize>().ok());
                let by = author.and_then(|at| authors.get(at)).cloned().unwrap_or_default();
                let place = attribute(element, "ref").and_then(|reference| cell_at(&reference));
                note = place.map(|(row, column)| Comment { row, column, by, text: String::new() });
            }
            Xml::Start("rPh", _) => readings = true,
            Xml::End("rPh") => readings = false,
            Xml::Start("t", _) => in_text = !readings,
            Xml::End("t") => in_text = false,
            Xml::End("comment") => {
                let own = note.take().filter(|note| !note.by.starts_with("tc={") && !note.text.trim().is_empty());
                out.extend(own.map(|note| Comment { text: unescaped(&note.text), ..note }));
            }
            Xml::Text(text) if in_author => authors.last_mut().into_iter().for_each(|author| author.push_str(text)),
            Xml::Text(text) if in_text => note.iter_mut().for_each(|note| note.text.push_str(text)),
            Xml::Start(..) | Xml::End(_) | Xml::Text(_) => {}
        }
        Ok(())
    })
}

/// Adds the comments of a sheet's threads.
pub(super) fn threads(
    part: impl BufRead,
    persons: &HashMap<String, String>,
    out: &mut Vec<Comment>,
) -> Result<(), Fault> {
    let mut comment: Option<Comment> = None;
    let mut in_text = false;
    walk(part, |piece| {
        match piece {
            Xml::Start("threadedComment", element) => {
                let name = attribute(element, "personId").and_then(|id| persons.get(&id).cloned());
                let at = attribute(element, "dT").and_then(|at| Some(at.get(..16)?.replace('T', " ")));
                let by = name.into_iter().chain(at).collect::<Vec<_>>().join(", ");
                let place = attribute(element, "ref").and_then(|reference| cell_at(&reference));
                comment = place.map(|(row, column)| Comment { row, column, by, text: String::new() });
            }
            Xml::Start("text", _) => in_text = true,
            Xml::End("text") => in_text = false,
            Xml::End("threadedComment") => out.extend(comment.take().filter(|comment| !comment.text.trim().is_empty())),
            Xml::Text(text) if in_text => comment.iter_mut().for_each(|comment| comment.text.push_str(text)),
            Xml::Start(..) | Xml::End(_) | Xml::Text(_) => {}
        }
        Ok(())
    })
}
