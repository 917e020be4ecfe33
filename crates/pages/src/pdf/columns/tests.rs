use super::*;

fn line(text: &'static str, left: f32, top: f32, width: f32, order: usize) -> Item<&'static str> {
    let rect = Rect { left, top, right: left + width, bottom: top + 9.0 };
    Item {
        rect,
        base: top + 7.0,
        size: 10.0,
        order,
        chars: 40,
        right_to_left: false,
        number: false,
        opens: false,
        content: text,
    }
}

fn texts(regions: Vec<Vec<Item<&'static str>>>) -> Vec<&'static str> {
    regions.into_iter().flat_map(rows).flatten().map(|item| item.content).collect()
}

#[test]
fn columns_are_read_one_after_the_other_between_what_spans_both() {
    let mut items = vec![line("title", 50.0, 10.0, 450.0, 0)];
    for (at, (left, right)) in [("a1", "b1"), ("a2", "b2"), ("a3", "b3")].into_iter().enumerate() {
        let top = 40.0 + 12.0 * at as f32;
        items.push(line(left, 50.0, top, 200.0, 1 + 2 * at));
        items.push(line(right, 300.0, top, 200.0, 2 + 2 * at));
    }
    items.push(line("foot", 50.0, 100.0, 450.0, 9));
    assert_eq!(texts(regions(items)), ["title", "a1", "a2", "a3", "b1", "b2", "b3", "foot"]);
}

#[test]
fn text_beside_headings_level_with_it_is_a_column() {
    let mut items: Vec<_> = ["a1", "a2", "a3", "a4"].map(|text| (text, 50.0, 200.0, 40)).to_vec();
    items.extend(["b1", "b2", "b3", "b4"].map(|text| (text, 300.0, 60.0, 8)));
    let place = |(at, (text, left, width, chars)): (usize, (&'static str, f32, f32, usize))| Item {
        chars,
        ..line(text, left, 40.0 + 12.0 * (at % 4) as f32, width, at)
    };
    let items = items.into_iter().enumerate().map(place).collect();
    assert_eq!(texts(regions(items)), ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4"]);
}

#[test]
fn a_table_is_read_row_by_row() {
    let mut items = Vec::new();
    for (at, (left, right)) in [("a1", "b1"), ("a2", "b2"), ("a3", "b3"), ("a4", "b4")].into_iter().enumerate() {
        let top = 40.0 + 12.0 * at as f32;
        items.extend([line(left, 50.0, top, 60.0, 2 * at), line(right, 300.0, top, 40.0, 2 * at + 1)]);
    }
    items.iter_mut().for_each(|item| item.chars = 5);
    assert_eq!(texts(regions(items)), ["a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4"]);
}

#[test]
fn numbers_written_column_by_column_stay_beside_their_labels() {
    let column = |left: f32, top: f32, number: bool, order: usize| {
        (0..5).map(move |at| Item {
            chars: 8,
            number,
            ..line(if number { "7" } else { "label" }, left, top + 12.0 * at as f32, 50.0, order + at)
        })
    };
    let labels = || column(50.0, 40.0, false, 0);
    let table: Vec<_> = labels().chain(column(300.0, 40.0, true, 10)).chain(column(400.0, 40.0, true, 20)).collect();
    assert_eq!(regions(table).len(), 1);
    // Two tables beside each other, each with labels of its own.
    let first = labels().chain(column(120.0, 40.0, true, 10));
    let second = column(300.0, 45.0, false, 20).chain(column(400.0, 45.0, true, 30));
    assert_eq!(regions(first.chain(second).collect()).len(), 2);
}

#[test]
fn what_stands_far_below_the_shorter_column_is_read_after_both() {
    let mut items = Vec::new();
    for at in 0..4 {
        let top = 40.0 + 12.0 * at as f32;
        items.extend([line("a", 50.0, top, 200.0, at), line("b", 300.0, top, 200.0, 10 + at)]);
    }
    items.push(line("a goes on", 50.0, 88.0, 200.0, 4));
    items.push(line("banner", 50.0, 160.0, 100.0, 20));
    assert_eq!(texts(regions(items)), ["a", "a", "a", "a", "a goes on", "b", "b", "b", "b", "banner"]);
}

#[test]
fn rows_of_many_short_pieces_are_no_column() {
    let mut items = Vec::new();
    for at in 0..5 {
        let top = 40.0 + 12.0 * at as f32;
        items.extend((0..8).map(|column| line("cell", 50.0 + 50.0 * column as f32, top, 30.0, 8 * at + column)));
    }
    items.iter_mut().for_each(|item| item.chars = 8);
    assert_eq!(regions(items).len(), 1);
}

#[test]
fn long_labels_written_before_their_numbers_are_no_column_of_text() {
    let labels =
        |opens: bool| (0..5).map(move |at| Item { opens, ..line("label", 50.0, 40.0 + 12.0 * at as f32, 200.0, at) });
    let numbers =
        || (0..5).map(|at| Item { chars: 3, number: true, ..line("7", 300.0, 44.0 + 12.0 * at as f32, 15.0, 10 + at) });
    assert_eq!(regions(labels(true).chain(numbers()).collect()).len(), 1);
    assert_eq!(regions(labels(false).chain(numbers()).collect()).len(), 2, "lines of a paragraph");
}
