//! Answers about a Dockerfile, as text and as JSON, in buildx's form: pure text.

mod check;
mod describe;
mod outline;
mod place;
mod targets;

pub(crate) use check::check;
pub(crate) use describe::describe;
pub(crate) use outline::outline;
pub(crate) use targets::targets;

/// An answer in both forms.
pub(crate) struct Answer {
    /// For people.
    pub(crate) text: String,
    /// For machines: indented JSON, as it is printed.
    pub(crate) json: String,
    /// The program ends with 1: something was found.
    pub(crate) failed: bool,
}

impl Answer {
    fn new(text: String, json: &impl serde::Serialize) -> Self {
        // the types have neither maps with odd keys nor failing serialisers
        let json = serde_json::to_string_pretty(json).unwrap_or_default();
        Self { text, json, failed: false }
    }
}
