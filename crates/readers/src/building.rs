//! What readers build blocks with: lines of styled text, lists from items, numbers in their formats.

pub(crate) mod flow;
pub(crate) mod hyphens;
pub(crate) mod line;
pub(crate) mod number;
