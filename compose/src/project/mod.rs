//! A project: what its files come to, which services of it are wanted, and what is built for them.

mod consistent;
mod environment;
mod model;
mod options;
mod print;
mod select;
mod services;
mod targets;

pub use model::Model;
pub use options::Options;
pub use print::Format;
pub use services::Project;
pub use targets::{BuildOptions, Plan};
