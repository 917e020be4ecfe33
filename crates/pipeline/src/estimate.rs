//! What a document would bring and cost, from what was read of it here.

use std::collections::HashSet;

use super::{
    buy::reckoned_tokens,
    chunk::too_many,
    parsed::has_text,
    remote::wanted_kind,
    validate::{normalise, text_empty},
};
use domain::{
    Code, Failure,
    money::Cents,
    ports::{Chunk, Chunker, Estimate, ParsedDocument},
};

/// What is bought here, and its prices.
#[derive(Debug, Clone, Default)]
pub struct EstimateRules {
    /// Whether a service computes the vectors.
    pub buys_vectors: bool,
    /// The price of a million tokens; `None`: there is none.
    pub token_price: Option<Cents>,
    /// Whether there is a remote parser.
    pub has_remote: bool,
    /// Whether it reads every document that it can.
    pub reads_all: bool,
    /// The price of a page; `None`: there is none.
    pub page_price: Option<Cents>,
    /// Whether scans that are not read here may be read by a worker's OCR.
    pub leaves_scans: bool,
    /// Passages that a document may have; 0 = no limit.
    pub max_passages: usize,
}

impl EstimateRules {
    /// The estimate for a document of which `local` was read here, with so many pages as were counted.
    ///
    /// # Errors
    ///
    /// The failure with which the document would end.
    pub fn estimate(
        &self,
        (mime, ocr): (&str, bool),
        local: Result<ParsedDocument, Failure>,
        counted_pages: u32,
        chunker: &dyn Chunker,
    ) -> Result<Estimate, Failure> {
        let is_remote = self.has_remote && wanted_kind(self.reads_all, (mime, ocr), &local).is_some();
        let (pages, remote_pages) = match &local {
            Ok(parsed) => (parsed.pages, if is_remote { parsed.billed_pages() } else { 0 }),
            Err(_) => (counted_pages, if is_remote { counted_pages.max(1) } else { 0 }),
        };
        let text = match local {
            Ok(parsed) if is_remote && !has_text(&parsed.markdown) => None,
            Ok(parsed) => Some(parsed),
            Err(failure) if is_remote || (self.leaves_scans && failure.code == Code::NoTextLayer) => {
                tracing::debug!(error.code = failure.code.as_str(), "what stands there is not known before it is read");
                None
            }
            Err(failure) => return Err(failure),
        };
        let counts = text.map(|parsed| self.count(&parsed, chunker)).transpose()?;
        let tokens = counts.map(|(_, tokens)| tokens);
        Ok(Estimate {
            pages,
            passages: counts.map(|(passages, _)| passages),
            tokens,
            remote_pages,
            parse_cost: match remote_pages {
                0 => Some(Cents::ZERO),
                pages => self.page_price.map(|price| price.times(pages.into())),
            },
            embed_cost: match self.buys_vectors {
                false => Some(Cents::ZERO),
                true => self.token_price.zip(tokens).map(|(price, tokens)| price.of_tokens(tokens)),
            },
        })
    }

    /// Passages, and the tokens of those that are bought: equal texts are bought once.
    fn count(&self, parsed: &ParsedDocument, chunker: &dyn Chunker) -> Result<(usize, i64), Failure> {
        let markdown = normalise(&parsed.markdown);
        if !has_text(&markdown) {
            return Err(text_empty());
        }
        let chunks = chunker.chunk(&markdown, &parsed.layout)?;
        if self.max_passages > 0 && chunks.len() > self.max_passages {
            return Err(too_many(chunks.len(), self.max_passages));
        }
        let mut seen = HashSet::new();
        let tokens: usize = chunks
            .iter()
            .map(|chunk| (Chunk::embed_text(&chunk.heading, &chunk.text), chunk.token_count))
            .filter(|(text, _)| seen.insert(text.clone()))
            .map(|(text, counted)| reckoned_tokens(&text, counted))
            .sum();
        Ok((chunks.len(), i64::try_from(tokens).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{layout::Layout, ports::FileKind};

    /// A chunk a line.
    struct Lines;

    impl Chunker for Lines {
        fn name(&self) -> &'static str {
            "lines"
        }

        fn version(&self) -> &'static str {
            "1"
        }

        fn chunk(&self, markdown: &str, _layout: &Layout) -> Result<Vec<Chunk>, Failure> {
            let chunk = |text: &str| Chunk {
                text: text.to_owned(),
                heading: String::new(),
                page_first: None,
                page_last: None,
                page_label: None,
                boxes: Vec::new(),
                token_count: 10,
            };
            Ok(markdown.lines().filter(|line| !line.is_empty()).map(chunk).collect())
        }
    }

    fn read(markdown: &str) -> Result<ParsedDocument, Failure> {
        let (notices, layout) = (Vec::new(), Layout::default());
        Ok(ParsedDocument { markdown: markdown.to_owned(), pages: 3, kind: FileKind::Pdf, notices, layout })
    }

    fn scan() -> Result<ParsedDocument, Failure> {
        Err(Failure::new(Code::NoTextLayer, "x"))
    }

    const PDF: (&str, bool) = ("application/pdf", false);

    fn cents(text: &str) -> Option<Cents> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn equal_texts_are_bought_once_and_what_is_computed_here_costs_nothing() {
        let here = EstimateRules::default().estimate(PDF, read("a\n\nb\n\na\n"), 0, &Lines).unwrap();
        assert_eq!((here.passages, here.tokens, here.cost()), (Some(3), Some(20), Some(Cents::ZERO)));
        let rules = EstimateRules { buys_vectors: true, token_price: cents("1000"), ..EstimateRules::default() };
        assert_eq!(rules.estimate(PDF, read("a\n\nb\n"), 0, &Lines).unwrap().cost(), cents("0.02"));
        let unpriced = EstimateRules { token_price: None, ..rules };
        assert_eq!(unpriced.estimate(PDF, read("a\n"), 0, &Lines).unwrap().cost(), None, "unknown, not nothing");
    }

    #[test]
    fn a_scan_costs_its_pages_and_what_is_not_known_yet() {
        let rules = EstimateRules { has_remote: true, page_price: cents("0.375"), ..EstimateRules::default() };
        let scanned = rules.estimate(PDF, scan(), 8, &Lines).unwrap();
        assert_eq!((scanned.passages, scanned.remote_pages, scanned.cost()), (None, 8, cents("3")));
        let bought = EstimateRules { buys_vectors: true, token_price: cents("2"), ..rules.clone() };
        let scanned = bought.estimate(PDF, scan(), 8, &Lines).unwrap();
        assert_eq!((scanned.parse_cost, scanned.embed_cost, scanned.cost()), (cents("3"), None, None));
        let all = EstimateRules { reads_all: true, ..rules };
        assert_eq!(all.estimate(PDF, read("a\n"), 0, &Lines).unwrap().cost(), cents("1.125"));
        assert_eq!(EstimateRules::default().estimate(PDF, scan(), 8, &Lines).unwrap_err().code, Code::NoTextLayer);
        let elsewhere = EstimateRules { leaves_scans: true, ..EstimateRules::default() };
        let scanned = elsewhere.estimate(PDF, scan(), 8, &Lines).unwrap();
        assert_eq!((scanned.pages, scanned.passages, scanned.cost()), (8, None, Some(Cents::ZERO)));
    }

    #[test]
    fn what_would_fail_is_told() {
        let rules = EstimateRules { max_passages: 1, ..EstimateRules::default() };
        assert_eq!(rules.estimate(PDF, read("a\n\nb\n"), 0, &Lines).unwrap_err().code, Code::PassageLimit);
        assert_eq!(rules.estimate(PDF, read("---\n"), 0, &Lines).unwrap_err().code, Code::TextEmpty);
    }
}
