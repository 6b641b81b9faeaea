//! Progress as lines, in BuildKit's form: `#5 [2/4] RUN make`, `#5 0.412 output`, `#5 DONE 1.2s`.
//!
//! Steps that run beside each other take turns. The one that has the word keeps it until it ends, unless it is silent
//! while another has something to say, or that one has waited for long.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::{Duration, SystemTime};

use garboard_builder::{Event, Explanation, Outcome, VertexId};

use super::Display;
use super::model::{LineBuffer, amount, elapsed};
use crate::style::{Palette, Tone};
use crate::text::seconds;

/// A step that was silent for so long gives way to one that waited as long.
const SILENCE: Duration = Duration::from_secs(1);
/// A step that waited for so long gets its turn in any case.
const PATIENCE: Duration = Duration::from_secs(5);
/// The figures of one transfer are printed at most so often.
const THROTTLE: Duration = Duration::from_secs(5);

/// The display.
pub(crate) struct Plain {
    palette: Palette,
    steps: Vec<Step>,
    index: HashMap<VertexId, usize>,
    /// The step that has the word.
    current: Option<usize>,
    /// When it last said something.
    spoke: SystemTime,
    numbers: u32,
    written: bool,
}

struct Step {
    name: String,
    started: SystemTime,
    number: Option<u32>,
    cached: bool,
    ended: Option<(Outcome, SystemTime)>,
    /// Lines that wait to be printed.
    pending: Vec<Vec<u8>>,
    /// Since when there is something to print.
    waiting: Option<SystemTime>,
    log: LineBuffer,
    transfers: BTreeMap<String, Transfer>,
    over: bool,
}

struct Transfer {
    started: SystemTime,
    printed: SystemTime,
    done: bool,
}

impl Plain {
    /// An empty display.
    pub(crate) fn new(palette: Palette) -> Self {
        Self {
            palette,
            steps: Vec::new(),
            index: HashMap::new(),
            current: None,
            spoke: SystemTime::UNIX_EPOCH,
            numbers: 0,
            written: false,
        }
    }

    fn step(&mut self, id: VertexId) -> Option<&mut Step> {
        self.index.get(&id).map(|at| &mut self.steps[*at])
    }

    /// The step to print next: those that ended come first, then the one that waits longest.
    fn next(&self) -> Option<usize> {
        let waiting = self.steps.iter().enumerate().filter_map(|(at, step)| Some((at, step, step.waiting?)));
        waiting.min_by_key(|(at, step, since)| (step.ended.is_none(), *since, *at)).map(|(at, ..)| at)
    }

    /// Whether the step that has the word must give it to `other`.
    fn gives_way(&self, other: usize, now: SystemTime) -> bool {
        let Some(since) = self.steps[other].waiting else { return false };
        let waited = elapsed(since, now);
        waited >= PATIENCE || waited >= SILENCE && elapsed(self.spoke, now) >= SILENCE
    }

    fn print(&mut self, at: usize, now: SystemTime, out: &mut Vec<u8>) {
        if self.current != Some(at) {
            self.switch(at, out);
        }
        let step = &mut self.steps[at];
        let number = step.number.unwrap_or_default();
        for line in step.pending.drain(..) {
            let _ = write!(out, "#{number} "); // writing to memory doesn't fail
            out.extend_from_slice(&line);
            out.push(b'\n');
        }
        step.waiting = None;
        self.spoke = now;
        if let Some((outcome, ended)) = &step.ended {
            let text = closing(outcome, step.cached, elapsed(step.started, *ended), &self.palette);
            let _ = writeln!(out, "#{number} {text}");
            step.over = true;
            self.current = None;
        }
    }

    /// Gives the word to a step.
    fn switch(&mut self, at: usize, out: &mut Vec<u8>) {
        if let Some(former) = self.current {
            let _ = writeln!(out, "#{} ...", self.steps[former].number.unwrap_or_default());
        }
        if self.written {
            out.push(b'\n');
        }
        self.written = true;
        self.current = Some(at);
        let step = &mut self.steps[at];
        if step.number.is_none() {
            self.numbers += 1;
            step.number = Some(self.numbers);
        }
        let _ = writeln!(out, "#{} {}", step.number.unwrap_or_default(), step.name);
    }
}

/// Why a step ran, in half a line; nothing for one that is new.
fn in_short(explanation: &Explanation) -> Option<String> {
    let (first, more) = explanation.causes.split_first()?;
    let more = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
    Some(format!("not cached: {first}{more}"))
}

/// The last line of a step.
fn closing(outcome: &Outcome, cached: bool, took: Duration, palette: &Palette) -> String {
    match outcome {
        Outcome::Done if cached => palette.paint(Tone::Done, "CACHED"),
        Outcome::Done => palette.paint(Tone::Done, &format!("DONE {}", seconds(took))),
        Outcome::Failed(message) => palette.paint(Tone::Error, &format!("ERROR: {message}")),
        Outcome::Canceled => palette.paint(Tone::Canceled, "CANCELED"),
    }
}

impl Step {
    fn say(&mut self, line: Vec<u8>, at: SystemTime) {
        self.pending.push(line);
        self.waiting.get_or_insert(at);
    }

    fn log(&mut self, data: &[u8], at: SystemTime) {
        let mut log = std::mem::take(&mut self.log);
        log.push(data, |line| self.say_log(line, at));
        self.log = log;
    }

    fn say_log(&mut self, line: &[u8], at: SystemTime) {
        let mut text = format!("{:.3} ", elapsed(self.started, at).as_secs_f64()).into_bytes();
        text.extend_from_slice(line);
        self.say(text, at);
    }

    fn end(&mut self, outcome: &Outcome, at: SystemTime) {
        let mut log = std::mem::take(&mut self.log);
        log.take(|line| self.say_log(line, at));
        self.ended = Some((outcome.clone(), at));
        self.waiting.get_or_insert(at);
    }

    fn progress(&mut self, name: &str, (current, total, done): (u64, u64, bool), at: SystemTime) {
        let known = self.transfers.get(name);
        if known.is_some_and(|transfer| transfer.done) {
            return;
        }
        let started = known.map_or(at, |transfer| transfer.started);
        let printed = known.map_or(at, |transfer| transfer.printed);
        let due = done || elapsed(printed, at) >= THROTTLE;
        let transfer = Transfer { started, printed: if due { at } else { printed }, done };
        self.transfers.insert(name.to_owned(), transfer);
        if due {
            let took = elapsed(started, at);
            let time =
                if took > Duration::from_millis(10) { format!(" {}", seconds(took)) } else { String::new() };
            let end = if done { " done" } else { "" };
            self.say(format!("{name}{}{time}{end}", amount(current, total)).into_bytes(), at);
        }
    }
}

impl Display for Plain {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { vertex, at } => {
                self.index.insert(vertex.id, self.steps.len());
                self.steps.push(Step {
                    name: vertex.name.replace(char::is_control, " "),
                    started: *at,
                    number: None,
                    cached: false,
                    ended: None,
                    pending: Vec::new(),
                    waiting: Some(*at),
                    log: LineBuffer::default(),
                    transfers: BTreeMap::new(),
                    over: false,
                });
            }
            Event::Cached { id } => {
                if let Some(step) = self.step(*id) {
                    step.cached = true;
                }
            }
            Event::Log { id, data, at, .. } => {
                if let Some(step) = self.step(*id) {
                    step.log(data, *at);
                }
            }
            Event::Progress { id, name, current, total, done, at } => {
                if let Some(step) = self.step(*id) {
                    step.progress(name, (*current, *total, *done), *at);
                }
            }
            Event::Explained { id, explanation } => {
                if let (Some(step), Some(text)) = (self.step(*id), in_short(explanation)) {
                    let since = step.started;
                    step.say(text.into_bytes(), since);
                }
            }
            Event::Completed { id, outcome, at } => {
                if let Some(step) = self.step(*id) {
                    step.end(outcome, *at);
                }
            }
            Event::Warning(_) => {} // all of them are listed at the end of the build
        }
    }

    fn render(&mut self, now: SystemTime, out: &mut Vec<u8>) {
        loop {
            if let Some(current) = self.current
                && self.steps[current].waiting.is_some()
            {
                self.print(current, now, out);
                continue;
            }
            match self.next() {
                Some(other) if self.current.is_none() || self.gives_way(other, now) => {
                    self.print(other, now, out);
                }
                _ => return,
            }
        }
    }

    fn finish(&mut self, now: SystemTime, out: &mut Vec<u8>) {
        self.render(now, out);
        // whoever still waits has its turn now
        while let Some(next) = self.next() {
            self.print(next, now, out);
        }
        if self.written {
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, text};
    use super::*;

    #[test]
    fn build_with_a_failing_step() {
        insta::assert_snapshot!(text(Plain::new(Palette::default()), &samples::failing()));
    }

    #[test]
    fn cached_build() {
        insta::assert_snapshot!(text(Plain::new(Palette::default()), &samples::cached()));
    }

    #[test]
    fn stages_beside_each_other() {
        insta::assert_snapshot!(text(Plain::new(Palette::default()), &samples::parallel()));
    }
}
