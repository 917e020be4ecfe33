use std::io::{Cursor, Write};

use crate::tests::{LIMITS, markdown};
use reading::fault::Fault;

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), data].concat()
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn text(text: &str, long: bool) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [if long { vec![length, 0] } else { vec![length] }, vec![0], text.as_bytes().to_vec()].concat()
}

fn number(place: &[u16], value: f64) -> Vec<u8> {
    record(0x0203, &[words(place), value.to_le_bytes().to_vec()].concat())
}

/// A workbook of one sheet with these records, and its globals.
fn workbook(globals: &[Vec<u8>], sheet: &[Vec<u8>]) -> Vec<u8> {
    let begin = record(0x0809, &words(&[0x0600, 5, 0, 0]));
    let end = record(0x000a, &[]);
    let entry = |at: u32| record(0x0085, &[at.to_le_bytes().to_vec(), vec![0, 0], text("One", false)].concat());
    let before = [begin.clone(), globals.concat(), entry(0), end.clone()].concat();
    let at = u32::try_from(before.len()).unwrap();
    let stream = [begin.clone(), globals.concat(), entry(at), end.clone(), begin, sheet.concat(), end].concat();
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    file.create_stream("/Workbook").unwrap().write_all(&stream).unwrap();
    file.into_inner().into_inner()
}

#[test]
fn a_binary_workbook_reads_like_a_new_one() {
    let globals = [
        record(0x041e, &[words(&[164]), text("0.0%", true)].concat()),
        record(0x00e0, &words(&[0, 0])),
        record(0x00e0, &words(&[0, 164])),
        record(0x00e0, &words(&[0, 14])),
        // Two texts; the second goes on in another record, with wider characters.
        record(0x00fc, &[vec![0; 8], text("Boat", true), vec![4, 0, 0], b"Sh".to_vec()].concat()),
        record(0x003c, &[vec![1], words(&[0xe4, u16::from(b'e')])].concat()),
    ];
    let sheet = [
        record(0x00fd, &words(&[0, 0, 0, 0, 0])),
        record(0x00fd, &words(&[0, 1, 0, 1, 0])),
        record(0x0204, &[words(&[1, 0, 0]), text("Zwaan", true)].concat()),
        number(&[1, 1, 1], 0.125),
        number(&[2, 0, 2], 46096.0),
        // 12.34 in 30 bits, then a whole number.
        record(
            0x00bd,
            &[
                words(&[2, 1, 0]),
                (1234_u32 << 2 | 3).to_le_bytes().to_vec(),
                words(&[0]),
                (7_u32 << 2 | 2).to_le_bytes().to_vec(),
                words(&[2]),
            ]
            .concat(),
        ),
        record(0x0205, &[words(&[3, 0, 0]), vec![0x2a, 1]].concat()),
        record(0x0006, &[words(&[3, 1, 0]), vec![0, 0, 0, 0, 0, 0, 0xff, 0xff]].concat()),
        record(0x0207, &text("joined", true)),
        record(0x0208, &words(&[4, 0, 0, 0, 0, 0, 0x20, 0])),
        number(&[4, 0, 0], 99.0),
    ];
    let document = super::read(&workbook(&globals, &sheet), &LIMITS).unwrap();
    let expected = "<!-- page 1 -->\n\n## One\n\n| Boat | Shäe |  |\n| --- | --- | --- |\n| Zwaan | 12.5% |  |\n\
                    | 2026-03-15 | 12.34 | 7 |\n| #N/A | joined |  |\n";
    assert_eq!(markdown(&document), expected);
    assert_eq!(document.notices.len(), 1, "{:?}", document.notices);
}

#[test]
fn an_encrypted_workbook_says_so() {
    let bytes = workbook(&[record(0x002f, &[0; 6])], &[]);
    assert_eq!(super::read(&bytes, &LIMITS), Err(Fault::Encrypted));
}

#[test]
fn a_workbook_that_is_cut_off_ends_without_a_panic() {
    let whole = workbook(&[record(0x00fc, &[0; 8])], &[number(&[1, 1, 1], 0.125)]);
    let stream = super::stream(&whole).unwrap();
    for end in 0..stream.len() {
        let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        file.create_stream("/Book").unwrap().write_all(&stream[..end]).unwrap();
        let _ = super::read(&file.into_inner().into_inner(), &LIMITS);
    }
}
