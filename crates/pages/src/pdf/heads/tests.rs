use super::*;
use crate::pdf::{geometry::Rect, lines::Paragraph, words::Bit};
use domain::document::PageBox;

fn draft(text: &str, top: f32) -> Draft {
    let rect = Rect { left: 0.0, top: 0.0, right: 1.0, bottom: 1.0 };
    let place = PageBox { page: 1, left: 0.0, top, right: 1.0, bottom: top + 0.02 };
    let bits = vec![Bit::Plain(text.to_owned())];
    let paragraph = Paragraph { bits, rect, size: 10.0, bold: false, lines: 1, marker: None };
    Draft { content: Content::Paragraph(paragraph), place, running: false }
}

#[test]
fn running_heads_stay_on_the_first_page() {
    let page =
        |n: u32| vec![draft("Annual report", 0.03), draft(&format!("p{n}"), 0.5), draft(&format!("{n} of 4"), 0.95)];
    let mut pages: Vec<Vec<Draft>> = (1..5).map(page).collect();
    keep_once(&mut pages);
    let left: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(left, [3, 1, 1, 1]);
    let mut two: Vec<Vec<Draft>> = (1..3).map(page).collect();
    keep_once(&mut two);
    assert!(two.iter().all(|page| page.len() == 3), "two pages may begin alike by chance");
}

#[test]
fn what_comes_back_now_and_then_or_belongs_to_a_table_is_no_running_head() {
    let left = |line: &dyn Fn(usize) -> Option<String>| {
        let page = |n: usize| {
            line(n).map(|text| draft(&text, 0.03)).into_iter().chain([draft(&format!("p{n}"), 0.5)]).collect()
        };
        let mut pages: Vec<Vec<Draft>> = (1..=40).map(page).collect();
        keep_once(&mut pages);
        pages.iter().map(Vec::len).sum::<usize>() - 40
    };
    assert_eq!(left(&|n| Some(format!("Harbour guide {n}"))), 1);
    assert_eq!(left(&|n| (n % 2 == 0).then(|| "Harbour guide".to_owned())), 1);
    assert_eq!(left(&|n| (n % 10 == 0).then(|| "Selected metrics".to_owned())), 4);
    assert_eq!(left(&|n| Some((n * n % 17).to_string())), 40, "figures");
    for line in ["(in millions)", "Total $ (550)", "As of December 31, 2031 2030"] {
        assert_eq!(left(&|_| Some(line.to_owned())), 40, "{line}");
    }
    assert_eq!((roman("xiv"), roman("ix"), roman("boat")), (Some(14), Some(9), None));
}

#[test]
fn a_sentence_or_measures_that_few_pages_end_with_are_text() {
    let page = |foot: &str| vec![draft("Lesson", 0.03), draft(foot, 0.95)];
    let left = |pages: usize, foot: &str| {
        let mut pages: Vec<Vec<Draft>> = (0..pages).map(|_| page(foot)).collect();
        keep_once(&mut pages);
        pages.iter().map(Vec::len).sum::<usize>()
    };
    let sentence = "Close the lower gate before you open the upper one.";
    assert_eq!(left(4, sentence), 1 + 4);
    assert_eq!(left(40, sentence), 1 + 1);
    assert_eq!(left(3, "A = 0.00 A = 0.01 A = 0.05 A = 0.10"), 1 + 3);
    assert_eq!(left(4, "All rights of this harbour guide are reserved by the office."), 1 + 4);
    assert_eq!(left(4, "© Harbour Office, all rights are reserved by it."), 1 + 1);
}

fn piece(text: &str, left: f32, base: f32) -> Piece {
    let rect = Rect { left, top: base - 8.0, right: left + 5.0 * text.len() as f32, bottom: base + 2.0 };
    let bits = vec![Bit::Plain(text.to_owned())];
    let chars = text.len();
    let (order, turn) = (0, 0);
    let [bold, fixed, right_to_left, slanted] = [false; 4];
    Piece { bits, rect, base, size: 10.0, turn, order, chars, gaps: Vec::new(), bold, fixed, right_to_left, slanted }
}

fn running(head: &[(&str, f32)], lines: usize, foot: &[(&str, f32)]) -> Vec<String> {
    let mut pieces: Vec<Piece> = head.iter().map(|(text, left)| piece(text, *left, 40.0)).collect();
    let text = "The lock keeper opens the gate at dawn and closes it at dusk.";
    pieces.extend((0..lines).map(|line| piece(text, 50.0, 100.0 + 12.0 * line as f32)));
    pieces.extend(foot.iter().map(|(text, left)| piece(text, *left, 770.0)));
    take_running(&mut pieces, (600.0, 800.0)).into_iter().flatten().map(|piece| piece.text()).collect()
}

#[test]
fn numbers_of_single_pages_are_known_by_their_form() {
    assert_eq!(running(&[], 20, &[("62", 295.0)]), ["62"]);
    assert_eq!(running(&[("400", 50.0), ("BRITISH HUSBANDRY.", 200.0)], 20, &[]), ["400", "BRITISH HUSBANDRY."]);
    assert_eq!(running(&[("Downloaded from http://example.org/", 50.0)], 20, &[]).len(), 1);
    for number in ["- 3 -", "Page 3 of 10", "Seite 3 von 10", "3 / 10", "iv"] {
        assert!(is_page_number(number), "{number}");
    }
    for other in ["2023", "Page", "3.5 m", "A 4", "1 2 3"] {
        assert!(!is_page_number(other), "{other}");
    }
}

#[test]
fn letterheads_invoices_and_addresses_are_no_running_heads() {
    assert!(running(&[("Harbour Office", 50.0)], 20, &[("Quay 7, 20457 Hamburg", 50.0)]).is_empty());
    assert!(running(&[("Invoice", 50.0), ("4711", 400.0)], 5, &[]).is_empty(), "a page without running text");
    assert!(running(&[], 20, &[("3", 50.0), ("06/12/2023, 14:12", 295.0)]).is_empty());
    assert!(running(&[], 20, &[("6.", 50.0), ("ADJOURNMENT", 80.0)]).is_empty(), "an item");
    assert!(running(&[], 20, &[("IBAN DE02 12030000", 50.0), ("3", 295.0)]).is_empty());
}
