//! Records of a binary workbook, and the values in them.

use encoding_rs::Encoding;

const CONTINUE: u16 = 0x003c;

/// A record with those that continue it.
pub(super) struct Record<'a> {
    pub(super) kind: u16,
    parts: Vec<&'a [u8]>,
}

/// The records from the beginning of `stream`. A record that is cut off ends them.
pub(super) fn records(stream: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        let (kind, part) = next(&mut rest)?;
        let mut parts = vec![part];
        loop {
            let mut after = rest;
            match next(&mut after) {
                Some((CONTINUE, part)) => parts.push(part),
                _ => break,
            }
            rest = after;
        }
        Some(Record { kind, parts })
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let [a, b, c, d, ..] = **rest else { return None };
    let end = 4 + usize::from(u16::from_le_bytes([c, d]));
    let part = rest.get(4..end)?;
    *rest = &rest[end..];
    Some((u16::from_le_bytes([a, b]), part))
}

impl<'a> Record<'a> {
    pub(super) fn data(&self) -> Data<'_> {
        Data { parts: &self.parts, at: 0 }
    }

    /// How many bytes it has, without those that continue it.
    pub(super) fn len(&self) -> usize {
        self.parts.first().map_or(0, |part| part.len())
    }

    /// What continues it.
    pub(super) fn continued(&self) -> Data<'_> {
        Data { parts: self.parts.get(1..).unwrap_or_default(), at: 0 }
    }
}

/// A place in a record.
pub(super) struct Data<'a> {
    parts: &'a [&'a [u8]],
    /// In the first part.
    at: usize,
}

impl Data<'_> {
    /// Goes on to the next part at the end of one; whether it did.
    fn turn(&mut self) -> bool {
        let mut turned = false;
        while self.parts.first().is_some_and(|part| self.at >= part.len()) {
            self.parts = &self.parts[1..];
            self.at = 0;
            turned = true;
        }
        turned
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.turn();
        let byte = self.parts.first()?.get(self.at).copied();
        self.at += 1;
        byte
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.u8()?, self.u8()?]))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes([self.u8()?, self.u8()?, self.u8()?, self.u8()?]))
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.u8()?;
        }
        Some(bytes)
    }

    pub(super) fn skip(&mut self, mut count: usize) -> &mut Self {
        while count > 0 {
            self.turn();
            let Some(part) = self.parts.first() else { break };
            let step = count.min(part.len() - self.at);
            self.at += step;
            count -= step;
        }
        self
    }

    /// A Unicode text behind its length, of two bytes if `long`.
    pub(super) fn text(&mut self, long: bool) -> Option<String> {
        let length = if long { usize::from(self.u16()?) } else { usize::from(self.u8()?) };
        let wide = self.u8()? & 1 == 1;
        Some(self.characters(length, wide))
    }

    /// A Unicode text with formats and readings behind it, which are left out.
    pub(super) fn rich_text(&mut self) -> Option<String> {
        let length = usize::from(self.u16()?);
        let flags = self.u8()?;
        let runs = if flags & 8 == 0 { 0 } else { usize::from(self.u16()?) };
        let extra = if flags & 4 == 0 { 0 } else { usize::try_from(self.u32()?).ok()? };
        let text = self.characters(length, flags & 1 == 1);
        self.skip(runs * 4).skip(extra);
        Some(text)
    }

    /// As many characters as there are of `length`. A part that continues a text begins with its width.
    pub(super) fn characters(&mut self, length: usize, mut wide: bool) -> String {
        let mut units = Vec::new();
        while units.len() < length {
            if self.turn() {
                wide = self.u8().is_some_and(|flags| flags & 1 == 1);
            }
            let unit = if wide { self.u16() } else { self.u8().map(u16::from) };
            match unit {
                Some(unit) => units.push(unit),
                None => break,
            }
        }
        String::from_utf16_lossy(&units)
    }

    /// A text of an old file behind its length, of two bytes if `long`.
    pub(super) fn bytes_text(&mut self, long: bool, encoding: &'static Encoding) -> Option<String> {
        let length = if long { usize::from(self.u16()?) } else { usize::from(self.u8()?) };
        let bytes: Vec<u8> = std::iter::from_fn(|| self.u8()).take(length).collect();
        Some(encoding.decode_without_bom_handling(&bytes).0.into_owned())
    }
}
