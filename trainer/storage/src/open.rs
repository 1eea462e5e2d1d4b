//! From a configured place to something that can be talked to.

use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::object::Bucket;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::source::Source;
use crate::uri::Place;
use temper_contract::config::Remote;

/// A place to fetch from.
pub(crate) fn source(remote: &Remote, settings: &Settings) -> Result<Source> {
    let place = Place::parse(&remote.uri, remote.revision.as_deref())?;
    let secret = secret(remote)?;
    Ok(match place {
        Place::Bucket { provider, bucket, path } => {
            Source::Bucket(Box::new(Bucket::open_place(provider, &bucket, &path, &remote.uri, secret, settings)?))
        }
        Place::Hub { kind, name, revision, path } => {
            Source::Hub(Box::new(Hub::open_place(kind, name, revision, path, &remote.uri, secret, settings)?))
        }
    })
}

/// A place to write to.
pub(crate) fn bucket(remote: &Remote, settings: &Settings) -> Result<Bucket> {
    match Place::parse(&remote.uri, remote.revision.as_deref())? {
        Place::Bucket { provider, bucket, path } => Bucket::open_place(provider, &bucket, &path, &remote.uri, secret(remote)?, settings),
        Place::Hub { .. } => Err(Error::invalid(&remote.uri, "the hub is not written to", "write to s3://, gs:// or az://")),
    }
}

fn secret(remote: &Remote) -> Result<Option<Secret>> {
    remote.credentials.as_ref().map(|credentials| Secret::read(credentials, &remote.uri)).transpose()
}
