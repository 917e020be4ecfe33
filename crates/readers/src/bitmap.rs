//! Pictures as rows of pixels, from the top left.

/// What a pixel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    /// One byte, from black to white.
    Grey,
    /// Three bytes: red, green, blue.
    Rgb,
}

impl Colours {
    /// Bytes a pixel.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// A picture. `pixels` has `width * height` of them, without gaps between the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bitmap {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) colours: Colours,
    /// Pixels per inch; 0 if it is not known.
    pub(super) dpi: u32,
    pub(super) pixels: Vec<u8>,
}
