//! The embed step with a service that charges: sends passages in requests, several at a time, and commits the vectors of
//! each as its answer arrives.
//!
//! Doing it twice costs money, so a row is written before each request and ends with the commit of its vectors. What a
//! crash leaves open is recorded as uncertain by the next run, and only what has no vector is sent again.

mod orders;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::Mutex;

use self::orders::{Order, Passage, orders, smaller};
pub(crate) use self::orders::{reckoned_tokens, round_size};
use super::{
    Pipeline,
    embed::{Embedding, progress},
    requests::{NoSeat, NotSold, Requests, Wish, share},
    spend::stopped,
};
use domain::{
    ChunkId, Code, ErrorClass, Failure, Lease, Outcome, Status, StepError,
    money::{CapReached, Cents},
    ports::{Bought, EmbedService, Embedder, invalid_vector},
};
use pg::DbError;
use store::{
    beside::insert_refused_texts,
    chunks::{PendingChunk, Place, save_vectors},
    embed_calls::{CallLost, Charged, EmbedCall, Wasted, begin_embed_call, lose_embed_call},
};
use uuid::Uuid;

/// How long a round begins requests. A job whose turn is over looks after each round whether others wait.
const ROUND: Duration = Duration::from_secs(1);

/// Why a request brought no vectors, or not all.
enum NotBought {
    /// The service refuses these texts; nothing was charged.
    Refused(Order, Failure),
    /// The vectors of these texts are none. They were charged, and the others' are stored.
    Invalid(Order),
    /// There is no place within the rates, or the service asks to wait.
    Wait(Duration),
    /// A cap does not allow these texts.
    Capped(Order, CapReached),
    Failed(StepError),
}

impl From<DbError> for NotBought {
    fn from(error: DbError) -> Self {
        Self::Failed(error.into())
    }
}

impl NotBought {
    /// Of several ends of a round, the greatest decides: what stops this worker before what one job tries again.
    fn weight(&self) -> u8 {
        match self {
            Self::Failed(StepError::LeaseLost) => 3,
            Self::Failed(StepError::Failed(failure)) if failure.class == ErrorClass::Configuration => 2,
            Self::Failed(StepError::Failed(_)) => 1,
            Self::Refused(..) | Self::Invalid(_) | Self::Wait(_) | Self::Capped(..) => 0,
        }
    }
}

/// What the requests of a round have in common.
struct Round<'a> {
    embedder: &'a Arc<dyn Embedder>,
    service: &'a dyn EmbedService,
    lease: &'a Lease,
    place: Place,
    /// Chunks of the document, and how many have their vector.
    chunks: Option<i64>,
    embedded: Mutex<i64>,
}

/// Texts that go on after a request that did not bring all, in requests of their own.
enum Next {
    Again(Vec<Order>),
    /// They are left out, for this reason.
    LeftOut,
    /// The round ends.
    End(NotBought),
}

impl Pipeline {
    /// The requests to the service whose vectors go there.
    fn requests_of(&self, place: Place) -> &Requests {
        match place {
            Place::Rows(_) => &self.requests,
            Place::Beside => &self.beside_requests,
        }
    }

    /// Buys vectors of `pending` for about a second. What was begun is waited for, since it is paid.
    pub(super) async fn buy_round(
        &self,
        embedder: &Arc<dyn Embedder>,
        (lease, place): (&Lease, Place),
        pending: Vec<PendingChunk>,
        at: &mut Embedding,
    ) -> Result<Outcome, StepError> {
        let Some(service) = embedder.service() else { return Ok(Outcome::Advanced(Status::EmbeddingInProgress)) };
        let bounds = service.bounds();
        let _buyer = self.requests_of(place).join();
        let (began, mut orders, mut again) = (Instant::now(), orders(pending, bounds), Vec::new());
        let round = Round { embedder, service, lease, place, chunks: at.chunks, embedded: Mutex::new(at.embedded) };
        let (mut running, mut end) = (FuturesUnordered::new(), None::<NotBought>);
        let mut in_flight = bounds.in_flight.max(1);
        loop {
            while end.is_none() && running.len() < in_flight {
                let fresh = || if began.elapsed() < ROUND { orders.pop_front() } else { None };
                let shares = again.is_empty();
                let Some(order) = again.pop().or_else(fresh) else { break };
                running.push(self.buy(&round, order, shares));
            }
            let Some(bought) = running.next().await else { break };
            let Err(not_bought) = bought else { continue };
            let not_bought = match not_bought {
                // What the others have reserved is more than they cost, so there may be room once they are done.
                NotBought::Capped(order, _) if !running.is_empty() => {
                    in_flight = 1;
                    again.push(order);
                    continue;
                }
                other => other,
            };
            match self.next_of(&round, not_bought).await? {
                Next::Again(orders) => again.extend(orders),
                Next::LeftOut => {}
                Next::End(not_bought) if end.as_ref().is_none_or(|end| end.weight() < not_bought.weight()) => {
                    end = Some(not_bought);
                }
                Next::End(_) => {}
            }
        }
        drop(running);
        at.embedded = round.embedded.into_inner();
        match end {
            None => Ok(Outcome::Advanced(Status::EmbeddingInProgress)),
            Some(NotBought::Wait(delay)) => Ok(Outcome::Snooze { code: Code::WaitingForEmbedder, delay }),
            Some(NotBought::Capped(_, reached)) => stopped(&reached),
            Some(NotBought::Failed(error)) => Err(error),
            Some(NotBought::Refused(_, failure)) => Err(failure.into()),
            Some(NotBought::Invalid(_)) => Err(invalid_vector().into()),
        }
    }

    /// What becomes of texts that brought no vectors. A change of model goes on past a text that the new one cannot take.
    async fn next_of(&self, round: &Round<'_>, not_bought: NotBought) -> Result<Next, DbError> {
        let (ids, failure) = match not_bought {
            NotBought::Refused(order, refused) => {
                let ids = chunk_ids(&order);
                match smaller(order) {
                    Some(parts) => return Ok(Next::Again(parts)),
                    None => (ids, refused),
                }
            }
            // Once more, each alone, since a vector may be none by an accident.
            NotBought::Invalid(order) if round.place == Place::Beside && order.iter().all(|text| !text.was_invalid) => {
                return Ok(Next::Again(order.into_iter().map(Passage::alone_again).collect()));
            }
            NotBought::Invalid(order) => (chunk_ids(&order), invalid_vector()),
            other => return Ok(Next::End(other)),
        };
        // A service that takes nothing at all is not the text's fault.
        match (round.service.probe().await, round.place) {
            (Ok(()), Place::Beside) => {
                insert_refused_texts(&self.db, &ids, failure.code.as_str()).await?;
                Ok(Next::LeftOut)
            }
            (probed, _) => Ok(Next::End(NotBought::Failed(probed.err().unwrap_or(failure).into()))),
        }
    }

    /// Sends the texts when it is their turn, with those of other jobs if they may share a request, and commits what they brought.
    async fn buy(&self, round: &Round<'_>, order: Order, shares: bool) -> Result<(), NotBought> {
        let Round { embedder, service, lease, .. } = *round;
        let (model, requests) = (embedder.model(), self.requests_of(round.place));
        let wait = |wait| NotBought::Wait(requests.breaker().wait(wait, fastrand::f64()));
        let price = self.money.price_of_tokens(&model.name).map_err(|failure| NotBought::Failed(failure.into()))?;
        let cost_of = |tokens| price.map(|price: Cents| price.of_tokens(i64::try_from(tokens).unwrap_or(i64::MAX)));
        let tokens = tokens_of(&order);
        let texts = order.iter().map(|passage| passage.text.clone()).collect();
        // Whatever was wrong with a job's last request stays with that job.
        let shares = shares && lease.retry_count == 0;
        let wish = Wish { embedder: Arc::clone(embedder), texts, tokens, shares };
        let seat = match requests.seat(wish).await {
            Ok(seat) => seat,
            Err(NoSeat::Wait(delay)) => return Err(wait(delay)),
            Err(NoSeat::Failed(failure)) => return Err(NotBought::Failed(failure.into())),
        };
        let call = EmbedCall {
            provider: service.name(),
            model: &model.name,
            inputs: order.len(),
            tokens,
            cost: cost_of(tokens),
        };
        let call_id = match begin_embed_call(&self.db, lease, &self.money.caps, call).await? {
            Ok(call_id) => call_id,
            Err(reached) => return Err(NotBought::Capped(order, reached)),
        };
        let failed = match seat.take().await {
            Ok(bought) => return self.save(round, order, bought, (call_id, price)).await,
            Err(NotSold::Unsent(delay)) => {
                lose_embed_call(&self.db, lease.fence, call_id, CallLost::Refused).await?;
                return Err(wait(delay));
            }
            Err(NotSold::Failed(failed)) => failed,
        };
        let how = if failed.uncertain { CallLost::Uncertain } else { CallLost::Refused };
        lose_embed_call(&self.db, lease.fence, call_id, how).await?;
        if failed.refuses_texts {
            return Err(NotBought::Refused(order, failed.failure));
        }
        if failed.failure.code == Code::EmbedServiceBusy {
            return Err(wait(failed.failure.retry_after.unwrap_or_default()));
        }
        Err(NotBought::Failed(failed.failure.into()))
    }

    /// Commits vectors, and the end of the call that brought them.
    async fn save(
        &self,
        round: &Round<'_>,
        order: Order,
        bought: Bought,
        (call_id, price): (Uuid, Option<Cents>),
    ) -> Result<(), NotBought> {
        let (all, fence) = (tokens_of(&order), round.lease.fence);
        let (mut batch, mut invalid) = (Vec::new(), Order::new());
        for (passage, vector) in order.into_iter().zip(bought.vectors) {
            match vector {
                Some(vector) => batch.extend(passage.chunks.into_iter().map(|chunk| (chunk, vector.clone()))),
                None => invalid.push(passage),
            }
        }
        if batch.is_empty() {
            lose_embed_call(&self.db, fence, call_id, CallLost::Uncertain).await?;
            return Err(NotBought::Invalid(invalid));
        }
        let lost = tokens_of(&invalid);
        let cost = price.map(|price| price.of_tokens(i64::try_from(lost).unwrap_or(i64::MAX)));
        let wasted = (!invalid.is_empty()).then_some(Wasted { inputs: invalid.len(), tokens: lost, cost });
        let tokens = bought.tokens.map(|tokens| share(tokens, all - lost, all));
        let charged = Charged { call_id, tokens, price, wasted };
        let mut embedded = round.embedded.lock().await;
        let so_far = *embedded + i64::try_from(batch.len()).unwrap_or(0);
        let progress = progress(round.chunks, so_far);
        save_vectors(&self.db, fence, round.place, round.embedder.model(), &batch, Some(charged), &progress).await?;
        *embedded = so_far;
        if invalid.is_empty() { Ok(()) } else { Err(NotBought::Invalid(invalid)) }
    }
}

fn chunk_ids(order: &Order) -> Vec<ChunkId> {
    order.iter().flat_map(|passage| &passage.chunks).map(|chunk| chunk.chunk_id).collect()
}

fn tokens_of(order: &Order) -> usize {
    order.iter().map(|passage| passage.tokens).sum()
}
