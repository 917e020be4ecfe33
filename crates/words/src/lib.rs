//! Words as search knows them: cuts text into terms, and makes the rows of the index on words.
//!
//! A document's words and a question's words go through the same rules, so this crate is where they are the same.
//!
//! *Must not know:* the database, rankings, documents beyond their text.

mod fold;
mod index;
mod language;
mod query;
mod snippet;
mod tokens;

pub use index::{BLOCK, Passage, WordIndex, decode_entry, index};
pub use language::{Language, detect};
pub use query::{Question, Wanted};
pub use snippet::{Highlighter, excerpt};
pub use tokens::{Token, tokens};

/// The version of the rules; rows of the index made by another version are made again. Raise it when a text would give
/// other terms.
pub const VERSION: i16 = 1;

/// The number of a term in the index: FNV-1a of 64 bits, folded to 32. In a million different terms, a question's word
/// meets another with the same number in one of 4,000 cases.
#[expect(clippy::cast_possible_truncation, reason = "the lower half of the hash is wanted")]
pub fn term(word: &str) -> i32 {
    let hash = word
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let folded = (hash >> 32) as u32 ^ hash as u32;
    i32::from_ne_bytes(folded.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers stand in databases.
    #[test]
    fn terms_keep_their_numbers() {
        assert_eq!((term("lamp"), term("保险")), (-1_811_798_826, 1_311_643_387));
    }
}
