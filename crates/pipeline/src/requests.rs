//! The requests of this process to an embedding service. Texts of several jobs go in one request, where a job alone would not fill it.
//!
//! A job asks for a seat with its texts, writes its row in `embed_calls` when it has one, says so, and gets its vectors. A request
//! leaves with those that have said so. What waits for its place within the rates takes along what comes meanwhile; without such
//! a wait it leaves at once, or within a tenth of the time that the service takes, if other jobs are buying too.
//!
//! A request that the service refuses is halved until each job is alone, and a job that has failed sends its requests alone: a text
//! that breaks the service does so for its own job only. Requests run beside the jobs: one that loses its lease takes nothing from
//! the others.
//!
//! *Must not know:* passages, rows of calls, prices. The jobs write what they pay.

mod answers;
mod waiting;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

pub(super) use self::answers::share;
use self::{
    answers::{checked, hand_out},
    waiting::State,
};
use super::breaker::Breaker;
use domain::{
    Code, Failure,
    ports::{Bought, BuyFailed, EmbedService, Embedder},
};
use pg::Db;
use store::provider_rates::{Rates, Reserved, pause_requests, reserve_request};

/// How long a job keeps its slot for its place within the rates; one that has to wait longer is parked.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends requests, for all jobs of a process.
pub struct Requests(Arc<Shared>);

struct Shared {
    db: Db,
    breaker: Breaker,
    state: Mutex<State>,
}

/// Texts of one job.
pub(super) struct Wish {
    /// Computes the vectors; it has a service.
    pub(super) embedder: Arc<dyn Embedder>,
    /// At least one.
    pub(super) texts: Vec<String>,
    /// As they were reckoned.
    pub(super) tokens: usize,
    /// Whether they may share their request with texts of other jobs.
    pub(super) shares: bool,
}

struct Part {
    wish: Wish,
    seat: oneshot::Sender<Result<Seat, NoSeat>>,
}

/// Why there is none. Nothing was sent.
#[derive(Debug, Clone)]
pub(super) enum NoSeat {
    /// There is no place within the rates before this time.
    Wait(Duration),
    /// The database did not answer, or the like.
    Failed(Failure),
}

/// A seat in the next request, which waits a moment for its holder.
pub(super) struct Seat {
    begun: oneshot::Sender<()>,
    answer: oneshot::Receiver<Answer>,
}

/// The vectors of a job's texts, with its part of the tokens that were charged.
type Answer = Result<Bought, NotSold>;

/// Why a seat brought no vectors.
pub(super) enum NotSold {
    /// The texts were not sent; they may be after this time.
    Unsent(Duration),
    /// The service was asked.
    Failed(BuyFailed),
}

/// The texts of a job whose row is written.
struct Seated {
    texts: Vec<String>,
    tokens: usize,
    answer: oneshot::Sender<Answer>,
}

impl Seat {
    /// Sends the texts, now that their row is written, and waits for their vectors.
    pub(super) async fn take(self) -> Answer {
        // If the request is gone, there is no answer either.
        let _ = self.begun.send(());
        let failure = || {
            Failure::new(
                Code::StepPanicked,
                "The request to the embedding service was not ended. It will be sent again.",
            )
        };
        let lost = || BuyFailed { failure: failure(), uncertain: true, refuses_texts: false };
        self.answer.await.unwrap_or_else(|_ended| Err(NotSold::Failed(lost())))
    }
}

/// Counts a job that is buying, until it is dropped.
pub(super) struct Buyer<'a>(&'a Shared);

impl Drop for Buyer<'_> {
    fn drop(&mut self) {
        self.0.state().buyers -= 1;
    }
}

impl Requests {
    /// For one process and one of its models.
    pub fn new(db: Db) -> Self {
        Self(Arc::new(Shared { db, breaker: Breaker::default(), state: Mutex::default() }))
    }

    /// What is remembered of the service.
    pub(super) fn breaker(&self) -> &Breaker {
        &self.0.breaker
    }

    /// A job begins to buy.
    pub(super) fn join(&self) -> Buyer<'_> {
        self.0.state().buyers += 1;
        Buyer(&self.0)
    }

    /// A seat for a job's texts, once it is their turn.
    pub(super) async fn seat(&self, wish: Wish) -> Result<Seat, NoSeat> {
        let (seat, given) = oneshot::channel();
        self.0.enter(Part { wish, seat });
        let message = "The request to the embedding service was not sent. It will be tried again.";
        given.await.unwrap_or_else(|_ended| Err(NoSeat::Failed(Failure::new(Code::StepPanicked, message))))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, part: Part) {
        let shared = Arc::clone(self);
        if !part.wish.shares || part.wish.fills_a_request() {
            tokio::spawn(async move {
                match shared.place(&part.wish.embedder, part.wish.tokens).await {
                    Ok(()) => shared.send(vec![part]).await,
                    Err(none) => drop(part.seat.send(Err(none))),
                }
            });
            return;
        }
        let mut state = self.state();
        state.waiting.push(part);
        if !std::mem::replace(&mut state.is_filling, true) {
            tokio::spawn(Filling(Some(shared)).run());
        }
    }

    /// Waits for the place of a request within the rates.
    async fn place(&self, embedder: &Arc<dyn Embedder>, tokens: usize) -> Result<(), NoSeat> {
        let Some(service) = embedder.service() else { return Ok(()) };
        let bounds = service.bounds();
        let rates = Rates { requests: bounds.requests_per_minute, tokens: bounds.tokens_per_minute };
        match reserve_request(&self.db, service.name(), rates, tokens, PATIENCE).await {
            Ok(Reserved::After(wait)) => {
                self.breaker.has_place();
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                Ok(())
            }
            Ok(Reserved::Not(wait)) => Err(NoSeat::Wait(wait)),
            Err(error) => Err(NoSeat::Failed(error.into())),
        }
    }

    /// Lets the jobs write their rows, and asks the service for the texts of those that have.
    async fn send(self: &Arc<Self>, parts: Vec<Part>) {
        let Some(embedder) = parts.first().map(|part| Arc::clone(&part.wish.embedder)) else { return };
        let (mut seated, mut boarding) = (Vec::new(), Vec::new());
        for Part { wish, seat } in parts {
            let ((begun, has_begun), (answer, answered)) = (oneshot::channel(), oneshot::channel());
            if seat.send(Ok(Seat { begun, answer: answered })).is_ok() {
                boarding.push((has_begun, Seated { texts: wish.texts, tokens: wish.tokens, answer }));
            }
        }
        for (has_begun, part) in boarding {
            // One that says nothing has met a cap, or has lost its lease.
            if has_begun.await.is_ok() {
                seated.push(part);
            }
        }
        self.ask(embedder, seated, false).await;
    }

    /// `is_half`: of a request that was refused.
    async fn ask(self: &Arc<Self>, embedder: Arc<dyn Embedder>, seated: Vec<Seated>, is_half: bool) {
        let Some(service) = embedder.service().filter(|_| !seated.is_empty()) else { return };
        let (began, texts) =
            (Instant::now(), seated.iter().flat_map(|part| part.texts.iter().cloned()).collect::<Vec<_>>());
        match service.buy(&texts).await.and_then(|bought| checked(embedder.model(), texts.len(), bought)) {
            Ok(bought) => {
                self.breaker.close();
                self.state().answered(texts.len(), began.elapsed());
                hand_out(bought, seated);
            }
            Err(failed) if failed.refuses_texts && seated.len() > 1 => {
                if !is_half {
                    self.state().refused(texts.len());
                }
                self.ask_halves(&embedder, seated);
            }
            Err(mut failed) => {
                if failed.failure.code == Code::EmbedServiceBusy {
                    self.pause(service, &failed.failure).await;
                } else if !failed.refuses_texts {
                    failed.failure = self.breaker.count(failed.failure);
                }
                for part in seated {
                    let _ = part.answer.send(Err(NotSold::Failed(failed.clone())));
                }
            }
        }
    }

    async fn pause(&self, service: &dyn EmbedService, busy: &Failure) {
        let wait = busy.retry_after.unwrap_or_default();
        tracing::info!(
            provider = service.name(),
            wait_seconds = wait.as_secs_f64(),
            "the embedding service asks to wait"
        );
        if let Err(error) = pause_requests(&self.db, service.name(), wait).await {
            tracing::warn!(error = %error, "couldn't write that the embedding service asks to wait; other workers don't know");
        }
    }

    /// Each half when it has a place. The rows of both stay open meanwhile.
    fn ask_halves(self: &Arc<Self>, embedder: &Arc<dyn Embedder>, mut first: Vec<Seated>) {
        let second = first.split_off(first.len() / 2);
        for half in [first, second] {
            let (shared, embedder) = (Arc::clone(self), Arc::clone(embedder));
            let asked: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
                let tokens = half.iter().map(|part| part.tokens).sum();
                let half = match shared.place(&embedder, tokens).await {
                    Ok(()) => half,
                    Err(none) => {
                        half.into_iter().for_each(|part| drop(part.answer.send(Err(none.clone().into()))));
                        return;
                    }
                };
                let half = half.into_iter().filter(|part| !part.answer.is_closed()).collect();
                shared.ask(embedder, half, true).await;
            });
            tokio::spawn(asked);
        }
    }
}

impl From<NoSeat> for NotSold {
    fn from(none: NoSeat) -> Self {
        match none {
            NoSeat::Wait(wait) => Self::Unsent(wait),
            NoSeat::Failed(failure) => Self::Failed(BuyFailed { failure, uncertain: false, refuses_texts: false }),
        }
    }
}

/// The task that makes requests of what waits. If it panics, those that wait are told.
struct Filling(Option<Arc<Shared>>);

impl Drop for Filling {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            let mut state = shared.state();
            state.is_filling = false;
            state.waiting.clear();
        }
    }
}

impl Filling {
    async fn run(mut self) {
        while let Some(shared) = self.0.clone() {
            let linger = shared.state().linger();
            if !linger.is_zero() {
                tokio::time::sleep(linger).await;
            }
            let (embedder, tokens) = {
                let mut state = shared.state();
                let (_, tokens) = state.fitting();
                let Some(first) = state.waiting.first() else {
                    state.is_filling = false;
                    self.0 = None;
                    return;
                };
                (Arc::clone(&first.wish.embedder), tokens)
            };
            let owed = std::mem::take(&mut shared.state().owed);
            match shared.place(&embedder, tokens + owed).await {
                Ok(()) => {
                    let parts = shared.state().take(tokens);
                    tokio::spawn(async move { shared.send(parts).await });
                }
                Err(none) => {
                    let waiting = std::mem::take(&mut shared.state().waiting);
                    waiting.into_iter().for_each(|part| drop(part.seat.send(Err(none.clone()))));
                }
            }
        }
    }
}
