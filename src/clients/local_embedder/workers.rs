//! The encoder threads and the queue before them.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use crate::{
    domain::{Code, Failure},
    ports::EmbedPriority,
};

/// The answer to a batch: one vector a text.
pub(super) type Vectors = Result<Vec<Vec<f32>>, Failure>;

/// What a thread does with a batch. It keeps state of its own, so each thread makes one for itself.
pub(super) type Work = Box<dyn FnMut(&[String]) -> Vectors>;

/// A few texts, and who waits for their vectors.
struct Batch {
    texts: Vec<String>,
    reply: oneshot::Sender<Vectors>,
}

#[derive(Default)]
struct Queue {
    queries: VecDeque<Batch>,
    documents: VecDeque<Batch>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// A pool of threads that work through one queue, queries first. Dropping it ends them, each after the batch
/// it is at.
pub(super) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads, each of which works with what `make` gives it.
    ///
    /// # Errors
    ///
    /// The system refuses a thread.
    pub fn start(count: usize, make: impl Fn() -> Work + Clone + Send + 'static) -> std::io::Result<Self> {
        let mut workers = Self { shared: Arc::default(), threads: Vec::with_capacity(count) };
        for index in 0..count {
            let (shared, make) = (Arc::clone(&workers.shared), make.clone());
            let thread = std::thread::Builder::new().name(format!("encoder-{index}"));
            workers.threads.push(thread.spawn(move || run(&shared, &make))?);
        }
        Ok(workers)
    }

    /// Queues a batch. Whoever drops the receiver before a thread comes to it saves the work.
    pub fn submit(&self, texts: Vec<String>, priority: EmbedPriority) -> oneshot::Receiver<Vectors> {
        let (reply, receiver) = oneshot::channel();
        let batch = Batch { texts, reply };
        let mut queue = self.shared.lock();
        match priority {
            EmbedPriority::Query => queue.queries.push_back(batch),
            EmbedPriority::Document => queue.documents.push_back(batch),
        }
        drop(queue);
        self.shared.changed.notify_one();
        receiver
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A panic was answered as a failure when it happened; here there is nobody left to tell.
            drop(thread.join());
        }
    }
}

impl Shared {
    /// The lock is held only to push or pop, so a poisoned queue is still whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a batch that somebody still waits for; `None` when the pool ends.
    fn next(&self) -> Option<Batch> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            match queue.queries.pop_front().or_else(|| queue.documents.pop_front()) {
                Some(batch) if batch.reply.is_closed() => {}
                Some(batch) => return Some(batch),
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// A thread's life. A panic fails its batch only: what it left behind is thrown away and made anew.
fn run(shared: &Shared, make: &impl Fn() -> Work) {
    let mut work = None;
    while let Some(batch) = shared.next() {
        let answer = catch_unwind(AssertUnwindSafe(|| work.get_or_insert_with(make)(&batch.texts)));
        let answer = answer.unwrap_or_else(|_panic| {
            work = None;
            Err(crashed())
        });
        // Nobody there any more is fine: the work is lost, and was not wanted.
        drop(batch.reply.send(answer));
    }
}

/// What a caller gets whose thread ended under it.
pub(super) fn crashed() -> Failure {
    let message = "the local embedding model crashed on a batch; the log has the panic. Please report it.";
    Failure::new(Code::EmbedderCrashed, message)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// One thread that reports each batch's first text when it starts, then waits to be let on.
    fn gated() -> (Workers, Receiver<String>, Sender<()>) {
        let (started, starts) = channel();
        let (gate, opened) = channel();
        let opened = Arc::new(Mutex::new(opened));
        let make = move || -> Work {
            let (started, opened) = (started.clone(), Arc::clone(&opened));
            Box::new(move |texts| {
                started.send(texts[0].clone()).unwrap();
                opened.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap();
                assert_ne!(texts[0], "boom", "as the test wants");
                Ok(vec![vec![1.0]; texts.len()])
            })
        };
        (Workers::start(1, make).unwrap(), starts, gate)
    }

    fn submit(workers: &Workers, text: &str, priority: EmbedPriority) -> oneshot::Receiver<Vectors> {
        workers.submit(vec![text.to_owned()], priority)
    }

    #[tokio::test]
    async fn queries_go_first_and_cancelled_batches_not_at_all() {
        let (workers, starts, gate) = gated();
        let first = submit(&workers, "first", EmbedPriority::Document);
        assert_eq!(starts.recv().unwrap(), "first");
        drop(submit(&workers, "cancelled", EmbedPriority::Document));
        let last = submit(&workers, "last", EmbedPriority::Document);
        drop(submit(&workers, "cancelled query", EmbedPriority::Query));
        let query = submit(&workers, "query", EmbedPriority::Query);
        for _ in 0..3 {
            gate.send(()).unwrap();
        }
        for answer in [first, query, last] {
            assert_eq!(answer.await.unwrap().unwrap(), [[1.0]]);
        }
        assert_eq!(starts.try_iter().collect::<Vec<_>>(), ["query", "last"]);
    }

    #[tokio::test]
    async fn a_panic_fails_its_batch_only() {
        let (workers, _starts, gate) = gated();
        gate.send(()).unwrap();
        gate.send(()).unwrap();
        let boom = submit(&workers, "boom", EmbedPriority::Document);
        let fine = submit(&workers, "fine", EmbedPriority::Document);
        assert_eq!(boom.await.unwrap().unwrap_err().code, Code::EmbedderCrashed);
        assert_eq!(fine.await.unwrap().unwrap(), [[1.0]]);
    }

    #[tokio::test]
    async fn dropping_the_pool_ends_its_threads_after_the_batch_at_hand() {
        let (workers, starts, gate) = gated();
        let at_hand = submit(&workers, "at hand", EmbedPriority::Document);
        let waiting = submit(&workers, "waiting", EmbedPriority::Document);
        assert_eq!(starts.recv().unwrap(), "at hand");
        workers.shared.lock().closed = true;
        gate.send(()).unwrap();
        drop(workers);
        assert!(at_hand.await.unwrap().is_ok());
        // The thread held the other end: it is gone, without having started another batch.
        assert!(starts.recv().is_err());
        assert!(waiting.await.is_err());
    }
}
