//! How much of a thing is in use, by user and in all, within bounds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use domain::UserId;

/// What is in use. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Quota(Arc<Mutex<HashMap<Option<UserId>, u64>>>);

/// The most that may be in use; 0 = no bound.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// By one user.
    pub per_user: u64,
    /// By all users of this process.
    pub in_all: u64,
}

/// Which bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The user's.
    User,
    /// The process's.
    Process,
}

/// What one holder has in use; given back when dropped.
#[derive(Debug)]
pub struct Share {
    quota: Quota,
    /// `None`: a caller that is no user, which only the process's bound holds for.
    user: Option<UserId>,
    most: Most,
    amount: u64,
}

impl Quota {
    /// A share of nothing yet.
    pub fn share(&self, user: Option<UserId>, most: Most) -> Share {
        Share { quota: self.clone(), user, most, amount: 0 }
    }
}

impl Share {
    /// Takes so much more.
    pub fn take(&mut self, amount: u64) -> Result<(), Full> {
        // Poisoned by a panic between two numbers: they are whole all the same.
        let mut used = self.quota.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |used: u64, most: u64| most == 0 || used.saturating_add(amount) <= most;
        if !fits(used.values().sum(), self.most.in_all) {
            return Err(Full::Process);
        }
        let own = used.entry(self.user).or_default();
        if self.user.is_some() && !fits(*own, self.most.per_user) {
            return Err(Full::User);
        }
        *own += amount;
        self.amount += amount;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut used = self.quota.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = used.get_mut(&self.user) {
            *own -= self.amount;
            if *own == 0 {
                used.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn shares_are_bounded_for_a_user_and_in_all_and_come_back() {
        let (quota, most) = (Quota::default(), Most { per_user: 2, in_all: 3 });
        let user = |user: u128| Some(UserId(Uuid::from_u128(user)));
        let take = |user, amount| {
            let mut share = quota.share(user, most);
            share.take(amount).map(|()| share)
        };
        let first = take(user(1), 2).unwrap();
        assert_eq!(take(user(1), 1).unwrap_err(), Full::User);
        let mut other = take(user(2), 1).unwrap();
        assert_eq!(other.take(1), Err(Full::Process));
        assert_eq!(take(None, 1).unwrap_err(), Full::Process);
        drop(first);
        assert_eq!(other.take(1), Ok(()));
        assert_eq!(other.take(1), Err(Full::User));
        assert!(take(None, 1).is_ok());
        drop(other);
        assert!(quota.0.lock().unwrap().is_empty());
        assert!(quota.share(user(1), Most { per_user: 0, in_all: 0 }).take(u64::MAX).is_ok());
    }
}
