//! The HTTP under `object_store`: our client, and what its errors and results do not tell: the server's own words and checksums.

use super::fault::{self, Fault};
use crate::digest::{Check, hexadecimal};
use crate::http;
use crate::settings::Settings;
use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService};
use object_store::{ClientConfigKey, ClientOptions, HeaderMap};
use std::time::Duration;

/// An error's body is read up to here.
const LONGEST_ERROR: usize = 64 << 10;
/// What `object_store` gives a metadata server to answer, in its own notation.
const METADATA_CONNECT_TIMEOUT: (&str, Duration) = ("1s", Duration::from_secs(1));

/// Makes the clients of a store, and of what it gets credentials from.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) settings: Settings,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true");
        let mut settings = self.settings.clone();
        if options.get_config_value(&ClientConfigKey::ConnectTimeout).as_deref() == Some(METADATA_CONNECT_TIMEOUT.0) {
            settings.connect_timeout = METADATA_CONNECT_TIMEOUT.1;
        }
        let client = http::client(&settings, allow_http, None)
            .map_err(|error| object_store::Error::Generic { store: "HTTP", source: Box::new(error.without_url()) })?;
        Ok(HttpClient::new(Service { client }))
    }
}

#[derive(Debug)]
struct Service {
    client: reqwest::Client,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let identity = gives_identity(request.uri().host().unwrap_or_default());
        let response = match self.client.call(request).await {
            Ok(response) => response,
            Err(error) => {
                fault::note(Fault { identity, ..Fault::default() });
                return Err(error);
            }
        };
        let status = response.status();
        let (mut parts, body) = response.into_parts();
        if status.is_success() || status.as_u16() == 304 {
            parts.extensions.insert(Promise::of(&parts.headers));
            return Ok(HttpResponse::from_parts(parts, body));
        }
        // The server's words are kept apart, for our own messages: they may repeat the request, which has credentials in it.
        let text = read(body).await;
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let code = fault::element(&text, "Code").or_else(|| header("x-ms-error-code"));
        fault::note(Fault { status: status.as_u16(), code, message: fault::element(&text, "Message"), identity });
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(Bytes::new())))
    }
}

async fn read(body: HttpResponseBody) -> String {
    let mut bytes = Vec::new();
    let mut stream = body.bytes_stream();
    while let Some(Ok(chunk)) = stream.next().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST_ERROR {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the host hands out credentials, and is not the store itself.
fn gives_identity(host: &str) -> bool {
    let known = ["sts.", "oauth2.", "login.", "iamcredentials.", "metadata."];
    host.starts_with("169.254.") || known.iter().any(|start| host.starts_with(start))
}

/// What a response's headers promise about the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Promise {
    /// The strongest digest that is given.
    pub(super) check: Option<Check>,
    /// Whether the entity tag is no MD5 even where it looks like one: the object is encrypted with a key of its own.
    pub(super) is_tag_opaque: bool,
}

impl Promise {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let digest = |text: &str| Some(hexadecimal(&BASE64_STANDARD.decode(text).ok()?));
        // A composite checksum is one of the parts' checksums: `...-N`.
        let is_composite = text("x-amz-checksum-type").is_some_and(|kind| kind.eq_ignore_ascii_case("COMPOSITE"));
        let sha256 = text("x-amz-checksum-sha256").filter(|_| !is_composite).and_then(digest).map(Check::Sha256);
        let google = headers.get_all("x-goog-hash").iter().filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(','));
        let md5 = google.filter_map(|part| part.trim().strip_prefix("md5=")).next().or_else(|| text("content-md5"));
        let encryption = text("x-amz-server-side-encryption").is_some_and(|kind| kind.starts_with("aws:"));
        let customer_key = headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
        Self { check: sha256.or_else(|| md5.and_then(digest).map(Check::Md5)), is_tag_opaque: encryption || customer_key }
    }
}

#[cfg(test)]
mod tests {
    use super::Promise;
    use crate::digest::Check;
    use object_store::HeaderMap;

    #[test]
    fn the_strongest_digest_of_the_headers_is_taken() {
        // base64 and hexadecimal of the digests of "abc".
        let (sha256, sha256_hex) =
            ("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let (md5, md5_hex) = ("kAFQmDzST7DWlj99KOF/cg==", "900150983cd24fb0d6963f7d28e17f72");
        let (strong, weak) = (Some(Check::Sha256(sha256_hex.to_owned())), Some(Check::Md5(md5_hex.to_owned())));
        let google = format!("crc32c=AAAAAA==,md5={md5}");
        let composite = format!("{sha256}-2");
        type Lines<'a> = &'a [(&'a str, &'a str)];
        let table: [(Lines<'_>, Option<Check>, bool); 6] = [
            (&[("x-amz-checksum-sha256", sha256), ("content-md5", md5)], strong, false),
            (&[("x-amz-checksum-sha256", &composite)], None, false),
            (&[("x-amz-checksum-sha256", sha256), ("x-amz-checksum-type", "COMPOSITE")], None, false),
            (&[("x-goog-hash", &google)], weak.clone(), false),
            (&[("content-md5", md5), ("x-amz-server-side-encryption", "AES256")], weak, false),
            (&[("x-amz-server-side-encryption", "aws:kms")], None, true),
        ];
        for (lines, check, is_tag_opaque) in table {
            let headers: HeaderMap =
                lines.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect();
            assert_eq!(Promise::of(&headers), Promise { check, is_tag_opaque }, "{lines:?}");
        }
    }
}
