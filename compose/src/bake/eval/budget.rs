//! Bounds of evaluation: how much is made, and how deep it goes.

use std::cell::Cell;

use crate::bake::diagnostic::{Fault, Place};
use crate::bake::value::Value;

/// Bytes of texts, and some for every value and every step, that one evaluation may make in all.
const MAX_WEIGHT: u64 = 32 << 20;
/// Expressions, variables and functions that are evaluated inside one another.
const MAX_DEPTH: u32 = 600;
/// Values inside one another.
const MAX_VALUE_DEPTH: u32 = 100;
/// What a step counts, whatever it makes.
const STEP: u64 = 16;

/// What is left.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<u64>,
    depth: Cell<u32>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Cell::new(MAX_WEIGHT), depth: Cell::new(0) }
    }
}

/// More is made than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMuch;

impl TooMuch {
    /// What is said about it.
    pub(crate) const DETAIL: &str = "More is evaluated here than a bake file may make.";

    /// Says so.
    #[expect(clippy::unused_self, reason = "there is one thing to say")]
    pub(crate) fn at(self, place: &Place) -> Fault {
        place.complain("Evaluation too large", Self::DETAIL)
    }
}

impl Budget {
    /// Takes this much.
    pub(crate) fn take(&self, weight: u64) -> Result<(), TooMuch> {
        let Some(left) = self.left.get().checked_sub(weight) else {
            // whatever comes next fails as well, also inside of `try`
            self.left.set(0);
            return Err(TooMuch);
        };
        self.left.set(left);
        Ok(())
    }

    /// Takes what a value holds.
    pub(crate) fn admit(&self, value: &Value) -> Result<(), TooMuch> {
        let extent = value.extent();
        if extent.depth > MAX_VALUE_DEPTH {
            return Err(TooMuch);
        }
        self.take(extent.weight)
    }

    /// Goes one deeper.
    pub(crate) fn enter(&self) -> Result<(), TooMuch> {
        self.take(STEP)?;
        if self.depth.get() >= MAX_DEPTH {
            return Err(TooMuch);
        }
        self.depth.set(self.depth.get() + 1);
        Ok(())
    }

    /// Comes back.
    pub(crate) fn leave(&self) {
        self.depth.set(self.depth.get() - 1);
    }
}
