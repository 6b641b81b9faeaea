//! What can go wrong with one request.
use std::time::Duration;

/// What to do instead of answering properly.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, headers and body; the request has no other effect.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// Close the connection without a word; the request has its effect.
    Reset,
    /// Close the connection when half of the request's body has come; it has no effect.
    Cut,
    /// The proper answer, but only so many bytes of its body.
    Short(usize),
    /// The proper answer, and then more bytes of body, which its length counts.
    Overlong(Vec<u8>),
    /// The proper answer, one bit of its body another.
    Damaged,
    /// The proper answer, so many bytes of its body at a time with a pause before each, and one before the answer.
    Drip(usize, Duration),
    /// Nothing, for ever.
    Silence,
    /// The request's token ends this moment, if it was good for a request before.
    Expire,
    /// The proper answer without the header of this name.
    Without(&'static str),
    /// Sends to the same path on another origin (`http://host`).
    Elsewhere(String),
}

/// A fault, and for whom it is.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) times: usize,
    pub(crate) fault: Fault,
}

impl Rule {
    pub(crate) fn is_for(&self, method: &str, path: &str) -> bool {
        self.times > 0 && self.method == method && path.contains(self.path)
    }
}
