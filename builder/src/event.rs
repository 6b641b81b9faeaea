//! What the engine reports while it builds: one stream, from which every display is made.

use std::time::SystemTime;

use crate::explain::Explanation;

/// Number of a vertex within one build, from 0.
pub type VertexId = u32;

/// One event. Events of one vertex come in the order Started, (Log | Progress | Explained)*, Cached?, Completed.
#[derive(Clone, Debug)]
pub enum Event {
    /// A vertex begins.
    Started {
        /// The vertex.
        vertex: Vertex,
        /// When.
        at: SystemTime,
    },
    /// Its result came from the cache; Completed follows.
    Cached {
        /// The vertex.
        id: VertexId,
    },
    /// Output of the step.
    Log {
        /// The vertex.
        id: VertexId,
        /// Which of its streams.
        stream: Stream,
        /// The bytes as they came, at most 64 KiB, not cut at line ends.
        data: Vec<u8>,
        /// When.
        at: SystemTime,
    },
    /// How far a transfer is. `name` tells several transfers of one vertex apart (`sha256:…`, `exporting layers`).
    Progress {
        /// The vertex.
        id: VertexId,
        /// What is counted.
        name: String,
        /// Bytes or items so far.
        current: u64,
        /// Of how many; 0: unknown.
        total: u64,
        /// Whether this part is done.
        done: bool,
        /// When.
        at: SystemTime,
    },
    /// Why a step was not taken from the cache.
    Explained {
        /// The vertex.
        id: VertexId,
        /// Why.
        explanation: Explanation,
    },
    /// A vertex ended.
    Completed {
        /// The vertex.
        id: VertexId,
        /// How.
        outcome: Outcome,
        /// When.
        at: SystemTime,
    },
    /// Something that doesn't fail the build.
    Warning(Warning),
}

/// What is worked on.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// Its number.
    pub id: VertexId,
    /// Digest that names it across builds (`sha256:…`).
    pub digest: String,
    /// Digests of the vertices that it needs.
    pub inputs: Vec<String>,
    /// As BuildKit prints it: `[build 2/4] RUN make`, `[internal] load build context`.
    pub name: String,
}

/// A stream of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a vertex ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Done,
    /// It failed, with this message.
    Failed(String),
    /// Another one failed, or the user gave up.
    Canceled,
}

/// A warning, of a check or of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Rule of a check (`StageNameCasing`); `None`: the engine's own.
    pub rule: Option<String>,
    /// The message, one line.
    pub message: String,
    /// What the rule wants.
    pub description: Option<String>,
    /// More about it.
    pub url: Option<String>,
    /// File that it is about, as messages call it.
    pub file: Option<String>,
    /// First and last line (1-based, inclusive).
    pub lines: Option<(usize, usize)>,
}
