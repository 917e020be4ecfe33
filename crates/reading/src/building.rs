//! What readers build blocks with: lines of styled text, lists from items, numbers in their formats.

pub mod flow;
pub mod hyphens;
pub mod line;
pub mod number;
