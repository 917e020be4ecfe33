//! Chooses the vector instructions at run time, so that the build stays portable.

use pulp::{Arch, Scalar128b, Simd, WithSimd};

/// The instruction set in use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Isa(Arch);

impl Isa {
    /// The widest instruction set of this CPU: AVX-512, AVX2 with FMA, NEON, or none.
    pub fn best() -> Self {
        Self(Arch::new())
    }

    /// Every instruction set of this CPU, for tests to compare.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self(Arch::Scalar), Self::best()];
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            all.push(Self(Arch::V3(avx2)));
        }
        all
    }

    /// Runs `op` compiled for this instruction set.
    #[inline]
    pub fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        match self.0 {
            // pulp's fallback has one lane. Four are as many as SSE2 has, and the optimiser vectorises them.
            Arch::Scalar => Scalar128b.vectorize(op),
            arch => arch.dispatch(op),
        }
    }
}
