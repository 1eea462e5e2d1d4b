//! Object stores and the Hugging Face hub: [`fetch`] brings a remote place into a folder, [`upload`] a folder to a remote place, and
//! [`Mirror`] keeps folders of a fixed layout (checkpoints) at one.
//!
//! Downloads resume, run several at once in bounded memory, and are verified against every digest that the server gives; uploads skip
//! what is there and write their commit last. Every failure is an [`Error`] with a [`Kind`], the place, the reason and the next step, and
//! none of them, nor any log line or manifest, holds a credential.
//!
//! Links no torch. Asynchronous inside; [`blocking`] is for programs that are not.

pub mod blocking;
mod digest;
mod error;
mod fetch;
mod http;
mod hub;
mod mirror;
mod object;
mod open;
mod progress;
mod secret;
mod settings;
mod source;
mod upload;
mod uri;
mod wait;

pub use error::{Error, Kind, Result};
pub use fetch::{Fetched, Purpose, Skipped, fetch};
pub use mirror::Mirror;
pub use settings::Settings;
pub use upload::{Uploaded, Writer, upload};
pub use uri::HubPath;
