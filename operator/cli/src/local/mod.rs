//! Carrying out the planner's intents on one machine: processes instead of pods, a folder instead of a cluster.
//!
//! All that a run knows is in files, each written aside and renamed, so `kill -9` at any moment loses nothing that was committed.

pub mod ask;
pub mod comparison;
pub mod disk;
pub mod durable;
pub mod environment;
pub mod execute;
pub mod fault;
pub mod home;
pub mod identity;
pub mod inputs;
pub mod job;
pub mod last_words;
pub mod lock;
pub mod machine;
pub mod model_check;
pub mod model_reference;
pub mod observe;
pub mod process;
pub mod registration;
pub mod registry;
pub mod run_folder;
pub mod signals;
pub mod stage_run;
pub mod state;
pub mod trainer_binary;
pub mod volumes;
