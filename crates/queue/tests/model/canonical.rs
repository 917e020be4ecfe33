//! The hash of a world. The checker treats worlds with equal hashes as one, so the hash leaves out what cannot make a
//! difference: which process is called A, how far all epochs were raised, and claims that can never write again. The worlds
//! themselves keep all of it, for readable traces.

use std::hash::{Hash, Hasher};

use crate::state::{Claim, PROCESSES, Phase, Row, WorkerId, World};

impl<const JOBS: usize> Hash for World<JOBS> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Code::of(self, [0, 1]).min(Code::of(self, [1, 0])).hash(state);
    }
}

/// A world as bytes, with its processes in a given order.
struct Code<'a, const JOBS: usize> {
    world: &'a World<JOBS>,
    order: [usize; PROCESSES],
    bytes: Vec<u8>,
}

impl<const JOBS: usize> Code<'_, JOBS> {
    fn of(world: &World<JOBS>, order: [usize; PROCESSES]) -> Vec<u8> {
        let mut code = Code { world, order, bytes: Vec::with_capacity(96) };
        let left = world.left;
        code.bytes.extend([left.kills, left.cuts, left.failures]);
        code.bytes.extend([left.hand_backs, left.cancels, left.redrives]);
        code.bytes.extend(world.history.broken.to_le_bytes());
        code.bytes.extend(world.history.completions);
        for job in 0..JOBS {
            code.push_row(job, &world.rows[job]);
            match world.history.handed_back[job] {
                Some(claim) if !code.is_over(job, claim) => code.push_claim(job, claim),
                _ => code.bytes.push(u8::MAX),
            }
        }
        for process in order {
            code.push_process(process);
        }
        code.push_late();
        code.bytes
    }

    /// Whether the claim can never write again, since its epoch is older than the row's.
    fn is_over(&self, job: usize, claim: Claim) -> bool {
        self.world.history.epoch_counts && claim.epoch < self.world.rows[job].epoch
    }

    /// The epoch relative to the row's, so that raising all epochs of a job by the same number makes no difference.
    fn epoch(&self, job: usize, epoch: u8) -> u8 {
        epoch.wrapping_sub(self.world.rows[job].epoch)
    }

    fn name(&self, worker: WorkerId) -> u8 {
        let alive = self.order.iter().position(|by| self.world.processes[*by].id == worker);
        alive.map_or(worker.0 + 100, |place| place as u8)
    }

    fn push_row(&mut self, job: usize, row: &Row) {
        let owner = row.owner.map_or(u8::MAX, |owner| self.name(owner));
        self.bytes.extend([row.state as u8, row.status, owner, self.epoch(job, row.epoch), row.crashes]);
    }

    fn push_claim(&mut self, job: usize, claim: Claim) {
        self.bytes.extend([self.name(claim.worker), self.epoch(job, claim.epoch)]);
    }

    fn push_process(&mut self, by: usize) {
        let world = self.world;
        self.bytes.push(world.processes[by].runs.len() as u8);
        for run in &world.processes[by].runs {
            let job = usize::from(run.job);
            let (kind, write) = match run.phase {
                Phase::Working => (1, None),
                Phase::Sent(write) => (2, Some(write)),
                Phase::Unsure(write) => (3, Some(write)),
            };
            self.bytes.extend([run.job, kind]);
            if self.is_over(job, run.claim) {
                self.bytes.push(u8::MAX);
            } else {
                self.push_claim(job, run.claim);
                self.bytes.extend([run.status, write.map_or(u8::MAX, |write| write.code())]);
            }
        }
    }

    fn push_late(&mut self) {
        let world = self.world;
        let mut codes: Vec<[u8; 4]> = world
            .late
            .iter()
            .filter(|late| !self.is_over(usize::from(late.job), late.claim))
            .map(|late| {
                let epoch = self.epoch(usize::from(late.job), late.claim.epoch);
                [late.job, self.name(late.claim.worker), epoch, late.write.code()]
            })
            .collect();
        codes.sort_unstable();
        self.bytes.extend(codes.into_flattened());
    }
}
