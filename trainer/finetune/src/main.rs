//! The temper-trainer binary: prepare, train, evaluate, generate, publish.

fn main() {}
