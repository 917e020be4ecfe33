use super::*;
use domain::ports::ParseLimits;
use reading::render;

fn request() -> Request {
    let limits = ParseLimits { max_pages: 0, memory_bytes: 0, time: std::time::Duration::ZERO, output_bytes: 1 << 20 };
    Request {
        path: "".into(),
        mime: String::new(),
        filename: String::new(),
        pdf_library: None,
        limits,
        ocr: Default::default(),
        known_bytes: 0,
        skipped: Vec::new(),
    }
}

fn markdown(mail: &str) -> String {
    render::tidy_markdown(&read(mail.as_bytes(), &request(), 0, &mut Ocr::default()).unwrap())
}

#[test]
fn headers_and_the_plain_body_come_out() {
    let mail = "From: =?iso-8859-1?Q?J=F6rg?= <j@example.org>\r\nTo: Crew <c@example.org>, d@example.org\r\nSubject: =?utf-8?B?w5ZsPyBKYQ==?=\r\n\
                Date: Tue, 04 Mar 2031 16:20:00 +0100\r\nContent-Type: text/plain; format=flowed\r\n\r\nOne \r\nline.\r\nNext.\r\n\r\n> old\r\n> words\r\n";
    let expected = "# Öl? Ja\n\nFrom: Jörg \\<j@example.org>\nTo: Crew \\<c@example.org>, d@example.org\n\
                    Date: Tue, 04 Mar 2031 16:20:00 +0100\n\nOne line.\nNext.\n\n> old\n> words\n";
    assert_eq!(markdown(mail), expected);
}

fn alternatives(plain: &str, page: &str) -> String {
    format!(
        "From: a@example.org\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n{plain}\n\
         --b\nContent-Type: multipart/related; boundary=c\n\n--c\nContent-Type: text/html\n\n{page}\n--c\n\
         Content-Type: image/png; name=logo.png\nContent-ID: <1>\n\nx\n--c--\n--b--\n"
    )
}

#[test]
fn the_body_is_read_once_in_its_fuller_form() {
    assert!(markdown(&alternatives("Hello there.", "<p>Hello <b>there</b>.")).ends_with("\n\nHello there.\n"));
    let table = "<table><tr><th>Day<th>Who<tr><td>Mon<td>Ann</table>";
    assert!(markdown(&alternatives("Day Who Mon Ann", table)).ends_with("| Mon | Ann |\n"));
    assert!(
        markdown(&alternatives("Use a better reader.", &format!("<p>{}", "All the words. ".repeat(20))))
            .contains("All the")
    );
}

#[test]
fn attachments_are_read_or_named() {
    let mail = "From: a@example.org\nSubject: S\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nBody.\n--b\n\
                Content-Type: application/octet-stream; name=prices.csv\nContent-Disposition: attachment\n\nItem,Fee\nRope,3\n--b\n\
                Content-Type: application/pdf\nContent-Disposition: attachment; filename*=utf-8''pl%C3%A4n.pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0=\n--b\n\
                Content-Type: message/rfc822\n\nFrom: b@example.org\nSubject: Inner\n\nInner body.\n--b--\n";
    let expected = "# S\n\nFrom: a@example.org\n\nBody.\n\n## Attachment: prices.csv\n\n| Item | Fee |\n| --- | --- |\n| Rope | 3 |\n\n\
                    > Attachment: plän.pdf\n\n## Attachment: Inner\n\n### Inner\n\nFrom: b@example.org\n\nInner body.\n";
    assert_eq!(markdown(mail), expected);
    let notices = read(mail.as_bytes(), &request(), 0, &mut Ocr::default()).unwrap().notices;
    assert_eq!(notices[0].to_string(), "Left out: 1 attachment without its text.");
}

#[test]
fn attachments_in_attachments_end() {
    let mut mail = "From: a@example.org\nSubject: deepest\n\nx".to_owned();
    for depth in 0..60 {
        mail = format!(
            "From: a@example.org\nSubject: s{depth}\nContent-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\nContent-Type: message/rfc822\n\n{mail}\n--b{depth}--\n"
        );
    }
    let text = markdown(&mail);
    assert!(text.contains("s59") && !text.contains("deepest"), "{text}");
}

#[test]
fn what_outlook_saved_is_a_mail() {
    use std::io::{Cursor, Write};
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    let mut put = |path: &str, bytes: &[u8]| file.create_stream(path).unwrap().write_all(bytes).unwrap();
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    put("/__substg1.0_0037001F", &utf16("Lock key"));
    put("/__substg1.0_0C1A001F", &utf16("Ann"));
    put("/__substg1.0_5D01001F", &utf16("ann@example.org"));
    put("/__substg1.0_1000001E", b"Caf\xe9 at nine.\r\n");
    let mut properties = vec![0; 32];
    properties.extend([3, 0, 0xfd, 0x3f, 0, 0, 0, 0, 0xe4, 4, 0, 0, 0, 0, 0, 0]);
    properties.extend([0x40, 0, 0x39, 0, 0, 0, 0, 0]);
    properties.extend(116_444_736_000_000_000_u64.to_le_bytes());
    put("/__properties_version1.0", &properties);
    file.create_storage("/__attach_version1.0_#00000000").unwrap();
    let mut put = |path: &str, bytes: &[u8]| file.create_stream(path).unwrap().write_all(bytes).unwrap();
    put("/__attach_version1.0_#00000000/__substg1.0_3707001F", &utf16("note.txt"));
    put("/__attach_version1.0_#00000000/__substg1.0_37010102", b"Under the mat.");
    let document = read_outlook(&file.into_inner().into_inner(), &request(), 0, &mut Ocr::default()).unwrap();
    let expected = "# Lock key\n\nFrom: Ann \\<ann@example.org>\nDate: Thu, 01 Jan 1970 00:00:00 +0000\n\nCafé at nine.\n\n\
                    ## Attachment: note.txt\n\nUnder the mat.\n";
    assert_eq!(render::tidy_markdown(&document), expected);
    assert_eq!(read_outlook(b"\xd0\xcf\x11\xe0", &request(), 0, &mut Ocr::default()).unwrap_err(), Fault::Corrupt);
}
