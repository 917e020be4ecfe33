//! Which way the text of a picture runs.

use pages::ocr::{Line, sureness};

use crate::{EngineError, strips::Strip};

/// From this confidence on, a strip was read the right way round.
const SURE: u8 = 80;

/// What the strips read so far say: letters read in each direction.
#[derive(Default)]
pub(crate) struct Directions {
    letters: [usize; 4],
}

impl Directions {
    /// Reads a strip the way in which others like it run; if that is unsure, also the other way round.
    pub(crate) fn read(
        &mut self,
        strip: &Strip,
        read: impl Fn(u8) -> Result<Option<Line>, EngineError>,
    ) -> Result<Option<Line>, EngineError> {
        let [one, other] = if strip.is_upright() { [3, 1] } else { [0, 2] };
        let (first, second) =
            if self.letters[usize::from(other)] > self.letters[usize::from(one)] { (other, one) } else { (one, other) };
        let mut best = read(first)?;
        if sure(&best) < Some(SURE) {
            let again = read(second)?;
            if sure(&again) > sure(&best) {
                best = again;
            }
        }
        if let Some(line) = best.as_ref().filter(|_| sure(&best) >= Some(SURE)) {
            self.letters[usize::from(line.turn % 4)] += line.words.iter().map(|word| word.text.len()).sum::<usize>();
        }
        Ok(best)
    }
}

fn sure(line: &Option<Line>) -> Option<u8> {
    sureness(line.as_slice())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::strips::{Marks, strips};
    use pages::ocr::Word;

    #[test]
    fn a_page_upside_down_is_read_so_after_its_first_line() {
        let pixels = (0..100 * 20).map(|at| if (8..12).contains(&(at / 100)) { 255 } else { 0 }).collect();
        let strip = strips(&Marks { width: 100, height: 20, pixels }, (1.0, 1.0))[0];
        let asked = RefCell::new(Vec::new());
        let read = |turn| {
            asked.borrow_mut().push(turn);
            let words = vec![Word { text: "heron".into(), rect: [0.0; 4], sure: if turn == 2 { 95 } else { 40 } }];
            Ok(Some(Line { turn, size: 1.0, slope: 0.0, base: 0.0, words }))
        };
        let mut directions = Directions::default();
        for _ in 0..2 {
            assert_eq!(directions.read(&strip, read).unwrap().unwrap().turn, 2);
        }
        assert_eq!(*asked.borrow(), [0, 2, 2]);
    }
}
