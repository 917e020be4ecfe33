//! Pictures of pages that were drawn, the latest ones, within a bound of memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// All pictures together, in bytes: some 200 pages of text. A person turns pages back and forth; a list of hits shows the
/// same page more than once.
const MAX_BYTES: usize = 32 << 20;

/// The pictures, by their tags. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PictureCache(Arc<Mutex<VecDeque<(String, Bytes)>>>);

impl PictureCache {
    /// The picture with this tag.
    pub fn get(&self, tag: &str) -> Option<Bytes> {
        let pictures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pictures.iter().find(|(known, _)| known == tag).map(|(_, png)| png.clone())
    }

    /// Keeps a picture, and lets the oldest go.
    pub fn keep(&self, tag: String, png: Bytes) {
        let mut pictures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pictures.iter().any(|(known, _)| *known == tag) {
            return;
        }
        pictures.push_back((tag, png));
        while pictures.iter().map(|(_, png)| png.len()).sum::<usize>() > MAX_BYTES {
            pictures.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_pictures_go_first_and_one_that_is_too_large_is_not_kept() {
        let (cache, part) = (PictureCache::default(), |bytes| Bytes::from(vec![0; bytes]));
        for tag in ["a", "b", "c", "a"] {
            cache.keep(tag.to_owned(), part(MAX_BYTES / 2));
        }
        assert_eq!(cache.get("a"), None);
        assert_eq!((cache.get("b").is_some(), cache.get("c").is_some()), (false, true));
        cache.keep("d".to_owned(), part(MAX_BYTES + 1));
        assert_eq!(cache.get("d"), None);
    }
}
