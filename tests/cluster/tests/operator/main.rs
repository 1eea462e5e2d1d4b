//! The operator as a process, beside a real API server and controller-manager, over whole lives of jobs. Their pods are played.

mod budget;
mod failures;
mod faults;
mod holds;
mod kills;
mod leader;
mod life;
mod obstacles;
mod world;
