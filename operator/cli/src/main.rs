//! The temper command line and the executor that runs jobs on one machine.

fn main() {}
