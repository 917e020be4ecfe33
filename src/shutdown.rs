//! Turns SIGTERM and SIGINT into one [`CancellationToken`]. A second signal ends the process at once.

use std::io;

use futures_util::{Stream, StreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A signal's name, and the exit code by which a shell reports a process that it ended: 128 plus its number.
type Stop = (&'static str, i32);

/// A person pressed Ctrl-C.
const INTERRUPT: Stop = ("SIGINT", 130);
/// The platform stops this process.
const TERMINATE: Stop = ("SIGTERM", 143);

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
    let stops = stream::select(stops(SignalKind::interrupt(), INTERRUPT)?, stops(SignalKind::terminate(), TERMINATE)?);
    tokio::spawn(watch(stops, token.clone(), |code| std::process::exit(code)));
    Ok(token)
}

fn stops(kind: SignalKind, stop: Stop) -> io::Result<impl Stream<Item = Stop>> {
    let mut signals = signal(kind)?;
    Ok(stream::poll_fn(move |cx| signals.poll_recv(cx).map(|_| Some(stop))))
}

async fn watch(mut stops: impl Stream<Item = Stop> + Unpin, token: CancellationToken, exit: impl FnOnce(i32)) {
    let Some((signal, _code)) = stops.next().await else { return };
    tracing::info!(signal, "{signal} received: stopping; a second signal ends at once");
    token.cancel();
    let Some((signal, code)) = stops.next().await else { return };
    tracing::warn!(signal, "{signal} received while stopping: ending at once");
    exit(code);
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
