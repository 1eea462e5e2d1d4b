//! Repositories of the Hugging Face hub, through its plain HTTP API.

mod api;
mod redirect;

use crate::digest::Check;
use crate::error::{Error, Kind, Result};
use crate::http::{self, GuardedResolver};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::source::{Body, Interruption, Listing, RemoteFile};
use crate::uri::RepositoryKind;
use crate::wait;
use api::{Repository, Sibling};
use futures_util::StreamExt;
use redirect::{Route, SendError};
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use std::sync::{Arc, OnceLock};

/// Larger answers of the API are not a repository's description.
const LARGEST_ANSWER: usize = 64 << 20;

/// A path in a repository.
pub(crate) struct Hub {
    uri: String,
    kind: RepositoryKind,
    name: String,
    revision: String,
    path: String,
    route: Route,
    secret_name: Option<String>,
    has_token: bool,
    secret: Option<Secret>,
    settings: Settings,
    /// The commit that the revision named when it was listed.
    commit: OnceLock<String>,
}

impl Hub {
    /// Connects to nothing yet. Without a Secret the token is `HF_TOKEN`'s, if that is set.
    pub(crate) fn open_place(
        kind: RepositoryKind,
        name: String,
        revision: String,
        path: String,
        uri: &str,
        secret: Option<Secret>,
        settings: &Settings,
    ) -> Result<Self> {
        let endpoint = http::endpoint(&settings.hub_endpoint, "HF_ENDPOINT")?;
        let token = match &secret {
            Some(secret) => Some(secret.require(&["token", "HF_TOKEN"], uri)?.to_owned()),
            None => std::env::var("HF_TOKEN").ok().filter(|token| !token.is_empty()),
        };
        let bearer = token.as_ref().map(|token| HeaderValue::from_str(&format!("Bearer {token}"))).transpose().map_err(|_| {
            Error::new(Kind::Credentials, uri, "the token has characters that no token has", "put the token alone into the key token")
        })?;
        let allow_loopback = is_loopback(&endpoint);
        let resolver = Arc::new(GuardedResolver { allow_loopback });
        let client = http::client(settings, endpoint.scheme() == "http", Some(resolver))
            .map_err(|error| Error::invalid(uri, http::root_cause(&error), "check the image's certificates and the proxy variables"))?;
        Ok(Self {
            uri: uri.to_owned(),
            kind,
            name,
            revision,
            path,
            route: Route::new(client, endpoint, bearer, allow_loopback),
            secret_name: secret.as_ref().map(|secret| secret.name().to_owned()),
            has_token: token.is_some(),
            secret,
            settings: settings.clone(),
            commit: OnceLock::new(),
        })
    }

    /// The files of the revision, at the commit that it names now.
    pub(crate) async fn listing(&self) -> Result<Listing> {
        let collection = match self.kind {
            RepositoryKind::Model => "models",
            RepositoryKind::Dataset => "datasets",
        };
        let mut url = self.route.url(["api", collection].into_iter().chain(self.name.split('/')).chain(["revision", &self.revision]));
        url.set_query(Some("blobs=true"));
        let repository = self.repository(&url).await?;
        let commit = repository.sha.clone();
        let (files, single) = self.select(repository.siblings)?;
        let commit = self.commit.get_or_init(|| commit).clone();
        Ok(Listing { revision: Some(commit), files, single })
    }

    async fn repository(&self, url: &Url) -> Result<Repository> {
        let mut failures = 0;
        loop {
            let interruption = match self.ask(url).await {
                Ok(repository) => return Ok(repository),
                Err(interruption) => interruption,
            };
            failures += 1;
            match interruption {
                Interruption::Transient { wait_seconds, .. } if failures <= self.settings.retries => {
                    wait::before_retry(&self.settings, failures, wait_seconds).await;
                }
                Interruption::Transient { error, .. } | Interruption::Final(error) => return Err(error),
                Interruption::Changed => return Err(Error::corrupt(&self.uri, "the repository changes while it is read")),
            }
        }
    }

    async fn ask(&self, url: &Url) -> Result<Repository, Interruption> {
        let response = self.send(url, None).await?;
        let mut bytes = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| self.broken(&error))?);
            if bytes.len() > LARGEST_ANSWER {
                return Err(Interruption::Final(Error::corrupt(
                    &self.uri,
                    "the hub's answer is too large to be a repository's description",
                )));
            }
        }
        Repository::parse(&bytes).map_err(|reason| Interruption::Final(Error::corrupt(&self.uri, reason)))
    }

    /// The one file of that path, or those below it.
    fn select(&self, siblings: Vec<Sibling>) -> Result<(Vec<RemoteFile>, bool)> {
        let name_of = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        if let Some(file) = siblings.iter().find(|sibling| sibling.rfilename == self.path) {
            return Ok((vec![self.file(name_of(&self.path), file)?], true));
        }
        let prefix = if self.path.is_empty() { String::new() } else { format!("{}/", self.path) };
        let below = siblings.iter().filter_map(|sibling| Some((sibling.rfilename.strip_prefix(&prefix)?.to_owned(), sibling)));
        let files: Vec<RemoteFile> = below.map(|(name, sibling)| self.file(name, sibling)).collect::<Result<_>>()?;
        if files.is_empty() {
            let what = if self.path.is_empty() { "no files".to_owned() } else { format!("nothing at {}", self.path) };
            let reason = format!("the repository {} has {what} at revision {}", self.name, self.revision);
            return Err(Error::new(Kind::NotFound, &self.uri, reason, "correct the path or the revision"));
        }
        Ok((files, false))
    }

    fn file(&self, path: String, sibling: &Sibling) -> Result<RemoteFile> {
        let lacking = || Error::corrupt(&self.uri, format!("the hub gives no length or digest for {}", sibling.rfilename));
        let (size, check) = match (&sibling.lfs, &sibling.blob_id) {
            (Some(large), _) => (large.size, Check::Sha256(large.sha256.clone())),
            (None, Some(blob)) => (sibling.size.ok_or_else(lacking)?, Check::GitBlob(blob.clone())),
            (None, None) => return Err(lacking()),
        };
        Ok(RemoteFile { path, key: sibling.rfilename.clone(), size, version: check.to_string(), check: Some(check) })
    }

    /// The file's content from `offset` on. Files of a commit never change.
    pub(crate) async fn open(&self, file: &RemoteFile, offset: u64) -> Result<Body, Interruption> {
        let commit = self.commit.get().map_or(self.revision.as_str(), String::as_str);
        let collection: &[&str] = if self.kind == RepositoryKind::Dataset { &["datasets"] } else { &[] };
        let parts = collection.iter().copied().chain(self.name.split('/')).chain(["resolve", commit]).chain(file.key.split('/'));
        let url = self.route.url(parts);
        let range = (offset > 0).then(|| format!("bytes={offset}-"));
        let response = self.send(&url, range.as_deref()).await?;
        let start = match response.status() {
            StatusCode::PARTIAL_CONTENT => range_start(&response),
            _ => Some(0),
        };
        let Some(start) = start.filter(|start| *start == offset || *start == 0) else {
            return Err(Interruption::Final(Error::corrupt(
                &self.uri,
                format!("the server sent another part of {} than it was asked for", file.key),
            )));
        };
        let (uri, key) = (self.uri.clone(), file.key.clone());
        let stream = response.bytes_stream().map(move |chunk| chunk.map_err(|error| broken(&format!("{uri}: {key}"), &error)));
        Ok(Body { start, stream: stream.boxed() })
    }

    async fn send(&self, url: &Url, range: Option<&str>) -> Result<Response, Interruption> {
        let range = range.and_then(|range| HeaderValue::from_str(range).ok()).map(|range| (RANGE, range));
        let response = match self.route.get(url, range).await {
            Ok(response) => response,
            Err(SendError::Transport(error)) => return Err(self.broken(&error)),
            Err(SendError::Refused(reason)) => {
                let next_step = "check HF_ENDPOINT; if it is right, the server is not to be trusted";
                return Err(Interruption::Final(Error::new(Kind::Denied, &self.uri, reason, next_step)));
            }
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let error = self.refusal(&response);
        if error.kind == Kind::Unreachable {
            let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let wait_seconds = header.and_then(|value| value.parse().ok());
            return Err(Interruption::Transient { error, wait_seconds });
        }
        Err(Interruption::Final(error))
    }

    /// What an answer that is not the file means.
    fn refusal(&self, response: &Response) -> Error {
        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let code = header("x-error-code").unwrap_or_default().to_owned();
        let message = header("x-error-message").map(|message| format!(": {}", message.trim_end_matches('.'))).unwrap_or_default();
        let (name, revision) = (&self.name, &self.revision);
        let what = match self.kind {
            RepositoryKind::Model => "model",
            RepositoryKind::Dataset => "dataset",
        };
        let new = |kind, reason: String, next_step: &str| Error::new(kind, &self.uri, reason, next_step);
        let token = match (&self.secret_name, self.has_token) {
            (Some(secret), _) => format!("the token of the Secret {secret}"),
            (None, true) => "the token in HF_TOKEN".to_owned(),
            (None, false) => "nobody in particular".to_owned(),
        };
        match (status.as_u16(), code.as_str()) {
            (404, "RevisionNotFound") => new(
                Kind::NotFound,
                format!("the {what} {name} has no revision {revision}"),
                "correct the revision: a branch, a tag or a commit",
            ),
            (404, "EntryNotFound") => new(Kind::NotFound, format!("the {what} {name} has no such file at {revision}"), "correct the path"),
            (404, _) => new(
                Kind::NotFound,
                format!("there is no {what} {name} that {token} may see"),
                "correct OWNER/NAME (a data set's URI is hf://datasets/OWNER/NAME); for a private one name a Secret with the key token",
            ),
            // The hub answers so for what does not exist, too, if nobody in particular asks.
            (401, _) if !self.has_token => new(
                Kind::Denied,
                format!("there is no public {what} {name}: it does not exist, or is private or gated (401{message})"),
                "correct OWNER/NAME, or name a Secret with the key token in secretRef: kubectl create secret generic hf-token --from-literal=token=hf_...",
            ),
            (401, _) => new(
                Kind::Credentials,
                format!("the hub does not accept {token} (401{message})"),
                "put a valid token into the Secret's key token: huggingface.co/settings/tokens makes one",
            ),
            (403, _) => new(
                Kind::Denied,
                format!("access to the {what} {name} is denied to {token} (403{message})"),
                "ask for access on the repository's page, or use a token of somebody who has it",
            ),
            (429 | 408 | 500.., _) => new(
                Kind::Unreachable,
                format!("the hub fails again and again ({status}{message})"),
                "try again later; with a token the hub allows more requests",
            ),
            _ => new(Kind::Invalid, format!("the hub refuses the request ({status}{message})"), "check the URI and HF_ENDPOINT"),
        }
    }

    fn broken(&self, error: &reqwest::Error) -> Interruption {
        broken(&self.uri, error)
    }

    /// The error without the token, should a server have repeated it.
    pub(crate) fn strike_out(&self, error: Error) -> Error {
        match &self.secret {
            Some(secret) => Error { reason: secret.strike_out(&error.reason), ..error },
            None => error,
        }
    }
}

/// The connection broke. The error's own text has the address in it, and a signed address is a secret.
fn broken(place: &str, error: &reqwest::Error) -> Interruption {
    let reason = format!("the connection failed: {}", http::root_cause(error));
    let error = Error::new(
        Kind::Unreachable,
        place,
        reason,
        "check the network and the network policies between this pod and the hub, and HF_ENDPOINT",
    );
    Interruption::Transient { error, wait_seconds: None }
}

fn range_start(response: &Response) -> Option<u64> {
    let header = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    header.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn is_loopback(endpoint: &Url) -> bool {
    http::ip(endpoint).is_some_and(|address| address.is_loopback()) || endpoint.host_str() == Some("localhost")
}
