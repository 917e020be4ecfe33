//! LISTEN on a session of its own, so that new jobs wake the worker at once. Where it does not work, polling finds them.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use pg::{ConnectTarget, DbError, Session, message_of, probe};

/// The channel that the trigger on `upload_jobs` and the API notify.
pub const CHANNEL: &str = "upload_jobs";

/// How long the listener waits for its own notification before it takes LISTEN as not working.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two probes of a URL that leads to a pooler in transaction mode: the pooler's configuration may change.
const RECHECK: Duration = Duration::from_secs(600);
/// Longest wait before connecting again.
const MAX_RECONNECT: Duration = Duration::from_secs(30);

/// Tells a worker what its listener heard.
#[derive(Debug, Clone)]
pub struct Wakeup {
    news: Arc<Notify>,
    proven: watch::Receiver<bool>,
}

impl Wakeup {
    /// Whether notifications were just proven to arrive, so that polling may slow down.
    pub fn is_proven(&self) -> bool {
        *self.proven.borrow()
    }

    /// Waits until notifications are proven to arrive.
    pub async fn proven(&self) {
        let mut proven = self.proven.clone();
        if proven.wait_for(|proven| *proven).await.is_err() {
            // The listener has ended.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until something may have changed. A notification that arrived while no task waited is kept.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

/// Listens for new jobs until it is cancelled, connecting again whenever the connection is lost.
pub struct Listener {
    target: ConnectTarget,
    runtime: Handle,
    news: Arc<Notify>,
    proven: watch::Sender<bool>,
}

impl Listener {
    /// A listener for `target`, which must give a session (see [`probe::probe_session_mode`]).
    pub fn new(target: ConnectTarget, runtime: Handle) -> (Self, Wakeup) {
        let news = Arc::new(Notify::new());
        let (proven, receiver) = watch::channel(false);
        (Self { target, runtime, news: Arc::clone(&news), proven }, Wakeup { news, proven: receiver })
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut wait = Duration::from_secs(1);
        let mut said = String::new();
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.listen(&mut wait) => ended,
            };
            if self.proven.send_replace(false) {
                // It has logged since that it listens, so the reason is logged again even if it is the same.
                said.clear();
            }
            // Jobs that were committed while nothing listened are in the table.
            self.news.notify_one();
            if ended != said {
                tracing::warn!("not listening for new jobs; the worker polls meanwhile: {ended}");
                said = ended;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            if wait < MAX_RECONNECT {
                wait = (wait * 2).min(MAX_RECONNECT);
            }
        }
    }

    /// One connection, from its opening to its end; why it ended.
    async fn listen(&self, wait: &mut Duration) -> String {
        match probe::probe_session_mode(&self.target, &self.runtime).await {
            Ok(probe::SessionMode::Transaction) => {
                *wait = RECHECK;
                return "the URL leads to a pooler in transaction mode, which does not carry LISTEN".to_owned();
            }
            other => {
                *wait = (*wait).min(MAX_RECONNECT);
                if let Err(error) = other {
                    return error.to_string();
                }
            }
        }
        let (heard, mut notifications) = tokio::sync::mpsc::unbounded_channel();
        let heard = move |payload| _ = heard.send(payload);
        let client = match self.target.connect_driven(&self.runtime, heard).await {
            Ok((client, _)) => client,
            Err(error) => return self.target.explain(&error).to_string(),
        };
        if let Err(error) = self.prove(&client, &mut notifications).await {
            return error;
        }
        tracing::info!("listening for new jobs; they start at once");
        *wait = Duration::from_secs(1);
        self.proven.send_replace(true);
        self.news.notify_one();
        while notifications.recv().await.is_some() {
            self.news.notify_one();
        }
        "the connection was lost".to_owned()
    }

    /// Sends a notification from another connection and waits for it here.
    async fn prove(
        &self,
        client: &Client,
        notifications: &mut tokio::sync::mpsc::UnboundedReceiver<String>,
    ) -> Result<(), String> {
        client.batch_execute("LISTEN upload_jobs").await.map_err(|error| message_of(&error))?;
        let token = Uuid::new_v4().to_string();
        let other = probe::connect(&self.target, &self.runtime).await.map_err(|error| error.to_string())?;
        other
            .run("-- probe_notify\nSELECT pg_notify($1, $2)", &[&CHANNEL, &token])
            .await
            .map_err(|error| error.to_string())?;
        let arrived = async {
            while let Some(payload) = notifications.recv().await {
                if payload == token {
                    return true;
                }
            }
            false
        };
        match tokio::time::timeout(PROBE_TIMEOUT, arrived).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the connection was lost".to_owned()),
            Err(_) => Err("a notification of its own did not arrive within 2 s".to_owned()),
        }
    }
}

/// Wakes all listening workers, once for all jobs that were just committed. A notification need not survive a crash, so
/// the commit is asynchronous.
pub async fn notify_workers(db: &impl Session) -> Result<(), DbError> {
    db.exec(
        "-- notify_workers
SELECT pg_notify($1, ''), set_config('synchronous_commit', 'off', true) AS commits",
        &[&CHANNEL],
    )
    .await
}
