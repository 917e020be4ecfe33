//! Pictures of pages: PNG, JPEG, and TIFF with any number of pages. They are decoded here and read by OCR.

mod decode;

use super::{bitmap::Bitmap, ocr::Ocr, pdf};
use domain::{
    document::{Document, Notice},
    ports::{FileKind, ParseLimits},
};
use reading::{
    fault::Fault,
    limits::{check_output, check_pages},
    progress::tell,
};

/// Page `number`, from 1, of a picture file; `None` if it is damaged, or there is none.
pub fn picture(kind: FileKind, bytes: &[u8], number: u32) -> Option<Bitmap> {
    decode::Pictures::open(kind, bytes).ok()?.page(number.checked_sub(1)?)
}

/// Reads the pages of a picture file.
pub fn read(kind: FileKind, bytes: &[u8], limits: &ParseLimits, ocr: &mut Ocr) -> Result<Document, Fault> {
    let pictures = decode::Pictures::open(kind, bytes)?;
    let pages = check_pages(limits, pictures.count())?;
    if !ocr.is_on() {
        return Err(Fault::no_ocr(kind.description()));
    }
    let (mut texts, mut letters, mut damaged) = (Vec::new(), 0, Vec::new());
    for number in 1..=pages {
        tell(number - 1, pages)?;
        let picture = pictures.page(number - 1);
        let is_damaged = picture.is_none();
        let text = ocr.read(number, pages, || picture)?;
        match text {
            Some(text) => {
                letters += text.letters();
                texts.push(pdf::parts_of_picture(&text, number));
            }
            None => {
                texts.push(Vec::new());
                if is_damaged { damaged.push(number) } else { ocr.fail(number) }
            }
        }
        check_output(limits, letters)?;
    }
    if damaged.len() * 2 > pages as usize {
        return Err(Fault::Corrupt);
    }
    if letters == 0 {
        return Err(ocr.nothing(pages));
    }
    let mut notices: Vec<Notice> = ocr.notices().collect();
    if !damaged.is_empty() {
        let count = u32::try_from(damaged.len()).unwrap_or(u32::MAX);
        damaged.truncate(Notice::LISTED_PAGES);
        notices.push(Notice::FailedPages { pages: damaged, count });
    }
    Ok(Document { blocks: pdf::blocks_of_pictures(texts), pages, notices, ..Document::default() })
}
