//! What can be asked of a Dockerfile without building it: what checks find, what a target takes, which targets there are.
//! Nothing is executed and no layer is fetched; of base images the config is read.

mod answer;
mod run;

pub use answer::{CheckReport, Outline, OutlineArg, OutlineMount, SourceText, Target, TargetList};
