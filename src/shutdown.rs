//! Turns SIGTERM and SIGINT into one [`CancellationToken`]. A second signal ends the process at once.

use std::io;

use futures_util::{Stream, StreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A request to stop.
#[derive(Debug, Clone, Copy)]
struct Stop {
    signal: &'static str,
    /// 128 plus the signal's number, as a shell reports a process that was ended by it.
    exit_code: i32,
}

/// A person pressed Ctrl-C.
const INTERRUPT: Stop = Stop { signal: "SIGINT", exit_code: 130 };
/// The platform stops this process.
const TERMINATE: Stop = Stop { signal: "SIGTERM", exit_code: 143 };

/// Starts listening. The first signal cancels the token; the second exits the process with 130 (SIGINT) or 143
/// (SIGTERM). Nothing is lost by that, because leases expire.
///
/// Call it within a tokio runtime, once per process.
///
/// # Errors
///
/// The operating system refuses the signal handlers.
pub fn listen() -> io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let signals = stops()?;
    let on_first = token.clone();
    tokio::spawn(async move {
        watch(Box::pin(signals), on_first, |code| std::process::exit(code)).await;
    });
    Ok(token)
}

/// A stream of both signals.
fn stops() -> io::Result<impl Stream<Item = Stop> + Send> {
    let both = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(stream::unfold(both, |(mut interrupt, mut terminate)| async move {
        let stop = tokio::select! {
            Some(()) = interrupt.recv() => INTERRUPT,
            Some(()) = terminate.recv() => TERMINATE,
            else => return None,
        };
        Some((stop, (interrupt, terminate)))
    }))
}

async fn watch(mut stops: impl Stream<Item = Stop> + Unpin, token: CancellationToken, exit: impl FnOnce(i32)) {
    let Some(first) = stops.next().await else { return };
    tracing::info!(signal = first.signal, "{} received: stopping; a second signal ends at once", first.signal);
    token.cancel();
    let Some(second) = stops.next().await else { return };
    tracing::warn!(signal = second.signal, "{} received while stopping: ending at once", second.signal);
    exit(second.exit_code);
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn the_first_signal_cancels_and_the_second_exits_with_its_code() {
        for (second, code) in [(INTERRUPT, 130), (TERMINATE, 143)] {
            let (send, stops) = mpsc::unbounded_channel();
            let stops = Box::pin(stream::unfold(stops, |mut stops| async { Some((stops.recv().await?, stops)) }));
            let (exited, mut exit) = mpsc::unbounded_channel();
            let token = CancellationToken::new();
            let watching = tokio::spawn(watch(stops, token.clone(), move |code| exited.send(code).unwrap()));
            assert!(!token.is_cancelled());
            send.send(TERMINATE).unwrap();
            token.cancelled().await;
            assert!(exit.try_recv().is_err(), "one signal must not exit");
            send.send(second).unwrap();
            watching.await.unwrap();
            assert_eq!(exit.recv().await, Some(code));
        }
    }

    #[tokio::test]
    async fn a_sigterm_sent_to_this_process_cancels_the_token() {
        let token = listen().unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        token.cancelled().await;
    }
}
