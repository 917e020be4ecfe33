//! A cache of the issuer's keys: fetched when first needed, renewed in the background, fetched again when a token names a
//! key that is not in the cache, and still used while the issuer is unavailable.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use crate::settings::KeyPolicy;
use domain::Failure;
use signing_keys::{KeySet, KeySource, SigningKey};

/// No keys can be fetched, so that a token can be neither accepted nor refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeysUnavailable {
    /// When another try makes sense.
    pub retry_after: Duration,
}

/// The keys of one issuer.
pub struct KeyCache {
    source: Arc<dyn KeySource>,
    policy: KeyPolicy,
    /// Fetches run here: they outlive the request that began them, and the HTTP worker that served it.
    runtime: Handle,
    held: RwLock<Held>,
    flight: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    /// With the moment they were fetched.
    keys: Option<(Arc<KeySet>, Instant)>,
    tried: Option<Instant>,
    failing: bool,
}

/// How old the keys are.
enum Age {
    Fresh,
    Due,
    Late,
    Gone,
}

impl Held {
    fn age(&self, policy: &KeyPolicy) -> Age {
        match self.keys.as_ref().map(|(_, fetched)| fetched.elapsed()) {
            Some(age) if age < policy.refresh_after => Age::Fresh,
            Some(age) if age < policy.refresh_after * 2 && age < policy.keep_for => Age::Due,
            Some(age) if age < policy.keep_for => Age::Late,
            Some(_) | None => Age::Gone,
        }
    }

    fn find(&self, policy: &KeyPolicy, kid: &str) -> Option<SigningKey> {
        let (keys, fetched) = self.keys.as_ref()?;
        if fetched.elapsed() < policy.keep_for { keys.find(kid).cloned() } else { None }
    }

    /// How long until the source may be asked again.
    fn wait(&self, policy: &KeyPolicy) -> Duration {
        let pause = if self.failing { policy.retry_after } else { policy.unknown_after };
        self.tried.map_or(Duration::ZERO, |tried| pause.saturating_sub(tried.elapsed()))
    }
}

impl KeyCache {
    /// Nothing is fetched before it is needed. `runtime` is the main one.
    pub fn new(source: Arc<dyn KeySource>, policy: KeyPolicy, runtime: Handle) -> Self {
        Self { source, policy, runtime, held: RwLock::default(), flight: tokio::sync::Mutex::default() }
    }

    /// The key of that name among those at hand.
    pub fn peek(&self, kid: &str) -> Option<SigningKey> {
        self.held().find(&self.policy, kid)
    }

    /// The key of that name; `None`: the issuer has published no such key. A key at hand is waited for only where the
    /// set is late and the issuer is not known to be away.
    ///
    /// # Errors
    ///
    /// No keys were ever fetched, the last are too old, or the key is not among them and the issuer is away.
    pub async fn find(self: &Arc<Self>, kid: &str) -> Result<Option<SigningKey>, KeysUnavailable> {
        let held = self.held();
        match held.age(&self.policy) {
            Age::Fresh => {}
            Age::Due => self.refresh_behind(),
            Age::Late if held.failing => self.refresh_behind(),
            Age::Late | Age::Gone => self.refresh().await,
        }
        if let Some(key) = self.peek(kid) {
            return Ok(Some(key));
        }
        self.refresh().await;
        let held = self.held();
        match held.find(&self.policy, kid) {
            Some(key) => Ok(Some(key)),
            None if !held.failing && !matches!(held.age(&self.policy), Age::Gone) => Ok(None),
            None => Err(KeysUnavailable { retry_after: held.wait(&self.policy) }),
        }
    }

    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refresh_behind(self: &Arc<Self>) {
        let idle = self.flight.try_lock().is_ok();
        if idle && self.held().wait(&self.policy).is_zero() {
            let this = Arc::clone(self);
            self.runtime.spawn(async move { this.refresh_once().await });
        }
    }

    /// Waits for a fetch, if one is due or running.
    async fn refresh(self: &Arc<Self>) {
        let this = Arc::clone(self);
        // A panic in there is logged by its hook; the keys are then as they were.
        let _ended = self.runtime.spawn(async move { this.refresh_once().await }).await;
    }

    async fn refresh_once(&self) {
        let _flight = self.flight.lock().await;
        // A caller that waited for the lock finds that the one before has tried just now.
        if self.held().wait(&self.policy).is_zero() {
            let fetched = self.source.fetch().await;
            self.note(fetched);
        }
    }

    fn note(&self, fetched: Result<KeySet, Failure>) {
        let now = Instant::now();
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.tried = Some(now);
        let was_failing = std::mem::replace(&mut held.failing, fetched.is_err());
        match fetched {
            Ok(keys) => {
                if was_failing {
                    tracing::info!(keys = keys.keys.len(), "the keys of the tokens' issuer can be fetched again");
                }
                held.keys = Some((Arc::new(keys), now));
            }
            // Said once; tries follow every few seconds.
            Err(failure) if !was_failing => {
                let kept_s = held.keys.as_ref().map(|(_, fetched)| fetched.elapsed().as_secs());
                tracing::warn!(
                    error.code = failure.code.as_str(),
                    keys.age_s = kept_s,
                    "{failure} Keys fetched before are used meanwhile."
                );
            }
            Err(_) => {}
        }
    }
}
