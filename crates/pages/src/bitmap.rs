//! Pictures as rows of pixels, from the top left.

/// What a pixel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// One byte, from black to white.
    Grey,
    /// Three bytes: red, green, blue.
    Rgb,
}

impl Colours {
    /// Bytes a pixel.
    pub fn bytes(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// A picture. `pixels` has `width * height` of them, without gaps between the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// What each pixel holds.
    pub colours: Colours,
    /// Pixels per inch.
    pub dpi: u32,
    /// The pixels, row by row.
    pub pixels: Vec<u8>,
}

/// The headers of a BMP file and its palette, in bytes.
const BMP_HEAD_BYTES: u32 = 14 + 40 + 4 * 256;

impl Bitmap {
    /// The picture after `turn` quarter turns anticlockwise: text that lay turned clockwise by so many is upright in it.
    pub fn turned_back(&self, turn: u8) -> Self {
        let (columns, rows) = (self.width as usize, self.height as usize);
        let pixel = |column: usize, row: usize| {
            let at = (row * columns + column) * self.colours.bytes();
            &self.pixels[at..at + self.colours.bytes()]
        };
        let (width, height) = if turn % 2 == 1 { (self.height, self.width) } else { (self.width, self.height) };
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for row in 0..height as usize {
            for column in 0..width as usize {
                pixels.extend_from_slice(match turn % 4 {
                    0 => pixel(column, row),
                    1 => pixel(columns - 1 - row, column),
                    2 => pixel(columns - 1 - column, rows - 1 - row),
                    _ => pixel(row, rows - 1 - column),
                });
            }
        }
        Self { width, height, colours: self.colours, dpi: self.dpi, pixels }
    }

    /// The pixels in grey, a byte each.
    pub fn to_grey(&self) -> Vec<u8> {
        match self.colours {
            Colours::Grey => self.pixels.clone(),
            Colours::Rgb => self.pixels.chunks_exact(3).map(|rgb| grey([rgb[0], rgb[1], rgb[2]])).collect(),
        }
    }

    /// A BMP file with the picture in grey: every program reads it, and it says its pixels per inch.
    pub fn to_bmp(&self) -> Vec<u8> {
        let width = self.width as usize;
        let stride = width.next_multiple_of(4);
        let size = u32::try_from(stride * self.height as usize).unwrap_or(u32::MAX);
        let per_metre = self.dpi * 10_000 / 254;
        let mut bmp = Vec::with_capacity(BMP_HEAD_BYTES as usize + size as usize);
        bmp.extend(b"BM");
        for value in [BMP_HEAD_BYTES.saturating_add(size), 0, BMP_HEAD_BYTES, 40, self.width, self.height] {
            bmp.extend(value.to_le_bytes());
        }
        // One plane of eight bits a pixel.
        bmp.extend([1, 0, 8, 0]);
        for value in [0, size, per_metre, per_metre, 256, 0] {
            bmp.extend(value.to_le_bytes());
        }
        bmp.extend((0..=255).flat_map(|grey| [grey, grey, grey, 0]));
        let row_bytes = width * self.colours.bytes();
        // From the bottom up.
        for row in self.pixels.chunks_exact(row_bytes.max(1)).rev() {
            match self.colours {
                Colours::Grey => bmp.extend_from_slice(row),
                Colours::Rgb => bmp.extend(row.chunks_exact(3).map(|rgb| grey([rgb[0], rgb[1], rgb[2]]))),
            }
            bmp.resize(bmp.len() + stride - width, 0);
        }
        bmp
    }
}

/// How bright a colour looks (Rec. 601).
pub fn grey([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    u8::try_from(sum / 1000).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bmp_has_padded_rows_from_the_bottom_up() {
        let picture = Bitmap { width: 3, height: 2, colours: Colours::Grey, dpi: 254, pixels: vec![1, 2, 3, 4, 5, 6] };
        let bmp = picture.to_bmp();
        let head = BMP_HEAD_BYTES as usize;
        assert_eq!(bmp[head..], [4, 5, 6, 0, 1, 2, 3, 0]);
        assert_eq!(u32::from_le_bytes(bmp[2..6].try_into().unwrap()) as usize, bmp.len());
        assert_eq!(u32::from_le_bytes(bmp[38..42].try_into().unwrap()), 10_000);
    }

    #[test]
    fn a_picture_is_turned_back() {
        let picture = Bitmap { width: 2, height: 3, colours: Colours::Grey, dpi: 72, pixels: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(picture.turned_back(1).pixels, [2, 4, 6, 1, 3, 5]);
        assert_eq!(picture.turned_back(2).pixels, [6, 5, 4, 3, 2, 1]);
        assert_eq!(picture.turned_back(3).pixels, [5, 3, 1, 6, 4, 2]);
        assert_eq!((picture.turned_back(1).width, picture.turned_back(1).height), (3, 2));
    }

    #[test]
    fn colours_become_grey() {
        let pixels = vec![255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0];
        let picture = Bitmap { width: 4, height: 1, colours: Colours::Rgb, dpi: 72, pixels };
        assert_eq!(picture.to_bmp()[BMP_HEAD_BYTES as usize..], [255, 0, 76, 149]);
    }
}
