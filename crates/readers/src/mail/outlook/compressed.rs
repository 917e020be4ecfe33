//! Rich text as Outlook packs it (MS-OXRTFCP).

/// What the window holds at first.
const START: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans \
SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
const WINDOW: usize = 4096;
/// The most bytes that are unpacked.
const MAX_BYTES: usize = 64 << 20;

/// The rich text; `None` if it is damaged.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let size = usize::try_from(number(4)?).ok()?.min(MAX_BYTES);
    let packed = bytes.get(16..)?;
    match number(8)? {
        // "MELA": as it is.
        0x414c_454d => Some(packed.get(..size).unwrap_or(packed).to_vec()),
        // "LZFu".
        0x7546_5a4c => Some(unpacked(packed, size)),
        _ => None,
    }
}

fn unpacked(packed: &[u8], size: usize) -> Vec<u8> {
    let mut window = [0; WINDOW];
    for (place, byte) in window.iter_mut().zip(START) {
        *place = *byte;
    }
    let (mut out, mut at) = (Vec::new(), START.len());
    let mut put = |window: &mut [u8; WINDOW], out: &mut Vec<u8>, byte: u8| {
        if let Some(place) = window.get_mut(at) {
            *place = byte;
        }
        at = (at + 1) % WINDOW;
        out.push(byte);
        at
    };
    let mut end = START.len();
    let mut bytes = packed.iter().copied();
    while out.len() < size {
        let Some(control) = bytes.next() else { break };
        for bit in 0..8 {
            let Some(byte) = bytes.next() else { return out };
            if control & (1 << bit) == 0 {
                end = put(&mut window, &mut out, byte);
                continue;
            }
            let Some(low) = bytes.next() else { return out };
            let (offset, length) = (usize::from(byte) << 4 | usize::from(low >> 4), usize::from(low & 15) + 2);
            // Points at itself: the end.
            if offset == end || out.len() >= size {
                return out;
            }
            for step in 0..length {
                let byte = window.get((offset + step) % WINDOW).copied().unwrap_or(0);
                end = put(&mut window, &mut out, byte);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specification_s_example_is_unpacked() {
        let packed = [
            0x2d, 0, 0, 0, 0x2b, 0, 0, 0, 0x4c, 0x5a, 0x46, 0x75, 0xf1, 0xc5, 0xc7, 0xa7, 0x03, 0x00, 0x0a, 0x00, 0x72,
            0x63, 0x70, 0x67, 0x31, 0x32, 0x35, 0x42, 0x32, 0x0a, 0xf3, 0x20, 0x68, 0x65, 0x6c, 0x09, 0x00, 0x20, 0x62,
            0x77, 0x05, 0xb0, 0x6c, 0x64, 0x7d, 0x0a, 0x80, 0x0f, 0xa0,
        ];
        assert_eq!(unpack(&packed).unwrap(), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        assert_eq!(unpack(&packed[..12]), None);
    }
}
