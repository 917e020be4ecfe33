//! How much memory the parse of one document may take: what a container leaves beside the worker, shared among the
//! children that parse.

use std::fmt;

/// A worker without the weights of its model. `app dev`, which is API and worker, takes 152 MiB with 87 MiB of weights while it
/// takes its samples in (measured); the rest is for the texts in hand, up to `PARSE_OUTPUT_BYTES` each.
const WORKER_BYTES: u64 = 256 << 20;
/// More helps no document of the default `UPLOAD_MAX_BYTES`.
const MOST_BYTES: u64 = 2 << 30;
/// No parser starts in less.
const LEAST_BYTES: u64 = 64 << 20;

/// The memory of a container, and who shares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseMemory {
    /// The container's limit, else the machine's memory, in bytes; `None`: unknown.
    pub container_bytes: Option<u64>,
    /// The weights of the embedding model, in bytes.
    pub model_bytes: u64,
    /// Children that have their turn at a time. Those that have had it are few, and the kernel ends one of them first.
    pub children: u64,
    /// `PARSE_MEMORY_BYTES`, if it is set.
    pub asked_bytes: Option<u64>,
}

impl ParseMemory {
    /// What one child may take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.asked_bytes.unwrap_or_else(|| self.share().unwrap_or(MOST_BYTES).clamp(LEAST_BYTES, MOST_BYTES))
    }

    /// Whether the worker, its model and all children at their limit fit into the container.
    pub fn fits(&self) -> bool {
        self.share().is_none_or(|share| self.bytes() <= share)
    }

    /// What the container leaves to each child; `None`: unknown.
    pub fn share(&self) -> Option<u64> {
        let left = self.container_bytes?.saturating_sub(WORKER_BYTES + self.model_bytes);
        Some(left / self.children.max(1))
    }
}

impl fmt::Display for ParseMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        write!(f, "{} MiB for each of {} parser children", mib(self.bytes()), self.children)?;
        write!(f, ", {} MiB for the worker and its model", mib(WORKER_BYTES + self.model_bytes))?;
        match self.container_bytes {
            Some(bytes) => write!(f, ", of {} MiB in all", mib(bytes)),
            None => f.write_str("; the memory in all is unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(container_mib: u64, children: u64, asked_bytes: Option<u64>) -> ParseMemory {
        ParseMemory { container_bytes: Some(container_mib << 20), model_bytes: 90 << 20, children, asked_bytes }
    }

    #[test]
    fn children_share_what_the_worker_and_its_model_leave() {
        for (container_mib, children, expected_mib, fits) in [
            (512, 1, 166, true),
            (2048, 1, 1702, true),
            (2048, 4, 425, true),
            (65_536, 2, 2048, true),
            (256, 1, 64, false),
        ] {
            let memory = memory(container_mib, children, None);
            assert_eq!((memory.bytes() >> 20, memory.fits()), (expected_mib, fits), "{memory}");
        }
    }

    #[test]
    fn a_value_that_is_asked_for_holds_and_may_not_fit() {
        let asked = Some(1 << 30);
        assert_eq!((memory(2048, 1, asked).bytes(), memory(2048, 1, asked).fits()), (1 << 30, true));
        assert_eq!((memory(2048, 2, asked).bytes(), memory(2048, 2, asked).fits()), (1 << 30, false));
    }

    #[test]
    fn where_the_memory_is_unknown_the_default_is_the_most() {
        let memory = ParseMemory { container_bytes: None, ..memory(0, 2, None) };
        assert_eq!((memory.bytes(), memory.fits()), (2 << 30, true));
        assert!(memory.to_string().contains("2048 MiB for each of 2 parser children"), "{memory}");
    }
}
