//! The operator as a process, beside a real API server and controller-manager, over whole lives of jobs. Their pods are played.

mod budget;
mod deleted_attempt;
mod failures;
mod faults;
mod handover;
mod holds;
mod kills;
mod leader;
mod left_behind;
mod life;
mod obstacles;
mod refusals;
mod relist;
mod revoked;
mod world;
