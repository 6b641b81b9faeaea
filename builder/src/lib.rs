//! The build engine: requests in, events and images out.
#![forbid(unsafe_code)]

pub mod copy;
mod event;
mod outcome;
mod request;

pub use event::{Event, Outcome, Stream, Vertex, VertexId, Warning};
pub use outcome::{BuildFailure, BuildOutcome, FailedStep, SourcePlace};
pub use request::{
    Annotation, AnnotationLevel, BuildRequest, Compression, ContextSource, Destination, DockerfileSource,
    Entitlements, Export, ExportKind, ImageAttributes, NamedContext, NetworkMode, NoCache, SecretSource,
    Ulimit,
};
