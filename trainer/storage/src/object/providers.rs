//! Stores of the three providers, with the credentials of a Secret or the identity of the surroundings.

use super::connector::Connector;
use crate::error::{Error, Result};
use crate::http;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::uri::Provider;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, HeaderMap, HeaderValue, ObjectStore, RetryConfig};
use std::sync::Arc;
use std::time::Duration;

/// Retries of one request end here: it was signed for the time at which it was first sent.
const RETRY_TIMEOUT: Duration = Duration::from_secs(180);

/// A store of one bucket.
pub(super) fn store(
    provider: Provider,
    bucket: &str,
    secret: Option<&Secret>,
    uri: &str,
    settings: &Settings,
) -> Result<Arc<dyn ObjectStore>> {
    match provider {
        Provider::S3 => s3(bucket, secret, uri, settings),
        Provider::Gs => gs(bucket, secret, uri, settings),
        Provider::Az => az(bucket, secret, uri, settings),
    }
}

fn s3(bucket: &str, secret: Option<&Secret>, uri: &str, settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    let key_id = secret.and_then(|secret| secret.get(&["accessKeyId", "AWS_ACCESS_KEY_ID"]));
    let key = secret.and_then(|secret| secret.get(&["secretAccessKey", "AWS_SECRET_ACCESS_KEY"]));
    let mut builder = match (secret, key_id, key) {
        (Some(_), Some(key_id), Some(key)) => AmazonS3Builder::new().with_access_key_id(key_id).with_secret_access_key(key),
        (Some(secret), None, Some(_)) => return Err(secret.lacks("accessKeyId", uri)),
        (Some(secret), Some(_), None) => return Err(secret.lacks("secretAccessKey", uri)),
        // A Secret with a region or an endpoint alone goes with an identity of the surroundings.
        (Some(secret), None, None) if secret.get(&["region", "AWS_REGION", "endpoint", "AWS_ENDPOINT_URL"]).is_none() => {
            return Err(secret.lacks("accessKeyId", uri));
        }
        _ => AmazonS3Builder::from_env(),
    };
    if let Some(secret) = secret {
        if let Some(token) = secret.get(&["sessionToken", "AWS_SESSION_TOKEN"]) {
            builder = builder.with_token(token);
        }
        if let Some(region) = secret.get(&["region", "AWS_REGION", "AWS_DEFAULT_REGION"]) {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = secret.get(&["endpoint", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]) {
            let what = format!("{uri}: the key endpoint of the Secret {}", secret.name());
            http::endpoint(endpoint, &what)?;
            builder = builder.with_endpoint(endpoint);
        }
    }
    let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint].iter().find_map(|key| builder.get_config_value(key));
    // Asks S3 to send the checksum that an object was stored with.
    let headers = HeaderMap::from_iter([(http_header("x-amz-checksum-mode"), HeaderValue::from_static("ENABLED"))]);
    let store = builder
        .with_bucket_name(bucket)
        .with_client_options(options(settings, endpoint.as_deref()).with_default_headers(headers))
        .with_retry(retry(settings))
        .with_http_connector(Connector { settings: settings.clone() })
        .build();
    Ok(Arc::new(store.map_err(|_| unusable(uri, secret, "the S3 keys or the endpoint"))?))
}

fn gs(bucket: &str, secret: Option<&Secret>, uri: &str, settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    let mut endpoint = None;
    let builder = match secret {
        None => GoogleCloudStorageBuilder::from_env(),
        Some(secret) => {
            let key = secret.require(&["serviceAccount", "credentials.json", "key.json", "GOOGLE_SERVICE_ACCOUNT_KEY"], uri)?;
            let parsed: serde_json::Value =
                serde_json::from_str(key).map_err(|_| unusable(uri, Some(secret), "the service account's JSON"))?;
            if let Some(base) = parsed.get("gcs_base_url").and_then(serde_json::Value::as_str) {
                http::endpoint(base, &format!("{uri}: gcs_base_url in the Secret {}", secret.name()))?;
                endpoint = Some(base.to_owned());
            }
            GoogleCloudStorageBuilder::new().with_service_account_key(key)
        }
    };
    let store = builder
        .with_bucket_name(bucket)
        .with_client_options(options(settings, endpoint.as_deref()))
        .with_retry(retry(settings))
        .with_http_connector(Connector { settings: settings.clone() })
        .build();
    Ok(Arc::new(store.map_err(|_| unusable(uri, secret, "the service account's JSON"))?))
}

fn az(container: &str, secret: Option<&Secret>, uri: &str, settings: &Settings) -> Result<Arc<dyn ObjectStore>> {
    let mut endpoint = None;
    let builder = match secret {
        None => MicrosoftAzureBuilder::from_env(),
        Some(secret) => {
            let account = secret.require(&["accountName", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"], uri)?;
            let builder = MicrosoftAzureBuilder::new().with_account(account);
            let builder = match secret.get(&["accountKey", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"]) {
                Some(key) => builder.with_access_key(key),
                None => match secret.get(&["sasToken", "AZURE_STORAGE_SAS_TOKEN"]) {
                    Some(token) => builder.with_config(AzureConfigKey::SasKey, token),
                    None => return Err(secret.lacks("accountKey (or sasToken)", uri)),
                },
            };
            match secret.get(&["endpoint", "AZURE_STORAGE_ENDPOINT"]) {
                Some(address) => {
                    http::endpoint(address, &format!("{uri}: the key endpoint of the Secret {}", secret.name()))?;
                    endpoint = Some(address.to_owned());
                    builder.with_endpoint(address.to_owned())
                }
                None => builder,
            }
        }
    };
    let store = builder
        .with_container_name(container)
        .with_client_options(options(settings, endpoint.as_deref()))
        .with_retry(retry(settings))
        .with_http_connector(Connector { settings: settings.clone() })
        .build();
    Ok(Arc::new(store.map_err(|_| unusable(uri, secret, "the account's name, key or token"))?))
}

/// Plain HTTP is for an endpoint that somebody chose.
fn options(settings: &Settings, endpoint: Option<&str>) -> ClientOptions {
    let allow_http = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new().with_allow_http(allow_http).with_connect_timeout(settings.connect_timeout)
}

fn retry(settings: &Settings) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: settings.first_backoff, max_backoff: settings.longest_backoff, base: 2.0 },
        max_retries: settings.retries as usize,
        retry_timeout: RETRY_TIMEOUT,
    }
}

/// The builders' own errors repeat what they could not read, so they are not repeated here.
fn unusable(uri: &str, secret: Option<&Secret>, what: &str) -> Error {
    let (place, next_step) = match secret {
        Some(secret) => (format!("in the Secret {}", secret.name()), format!("put valid values into the Secret {}", secret.name())),
        None => ("in the environment".to_owned(), "name a Secret with the keys in secretRef".to_owned()),
    };
    Error::new(crate::error::Kind::Credentials, uri, format!("{what} {place} cannot be used"), next_step)
}

fn http_header(name: &'static str) -> reqwest::header::HeaderName {
    reqwest::header::HeaderName::from_static(name)
}
