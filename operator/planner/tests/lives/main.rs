//! Whole lives of jobs, replayed step by step: a simulated executor carries out what `plan` says, a script says what happens to the
//! processes, and the transcript of both is compared.

mod any_sequence;
mod failures;
mod holds;
mod smooth;
mod world;
