//! The thread that owns the display: takes events in, tells the time, writes to standard error.

use std::io::Write;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use garboard_builder::{Event, Warning};

use super::Display;

/// How often displays are told the time.
const TICK: Duration = Duration::from_millis(100);

/// A display at work.
pub(crate) struct Progress {
    sender: Sender<Message>,
    thread: JoinHandle<Ended>,
}

/// Where events go. Clones go to the same display.
#[derive(Clone)]
pub(crate) struct Sink {
    sender: Sender<Message>,
}

/// What is left when the display has ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// Warnings of the build, in order, each once.
    pub(crate) warnings: Vec<Warning>,
}

enum Message {
    Event(Event),
    Finish,
}

impl Sink {
    /// Shows an event. After the display's end it is dropped.
    pub(crate) fn send(&self, event: Event) {
        let _ = self.sender.send(Message::Event(event));
    }
}

impl Progress {
    /// Starts the display's thread, which writes to `writer`.
    pub(crate) fn start(display: Box<dyn Display>, writer: Box<dyn Write + Send>) -> Self {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || run(display, writer, &receiver));
        Self { sender, thread }
    }

    /// A sink for events.
    pub(crate) fn sink(&self) -> Sink {
        Sink { sender: self.sender.clone() }
    }

    /// Shows all that was sent, and ends.
    pub(crate) fn finish(self) -> Ended {
        let _ = self.sender.send(Message::Finish);
        self.thread.join().unwrap_or_default()
    }
}

fn run(
    mut display: Box<dyn Display>,
    mut writer: Box<dyn Write + Send>,
    receiver: &Receiver<Message>,
) -> Ended {
    let mut ended = Ended::default();
    let mut out = Vec::new();
    loop {
        let mut next = match receiver.recv_timeout(TICK) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Message::Finish),
        };
        // what has come in the meantime is shown at once
        while let Some(message) = next {
            match message {
                Message::Event(event) => {
                    display.event(&event);
                    keep_warning(event, &mut ended.warnings);
                }
                Message::Finish => {
                    display.finish(SystemTime::now(), &mut out);
                    write(&mut *writer, &mut out);
                    return ended;
                }
            }
            next = receiver.try_recv().ok();
        }
        display.render(SystemTime::now(), &mut out);
        write(&mut *writer, &mut out);
    }
}

/// A build for several platforms may find the same twice.
fn keep_warning(event: Event, warnings: &mut Vec<Warning>) {
    if let Event::Warning(warning) = event
        && !warnings.contains(&warning)
    {
        warnings.push(warning);
    }
}

/// A build must not fail because nobody reads its progress any more.
fn write(writer: &mut dyn Write, out: &mut Vec<u8>) {
    if !out.is_empty() {
        let _ = writer.write_all(out).and_then(|()| writer.flush());
        out.clear();
    }
}
