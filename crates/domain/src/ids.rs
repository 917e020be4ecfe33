//! Identifiers. Documents and chunks are UUIDv5, so that repeating a step changes nothing; jobs are UUIDv7.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace of every UUIDv5: that of the replaced system (DESIGN §3), so that the ids of both are equal.
pub const ID_NAMESPACE: Uuid = Uuid::from_u128(0x6c8a1e6e_1f0b_4aa8_9f0a_1a7c2e6f2b42);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A person or program that owns documents: the `sub` of its token.
    UserId
);
id!(
    /// A document of a user. Its id is made of the content that it began with; another version may have taken that one's place.
    DocumentId
);
id!(
    /// A job: one attempt to bring a document to `complete`, retries included.
    JobId
);
id!(
    /// A chunk of a document's text.
    ChunkId
);
id!(
    /// One upload: the last part of the object's key. Unguessable enough to be part of a key, never a secret.
    UploadId
);
id!(
    /// A worker process; each start has a new id.
    WorkerId
);

id!(
    /// A question whose hits a user has judged.
    QuestionId
);
id!(
    /// What a user said of a place in a document: whether it answers a question.
    JudgementId
);

impl QuestionId {
    /// The id of `user`'s question.
    pub fn of(user: UserId, question: &str) -> Self {
        Self(Uuid::new_v5(&ID_NAMESPACE, format!("question:{user}:{question}").as_bytes()))
    }
}

impl JudgementId {
    /// The id of the judgement of a place: a page, words of the text, or both.
    pub fn of(question: QuestionId, document: DocumentId, page: Option<i32>, text: Option<&str>) -> Self {
        let (page, text) = (page.unwrap_or(0), text.unwrap_or_default());
        Self(Uuid::new_v5(&ID_NAMESPACE, format!("{question}:{document}:{page}:{text}").as_bytes()))
    }
}

impl DocumentId {
    /// The id of `user`'s document whose bytes have this SHA-256 (64 lower-case hex digits).
    pub fn of(user: UserId, file_sha256: &str) -> Self {
        Self(Uuid::new_v5(&ID_NAMESPACE, format!("{user}:{file_sha256}").as_bytes()))
    }
}

impl ChunkId {
    /// The id of chunk number `ordinal` of the document's version `version_no`, as cut by one version of one chunker. The ids of
    /// the first version are those of the replaced system.
    pub fn of(document: DocumentId, version_no: i32, chunker: &str, version: &str, ordinal: i32) -> Self {
        let name = match version_no {
            1 => format!("{document}:{chunker}:{version}:{ordinal}"),
            _ => format!("{document}:v{version_no}:{chunker}:{version}:{ordinal}"),
        };
        Self(Uuid::new_v5(&ID_NAMESPACE, name.as_bytes()))
    }
}

macro_rules! generated {
    ($($name:ident),+) => {$(
        impl $name {
            /// A new id; those of one kind sort by time of creation.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }
    )+};
}

generated!(DocumentId, JobId, UploadId, WorkerId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chunks_of_the_first_version_keep_the_ids_that_other_programs_make() {
        let document = DocumentId(Uuid::nil());
        let theirs = Uuid::new_v5(&ID_NAMESPACE, format!("{document}:markdown:1:7").as_bytes());
        assert_eq!(ChunkId::of(document, 1, "markdown", "1", 7).0, theirs);
        assert_ne!(ChunkId::of(document, 2, "markdown", "1", 7), ChunkId::of(document, 3, "markdown", "1", 7));
        assert_ne!(ChunkId::of(document, 2, "markdown", "1", 7).0, theirs);
    }
}
