//! Files within the document whose content the page shows (`altChunk`).

use domain::document::Block;

use super::{MAX_EMBEDDED, Reader, read_embedded};
use markup::{html, text};
use reading::{fault::Fault, xml::Node};

impl Reader<'_, '_> {
    /// The blocks of an embedded file: HTML, text or another Word document. Other kinds are counted.
    pub(super) fn alternative_chunk(&mut self, chunk: Node<'_>) -> Result<Vec<Block>, Fault> {
        let Some(link) = chunk.attr("id").and_then(|id| self.link(&id)).filter(|link| !link.external) else {
            return Ok(Vec::new());
        };
        let Some(bytes) = self.package.bytes(&link.target)? else { return Ok(Vec::new()) };
        if bytes.starts_with(b"PK\x03\x04") {
            if self.embedded < MAX_EMBEDDED
                && let Ok(document) = read_embedded(&bytes, self.embedded + 1)
            {
                return Ok(document.blocks);
            }
        } else if !bytes.starts_with(b"{\\rtf")
            && let Some(text) = text::decode(&bytes, None, true)
        {
            if link.target.to_lowercase().ends_with(".txt") {
                return Ok(text.split("\n\n").map(Block::paragraph).collect());
            }
            return Ok(html::document(&text).blocks);
        }
        self.attachments += 1;
        Ok(Vec::new())
    }
}
