//! The table `idempotency_keys`: requests that were answered, and their answers.
//!
//! A key is reserved before the work, and its answer is written after it. A reservation is a short lease: a process
//! that dies blocks the key no longer than that, and a try whose lease has ended cannot write its answer.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use domain::UserId;
use pg::{DbError, Session, column};

/// A request's reservation of its key. A key belongs to one user and one route.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// The user who sent the request.
    pub user: UserId,
    /// Method and pattern of the route.
    pub route: String,
    /// The client's key.
    pub key: String,
    /// This try, new at each.
    pub attempt: Uuid,
}

/// A stored answer, to be sent again.
#[derive(Debug, Clone)]
pub struct KeptAnswer {
    /// The fingerprint of the request.
    pub fingerprint: String,
    /// HTTP status.
    pub status: u16,
    /// Header `Location`.
    pub location: Option<String>,
    /// The body.
    pub body: Value,
}

/// Who holds a key.
#[derive(Debug, Clone)]
pub enum Holder {
    /// This try, from now on.
    Us,
    /// Another try, which still runs.
    Other {
        /// The fingerprint of its request, if known.
        fingerprint: Option<String>,
        /// How long its reservation still lasts.
        wait: Duration,
    },
    /// The work is done.
    Answered(KeptAnswer),
}

/// How often a reservation is tried when the key changes between two statements.
const TRIES: usize = 3;

/// Reserves the key for `lease`, unless it is answered or reserved. `fingerprint`: of the request, if known before the
/// work; only the same request takes over a try that died. The key is deleted after `keep`.
pub async fn reserve_key(
    db: &impl Session,
    reservation: &Reservation,
    fingerprint: Option<&str>,
    lease: Duration,
    keep: Duration,
) -> Result<Holder, DbError> {
    for _ in 0..TRIES {
        if insert_idempotency_key(db, reservation, fingerprint, lease, keep).await? {
            return Ok(Holder::Us);
        }
        // It was released between the two statements: try again.
        if let Some(holder) = get_idempotency_key(db, reservation).await? {
            return Ok(holder);
        }
    }
    Ok(Holder::Other { fingerprint: None, wait: Duration::from_secs(1) })
}

async fn insert_idempotency_key(
    db: &impl Session,
    reservation: &Reservation,
    fingerprint: Option<&str>,
    lease: Duration,
    keep: Duration,
) -> Result<bool, DbError> {
    db.run_any(
        "-- insert_idempotency_key
INSERT INTO upload_pipeline.idempotency_keys AS k (user_id, route, key, attempt, body_sha256, locked_until, expires_at)
VALUES ($1, $2, $3, $4, coalesce($5, ''), now() + $6 * interval '1 second', now() + $7 * interval '1 second')
ON CONFLICT (user_id, route, key) DO UPDATE
SET attempt = excluded.attempt, body_sha256 = excluded.body_sha256, locked_until = excluded.locked_until,
    status = NULL, response = NULL, location = NULL, created_at = now(), expires_at = excluded.expires_at
WHERE k.expires_at <= now()
   OR (k.status IS NULL AND coalesce(k.locked_until <= now(), true)
       AND (k.body_sha256 = '' OR excluded.body_sha256 = '' OR k.body_sha256 = excluded.body_sha256))",
        &[
            &reservation.user.0,
            &reservation.route,
            &reservation.key,
            &reservation.attempt,
            &fingerprint,
            &lease.as_secs_f64(),
            &keep.as_secs_f64(),
        ],
    )
    .await
}

async fn get_idempotency_key(db: &impl Session, reservation: &Reservation) -> Result<Option<Holder>, DbError> {
    let row = db
        .row(
            "-- get_idempotency_key
SELECT k.body_sha256, k.status, k.location, k.response,
  greatest(extract(epoch FROM k.locked_until - now()), 1)::float8 AS wait
FROM upload_pipeline.idempotency_keys AS k
WHERE k.user_id = $1 AND k.route = $2 AND k.key = $3",
            &[&reservation.user.0, &reservation.route, &reservation.key],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let fingerprint: String = column(&row, "body_sha256")?;
    let status: Option<i32> = column(&row, "status")?;
    Ok(Some(match status.and_then(|status| u16::try_from(status).ok()) {
        None => {
            Holder::Other { fingerprint: (!fingerprint.is_empty()).then_some(fingerprint), wait: column(&row, "wait")? }
        }
        Some(status) => Holder::Answered(KeptAnswer {
            fingerprint,
            status,
            location: column(&row, "location")?,
            body: column::<Option<Value>>(&row, "response")?.unwrap_or_default(),
        }),
    }))
}

/// Renews the reservation for another `lease`. `false`: another try has the key.
pub async fn renew_key(db: &impl Session, reservation: &Reservation, lease: Duration) -> Result<bool, DbError> {
    db.run_any(
        "-- renew_idempotency_key
UPDATE upload_pipeline.idempotency_keys AS k
SET locked_until = now() + $5 * interval '1 second'
WHERE k.user_id = $1 AND k.route = $2 AND k.key = $3 AND k.attempt = $4 AND k.status IS NULL",
        &[&reservation.user.0, &reservation.route, &reservation.key, &reservation.attempt, &lease.as_secs_f64()],
    )
    .await
}

/// Locks the key's row until the transaction ends, so that the answer can be written in it. `false`: another try has it.
pub async fn lock_key(tx: &impl Session, reservation: &Reservation) -> Result<bool, DbError> {
    tx.run_any(
        "-- lock_idempotency_key
SELECT k.key
FROM upload_pipeline.idempotency_keys AS k
WHERE k.user_id = $1 AND k.route = $2 AND k.key = $3 AND k.attempt = $4 AND k.status IS NULL
FOR UPDATE",
        &[&reservation.user.0, &reservation.route, &reservation.key, &reservation.attempt],
    )
    .await
}

/// Writes the answer. `false`: another try has the key, and its answer counts.
pub async fn keep_answer(db: &impl Session, reservation: &Reservation, answer: &KeptAnswer) -> Result<bool, DbError> {
    db.run_any(
        "-- keep_answer
UPDATE upload_pipeline.idempotency_keys AS k
SET body_sha256 = $5, status = $6, location = $7, response = $8, locked_until = NULL
WHERE k.user_id = $1 AND k.route = $2 AND k.key = $3 AND k.attempt = $4 AND k.status IS NULL",
        &[
            &reservation.user.0,
            &reservation.route,
            &reservation.key,
            &reservation.attempt,
            &answer.fingerprint,
            &i32::from(answer.status),
            &answer.location,
            &answer.body,
        ],
    )
    .await
}

/// Releases the key: nothing was done under it.
pub async fn release_key(db: &impl Session, reservation: &Reservation) -> Result<(), DbError> {
    db.exec(
        "-- release_idempotency_key
DELETE FROM upload_pipeline.idempotency_keys AS k
WHERE k.user_id = $1 AND k.route = $2 AND k.key = $3 AND k.attempt = $4 AND k.status IS NULL",
        &[&reservation.user.0, &reservation.route, &reservation.key, &reservation.attempt],
    )
    .await
}
