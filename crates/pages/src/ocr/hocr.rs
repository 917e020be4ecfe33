//! hOCR, the form in which Tesseract writes lines and words with their places.

use super::{Line, Word};
use reading::xml::{Node, Tree};

/// The lines of a page; `None` if the text is no hOCR.
pub(super) fn lines(text: &str) -> Option<Vec<Line>> {
    let tree = Tree::parse(text).ok()?;
    tree.root().descendants().find(|node| node.attr("class").as_deref() == Some("ocr_page"))?;
    Some(tree.root().descendants().filter(is_line).filter_map(line).collect())
}

fn is_line(node: &Node<'_>) -> bool {
    let class = node.attr("class");
    matches!(class.as_deref(), Some("ocr_line" | "ocr_textfloat" | "ocr_header" | "ocr_caption"))
}

fn line(node: Node<'_>) -> Option<Line> {
    let title = node.attr("title")?;
    let rect = rect(&title)?;
    let words: Vec<Word> = node.descendants().filter_map(word).collect();
    let [size] = numbers(&title, "x_size").unwrap_or([rect[3] - rect[1]]);
    let [slope, offset] = numbers(&title, "baseline").unwrap_or([0.0, 0.0]);
    let turn = match numbers(&title, "textangle") {
        Some([90.0]) => 3,
        Some([180.0]) => 2,
        Some([270.0]) => 1,
        _ => turn_of(&words),
    };
    (!words.is_empty()).then_some(Line { turn, size, slope, base: -offset, words })
}

/// The direction of a line that is written as upright: upwards or downwards, if its words follow each other so.
fn turn_of(words: &[Word]) -> u8 {
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return 0 };
    let middle = |word: &Word| ((word.rect[0] + word.rect[2]) / 2.0, (word.rect[1] + word.rect[3]) / 2.0);
    let ((x, y), (next_x, next_y)) = (middle(first), middle(last));
    let (right, down) = (next_x - x, next_y - y);
    match () {
        () if down > 2.0 * right.abs() => 1,
        () if -down > 2.0 * right.abs() => 3,
        () => 0,
    }
}

fn word(node: Node<'_>) -> Option<Word> {
    (node.attr("class")? == "ocrx_word").then_some(())?;
    let title = node.attr("title")?;
    let text: String = node.text().chars().filter(|c| !c.is_control()).collect();
    let text = text.trim().to_owned();
    let [sure] = numbers(&title, "x_wconf").unwrap_or([0.0]);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 100")]
    let sure = sure.clamp(0.0, 100.0) as u8;
    let rect = rect(&title)?;
    (!text.is_empty()).then_some(Word { text, rect, sure })
}

fn rect(title: &str) -> Option<[f32; 4]> {
    numbers(title, "bbox").filter(|rect| rect[0] < rect[2] && rect[1] < rect[3])
}

/// The numbers of the property `name`.
fn numbers<const N: usize>(title: &str, name: &str) -> Option<[f32; N]> {
    let property = title.split(';').find_map(|property| property.trim().strip_prefix(name)?.strip_prefix(' '))?;
    let numbers: Vec<f32> = property.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
    <[f32; N]>::try_from(numbers).ok().filter(|numbers| numbers.iter().all(|number| number.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Vec<Line> {
        lines(&format!("<?xml version='1.0'?><html xmlns='x'><body><div class='ocr_page'>{body}</div></body></html>"))
            .unwrap()
    }

    #[test]
    fn a_line_has_its_words_with_places_and_confidence() {
        let found = read(
            "<span class='ocr_line' title='bbox 10 20 300 60; baseline -0.01 -8; x_size 30; x_descenders 6'>
               <span class='ocrx_word' title='bbox 10 22 90 60; x_wconf 96'>Rope &amp;</span>
               <span class='ocrx_word' title='bbox 100 20 300 58; x_wconf 41'><strong>net</strong></span>
               <span class='ocrx_word' title='bbox 100 20 100 58; x_wconf 41'>no width</span>
             </span>",
        );
        let [line] = &found[..] else { panic!("{found:?}") };
        assert_eq!((line.turn, line.size, line.slope, line.base), (0, 30.0, -0.01, 8.0));
        assert_eq!(line.words[0], Word { text: "Rope &".into(), rect: [10.0, 22.0, 90.0, 60.0], sure: 96 });
        assert_eq!((line.words[1].text.as_str(), line.words.len()), ("net", 2));
    }

    #[test]
    fn the_direction_is_that_of_the_words_where_it_is_not_said() {
        let line = |first: &str, second: &str, more: &str| {
            let word = |rect| format!("<span class='ocrx_word' title='bbox {rect}; x_wconf 9'>a</span>");
            let words = word(first) + &word(second);
            read(&format!("<span class='ocr_line' title='bbox 0 0 90 90{more}'>{words}</span>"))[0].turn
        };
        assert_eq!(line("0 0 9 9", "20 0 29 9", ""), 0);
        assert_eq!(line("0 0 9 9", "0 20 9 29", ""), 1);
        assert_eq!(line("0 50 9 59", "0 20 9 29", ""), 3);
        assert_eq!(line("50 0 59 9", "20 0 29 9", "; textangle 180"), 2);
    }

    #[test]
    fn what_is_no_hocr_is_refused() {
        assert_eq!(lines("<a><b></a>"), None);
    }
}
