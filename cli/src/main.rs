//! The `garboard` program.

fn main() {}
