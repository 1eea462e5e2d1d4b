//! Fetching and uploading against real servers on loopback: the hub's API (served here, with faults), S3 (moto), Azure (Azurite) and
//! Google Cloud Storage (fake-gcs-server), the last three installed by `scripts/setup.sh stores`.

mod azure;
mod canary;
mod google;
mod hub;
mod hub_faults;
mod kill;
mod mirror;
mod place;
mod proxy;
mod s3;
mod s3_faults;
