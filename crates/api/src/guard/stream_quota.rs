//! The limit on live timelines: each holds a connection of the server and reads the database twice a second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::http::ApiError;
use config::Http;
use domain::{Code, UserId};

/// When to try again: a timeline whose client has left ends within two of its comment lines.
const RETRY_AFTER: Duration = Duration::from_secs(15);

/// The open timelines, by user.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<HashMap<UserId, usize>>>);

/// A place; given back when dropped.
#[derive(Debug)]
pub struct StreamPlace {
    streams: Streams,
    user: UserId,
}

impl Streams {
    /// A place for one more timeline of `user`.
    pub fn enter(&self, user: UserId, limits: &Http) -> Result<StreamPlace, ApiError> {
        // Poisoned by a panic between two numbers: they are whole all the same.
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, all) = (open.get(&user).copied().unwrap_or_default(), open.values().sum::<usize>());
        if limits.event_streams_per_user > 0 && own >= limits.event_streams_per_user {
            return Err(ApiError::of(Code::StreamsPerUser).retry_after(RETRY_AFTER));
        }
        if limits.event_streams > 0 && all >= limits.event_streams {
            return Err(ApiError::of(Code::StreamsFull).retry_after(RETRY_AFTER));
        }
        *open.entry(user).or_default() += 1;
        Ok(StreamPlace { streams: self.clone(), user })
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::default_config;
    use uuid::Uuid;

    #[test]
    fn places_are_bounded_for_a_user_and_in_all_and_come_back() {
        let limits = Http { event_streams: 3, event_streams_per_user: 2, ..default_config().http };
        let streams = Streams::default();
        let enter = |user: u128| streams.enter(UserId(Uuid::from_u128(user)), &limits);
        let code = |refused: Result<StreamPlace, ApiError>| refused.unwrap_err().code();
        let (first, _second) = (enter(1).unwrap(), enter(1).unwrap());
        assert_eq!(code(enter(1)), Code::StreamsPerUser);
        let other = enter(2).unwrap();
        assert_eq!(code(enter(2)), Code::StreamsFull);
        drop(other);
        drop(first);
        let _again = (enter(1).unwrap(), enter(2).unwrap());
        assert_eq!(streams.0.lock().unwrap().len(), 2);
    }
}
