//! What one document may take.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::fault::Fault;
use domain::ports::ParseLimits;

/// Refuses more pages than allowed.
pub fn check_pages(limits: &ParseLimits, pages: usize) -> Result<u32, Fault> {
    let actual = u32::try_from(pages).unwrap_or(u32::MAX);
    if limits.max_pages != 0 && actual > limits.max_pages {
        return Err(Fault::PageLimit { limit: limits.max_pages, actual });
    }
    Ok(actual)
}

/// Refuses more text than allowed.
pub fn check_output(limits: &ParseLimits, len: usize) -> Result<(), Fault> {
    if len as u64 > limits.output_bytes {
        return Err(Fault::OutputLimit { limit_bytes: limits.output_bytes });
    }
    Ok(())
}

/// From now on this process may take `time` more of the processor, within its limit.
pub fn limit_processor_time(time: Duration) {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec;
    // Rounded up, as the whole limit is.
    let soft = u64::try_from(used).unwrap_or(0).saturating_add(time.as_secs()).saturating_add(1);
    let hard = getrlimit(Resource::Cpu).maximum;
    let soft = hard.map_or(soft, |hard| soft.min(hard.saturating_sub(1)));
    // A refusal leaves the limit as it is.
    let _ = setrlimit(Resource::Cpu, Rlimit { current: Some(soft), maximum: hard });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_limit_of_0_is_no_limit() {
        let limits = ParseLimits { max_pages: 0, memory_bytes: 0, time: Duration::ZERO, output_bytes: 0 };
        assert_eq!(check_pages(&limits, 1_000_000), Ok(1_000_000));
        let limits = ParseLimits { max_pages: 2, ..limits };
        assert_eq!(check_pages(&limits, 3), Err(Fault::PageLimit { limit: 2, actual: 3 }));
    }
}
