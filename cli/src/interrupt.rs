//! Ctrl-C: the first cancels what runs, the second ends the program at once.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::exit::Exit;

/// Shows the cursor again, which a picture may have hidden.
const SHOW_CURSOR: &[u8] = b"\x1b[?25h\n";

/// Starts to listen for SIGINT and SIGTERM; `canceled` is notified at the first. Must run within a runtime.
pub(crate) fn listen(canceled: Arc<Notify>) -> std::io::Result<()> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            if first {
                canceled.notify_one();
            } else {
                leave();
            }
        }
    });
    Ok(())
}

#[expect(clippy::exit, reason = "the user doesn't want to wait for anything any more")]
fn leave() {
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), SHOW_CURSOR);
    }
    std::process::exit(Exit::Interrupted as i32);
}
