//! Writes the synthetic property listings that the quickstart trains on.

fn main() {}
