//! Lists.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, Type},
};

use super::{ChunkView, DocumentView, EventView, JobView, JudgementView, VersionView};

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<T> {
    /// Newest first, unless the route says otherwise.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_cursor: Option<String>,
}

// Without a type parameter, as `utoipa::path` wants them.
/// A page of documents.
pub type PageOfDocumentView = Page<DocumentView>;
/// A page of passages.
pub type PageOfChunkView = Page<ChunkView>;
/// A page of jobs.
pub type PageOfJobView = Page<JobView>;
/// A page of events.
pub type PageOfEventView = Page<EventView>;
/// A page of judgements.
pub type PageOfJudgementView = Page<JudgementView>;
/// A page of versions.
pub type PageOfVersionView = Page<VersionView>;

// By hand: a derived one calls the pages of all types `Page`.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let cursor = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Give it as `cursor` for the next page; absent at the end."));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("A page of a list."))
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .required("items")
            .property("next_cursor", cursor)
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("PageOf{}", T::name()))
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}
