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
    /// A document: one content of one user, regardless of its file name.
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

impl DocumentId {
    /// The id of `user`'s document whose bytes have this SHA-256 (64 lower-case hex digits).
    pub fn of(user: UserId, file_sha256: &str) -> Self {
        Self(Uuid::new_v5(&ID_NAMESPACE, format!("{user}:{file_sha256}").as_bytes()))
    }
}

impl ChunkId {
    /// The id of a document's chunk number `ordinal` as cut by one version of one chunker.
    pub fn of(document: DocumentId, chunker: &str, version: &str, ordinal: i32) -> Self {
        let name = format!("{document}:{chunker}:{version}:{ordinal}");
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

generated!(JobId, UploadId, WorkerId);
