//! Turns work into events: one [`Step`] per vertex, which reports its end exactly once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::event::{Event, Outcome, Stream, Vertex, VertexId, Warning};
use crate::explain::Explanation;

/// Receives every event, from any thread, and must not block for long.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// Lines that an error report repeats of a failed step's output.
const LAST_LINES: usize = 20;

/// The source of all events of one build.
#[derive(Clone)]
pub(crate) struct Reporter {
    sink: EventSink,
    next: Arc<AtomicU32>,
    /// The target that it tells of, where there are several.
    target: Option<Arc<str>>,
}

impl Reporter {
    pub(crate) fn new(sink: EventSink) -> Self {
        Self { sink, next: Arc::default(), target: None }
    }

    /// The source of the events of one target, beside others.
    pub(crate) fn of_target(&self, target: &str) -> Self {
        Self { target: Some(target.into()), ..self.clone() }
    }

    /// What tells the target's steps from those of others: nothing for a build on its own.
    pub(crate) fn suffix(&self) -> String {
        self.target.as_ref().map(|target| format!(" of {target}")).unwrap_or_default()
    }

    /// `[build 2/4] RUN make` as `[target build 2/4] RUN make`.
    fn full_name(&self, name: &str) -> String {
        match (&self.target, name.strip_prefix('[')) {
            (None, _) => name.to_owned(),
            (Some(target), Some(rest)) => format!("[{target} {rest}"),
            (Some(target), None) => format!("[{target}] {name}"),
        }
    }

    /// Equal steps of several targets are shown once for each of them.
    fn full_digest(&self, digest: &str) -> String {
        match &self.target {
            None => digest.to_owned(),
            Some(target) => {
                format!("sha256:{}", blake3::hash(format!("{target} {digest}").as_bytes()).to_hex())
            }
        }
    }

    /// Begins a vertex. `digest` names it across builds; `inputs` are the digests of what it needs.
    pub(crate) fn start(&self, name: &str, digest: &str, inputs: &[String]) -> Step {
        if name.is_empty() {
            // Not shown: an operation that only the engine knows of.
            let sink: EventSink = Arc::new(|_| {});
            return Step {
                id: u32::MAX,
                name: String::new(),
                sink,
                ended: AtomicBool::new(true),
                tail: Mutex::default(),
            };
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let name = self.full_name(name);
        let inputs = inputs.iter().map(|input| self.full_digest(input)).collect();
        let vertex = Vertex { id, digest: self.full_digest(digest), inputs, name: name.clone() };
        (self.sink)(Event::Started { vertex, at: SystemTime::now() });
        Step { id, name, sink: self.sink.clone(), ended: AtomicBool::new(false), tail: Mutex::default() }
    }

    /// Begins a vertex of the engine itself, which no key names.
    pub(crate) fn internal(&self, name: &str) -> Step {
        let digest = format!("sha256:{}", blake3::hash(name.as_bytes()).to_hex());
        self.start(name, &digest, &[])
    }

    pub(crate) fn warn(&self, warning: Warning) {
        (self.sink)(Event::Warning(warning));
    }
}

/// A vertex that is worked on. Dropped without an end it counts as canceled.
pub(crate) struct Step {
    id: VertexId,
    name: String,
    sink: EventSink,
    ended: AtomicBool,
    tail: Mutex<Tail>,
}

impl Step {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn log(&self, stream: Stream, data: &[u8]) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).push(data);
        (self.sink)(Event::Log { id: self.id, stream, data: data.to_vec(), at: SystemTime::now() });
    }

    pub(crate) fn progress(&self, name: &str, current: u64, total: u64, done: bool) {
        (self.sink)(Event::Progress {
            id: self.id,
            name: name.to_owned(),
            current,
            total,
            done,
            at: SystemTime::now(),
        });
    }

    /// Says why it was not taken from the cache.
    pub(crate) fn explained(&self, explanation: Explanation) {
        (self.sink)(Event::Explained { id: self.id, explanation });
    }

    pub(crate) fn cached(&self) {
        (self.sink)(Event::Cached { id: self.id });
        self.end(Outcome::Done);
    }

    pub(crate) fn done(&self) {
        self.end(Outcome::Done);
    }

    /// Ends the vertex by a result's error text.
    pub(crate) fn finish<T, E: std::fmt::Display>(&self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.end(Outcome::Done),
            Err(e) => self.end(Outcome::Failed(e.to_string())),
        }
    }

    pub(crate) fn canceled(&self) {
        self.end(Outcome::Canceled);
    }

    /// The last lines of its output.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }

    fn end(&self, outcome: Outcome) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            (self.sink)(Event::Completed { id: self.id, outcome, at: SystemTime::now() });
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.end(Outcome::Canceled);
    }
}

/// The end of a step's output, bounded in lines and in bytes per line.
#[derive(Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    open: Vec<u8>,
}

impl Tail {
    const LONGEST: usize = 4096;

    fn push(&mut self, data: &[u8]) {
        for piece in data.split_inclusive(|b| *b == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = Self::LONGEST.saturating_sub(self.open.len());
            self.open.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.lines.push_back(std::mem::take(&mut self.open));
                if self.lines.len() > LAST_LINES {
                    self.lines.pop_front();
                }
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        let open = (!self.open.is_empty()).then_some(&self.open);
        let text = |l: &Vec<u8>| String::from_utf8_lossy(l).trim_end_matches('\r').to_owned();
        self.lines.iter().chain(open).map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_bounded_and_keeps_an_open_line() {
        let mut tail = Tail::default();
        for i in 0..100 {
            tail.push(format!("line {i}\n").as_bytes());
        }
        tail.push(b"par");
        tail.push(b"tial");
        let lines = tail.lines();
        assert_eq!(lines.len(), LAST_LINES + 1);
        assert_eq!(lines.last().unwrap(), "partial");
        assert_eq!(lines[0], "line 80");
    }

    #[test]
    fn a_dropped_step_is_canceled() {
        let seen: Arc<Mutex<Vec<Event>>> = Arc::default();
        let sink = seen.clone();
        let reporter = Reporter::new(Arc::new(move |e| sink.lock().unwrap().push(e)));
        drop(reporter.internal("x"));
        assert!(matches!(
            seen.lock().unwrap().last(),
            Some(Event::Completed { outcome: Outcome::Canceled, .. })
        ));
    }
}
