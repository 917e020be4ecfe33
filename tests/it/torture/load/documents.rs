//! Small unique documents, of kinds that end in different ways.

use sha2::{Digest, Sha256};

const WORDS: [&str; 24] = [
    "cover",
    "claim",
    "policy",
    "water",
    "storm",
    "roof",
    "cellar",
    "window",
    "excess",
    "premium",
    "tenant",
    "damage",
    "repair",
    "invoice",
    "bicycle",
    "garden",
    "theft",
    "keys",
    "lift",
    "heating",
    "notice",
    "month",
    "household",
    "fire",
];

/// How a document is uploaded, or what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Uploaded as text.
    Text,
    /// Announced, then sent to the signed URL.
    Announced,
    /// White space only.
    Blank,
    /// Text that calls itself a PDF.
    WrongType,
}

impl Kind {
    /// `complete`, or the code with which the job must fail.
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Text | Self::Announced => "complete",
            Self::Blank => "text_empty",
            Self::WrongType => "type_mismatch",
        }
    }
}

/// A file to upload.
#[derive(Debug)]
pub struct Document {
    pub kind: Kind,
    pub name: String,
    pub mime: &'static str,
    pub bytes: Vec<u8>,
}

impl Document {
    /// A document of a random kind; `tag` makes it unique.
    pub fn make(rng: &mut fastrand::Rng, tag: &str) -> Self {
        let kind = match rng.u32(..100) {
            0..4 => Kind::Blank,
            4..8 => Kind::WrongType,
            8..20 => Kind::Announced,
            _ => Kind::Text,
        };
        let (name, mime) = match kind {
            Kind::WrongType => (format!("{tag}.pdf"), "application/pdf"),
            _ => (format!("{tag}.md"), "text/markdown"),
        };
        let bytes = match kind {
            Kind::Blank => blank(tag),
            _ => markdown(rng, tag),
        };
        Self { kind, name, mime, bytes }
    }

    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One to three sections of one chunk each.
pub fn markdown(rng: &mut fastrand::Rng, tag: &str) -> Vec<u8> {
    let mut text = String::new();
    for section in 1..=rng.u32(1..=3) {
        let words: Vec<&str> = (0..rng.usize(60..150)).map(|_| WORDS[rng.usize(..WORDS.len())]).collect();
        text.push_str(&format!("# Section {section} of {tag}\n\n{}.\n\n", words.join(" ")));
    }
    text.into_bytes()
}

/// White space: the bits of `tag` as spaces and tabs.
fn blank(tag: &str) -> Vec<u8> {
    tag.bytes().flat_map(|byte| (0..8).map(move |bit| if byte >> bit & 1 == 1 { b'\t' } else { b' ' })).collect()
}
