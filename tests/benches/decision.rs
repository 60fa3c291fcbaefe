//! One decision.

fn main() {}
