//! The build engine: requests in, events and images out.
//!
//! [`Engine::build`] takes a [`BuildRequest`], reads and plans the Dockerfile, runs what no cache answers, and exports the
//! result; [`Engine::check`], [`Engine::outline`] and [`Engine::targets`] answer without building. What happens on the way is told as [`Event`]s, from which every display is made. The crate prints nothing
//! and reads no environment variable.
#![forbid(unsafe_code)]

mod call;
mod cancel;
pub mod copy;
mod emulate;
mod engine;
mod error;
mod event;
mod explain;
mod export;
mod files;
mod foreign;
mod graph;
mod growing_blob;
mod image;
mod layer_folder;
mod layers;
mod lost;
mod outcome;
mod plan;
mod platform;
mod remote_cache;
mod reporter;
mod request;
mod solve;
mod source;
mod ssh;
mod tree;

pub use call::{CheckReport, Outline, OutlineArg, OutlineMount, SourceText, Target, TargetList};
pub use cancel::Cancel;
pub use engine::{Engine, EngineOptions};
pub use event::{Event, Outcome, Stream, Vertex, VertexId, Warning};
pub use explain::Explanation;
pub use image::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use outcome::{BuildFailure, BuildOutcome, FailedStep, SourcePlace};
pub use reporter::EventSink;
pub use request::{
    Annotation, AnnotationLevel, BuildRequest, CacheBudget, CacheCompression, CacheFormat, CacheMode,
    Compression, ContextSource, Destination, DockerfileSource, Entitlements, Export, ExportKind,
    ImageAttributes, Keep, NamedContext, NetworkMode, NoCache, RemoteCache, Resources, SecretSource,
    SshSource, Ulimit,
};
pub use source::GitProgram;
