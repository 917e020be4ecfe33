//! The encoder threads and their queue.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use domain::{Code, Failure, ports::EmbedPriority};

/// The result of a batch: one vector for each text.
pub(super) type Vectors = Result<Vec<Vec<f32>>, Failure>;

/// The function that a thread runs on each batch. It has state, so each thread makes its own.
pub(super) type Work = Box<dyn FnMut(&[String]) -> Vectors>;

/// Texts and the channel for their vectors.
struct Batch {
    texts: Vec<String>,
    reply: oneshot::Sender<Vectors>,
}

#[derive(Default)]
struct Queue {
    queries: VecDeque<Batch>,
    /// The batches of each request. Requests take turns, so that one of a few texts does not wait for one of many.
    documents: VecDeque<VecDeque<Batch>>,
    closed: bool,
}

impl Queue {
    fn next(&mut self) -> Option<Batch> {
        if let Some(query) = self.queries.pop_front() {
            return Some(query);
        }
        let mut request = self.documents.pop_front()?;
        let batch = request.pop_front();
        if !request.is_empty() {
            self.documents.push_back(request);
        }
        batch
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Threads that share one queue, in which queries come first. Dropping it stops each thread after its current batch.
pub(super) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads, each of which calls `make` for its work.
    ///
    /// # Errors
    ///
    /// The operating system refuses to start a thread.
    pub fn start(count: usize, make: impl Fn() -> Work + Clone + Send + 'static) -> std::io::Result<Self> {
        let mut workers = Self { shared: Arc::default(), threads: Vec::with_capacity(count) };
        for index in 0..count {
            let shared = Arc::clone(&workers.shared);
            let make = make.clone();
            let thread = std::thread::Builder::new().name(format!("encoder-{index}"));
            workers.threads.push(thread.spawn(move || run(&shared, &make))?);
        }
        Ok(workers)
    }

    /// Queues the batches of one request. If a receiver is dropped before a thread takes its batch, the batch is skipped.
    pub fn submit(&self, batches: Vec<Vec<String>>, priority: EmbedPriority) -> Vec<oneshot::Receiver<Vectors>> {
        let queued = batches.into_iter().map(|texts| {
            let (reply, receiver) = oneshot::channel();
            (Batch { texts, reply }, receiver)
        });
        let (batches, receivers): (VecDeque<_>, _) = queued.unzip();
        if !batches.is_empty() {
            let mut queue = self.shared.lock();
            match priority {
                EmbedPriority::Query => queue.queries.extend(batches),
                EmbedPriority::Document => queue.documents.push_back(batches),
            }
        }
        self.shared.changed.notify_all();
        receivers
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A panic has already been reported to the caller of its batch.
            drop(thread.join());
        }
    }
}

impl Shared {
    /// The lock is held only to push or pop, so a poisoned queue is still valid.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a batch whose caller still waits for it; `None` when the threads must stop.
    fn next(&self) -> Option<Batch> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            match queue.next() {
                Some(batch) if batch.reply.is_closed() => {}
                Some(batch) => return Some(batch),
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Runs one thread. A panic fails only its batch: the state, which it may have damaged, is dropped and made again.
fn run(shared: &Shared, make: &impl Fn() -> Work) {
    let mut work = None;
    while let Some(batch) = shared.next() {
        let answer = catch_unwind(AssertUnwindSafe(|| work.get_or_insert_with(make)(&batch.texts)));
        let answer = answer.unwrap_or_else(|_panic| {
            work = None;
            Err(crashed())
        });
        // The caller may have gone; then the vectors are not needed.
        drop(batch.reply.send(answer));
    }
}

/// The failure of a batch whose thread panicked.
pub(super) fn crashed() -> Failure {
    let message = "the local embedding model crashed on a batch; the log has the panic. Please report it.";
    Failure::new(Code::EmbedderCrashed, message)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// One thread that reports the first text of each batch when it starts, then waits until the gate lets it continue.
    fn gated() -> (Workers, Receiver<String>, Sender<()>) {
        let (started, starts) = channel();
        let (gate, opened) = channel();
        let opened = Arc::new(Mutex::new(opened));
        let make = move || -> Work {
            let started = started.clone();
            let opened = Arc::clone(&opened);
            Box::new(move |texts| {
                started.send(texts[0].clone()).unwrap();
                opened.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap();
                assert_ne!(texts[0], "boom", "the test wants a panic");
                Ok(vec![vec![1.0]; texts.len()])
            })
        };
        (Workers::start(1, make).unwrap(), starts, gate)
    }

    fn submit(workers: &Workers, text: &str, priority: EmbedPriority) -> oneshot::Receiver<Vectors> {
        workers.submit(vec![vec![text.to_owned()]], priority).pop().unwrap()
    }

    #[tokio::test]
    async fn queries_run_first_and_cancelled_batches_never() {
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
    async fn a_request_of_one_batch_waits_for_one_batch_of_each_other() {
        let (workers, starts, gate) = gated();
        let first = submit(&workers, "first", EmbedPriority::Document);
        assert_eq!(starts.recv().unwrap(), "first");
        let texts = |names: &[&str]| names.iter().map(|name| vec![(*name).to_owned()]).collect();
        let long = workers.submit(texts(&["a1", "a2", "a3"]), EmbedPriority::Document);
        let other = workers.submit(texts(&["b1", "b2"]), EmbedPriority::Document);
        let short = workers.submit(texts(&["short"]), EmbedPriority::Document);
        for _ in 0..7 {
            gate.send(()).unwrap();
        }
        for answer in [vec![first], long, other, short].into_iter().flatten() {
            assert_eq!(answer.await.unwrap().unwrap(), [[1.0]]);
        }
        assert_eq!(starts.try_iter().collect::<Vec<_>>(), ["a1", "b1", "short", "a2", "b2", "a3"]);
    }

    #[tokio::test]
    async fn a_panic_fails_only_its_batch() {
        let (workers, _starts, gate) = gated();
        gate.send(()).unwrap();
        gate.send(()).unwrap();
        let boom = submit(&workers, "boom", EmbedPriority::Document);
        let fine = submit(&workers, "fine", EmbedPriority::Document);
        assert_eq!(boom.await.unwrap().unwrap_err().code, Code::EmbedderCrashed);
        assert_eq!(fine.await.unwrap().unwrap(), [[1.0]]);
    }

    #[tokio::test]
    async fn dropping_the_workers_stops_each_thread_after_its_current_batch() {
        let (workers, starts, gate) = gated();
        let current = submit(&workers, "current", EmbedPriority::Document);
        let waiting = submit(&workers, "waiting", EmbedPriority::Document);
        assert_eq!(starts.recv().unwrap(), "current");
        workers.shared.lock().closed = true;
        gate.send(()).unwrap();
        drop(workers);
        assert!(current.await.unwrap().is_ok());
        // The thread owned the sender: it has ended, and did not start another batch.
        assert!(starts.recv().is_err());
        assert!(waiting.await.is_err());
    }
}
