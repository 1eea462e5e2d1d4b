//! Servers of object stores, and one of the hub's HTTP API, on loopback or where a test's pods reach them. They end with the test process.
//!
//! The stores' servers are installed by `make setup-stores`. Nothing here skips: a test whose server is missing fails and says which command
//! installs it.

mod hub_server;
mod servers;

pub use hub_server::{COMMIT, Fault, HubServer, SIGNATURE, Seen, sha256};
pub use servers::{
    AZURE_ACCOUNT, AZURE_KEY, S3_SIGNED, Server, azure, google, s3, s3_bucket, s3_put, s3_with_users, s3_with_users_at, unique,
};
